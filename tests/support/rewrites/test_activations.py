"""VectorSigmoid, VectorSoftplus and VectorTanh, in place of what PyTensor has for them in single precision."""

from graphs import plain_mode, scalar_ops
from support import rewrites
from support.rewrites.activations import VectorSigmoid, VectorSoftplus, VectorTanh

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.scalar.basic import Tanh
from pytensor.scalar.math import Sigmoid, Softplus

EPS = np.finfo(np.float32).eps


def by_ours(function, op_type, values):
    a = pt.fmatrix("a")
    fn = pytensor.function([a], function(a), mode=rewrites.mode())
    assert op_type in scalar_ops(fn.maker.fgraph) and not {Sigmoid, Softplus, Tanh} & scalar_ops(fn.maker.fgraph)
    return fn(values[None])[0]


def test_sigmoids_are_within_rounding():
    values = np.linspace(-87, 87, 1_000_003, dtype=np.float32)
    exact = np.exp(-np.logaddexp(0, -values.astype("float64")))
    error = np.abs(by_ours(pt.sigmoid, VectorSigmoid, values) - exact)
    assert error.max() < 0.8 * EPS
    assert (error / exact / (2 + np.abs(values))).max() < 0.6 * EPS  # rounding a changes exp(a) by |a| times as much
    limits = np.array([-np.inf, np.inf, np.nan, 0], "float32")
    np.testing.assert_array_equal(by_ours(pt.sigmoid, VectorSigmoid, limits), [0, 1, np.nan, 0.5])


def test_softplus_is_within_rounding():
    values = np.concatenate([np.linspace(-80, 100, 1_000_003), np.linspace(-1e-3, 1e-3, 10_001)]).astype("float32")
    exact = np.logaddexp(0, values.astype("float64"))
    error = np.abs(by_ours(pt.softplus, VectorSoftplus, values) - exact) / exact
    rounded = 2 + np.maximum(-values, 0)  # where a is negative, rounding it changes exp(a) by |a| times as much
    assert (error / rounded).max() < 0.8 * EPS
    limits = np.array([-np.inf, np.inf, np.nan, 0], "float32")
    np.testing.assert_allclose(by_ours(pt.softplus, VectorSoftplus, limits), [0, np.inf, np.nan, np.log(2)], rtol=EPS)


def test_tangents_are_within_rounding():
    """Of the result, however small it is: near zero the tangent is not a difference of larger numbers."""
    size = np.concatenate([np.geomspace(1e-30, 1e-2, 100_003), np.linspace(1e-2, 12, 1_000_003)])
    values = np.concatenate([-size, size]).astype("float32")
    exact = np.tanh(values.astype("float64"))
    assert (np.abs(by_ours(pt.tanh, VectorTanh, values) - exact) / np.abs(exact)).max() < 1.5 * EPS
    limits = np.array([-np.inf, np.inf, np.nan, 0], "float32")
    np.testing.assert_array_equal(by_ours(pt.tanh, VectorTanh, limits), [-1, 1, np.nan, 0])


def test_fused_with_its_neighbours():
    a = pt.fmatrix("a")
    fn = pytensor.function([a], 1 - pt.sigmoid(2 * a), mode=rewrites.mode())
    assert len(fn.maker.fgraph.apply_nodes) == 1
    np.testing.assert_allclose(fn([[-1, 0.5]]), [[1 / (1 + np.exp(-2)), 1 / (1 + np.e)]], rtol=4 * EPS)


@pytest.mark.parametrize("function", [pt.sigmoid, pt.softplus, pt.tanh])
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_other_types_are_left_alone(dtype, function):
    a = pt.matrix("a", dtype=dtype)
    value = np.arange(-3, 3, dtype=dtype)[None]
    fn = pytensor.function([a], function(a), mode=rewrites.mode())
    assert not scalar_ops(fn.maker.fgraph) & {VectorSigmoid, VectorSoftplus, VectorTanh}
    np.testing.assert_array_equal(fn(value), pytensor.function([a], function(a), mode=plain_mode())(value))
