"""TiedDecoder: where it comes in, what it computes, and what it leaves alone."""

from dA import dA
from graphs import (
    DTYPES,
    RNG,
    assert_as_plain,
    assert_close,
    interpreted_mode,
    kernel_mode,
    nodes,
    normal,
    parameter,
    row_or_batch,
)
from support.graphs.steps import Graph
from support.rewrites import TAG
from support.rewrites.decoder import TiedDecoder
from support.rewrites.entropy import LogLikelihood
from support.rewrites.products import SparseProduct, TransposedProduct
from support.rewrites.updates import BackpropUpdate, RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.tensor.math import Dot

pytestmark = pytest.mark.usefixtures("float64")


def denoising_step(n, m, dtype, mode=None, batch=1):
    """The step of a dA, and its parameters."""
    with pytensor.config.change_flags(floatX=dtype):
        model = dA(np.random.RandomState(0), n_visible=n, n_hidden=m)
        model.x, given = pt.specify_shape(model.x, (batch, n)), model.x
        cost, updates = model.get_cost_updates(0.3, np.asarray(0.1, dtype))
        return pytensor.function([given], cost, updates=updates, mode=mode), model.params


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_autoencoder_passes_over_its_weights_twice_after_it_has_encoded(dtype):
    """Once to decode, to go back and to write the decoder's part of the update, once for the rows that count in x~."""
    n, m = 21, 7  # neither a multiple of the rows of a block
    xs = (RNG.uniform(size=(3, 1, n)) * (RNG.uniform(size=(3, 1, n)) < 0.5)).astype(dtype)
    results = []
    for mode in kernel_mode(), interpreted_mode(), interpreted_mode().excluding(TAG):
        step, params = denoising_step(n, m, dtype, mode)
        if not results:
            [decoder], [rest], [likelihood] = (nodes(step, each) for each in (TiedDecoder, RankUpdate, LogLikelihood))
            assert decoder.op.update and decoder.op.inplace and rest.op.inplace
            assert rest.inputs[0] is decoder.outputs[2] and rest.inputs[1].type.shape == (1, n)
            assert likelihood.inputs[1] is decoder.outputs[0] and len(nodes(step, SparseProduct)) == 1
            assert not nodes(step, (TransposedProduct, BackpropUpdate, Dot))
        results.append([np.asarray([step(x) for x in xs]), *(param.get_value() for param in params)])
    for values in results[:2]:
        for actual, expected in zip(values, results[2]):
            assert_close(actual, expected, dtype)


@pytest.mark.parametrize("batch", [2, None])
def test_minibatches_are_decoded_by_blas(batch):
    step, _ = denoising_step(6, 20, "float64", interpreted_mode(), batch)
    assert not nodes(step, TiedDecoder) and len(nodes(step, LogLikelihood)) == 1


def autoencoder(n=6, m=20):
    """W, and symbolic h, c, x, z and the cross-entropy."""
    W = parameter(normal(n, m), "W")
    h, c, x = (row_or_batch(name, 1, size, "float64") for name, size in (("h", m), ("c", n), ("x", n)))
    z = pt.sigmoid(pt.dot(h, W.T) + c)
    return W, h, c, x, z, -(x * pt.log(z) + (1 - x) * pt.log(1 - z)).sum(axis=1)


def compiled(inputs, outputs, updates=None):
    with pytensor.config.change_flags(on_opt_error="raise"):
        return pytensor.function(inputs, outputs, updates=updates, mode=interpreted_mode(), on_unused_input="ignore")


def arguments(n=6, m=20):
    return RNG.uniform(size=(1, m)), normal(1, n), RNG.uniform(size=(1, n))


def decoded(W, h, c, x):
    """The cross-entropy, z and the error by NumPy."""
    a = h @ W.T + c
    z = 1 / (1 + np.exp(-a))
    return (np.logaddexp(0, a) - x * a).sum(), z, z - x


