"""LogLikelihood, in place of a sigmoid, two softplus and a sum."""

from graphs import DTYPES, RNG, KernelLinker, assert_as_plain, assert_close, interpreted_mode, nodes, scalar_ops
from support.rewrites.activations import VectorSigmoid
from support.rewrites.entropy import LogLikelihood

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.link.basic import PerformLinker
from pytensor.scalar.math import Sigmoid, Softplus
from pytensor.tensor.math import Sum
from pytensor.tensor.subtensor import AdvancedIncSubtensor

pytestmark = pytest.mark.usefixtures("kernels", "float64")


def log_likelihood(x, z):
    return x * pt.log(z) + (1 - x) * pt.log(1 - z)


def examples(dtype, batch=3, n=1100):
    """Targets from 0 to 1 and logits: large ones, and in the last row so many zeros that 2^-n is 0 in a computer."""
    x, a = RNG.uniform(size=(batch, n)), 5 * RNG.normal(size=(batch, n))
    x[:, :200] = RNG.randint(0, 2, (batch, 200))
    a[-1] = 0
    a[:, 100:104] = 300, -300, 0, 30
    return x.astype(dtype), a.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 3, None])
def test_value_and_gradient(dtype, batch):
    x, a = (pt.matrix(name, dtype=dtype, shape=(batch, None)) for name in "xa")
    likelihood = log_likelihood(x, pt.sigmoid(a)).sum(axis=1)
    fn = pytensor.function([x, a], [likelihood, pt.grad(likelihood.sum(), a)])
    assert len(nodes(fn, LogLikelihood)) == 1 and not {Sigmoid, Softplus, VectorSigmoid} & scalar_ops(fn.maker.fgraph)
    targets, logits = examples(dtype, batch or 3)
    t, v = targets.astype("float64"), logits.astype("float64")
    expected = (t * v - np.logaddexp(0, v)).sum(axis=1), t - np.exp(-np.logaddexp(0, -v))
    for actual, value in zip(fn(targets, logits), expected):
        assert_close(actual, value, dtype)


@pytest.mark.parametrize(
    "sum_of_logarithms",
    [
        lambda x, z: (x * pt.log(z) + (2 - x) * pt.log(1 - z)).sum(axis=1),
        lambda x, z: (x * pt.log(z) + (1 - x) * pt.log(z)).sum(axis=1),
        lambda x, z: (x * pt.log(z) + (1 - x**2) * pt.log(1 - z)).sum(axis=1),
        lambda x, z: log_likelihood(x, z).sum(axis=0),
        lambda x, z: log_likelihood(x, z).sum(),
        lambda x, z: log_likelihood(x.mean(axis=1, keepdims=True), z).sum(axis=1),
        lambda x, z: [log_likelihood(x, z).sum(axis=1), log_likelihood(x, z)],
    ],
)
def test_other_sums_of_logarithms_are_left_alone(sum_of_logarithms):
    x, a = pt.matrix("x"), pt.matrix("a")
    sums = sum_of_logarithms(x, pt.sigmoid(a))
    outputs = sums if isinstance(sums, list) else [sums]
    fn, _ = assert_as_plain([x, a], outputs, [np.array([[0.2, 0.9]]), np.array([[1.0, -2.0]])])
    assert not nodes(fn, LogLikelihood) and Softplus in scalar_ops(fn.maker.fgraph)


def test_targets_that_are_made_of_the_sigmoid():
    """The operation then needs a sigmoid that it does not give."""
    a = pt.matrix("a")
    z = pt.sigmoid(a)
    fn = pytensor.function([a], log_likelihood(z**2, z).sum(axis=1))
    assert len(nodes(fn, LogLikelihood)) == 1 and Sigmoid in scalar_ops(fn.maker.fgraph)
    logits = examples("float64")[1]
    sigmoid = 1 / (1 + np.exp(-logits))
    assert_close(fn(logits), (sigmoid**2 * logits - np.logaddexp(0, logits)).sum(axis=1), "float64")


def by_loops_and_numpy(dtype):
    """Functions (x, a) that run the operation's machine code, and its `perform`."""
    x, a = (pt.matrix(name, dtype=dtype) for name in "xa")
    linkers = KernelLinker(), PerformLinker()
    return [pytensor.function([x, a], LogLikelihood()(x, a), mode=Mode(linker, None)) for linker in linkers]


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_logits(dtype):
    """log z is 0 or minus infinity then, which times 0 is NaN. NaN stays NaN."""
    a = np.array([[-np.inf]] * 3 + [[np.inf]] * 3 + [[np.nan]], dtype)
    x = np.array([[0, 0.25, 1, 0, 0.25, 1, 0.5]], dtype).T
    for fn in by_loops_and_numpy(dtype):
        with np.errstate(invalid="ignore"):
            rows, z = fn(x, a)
        np.testing.assert_array_equal(rows, [np.nan, -np.inf, -np.inf, -np.inf, -np.inf, np.nan, np.nan])
        np.testing.assert_array_equal(z[:, 0], [0, 0, 0, 1, 1, 1, np.nan])


