"""The cross-entropy with one softplus in place of two."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.scalar.math import Softplus
from pytensor.tensor.elemwise import Elemwise

from graphs import assert_close

pytestmark = pytest.mark.usefixtures("float64")


def count_softplus(function):
    """How often the compiled graph computes a softplus, inside of fused loops, too."""

    def count(scalar_op):
        if hasattr(scalar_op, "fgraph"):
            return sum(count(node.op) for node in scalar_op.fgraph.apply_nodes)
        return isinstance(scalar_op, Softplus)

    nodes = list(function.maker.fgraph.apply_nodes)
    nodes += [inner for node in nodes if hasattr(node.op, "fgraph") for inner in node.op.fgraph.apply_nodes]
    return sum(count(node.op.scalar_op) for node in nodes if isinstance(node.op, Elemwise))


def cross_entropy(x, z):
    return -(x * pt.log(z) + (1 - x) * pt.log(1 - z))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient(dtype):
    x, a = pt.matrix("x", dtype=dtype), pt.matrix("a", dtype=dtype)
    entropy = cross_entropy(x, pt.sigmoid(a))
    fn = pytensor.function([x, a], [entropy, pt.grad(entropy.sum(), a)])
    assert count_softplus(fn) == 1
    targets = np.array([[0, 1, 0.3, 0.5, 0, 1]], dtype)
    logits = np.array([[1, -2, 0.5, 0, 50, 50]], dtype)
    sigmoid = 1 / (1 + np.exp(-logits.astype("float64")))
    # log(1 + exp(a)) - x a; at a = 50 it is 50 - 50 x but for exp(-50)
    expected = np.log1p(np.exp(logits.astype("float64"))) - targets * logits
    for actual, value in zip(fn(targets, logits), [expected, sigmoid - targets]):
        assert_close(actual, value, dtype)


@pytest.mark.parametrize(
    "sum_of_logarithms",
    [
        lambda x, z: x * pt.log(z) + (2 - x) * pt.log(1 - z),
        lambda x, z: x * pt.log(z) + (1 - x) * pt.log(z),
        lambda x, z: x * pt.log(z) + (1 - x**2) * pt.log(1 - z),
    ],
)
def test_other_sums_of_logarithms_are_left_alone(sum_of_logarithms):
    x, a = pt.matrix("x"), pt.matrix("a")
    fn = pytensor.function([x, a], sum_of_logarithms(x, pt.sigmoid(a)))
    targets, logits = np.array([[0.2, 0.9]]), np.array([[1.0, -2.0]])
    expected = sum_of_logarithms(pt.constant(targets), pt.constant(1 / (1 + np.exp(-logits)))).eval()
    assert_close(fn(targets, logits), expected, "float64")