@pytest.mark.parametrize("scale", [1, -3, "lr"])
def test_without_an_update_the_error_goes_back_in_the_pass_that_decodes(scale):
    W, h, c, x, z, L = autoencoder()
    lr = pt.scalar("lr")
    cost = (lr if scale == "lr" else scale) * L.sum()
    fn = compiled([h, c, x, lr], [cost, z, pt.grad(cost, h), pt.grad(cost, c)])
    assert len(nodes(fn, TiedDecoder)) == 1 and not nodes(fn, (Dot, SparseProduct, TransposedProduct))
    values, w, factor = arguments(), W.get_value(), 0.5 if scale == "lr" else scale
    cost, z, error = decoded(w, *values)
    for actual, value in zip(fn(*values, 0.5), (factor * cost, z, factor * error @ w, factor * error)):
        assert_close(actual, value, "float64")
    np.testing.assert_array_equal(W.get_value(), w)


@pytest.mark.parametrize("case", ["alone", "decay", "rate", "W"])
def test_what_is_written_in_the_same_pass(case):
    """W - lr (z - x)'h; not beside weight decay, nor where the rate depends on the cost. Other uses see the old W."""
    W, h, c, x, z, L = autoencoder()
    cost = L.sum()
    rate = 0.1 * cost if case == "rate" else 0.1
    decay = 0.5 if case == "decay" else 0
    gradient = pt.grad(L.sum(), W)
    outputs = [cost, pt.grad(cost, h), *([2 * W] if case == "W" else [])]
    fn = compiled([h, c, x], outputs, {W: W - rate * gradient - decay * W})
    [decoder], updates = nodes(fn, TiedDecoder), nodes(fn, RankUpdate)
    assert decoder.op.update == decoder.op.inplace == (not updates) == (case in ("alone", "W"))
    values, w = arguments(), W.get_value()
    cost, _, error = decoded(w, *values)
    for actual, expected in zip(fn(*values), (cost, error @ w, 2 * w)):
        assert_close(actual, expected, "float64")
    rate = 0.1 * cost if case == "rate" else 0.1
    assert_close(W.get_value(), w - rate * error.T @ values[0] - decay * w, "float64")


REFUSED = {
    "another matrix decodes": lambda W, h, c, x: (pt.dot(h, parameter(normal(20, 6))) + c, lambda z: z - x),
    "the logits are used elsewhere": lambda W, h, c, x: ((a := pt.dot(h, W.T) + c), lambda z: (z - x, a)),
    "the product is used elsewhere": lambda W, h, c, x: ((p := pt.dot(h, W.T)) + c, lambda z: (z - x, p)),
    "the error is a square": lambda W, h, c, x: (pt.dot(h, W.T) + c, lambda z: (z - x) * z),
    "the error is a sum": lambda W, h, c, x: (pt.dot(h, W.T) + c, lambda z: z + x),
    "the error is weighted": lambda W, h, c, x: (pt.dot(h, W.T) + c, lambda z: (z - x) * c),
    "nothing goes back": lambda W, h, c, x: (pt.dot(h, W.T) + c, lambda z: None),
    "W is a result": lambda W, h, c, x: (pt.dot(h, pt.exp(W).T) + c, lambda z: z - x),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_left_alone(case):
    W, h, c, x, *_ = autoencoder()
    a, error_of = REFUSED[case](W, h, c, x)
    z = pt.sigmoid(a)
    error, *others = error if isinstance(error := error_of(z), tuple) else (error,)
    matrix = pt.exp(W) if case == "W is a result" else W
    outputs = [(x * pt.log(z) + (1 - x) * pt.log(1 - z)).sum(axis=1), *others]
    outputs += [pt.dot(error, matrix)] if error is not None else []
    fn, _ = assert_as_plain([h, c, x], outputs, arguments())
    assert not nodes(fn, TiedDecoder)


def test_its_bytes_are_those_of_one_pass():
    n, m = 40, 30
    step, _ = denoising_step(n, m, "float64", interpreted_mode())
    graph = Graph("after", step.maker.fgraph, step, {"x": np.zeros((1, n))})
    [decoder] = [each for each in graph.steps if isinstance(each.node.op, TiedDecoder)]
    small = 8 * (2 * m + 3 * n + 1)  # h and what goes back; c, x and the logits; the step
    assert decoder.bytes == 8 * 2 * n * m + small
    [rest] = [each for each in graph.steps if isinstance(each.node.op, RankUpdate)]
    assert rest.bytes < 8 * 3 * (n + m)  # x is zero: no row of W is touched again
