"""What this package needs of PyTensor and Numba beside their documented parts, in one place."""

import zlib
from functools import cache
from pathlib import Path

from support.start import THREADS

import numba
import numpy as np
from numba.np.linalg import _BLAS, ensure_blas, get_blas_kind
from pytensor.graph.op import Op
from pytensor.link.basic import PerformLinker
from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.link.numba.dispatch.random import numba_core_rv_funcify  # noqa: F401  for coin_flips
from pytensor.link.numba.dispatch.scalar import scalar_op_cache_key  # noqa: F401  for activations
from pytensor.link.numba.linker import NumbaLinker

# We use exactly as many threads as BLAS. The order of a sum, and so its last digit, depends on that number.
PARALLEL = THREADS > 1 and {"prange": True, "fusion": False, "numpy": False, "reduction": False, "setitem": False}
if PARALLEL:
    # Numba starts its threads when it compiles a shared loop, but not always when it finds one in its cache.
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))

# PyTensor caches machine code under an operation's type, its properties and a number of ours. This one changes with the
# text of this package, of which the parts use each other, and the number of threads; what changes is compiled anew.
_texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
VERSION = zlib.crc32(b"".join([*_texts, str(THREADS).encode()]))


def rows_if_few(node):
    """The rows of an operation's second input, if its type says that there are one or two; or else 0.

    An implementation may depend on this number, and on nothing else in the types but what Numba sees: dtypes and the
    order in memory. What only larger minibatches need takes seconds to compile.
    """
    rows = node.inputs[1].type.shape[0]
    return rows if rows in (1, 2) else 0


def numba_implementation(op_type):
    """Register a function (op, node) -> compiled function as what Numba runs for this type of operation."""

    def decorate(funcify):
        @register_funcify_default_op_cache_key(op_type)
        def implementation(op, node, **kwargs):
            return funcify(op, node), zlib.crc32(bytes([rows_if_few(node)]), VERSION)

        return funcify

    return decorate


@cache
def gemm(dtype):
    """A compiled function (W, X, D, alpha, beta) that does W <- beta W + alpha X'D by BLAS; X and D in C order."""
    ensure_blas()
    kind = ord(get_blas_kind(numba.from_dtype(dtype)))
    xxgemm = _BLAS().numba_xxgemm(numba.from_dtype(dtype))
    as_is, transposed = ord("n"), ord("t")

    @numba_njit
    def add_product(W, X, D, alpha, beta):
        n, m = W.shape
        k = X.shape[0]
        factors = np.array([alpha, beta], dtype)
        # BLAS counts along columns: what it sees is W' <- beta W' + alpha D'X, whose rows are W's columns.
        out = W if W.flags.c_contiguous else W.copy()
        xxgemm(
            kind, as_is, transposed, m, n, k,
            factors[0:].ctypes, D.ctypes, m, X.ctypes, n, factors[1:].ctypes, out.ctypes, m,
        )  # fmt: skip
        if not W.flags.c_contiguous:
            for i in range(n):  # `W[:] = out` takes seconds to compile
                for j in range(m):
                    W[i, j] = out[i, j]

    return add_product


class Update(Op):
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
        return type(self)(**{**{name: getattr(self, name) for name in self.__props__}, "inplace": inplace})

    def room_for_result(self, W):
        """An array for the updated W."""
        return W if self.inplace else np.empty_like(W)


class EvaluatingLinker:
    """Part of a linker: where nobody takes an updated W, as in `f.copy(delete_updates=True)`, W is not overwritten."""

    def accept(self, fgraph, no_recycling=None, profile=None):
        replaced = {}
        for node in fgraph.toposort():
            if isinstance(node.op, Update) and node.op.inplace and not fgraph.clients[node.outputs[node.op.updated]]:
                new = zip(node.outputs, node.op.with_inplace(False).make_node(*node.inputs).outputs)
                fgraph.replace_all(pairs := list(new), reason="nobody takes the updated W")
                replaced.update(pairs)
        return super().accept(fgraph, [replaced.get(variable, variable) for variable in no_recycling or []], profile)


class InterpretingLinker(EvaluatingLinker, PerformLinker):
    """PyTensor's linker that runs a graph node by node by NumPy."""


class CompilingLinker(EvaluatingLinker, NumbaLinker):
    """PyTensor's linker for Numba."""


class PositionalLinker(CompilingLinker):
    """The same, but what is called is the graph's own function, with its arguments one by one.

    PyTensor puts a function of `*args` around it. At each call Numba looks up the types of the arguments: of arrays in
    C, of anything else in Python. Of `*args` it looks up the tuple, and where that holds one generator of random
    numbers, the types of all the arrays beside it are found in Python, too, which at a batch of 1 takes longer than a
    pass over the weights. And LLVM optimises the whole graph once more for a function around it, which takes seconds.
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
