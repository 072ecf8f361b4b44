"""Sums of products without the products, and updates of a weight matrix whose columns decay."""

from graphs import assert_close, interpreted_mode, kernel_mode, nodes, parameter
from support.rewrites import TAG
from support.rewrites.updates import RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.tensor.math import Sum

pytestmark = pytest.mark.usefixtures("float64")  # so that a Python number is no float32
DTYPES = ["float32", "float64"]
RNG = np.random.RandomState(0)


def normal(*shape, dtype="float64"):
    return RNG.normal(size=shape).astype(dtype)


def largest_product(function):
    """The axes along which what is summed over has more than one entry, at most."""
    shapes = [node.inputs[0].type.broadcastable for node in nodes(function, Sum)]
    return max((sum(not single for single in shape) for shape in shapes), default=0)


def jacobian(s, W):
    return s[:, None, :] * W[None, :, :]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "make",
    [
        lambda s, W: pt.sum(jacobian(s, W) ** 2),
        lambda s, W: pt.sum(pt.sqr(jacobian(s, W))) / s.shape[0].astype(s.dtype),
        lambda s, W: pt.mean(pt.sum(jacobian(s, W) ** 2, axis=(1, 2))),
        lambda s, W: pt.sum(jacobian(s, W) ** 2, axis=(1, 2)),
        lambda s, W: pt.sum(jacobian(s, W) ** 2, axis=1),
        lambda s, W: pt.sum(0.5 * jacobian(s * (1 - s), W) ** 2),
    ],
)
def test_a_sum_of_products_is_a_product_of_sums(make, dtype):
    s, W = pt.matrix("s", dtype=dtype), pt.matrix("W", dtype=dtype)
    total = make(s, W)
    outputs = [total, *pt.grad(total.sum(), [s, W])]
    fn = pytensor.function([s, W], outputs, mode=interpreted_mode())
    plain = pytensor.function([s, W], outputs, mode=interpreted_mode().excluding(TAG))
    assert largest_product(fn) <= 2 < largest_product(plain)
    values = normal(4, 5, dtype=dtype), normal(3, 5, dtype=dtype)
    for actual, expected in zip(fn(*values), plain(*values), strict=True):
        assert_close(actual, expected, expected.dtype)


@pytest.mark.parametrize(
    "make",
    [
        lambda s, W: pt.sum((jacobian(s, W) + 1) ** 2),
        lambda s, W: pt.sum(jacobian(s, W) ** 3),
        lambda s, W: pt.sum(pt.exp(jacobian(s, W))),
        lambda s, W: [pt.sum(jacobian(s, W) ** 2), jacobian(s, W) ** 2],
    ],
)
def test_other_sums_are_left_alone(make):
    s, W = pt.matrix("s"), pt.matrix("W")
    made = make(s, W)
    outputs = made if isinstance(made, list) else [made]
    fn = pytensor.function([s, W], outputs, mode=interpreted_mode())
    plain = pytensor.function([s, W], outputs, mode=interpreted_mode().excluding(TAG))
    assert largest_product(fn) == largest_product(plain) == 3
    values = normal(4, 5), normal(3, 5)
    for actual, expected in zip(fn(*values), plain(*values), strict=True):
        assert_close(actual, expected, "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("two_products", [False, True])
def test_columns_that_decay_are_one_update(two_products, dtype):
    X, D, row = (
        pt.matrix("X", shape=(4, 6), dtype=dtype),
        pt.matrix("D", shape=(4, 20), dtype=dtype),
        pt.row("row", dtype=dtype),
    )
    values = normal(4, 6, dtype=dtype), normal(4, 20, dtype=dtype), normal(1, 20, dtype=dtype)
    start = normal(6, 20, dtype=dtype)
    after = []
    for mode in interpreted_mode(), interpreted_mode().excluding(TAG):
        W = parameter(start.copy(), "W")
        gradient = pt.dot(X.T, D) + 2 * W * row
        if two_products:
            gradient = gradient + 3 * pt.dot(X.T, D * D)
        fn = pytensor.function([X, D, row], [], updates={W: W - np.asarray(0.1, dtype) * gradient}, mode=mode)
        fn(*values)
        after.append((fn, W.get_value()))
    (fn, actual), (_, expected) = after
    [update] = nodes(fn, RankUpdate)
    assert update.op.inplace
    assert_close(actual, expected, dtype)


@pytest.mark.parametrize("factor", [lambda W, row: W * W, lambda W, row: W * row.T, lambda W, row: W[:, ::-1] * row])
def test_other_decays_are_left_alone(factor):
    X, D, row = pt.matrix("X", shape=(4, 6)), pt.matrix("D", shape=(4, 6)), pt.row("row")
    start, values = normal(6, 6), (normal(4, 6), normal(4, 6), normal(1, 6))
    after = []
    for mode in interpreted_mode(), interpreted_mode().excluding(TAG):
        W = parameter(start.copy(), "W")
        new = W - 0.1 * (pt.dot(X.T, D) + factor(W, row))
        fn = pytensor.function([X, D, row], [], updates={W: new}, mode=mode, on_unused_input="ignore")
        fn(*values)
        after.append(W.get_value())
        assert not nodes(fn, RankUpdate)
    assert_close(after[0], after[1], "float64")


@pytest.mark.parametrize("columns", [(1, 20), (6, 1)])
def test_a_product_of_one_row_or_column_is_added_to_each_of_a_W_that_decays(columns):
    X, D, row = (pt.matrix(name, shape=(3, n)) for name, n in zip("XDr", (*columns, 20)))
    W = parameter(normal(6, 20), "W")
    fn = pytensor.function([X, D, row], W - 0.1 * (pt.dot(X.T, D) + W * row[:1]), mode=kernel_mode())
    assert not nodes(fn, RankUpdate)
    x, d, r = normal(3, columns[0]), normal(3, columns[1]), normal(3, 20)
    assert_close(fn(x, d, r), W.get_value() - 0.1 * (x.T @ d + W.get_value() * r[:1]), "float64")
