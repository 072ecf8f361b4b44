"""Where and how this package's rewrites enter PyTensor's database."""

import zlib
from pathlib import Path

from support.environment import THREADS

import numba
from pytensor.compile.mode import optdb
from pytensor.graph.rewriting.basic import WalkingGraphRewriter, dfs_rewriter
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

TAG = "sgd"  # no mode of PyTensor's includes it
NAMES = []
INPLACE_NAMES = []

# We use exactly as many threads as BLAS. The order of a sum, and so its last digit, depends on that number.
PARALLEL = THREADS > 1 and {"prange": True, "fusion": False, "numpy": False, "reduction": False, "setitem": False}
if PARALLEL:
    # Numba starts its threads when it compiles a shared loop, but not always when it finds one in its cache.
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))

# PyTensor caches machine code under an operation's type, its properties and a number of ours. This one changes with the
# text of this package, of which the parts use each other, and the number of threads; what changes is compiled anew.
_texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
VERSION = zlib.crc32(b"".join([*_texts, str(THREADS).encode()]))

# After the canonical forms and before the specialised ones, which hide products in fused loops.
POSITION = 1.66
# After PyTensor has begun to watch for overwritten inputs, beside its own in-place rewrites.
INPLACE_POSITION = 50.2


def register(rewrite, name, priority):
    """Add a rewrite of single nodes to those that `support.rewrites.mode` includes; a lower priority goes first."""
    NAMES.append(name)
    optdb.register(name, dfs_rewriter(rewrite, ignore_newtrees=True), TAG, position=POSITION + priority / 1000)


def register_inplace(rewrite, name):
    """Add a rewrite that puts in an operation which overwrites its input.

    PyTensor refuses a replacement that would overwrite what another node has still to read; then the operation that
    copies stays.
    """
    INPLACE_NAMES.append(name)
    optdb.register(
        name,
        WalkingGraphRewriter(rewrite, order="in_to_out", failure_callback=WalkingGraphRewriter.warn_inplace),
        "inplace",
        TAG,
        position=INPLACE_POSITION,
    )


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
