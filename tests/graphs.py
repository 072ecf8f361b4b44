"""What the tests of compiled graphs ask of a function."""

import inspect
import os
import subprocess
import sys

from support.rewrites import REWRITES, TAG
from support.rewrites.internals import Kernel, Update, numba_njit
from support.start import ROOT

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode, get_default_mode, optdb
from pytensor.graph.rewriting.basic import GraphRewriter
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import PerformLinker

RNG = np.random.RandomState(0)
DTYPES = ["float32", pytest.param("float64", marks=pytest.mark.slow)]  # each has kernels to compile
compiled_kernels = {}


def plain_mode():
    """PyTensor's own rewrites only."""
    return get_default_mode().excluding(TAG)  # where a test's default mode has ours


def interpreting(**flags):
    """Within the block, graphs run as built, node by node, as by a process's `FLAGS`; and these flags are set."""
    return pytensor.config.change_flags(mode=Mode("py", None), **flags)


def interpreted_mode(linker="py", tags=(TAG,)):
    """All that Numba's mode and the rewrites with these tags do to a graph, but fusing loops; it is run by NumPy."""
    left_out = ["BlasOpt", "fusion"]
    left_out += ["random_make_inplace", "introduce_explicit_core_shape_rv"]  # in this mode not for PyTensor 3.0
    return Mode(linker, RewriteDatabaseQuery(include=["fast_run", "numba", *tags], exclude=left_out))


class SecondTime(GraphRewriter):
    """Applies a rewrite that has just been applied once more, and raises an error if there was anything left to do."""

    def __init__(self, name):
        self.again = name

    def apply(self, fgraph):
        before = fgraph.apply_nodes.copy()
        optdb[self.again].rewrite(fgraph)
        assert fgraph.apply_nodes == before, f"{self.again} applies to its own result"


def checked(mode):
    """This mode with all our rewrites, each of which must have come to an end: it is applied twice."""
    names = [name for rewriters in REWRITES.values() for name in rewriters]
    return mode.register(*((SecondTime(name), optdb.__position__[name] + 1e-9) for name in names))


class KernelLinker(PerformLinker):
    """Runs a graph node by node, each `Kernel` by its machine code and all other operations by NumPy.

    The machine code of an operation is compiled once for all graphs. That of a whole graph takes seconds each time.
    """

    def make_all(self, *arguments, **named):
        with pytest.MonkeyPatch.context() as patch:
            for op_type in Kernel, Update:
                patch.setattr(op_type, "perform", run_kernel)
            return super().make_all(*arguments, **named)


def run_kernel(op, node, inputs, outputs):
    """What an operation's `perform` does, by the machine code that a compiled graph runs."""
    key = op, node.outputs[0].type.dtype, op.depends_on(node)
    if key not in compiled_kernels:
        compiled_kernels[key] = numba_njit(**op.options, final_function=True)(op.loops(node))
    arrays = [np.array(value) if np.ndim(value) == 0 else value for value in inputs]  # NumPy makes numbers of scalars
    results = compiled_kernels[key](*arrays)
    for storage, result in zip(outputs, results if len(outputs) > 1 else [results], strict=True):
        storage[0] = result


def kernel_mode():
    """All rewrites but fusing loops, with the machine code of this project's operations."""
    return interpreted_mode(KernelLinker())


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


def normal(*shape, dtype="float64"):
    return RNG.normal(size=shape).astype(dtype)


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


def assert_as_plain(inputs, outputs, values, without=""):
    """Two functions, interpreted, that give the same: with our rewrites, and with PyTensor's own alone."""
    modes = checked(interpreted_mode().excluding(without)), interpreted_mode(tags=[]).excluding(without)
    with pytensor.config.change_flags(on_opt_error="raise"):
        ours, plain = (pytensor.function(inputs, outputs, mode=mode, on_unused_input="ignore") for mode in modes)
    for actual, expected in zip(ours(*values), plain(*values), strict=True):
        assert_close(actual, expected, expected.dtype)
    return ours, plain


def printed(script, monkeypatch, *arguments, **environment):
    """What a script prints in a process of its own, in which this project can be imported."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "code"), str(ROOT / "tests")]))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
