"""Sizes that become known by `givens` reach all of a graph; other sizes are checked when the function is called."""

from graphs import interpreted_mode, nodes
from logistic_sgd import LogisticRegression, minibatch, sgd_updates
from support.rewrites.shapes import CheckedShape, StaticShapes, checked_shape

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.fg import FunctionGraph
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key
from pytensor.tensor.shape import SpecifyShape

X = np.arange(30.0).reshape(10, 3)
PLAIN = interpreted_mode().excluding("static_shapes")


def step(mode, batch=2):
    """A step of logistic regression: the gradient is taken before `givens` say how many examples there are."""
    x, y, index = pt.matrix("x", dtype="float64"), pt.ivector("y"), pt.lscalar("index")
    with pytensor.config.change_flags(floatX="float64"):
        model = LogisticRegression(x, 3, 2)
    data = pytensor.shared(X), pytensor.shared(np.arange(10, dtype="int32") % 2)
    cost = model.negative_log_likelihood(y)
    givens = {symbol: minibatch(each, index, batch) for symbol, each in zip((x, y), data)}
    return pytensor.function([index], cost, updates=sgd_updates(cost, model.params, 0.1), givens=givens, mode=mode)


def unknown(function):
    """The results of unknown sizes in a graph, but for the slices that `minibatch` checks."""
    outputs = [out for node in function.maker.fgraph.toposort() for out in node.outputs if hasattr(out.type, "shape")]
    return [out for out in outputs if None in out.type.shape and "Subtensor{start:stop}" not in str(out.owner.op)]


@pytest.mark.parametrize("batch", [1, 2])
def test_a_gradients_sizes_follow_from_givens(batch):
    fn, plain = step(interpreted_mode(), batch), step(PLAIN, batch)
    assert unknown(plain) and not unknown(fn)
    checked = [str(node.inputs[0].owner.op) for node in nodes(fn, SpecifyShape)]
    assert checked == ["Subtensor{start:stop}"] * 2
    np.testing.assert_allclose([fn(0), fn(1)], [plain(0), plain(1)], rtol=1e-14)


def test_a_random_draws_sizes_follow_from_givens():
    x, given = pt.matrix("x"), pt.matrix("given", shape=(4, 3))
    next_rng, noise = pt.random.shared_rng(seed=1).normal(size=x.shape)
    fn = pytensor.function([given], [next_rng, noise + x], givens={x: given}, mode=interpreted_mode())
    assert [out.type.shape for out in fn.maker.fgraph.outputs[1:]] == [(4, 3)]
    assert len([node for node in fn.maker.fgraph.toposort() if "normal" in str(node.op)]) == 1


def test_what_is_inferred_is_not_inferred_again():
    x = pt.matrix("x", shape=(4, 3))
    fgraph = FunctionGraph([x], [SpecifyShape()(pt.tanh(x).sum(axis=0), 3)], clone=False)
    before = fgraph.apply_nodes.copy()
    StaticShapes().apply(fgraph)
    assert len(fgraph.apply_nodes) == 2 and fgraph.apply_nodes < before  # tanh and the sum; the assertion is gone
    after = fgraph.apply_nodes.copy()
    StaticShapes().apply(fgraph)
    assert fgraph.apply_nodes == after


def test_sizes_that_contradict_each_other_are_an_error_of_the_call():
    x, one, other = pt.matrix("x"), pt.matrix("one", shape=(4, 3)), pt.matrix("other", shape=(4, 5))
    fgraph = FunctionGraph([x, other], [pt.tanh(x) + other], clone=False)
    fgraph.replace(x, one, import_missing=True)
    StaticShapes().apply(fgraph)
    assert fgraph.outputs[0].type.shape == (4, 5)  # as it was: a sum of them cannot be made anew


def test_another_shape_is_an_error_that_says_which_was_specified():
    node = CheckedShape()(pt.matrix("x"), 4, None).owner
    kernel = checked_shape(node.op, node)
    compiled = numba.njit(lambda *inputs: kernel(*inputs))
    np.testing.assert_array_equal(compiled(np.ones((4, 3)), np.array(4), None), np.ones((4, 3)))
    with pytest.raises(AssertionError, match=r"shape is not \(4, any size\), which specify_shape asks for"):
        compiled(np.ones((3, 4)), np.array(4), None)


def test_each_shape_that_is_checked_has_code_of_its_own():
    x = pt.matrix("x")
    made = [CheckedShape()(x, *sizes).owner for sizes in [(4, None), (5, None), (None, 4), (4, None)]]
    keys = [numba_funcify_and_cache_key(node.op, node=node)[1] for node in made]
    assert len(set(keys)) == 3 and keys[0] == keys[3]


def test_a_size_that_is_computed_is_left_to_pytensor():
    x, n = pt.matrix("x"), pt.lscalar("n")
    fn = pytensor.function([x, n], pt.specify_shape(x, (n, None)), mode=interpreted_mode())
    assert nodes(fn, SpecifyShape) and not nodes(fn, CheckedShape)
