"""Where and how this package's rewrites enter PyTensor's database."""

import inspect
import sys
import zlib

from pytensor.compile.mode import optdb
from pytensor.graph.rewriting.basic import WalkingGraphRewriter, dfs_rewriter
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

TAG = "sgd"
NAMES = []

# After the canonical forms and before the specialised ones, which hide products in fused loops.
POSITION = 1.66
# After PyTensor has begun to watch for overwritten inputs, beside its own in-place rewrites.
INPLACE_POSITION = 50.2


def register(rewrite, name, priority):
    """Add a rewrite of single nodes to those that Numba's mode applies; a lower priority goes first."""
    NAMES.append(name)
    optdb.register(name, dfs_rewriter(rewrite), "numba", TAG, position=POSITION + priority / 1000)


def register_inplace(rewrite, name):
    """Add a rewrite that puts in an operation which overwrites its input.

    PyTensor refuses a replacement that would overwrite what another node has still to read; then the operation that
    copies stays.
    """
    optdb.register(
        name,
        WalkingGraphRewriter(rewrite, order="in_to_out", failure_callback=WalkingGraphRewriter.warn_inplace),
        "numba",
        "inplace",
        TAG,
        position=INPLACE_POSITION,
    )


def numba_implementation(op_type):
    """Register a function (op, node) -> compiled function as what Numba runs for this type of operation.

    PyTensor caches the machine code under the operation's type and properties. The key takes in the text of the
    implementation's module, too, so that a change there is compiled anew.
    """

    def decorate(funcify):
        version = zlib.crc32(inspect.getsource(sys.modules[funcify.__module__]).encode())

        @register_funcify_default_op_cache_key(op_type)
        def implementation(op, node, **kwargs):
            return funcify(op, node), version

        return funcify

    return decorate
