"""VectorSigmoid, in place of a sigmoid in single precision."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.scalar.math import Sigmoid

from graphs import plain_mode, scalar_ops
from support.rewrites.sigmoid import VectorSigmoid

EPS = np.finfo(np.float32).eps


def test_values_are_within_rounding():
    a = pt.fmatrix("a")
    fn = pytensor.function([a], pt.sigmoid(a))
    ops = scalar_ops(fn.maker.fgraph)
    assert VectorSigmoid in ops and Sigmoid not in ops
    values = np.linspace(-87, 87, 1_000_003, dtype=np.float32)[None]
    exact = np.exp(-np.logaddexp(0, -values.astype("float64")))
    error = np.abs(fn(values) - exact)
    assert error.max() < 0.8 * EPS
    assert (error / exact / (2 + np.abs(values))).max() < 0.6 * EPS  # rounding a changes exp(a) by |a| times as much


def test_fused_with_its_neighbours():
    a = pt.fmatrix("a")
    fn = pytensor.function([a], 1 - pt.sigmoid(2 * a))
    assert len(fn.maker.fgraph.apply_nodes) == 1
    np.testing.assert_allclose(fn([[-1, 0.5]]), [[1 / (1 + np.exp(-2)), 1 / (1 + np.e)]], rtol=4 * EPS)


def test_limits_and_what_is_no_number():
    a = pt.fvector("a")
    zero, one, nothing, half = pytensor.function([a], pt.sigmoid(a))(np.array([-np.inf, np.inf, np.nan, 0], "float32"))
    assert 0 <= zero < 1.2e-38 and one == 1 and np.isnan(nothing) and half == 0.5


@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_other_types_are_left_alone(dtype):
    a = pt.matrix("a", dtype=dtype)
    value = np.arange(-3, 3, dtype=dtype)[None]
    fn = pytensor.function([a], pt.sigmoid(a))
    assert VectorSigmoid not in scalar_ops(fn.maker.fgraph)
    np.testing.assert_array_equal(fn(value), pytensor.function([a], pt.sigmoid(a), mode=plain_mode())(value))
