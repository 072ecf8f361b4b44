"""SparseProduct, NarrowProduct and TransposedProduct."""

from graphs import assert_close, nodes, parameter, row_or_batch
from support.rewrites.kernels import FEW, is_sparse
from support.rewrites.products import NarrowProduct, SparseProduct, TransposedProduct

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.tensor.math import Dot

pytestmark = pytest.mark.usefixtures("kernels", "float64")  # so that a Python number is no float32
DTYPES = ["float32", "float64"]
RNG = np.random.RandomState(0)


def normal(*shape, dtype="float64"):
    return RNG.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n, m", [(1, 1), (5, 3), (30, 41)])
def test_a_row_times_a_matrix_reads_the_rows_that_count(n, m, dtype):
    W = parameter(normal(n, m, dtype=dtype))
    x = row_or_batch("x", 1, n, dtype)
    fn = pytensor.function([x], pt.dot(x, W))
    if n > 1:
        assert len(nodes(fn, SparseProduct)) == 1 and not nodes(fn, Dot)
    for share in (0, 0.2, 0.5, 1):  # of entries that are not zero, from none to all, for which BLAS takes over
        value = normal(1, n, dtype=dtype) * (RNG.uniform(size=n) < share)
        value = value.astype(dtype)
        assert_close(fn(value), value @ W.get_value(), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [2, 20, FEW])
def test_a_minibatch_times_a_matrix_skips_the_zeros_where_they_are_many(batch, dtype):
    W = parameter(normal(30, 41, dtype=dtype))
    X = row_or_batch("X", batch, 30, dtype)
    fn = pytensor.function([X], pt.dot(X, W))
    assert len(nodes(fn, SparseProduct)) == 1 and not nodes(fn, Dot)
    for share in (0, 0.2, 0.5, 1):  # of entries that are not zero, from none to all, for which BLAS takes over
        value = (normal(batch, 30) * (RNG.uniform(size=(batch, 30)) < share)).astype(dtype)
        assert_close(fn(value), value @ W.get_value(), dtype)
    assert_close(fn(value[:, ::-1]), value[:, ::-1] @ W.get_value(), dtype)  # not contiguous


@pytest.mark.parametrize("batch", [1, 4])
def test_rows_at_which_x_is_zero_are_not_read(batch):
    W = np.full((8, 30), np.nan)
    W[:2] = 1
    x = np.zeros((batch, 8))
    x[-1, :2] = 1, 2
    X = row_or_batch("X", batch, 8, "float64")
    fn = pytensor.function([X], pt.dot(X, parameter(W)))
    np.testing.assert_array_equal(fn(x), [*np.zeros((batch - 1, 30)), np.full(30, 3)])
    assert SparseProduct().rows_read(x, W) == 2 / 8


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


@pytest.mark.parametrize("batch", [0, 3])
def test_a_transposed_product_has_the_rows_of_its_minibatch(batch):
    W = parameter(normal(20, 9))
    D = row_or_batch("D", None, 9, "float64")
    fn = pytensor.function([D], pt.dot(D, W.T))
    assert len(nodes(fn, TransposedProduct)) == 1
    d = normal(batch, 9)
    assert_close(fn(d), d @ W.get_value().T, "float64")


def test_a_batch_that_may_be_larger_is_left_alone():
    W = parameter(normal(8, 30))
    for batch in (None, FEW + 1):
        x = row_or_batch("x", batch, 8, "float64")
        fn = pytensor.function([x], pt.dot(x, W))
        assert len(nodes(fn, Dot)) == 1 and not nodes(fn, SparseProduct)


@pytest.mark.parametrize("batch, share, sparse", [(20, 0.2, True), (20, 0.3, False), (FEW + 1, 0.2, False)])
def test_what_counts_as_sparse(batch, share, sparse):
    X = (np.arange(10 * batch).reshape(batch, 10) % 10 < 10 * share).astype("float32")
    assert is_sparse(X) == sparse and SparseProduct().rows_read(X, None) == (share if sparse else 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, n, m", [(2, 5, 3), (4, 5, 3), (21, 9, 10), (600, 30, 16)])
def test_few_columns(batch, n, m, dtype):
    W = parameter(normal(n, m, dtype=dtype))
    X = row_or_batch("X", batch, n, dtype)
    fn = pytensor.function([X], pt.dot(X, W))
    assert len(nodes(fn, NarrowProduct)) == 1 and not nodes(fn, Dot)
    x = normal(2 * batch, n, dtype=dtype)[::2]  # not contiguous
    assert_close(fn(x), x @ W.get_value(), dtype)


def test_many_columns_are_for_blas():
    W = parameter(normal(5, 17))
    X = row_or_batch("X", 4, 5, "float64")
    assert not nodes(pytensor.function([X], pt.dot(X, W)), NarrowProduct)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 20, 101, None])
def test_a_product_with_a_transposed_matrix_does_not_transpose_it(batch, dtype):
    W = parameter(normal(20, 9, dtype=dtype))
    D = row_or_batch("D", batch, 9, dtype)
    fn = pytensor.function([D], pt.dot(D, W.T))
    assert len(nodes(fn, TransposedProduct)) == 1 and not nodes(fn, Dot)
    d = normal(batch or 3, 9, dtype=dtype)
    assert_close(fn(d), d @ W.get_value().T, dtype)


def test_a_matrix_that_is_a_result_is_left_alone():
    """2 W is a new matrix: whatever it is, it is read once."""
    W = parameter(normal(6, 9))
    x = row_or_batch("x", 1, 6, "float64")
    fn = pytensor.function([x], pt.dot(x, pt.exp(W)))
    assert not nodes(fn, SparseProduct)
    assert_close(fn(np.ones((1, 6))), np.exp(W.get_value()).sum(axis=0, keepdims=True), "float64")


def test_integers_are_left_alone():
    W = parameter(np.arange(12).reshape(4, 3))
    x = pt.matrix("x", shape=(1, 4), dtype="int64")
    fn = pytensor.function([x], pt.dot(x, W))
    assert not nodes(fn, SparseProduct)
    np.testing.assert_array_equal(fn(np.array([[1, 0, 2, 1]])), [[21, 25, 29]])


@pytest.mark.parametrize(
    "op, shapes",
    [
        (SparseProduct, (1, 5, 6)),
        (SparseProduct, (3, 5, 6)),
        (NarrowProduct, (3, 5, 6)),
        (TransposedProduct, (3, 6, 5)),
    ],
)
def test_what_runs_agrees_with_perform_and_checks_the_shapes(op, shapes):
    batch, n, m = shapes
    X, W = pt.matrix(dtype="float64", shape=(batch, None)), pt.matrix(dtype="float64")
    fns = [
        pytensor.function([X, W], op()(X, W), mode=pytensor.compile.mode.Mode(linker, None))
        for linker in ("numba", "py")
    ]
    w = normal(m, n) if op is TransposedProduct else normal(n, m)
    x = normal(batch, n)
    x[:, 1:] = 0
    assert_close(fns[0](x, w), fns[1](x, w), "float64")
    with pytest.raises(ValueError, match="do not fit"):
        fns[0](normal(batch, n + 1), w)
