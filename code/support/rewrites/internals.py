"""The undocumented parts of PyTensor and Numba that this package needs, in one place."""

import zlib
from functools import cache
from hashlib import sha256
from pathlib import Path

from support.start import THREADS

import numba
import numpy as np
from numba.np.linalg import _BLAS, ensure_blas, get_blas_kind
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.basic import PerformLinker
from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key
from pytensor.link.numba.dispatch.random import numba_core_rv_funcify  # noqa: F401  for coin_flips
from pytensor.link.numba.linker import NumbaLinker

# We use exactly as many threads as BLAS. The order of a sum, and so its last digit, depends on that number.
PARALLEL = THREADS > 1 and {"prange": True, "fusion": False, "numpy": False, "reduction": False, "setitem": False}
if PARALLEL:
    # Numba starts its threads when it compiles a shared loop, but not always when it finds one in its cache.
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))

# Of a function with one caller: LLVM would optimise it by itself and then in its caller, which takes a second for some.
INLINE = "always"

# PyTensor caches machine code under a key, which has this number of ours. The number changes with the text of this
# package, of which the parts use each other, and with the number of threads; what changes is compiled anew.
_texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
VERSION = zlib.crc32(b"".join([*_texts, str(THREADS).encode()]))


class Compiled:
    """Part of an operation: `loops(node)` is a function, in Python, that Numba compiles with these `options` and runs.

    It may depend on the operation's properties, the types of its results and on `depends_on(node)`, and on nothing else
    in the types but what Numba sees: dtypes and the order in memory.
    """

    options = {}

    def depends_on(self, node):
        return None


@register_funcify_and_cache_key(Compiled)
def compiled(op, node, **kwargs):
    """The compiled function, and the key under which PyTensor keeps its machine code."""
    properties = [str(getattr(op, name)) for name in getattr(op, "__props__", ())]
    key = type(op).__name__, properties, [out.type.dtype for out in node.outputs], op.depends_on(node), VERSION
    return numba_njit(**op.options)(op.loops(node)), sha256(str(key).encode()).hexdigest()


@cache
def gemm(dtype):
    """A compiled function (W, X, D, alpha, beta) that does W <- beta W + alpha X'D by BLAS; all are in C order."""
    ensure_blas()
    number = numba.from_dtype(dtype)
    kind, as_is, transposed = map(ord, (get_blas_kind(number), "n", "t"))
    xxgemm = _BLAS().numba_xxgemm(number)

    @numba_njit
    def add_product(W, X, D, alpha, beta):
        (n, m), k = W.shape, X.shape[0]
        factors = np.array([alpha, beta], dtype)
        a, b = factors[:1].ctypes, factors[1:].ctypes
        # BLAS counts along columns: what it sees is W' <- beta W' + alpha D'X, whose rows are W's columns.
        xxgemm(kind, as_is, transposed, m, n, k, a, D.ctypes, m, X.ctypes, n, b, W.ctypes, m)

    return add_product


class Kernel(Compiled, Op):
    """An operation: the types of its `results`, `compute` in NumPy to say what it computes, and `loops`, which run."""

    __props__ = ()

    def make_node(self, *inputs):
        return Apply(self, [*inputs], self.results(*inputs))

    def perform(self, node, inputs, outputs):
        for storage, value in zip(outputs, self.compute(*inputs), strict=True):
            storage[0] = value


class Update(Kernel):
    """An operation one of whose results is its first input W, updated; with `inplace` it is written over W."""

    __props__ = ("inplace",)
    W = 0  # the place of W among the inputs
    updated = 0  # the place of the updated W among the outputs

    def __init__(self, inplace=False):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {self.updated: [self.W]}

    def with_inplace(self, inplace):
        """The same operation, written over W or not."""
        return type(self)(**{**self._props_dict(), "inplace": inplace})

    def perform(self, node, inputs, outputs):
        super().perform(node, inputs, outputs)
        if self.inplace:
            inputs[self.W][...] = outputs[self.updated][0]
            outputs[self.updated][0] = inputs[self.W]


class EvaluatingLinker:
    """Part of a linker: where nobody takes an updated W, as in `f.copy(delete_updates=True)`, W is not overwritten."""

    def accept(self, fgraph, no_recycling=None, profile=None):
        replaced = {}
        for node in fgraph.toposort():
            if isinstance(node.op, Update) and node.op.inplace and not fgraph.clients[node.outputs[node.op.updated]]:
                new = node.op.with_inplace(False).make_node(*node.inputs).outputs
                fgraph.replace_all(pairs := list(zip(node.outputs, new)), reason="nobody takes the updated W")
                replaced.update(pairs)
        return super().accept(fgraph, [replaced.get(variable, variable) for variable in no_recycling or []], profile)


class InterpretingLinker(EvaluatingLinker, PerformLinker):
    """PyTensor's linker that runs a graph node by node by NumPy."""


class CompilingLinker(EvaluatingLinker, NumbaLinker):
    """PyTensor's linker for Numba."""


class PositionalLinker(CompilingLinker):
    """The same, but it calls the graph's own function, with its arguments one by one.

    PyTensor puts a function of `*args` around it. At each call Numba looks up the types of the arguments: of arrays in
    C, of anything else in Python. Where the tuple `*args` holds a generator of random numbers, the types of all arrays
    beside it are found in Python, too, which at a batch of 1 takes longer than a pass over the weights. And LLVM
    optimises the whole graph once more for a function around it, which takes seconds.
    """

    def jit_compile(self, fn_and_cache):
        function, cache_key = fn_and_cache
        if cache_key is None:
            return super().jit_compile(fn_and_cache)
        graph = function.py_func.__globals__["jitable_func"].py_func
        positional = compile_numba_function_src(
            src=graph.__source__,
            function_name=graph.__name__,
            global_env=graph.__globals__,
            cache_key=f"{cache_key}_positional",
        )
        return numba_njit(positional, final_function=True, cache=True)
