"""Sums of products without the products."""

from graphs import DTYPES, assert_as_plain, nodes, normal

import pytensor.tensor as pt
import pytest
from pytensor.tensor.math import Sum

pytestmark = pytest.mark.usefixtures("float64")  # so that a Python number is no float32


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
    fn, plain = assert_as_plain([s, W], outputs, [normal(4, 5, dtype=dtype), normal(3, 5, dtype=dtype)])
    assert largest_product(fn) <= 2 < largest_product(plain)


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
    fn, plain = assert_as_plain([s, W], outputs, [normal(4, 5), normal(3, 5)])
    assert largest_product(fn) == largest_product(plain) == 3
