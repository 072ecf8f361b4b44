"""A matrix's sums along an axis, and the places of its rows' largest entries: PyTensor's values, by our own loops."""

from graphs import interpreted_mode, nodes
from support import rewrites
from support.rewrites.reductions import MatrixSum, RowArgmax, matrix_sum, row_argmax

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

KERNELS = {MatrixSum: matrix_sum, RowArgmax: row_argmax}
ORDERS = {"C": lambda A: A, "F": np.asfortranarray, "strided": lambda A: np.repeat(A, 2, axis=1)[::-1, ::2][::-1]}


def compiled(symbol):
    """What a reduction of a matrix becomes: its machine code, for any order in memory, and its function in NumPy."""
    fn = pytensor.function([symbol.owner.inputs[0]], symbol, mode=interpreted_mode())
    [node] = nodes(fn, (MatrixSum, RowArgmax))
    kernel = KERNELS[type(node.op)](node.op, node)
    signature = numba.types.Array(numba.from_dtype(node.inputs[0].type.numpy_dtype), 2, "A")
    return numba.njit((signature,))(lambda A: kernel(A)), fn


@pytest.mark.parametrize("dtype, axis", [("float64", 0), ("float32", 1), ("int8", 1), ("bool", 0)])
def test_sums(dtype, axis):
    A = (10 * np.random.RandomState(0).normal(size=(5, 7))).astype(dtype)
    x = pt.matrix("x", dtype=dtype)
    kernel, by_numpy = compiled(x.sum(axis=axis))
    for order in ORDERS.values():
        expected = A.sum(axis=axis, dtype="float64" if dtype.startswith("float") else "int64")
        for actual in kernel(order(A)), by_numpy(order(A)):
            assert actual.dtype == pt.sum(x).dtype
            np.testing.assert_allclose(actual, expected, rtol=np.finfo("f4").eps if dtype == "float32" else 1e-15)
    if dtype == "float32":  # in which 2^24 + 1 is 2^24
        large = np.array([[2.0**24, 1, 1]], dtype)
        for acc_dtype, expected in ("float32", 2.0**24), ("float64", 2.0**24 + 2):
            for add_up in compiled(x.sum(axis=axis, acc_dtype=acc_dtype)):
                assert add_up(large) == [expected]
    for shape in (0, 3), (3, 0):
        np.testing.assert_array_equal(kernel(np.ones(shape, dtype)), np.ones(shape).sum(axis=axis))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bool"])
def test_places_of_largest_entries(dtype):
    rows = {(1, 3, 2): 1, (3, 3, 1): 0, (-3, -2, -2): 1, (0, 0, 0): 0}
    if dtype.startswith("float"):
        nan, inf = np.nan, np.inf
        rows |= {(1, nan, nan): 1, (nan, 9, inf): 0, (-inf, -inf, -1): 2, (-inf, -inf, -inf): 0, (inf, 1, inf): 0}
    A = np.array(list(rows)).astype(dtype)
    kernel, by_numpy = compiled(pt.argmax(pt.matrix("x", dtype=dtype), axis=1))
    for order in ORDERS.values():
        for actual in kernel(order(A)), by_numpy(order(A)):
            assert actual.dtype == "int64"
            np.testing.assert_array_equal(actual, np.argmax(A, axis=1) if dtype == "bool" else list(rows.values()))
    assert kernel(np.ones((0, 3), dtype)).shape == by_numpy(np.ones((0, 3), dtype)).shape == (0,)
    for place_in_nothing in kernel, by_numpy:
        with pytest.raises(ValueError, match="empty sequence"):
            place_in_nothing(np.ones((3, 0), dtype))


def test_other_reductions_are_left_to_pytensor():
    x, v, z = pt.matrix("x"), pt.vector("v"), pt.zmatrix("z")
    outputs = [x.sum(), v.sum(), z.sum(axis=0), x.max(axis=1), pt.argmax(x, axis=0), pt.argmax(v), pt.argmax(x)]
    assert not nodes(pytensor.function([x, v, z], outputs, mode=interpreted_mode()), (MatrixSum, RowArgmax))


def test_a_sum_that_pytensor_fuses_with_what_is_summed_stays_fused():
    x = pt.matrix("x")
    fn = pytensor.function([x], (x**2).sum(axis=0), mode=rewrites.mode())  # it is not called: nothing is compiled
    assert bool(nodes(fn, MatrixSum)) == (len(fn.maker.fgraph.apply_nodes) > 1)
