"""What the tests of compiled graphs ask of a function."""

import inspect

from support.rewrites import TAG

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode, get_default_mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery


def plain_mode():
    """PyTensor's own rewrites only."""
    return get_default_mode().excluding(TAG)


def interpreted_mode():
    """All that Numba's mode does to a graph but fusing loops; what comes out is run by NumPy, and not compiled."""
    left_out = ["BlasOpt", "fusion", "random_make_inplace"]  # PyTensor 3.0 takes the last one too early in this mode
    return Mode("py", RewriteDatabaseQuery(include=["fast_run", "numba"], exclude=left_out))


def nodes(function, op_type):
    """The nodes of a compiled function with this type of operation, those inside of a random variable's included."""
    outer = function.maker.fgraph.toposort()
    inner = [node for wrapper in outer if hasattr(wrapper.op, "fgraph") for node in wrapper.op.fgraph.toposort()]
    return [node for node in outer + inner if isinstance(node.op, op_type)]


def scalar_ops(fgraph):
    """The types of a graph's operations on single entries, those inside of fused loops included."""
    types = set()
    for node in fgraph.apply_nodes:
        op = getattr(node.op, "scalar_op", node.op)
        types |= scalar_ops(op.fgraph) if hasattr(op, "fgraph") else {type(op)}
    return types


def has_ours(function):
    """Whether a compiled function has an operation of this project's rewrites."""
    return any(
        op_type.__module__.startswith("support.") for op_type in scalar_ops(inspect.unwrap(function).maker.fgraph)
    )


def parameter(value, name=None):
    return pytensor.shared(value, name=name, shape=value.shape)


def row_or_batch(name, batch, n, dtype):
    """A symbolic matrix whose number of rows is known, or, where `batch` is None, is not."""
    return pt.matrix(name, shape=(batch, n), dtype=dtype)


def assert_close(actual, expected, dtype):
    """Equal but for rounding: some units in the last place of the largest entry."""
    expected = np.asarray(expected)
    assert actual.dtype == dtype and actual.shape == expected.shape
    tolerance = 50 * np.finfo(dtype).eps * max(1, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
