"""Sums of products without the products."""

from graphs import DTYPES, RNG, assert_as_plain, nodes, normal

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.tensor.math import Sum

pytestmark = pytest.mark.usefixtures("float64")  # so that a Python number is no float32
BROKEN = "local_sumsqr2dot"  # of PyTensor; it raises where a factor is an input


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


def without_end(A, B, C):
    """Sums of products of three and more axes, of which some cannot become smaller."""
    AB = A[:, :, None] * B[None, :, :]
    return {
        "a product of matrices": AB.sum(axis=1),
        "squared distances of rows": ((A[:, None, :] * B[None, :, :]) ** 2).sum(axis=2),
        "a cycle of three": (AB * C.T[:, None, :]).sum(),
        "a cycle of four": (AB[..., None] * C[None, None] * A.T[:, None, None, :]).sum(),
        "a chain": (AB[..., None] * C[None, None]).sum(axis=(1, 2)),
    }


@pytest.mark.parametrize("case", without_end(*[pt.matrix()] * 3))
def test_sums_of_products_that_share_all_axes_are_compiled(case):
    variables = A, B, C = pt.matrices("ABC")
    assert_as_plain(variables, [without_end(A, B, C)[case]], normal(3, 3, 3))


def random_sum(seed):
    """The sum, over some axes, of a product or a square of a product of tensors that lack some of three or four."""
    rng = np.random.RandomState(seed)
    ndim = rng.randint(3, 5)
    factors = []
    for _ in range(rng.randint(2, 5)):
        axes = rng.choice(ndim, size=rng.randint(1, ndim), replace=False)
        factors.append(pt.tensor(dtype="float64", shape=[None if axis in axes else 1 for axis in range(ndim)]))
    product = pt.mul(*factors) if rng.uniform() < 0.5 else pt.sqr(pt.mul(*factors))
    summed = tuple(sorted(rng.choice(ndim, size=rng.randint(1, ndim + 1), replace=False).tolist()))
    return factors, pt.sum(product, axis=summed)


def longest_loop(fn):
    """The most axes that a node of a function passes over: those that have more than one entry in any of its inputs."""
    shapes = [[v.type.broadcastable for v in node.inputs] for node in fn.maker.fgraph.apply_nodes]
    return max(sum(not all(axis) for axis in zip(*inputs)) for inputs in shapes)


def test_random_sums_are_those_of_pytensor_and_no_loop_is_longer():
    changed = 0
    for seed in range(60):
        factors, output = random_sum(seed)
        values = [RNG.normal(size=[1 if single else 3 for single in v.type.broadcastable]) for v in factors]
        fn, plain = assert_as_plain(factors, [output], values, without=BROKEN)
        assert longest_loop(fn) <= longest_loop(plain), seed
        changed += longest_loop(fn) < longest_loop(plain)
    assert changed > 10