@pytest.mark.parametrize("batch", [1, 3])
def test_the_gradient_of_a_softmax_has_no_sum_over_the_classes(batch):
    a, y = pt.matrix("a", shape=(batch, 4)), pt.ivector("y")
    classes = pt.specify_shape(y, batch)
    cost = -pt.mean(pt.log(pt.special.softmax(a, axis=1))[pt.arange(batch), classes])
    fn = pytensor.function([a, y], pt.grad(cost, a))
    [placed] = nodes(fn, AdvancedIncSubtensor)
    assert all(placed.outputs[0] not in node.inputs for node in nodes(fn, Sum))
    logits, labels = RNG.normal(size=(batch, 4)), np.array([2, 0, 2], "int32")[:batch]
    exponentials = np.exp(logits)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(4)[labels]
    assert_close(fn(logits, labels), expected / batch, "float64")


def sum_of_single_entries(rows=(0, 1, 2), base=0.0, shape=(3, 4), n_entries=3, axis=1, columns=lambda y: y, used=True):
    """A function of entries v and of their columns y. The sum is made before the number of the rows is known."""
    v, y, m = pt.vector("v", shape=(n_entries,)), pt.ivector("y"), pt.matrix("m")
    placed = pt.inc_subtensor((pt.zeros_like(m) + base)[np.array(rows), columns(y)], v)
    outputs = [placed.sum(axis=axis), *([placed] if used else [])]
    givens = {} if shape is None else {m: pt.constant(np.zeros(shape))}
    inputs = [v, y, m] if shape is None else [v, y]
    with pytensor.config.change_flags(on_opt_error="raise"):
        return pytensor.function(inputs, outputs, givens=givens, mode=interpreted_mode())


@pytest.mark.parametrize(
    "changed, expected, summed",
    [
        ({}, [1, 2, 4], False),
        ({"shape": None, "n_entries": None}, [1, 2, 4], True),  # how many there are is not known
        ({"rows": (2, 1, 0)}, [4, 2, 1], True),
        ({"base": 1.0}, [5, 6, 8], True),
        ({"shape": (5, 4)}, [1, 2, 4, 0, 0], True),
        ({"n_entries": 1}, [1, 1, 1], True),
        ({"shape": (3, 3), "axis": 0}, [2, 1, 4], True),
        ({"axis": None}, 7, True),
        ({"columns": lambda y: pt.stack([y, y])}, [2, 4, 8], True),
        ({"used": False}, [1, 2, 4], True),
    ],
)
def test_the_sum_of_single_entries_is_these_entries(changed, expected, summed):
    fn = sum_of_single_entries(**changed)
    assert bool(nodes(fn, Sum)) == summed
    entries = [1.0, 2.0, 4.0][: changed.get("n_entries", 3)]
    matrix = [np.zeros((3, 4))] if changed.get("shape", ()) is None else []
    columns = [1, 0, 2] if changed.get("axis") == 0 else [3, 1, 1]
    assert_close(fn(entries, columns, *matrix)[0], expected, "float64")


@pytest.mark.parametrize("used", [True, False])
def test_a_label_beyond_the_columns_is_an_error_as_in_pytensor(used):
    with pytest.raises(IndexError):
        sum_of_single_entries(used=used)([1.0, 2.0, 4.0], [3, 7, 1])


CONFIDENT = np.concatenate([np.arange(10.0, 81), [0.01, 0.5, 2, 5, 88, 103]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_confident_reconstruction_keeps_its_digits(dtype):
    """log z is -log1p(exp(-a)), of which single precision has all digits but those that rounding a / log(2) costs."""
    a = np.concatenate([CONFIDENT, -CONFIDENT]).astype(dtype)[:, None]
    x = np.asarray(a > 0, dtype)
    expected = -np.log1p(np.exp(-np.abs(a.astype("float64"))))[:, 0]
    smallest = {"float32": 2.0**-126, "float64": 0}[dtype]  # below it, there are fewer digits, or none
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]
    for fn in by_loops_and_numpy(dtype):
        rows, _ = fn(x, a)
        assert rows.dtype == dtype
        np.testing.assert_allclose(rows, expected, rtol=tolerance, atol=smallest)
        for first in range(0, 71, 10):  # not one large term beside which the small ones would be lost
            some = slice(first, first + 10)
            np.testing.assert_allclose(fn(x[some].T, a[some].T)[0], expected[some].sum(), rtol=tolerance)
