"""SparseProduct, NarrowProduct and TransposedProduct."""

from graphs import DTYPES, RNG, assert_close, nodes, normal, parameter, row_or_batch
from support.rewrites.kernels import FEW, is_sparse
from support.rewrites.products import MatrixProduct, NarrowProduct, SparseProduct, TransposedProduct

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.tensor.math import Dot

pytestmark = pytest.mark.usefixtures("kernels", "float64")  # so that a Python number is no float32


PRODUCTS = {
    SparseProduct: [(1, 5, 30), (1, 30, 41), (2, 30, 41), (20, 30, 41), (FEW, 30, 41)],
    NarrowProduct: [(2, 5, 3), (4, 5, 3), (21, 9, 10), (600, 30, 16)],
    TransposedProduct: [(1, 9, 20), (20, 9, 20), (101, 9, 20), (None, 9, 20)],
    Dot: [(1, 1, 1)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op_type, sizes", [(op_type, sizes) for op_type in PRODUCTS for sizes in PRODUCTS[op_type]])
def test_a_minibatch_times_a_matrix(op_type, sizes, dtype):
    """With entries that are not zero from none, which are skipped, to all, for which BLAS takes over."""
    batch, n, m = sizes
    transposed = op_type is TransposedProduct
    W = parameter(normal(*((m, n) if transposed else (n, m)), dtype=dtype))
    X, right = row_or_batch("X", batch, n, dtype), W.T if transposed else W
    fn, value = pytensor.function([X], pt.dot(X, right)), W.get_value().T if transposed else W.get_value()
    assert len(nodes(fn, op_type)) == (op_type is not Dot) and (n == 1 or not nodes(fn, Dot))
    for rows in [batch] if batch else [0, 3]:
        for share in (0, 0.2, 0.5, 1):
            x = (normal(rows, n) * (RNG.uniform(size=(rows, n)) < share)).astype(dtype)
            assert_close(fn(x), x @ value, dtype)
        x = np.repeat(x, 2, axis=0)[::2, ::-1]  # not contiguous
        assert_close(fn(x), x @ value, dtype)


@pytest.mark.parametrize("batch", [1, 4])
def test_zero_times_infinity_adds_nothing_to_a_product(batch):
    """Whether rows are skipped or BLAS, to which it is NaN, has multiplied all of them."""
    W = normal(20, 30)
    W[5, 3], W[6, 4] = np.nan, np.inf
    X = row_or_batch("X", batch, 20, "float64")
    fn = pytensor.function([X], pt.dot(X, parameter(W)))
    assert len(nodes(fn, SparseProduct)) == 1
    for share in 0.2, 1:
        x = normal(batch, 20) * (RNG.uniform(size=(batch, 20)) < share)
        x[:, 5:7] = 0
        assert_close(fn(x), x @ np.where(np.isfinite(W), W, 0), "float64")
    x[:, 2:] = 0
    assert SparseProduct().rows_read(x, W) == 2 / 20


LEFT_ALONE = {
    "a batch that may be larger": lambda: ((None, 8), parameter(normal(8, 30))),
    "a batch that is larger": lambda: ((FEW + 1, 8), parameter(normal(8, 30))),
    "a matrix that is a result is read once, whatever it is": lambda: ((1, 6), pt.exp(parameter(normal(6, 20)))),
    "integers": lambda: ((1, 4), parameter(np.arange(12).reshape(4, 3))),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_other_products_are_left_alone(case):
    shape, W = LEFT_ALONE[case]()
    X = pt.matrix("X", shape=shape, dtype=W.dtype)
    fn = pytensor.function([X], pt.dot(X, W))
    assert nodes(fn, Dot) and not nodes(fn, MatrixProduct)
    x = (3 * normal(shape[0] or 3, shape[1])).astype(W.dtype)
    np.testing.assert_allclose(fn(x), x @ W.eval(), rtol=1e-12)


@pytest.mark.parametrize("batch, share, sparse", [(20, 0.2, True), (20, 0.3, False), (FEW + 1, 0.2, False)])
def test_what_counts_as_sparse(batch, share, sparse):
    X = (np.arange(10 * batch).reshape(batch, 10) % 10 < 10 * share).astype("float32")
    assert is_sparse(X) == sparse and SparseProduct().rows_read(X, None) == (share if sparse else 1)
