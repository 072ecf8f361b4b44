"""Sizes that are known reach all of a graph, others are checked when it runs, and reductions are plain loops."""

from graphs import interpreted_mode, nodes
from logistic_sgd import LogisticRegression, minibatch, sgd_updates
from support import rewrites
from support.rewrites.compilation import CheckedShape, MatrixSum, RowArgmax, StaticShapes
from support.rewrites.internals import numba_njit
from vae import VAE

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.fg import FunctionGraph
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key
from pytensor.tensor.shape import SpecifyShape

X = np.arange(30.0).reshape(10, 3)
MODE = interpreted_mode()
PLAIN = MODE.excluding("static_shapes")


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
    fn, plain = step(MODE, batch), step(PLAIN, batch)
    assert unknown(plain) and not unknown(fn)
    checked = [str(node.inputs[0].owner.op) for node in nodes(fn, SpecifyShape)]
    assert checked == ["Subtensor{start:stop}"] * 2
    np.testing.assert_allclose([fn(0), fn(1)], [plain(0), plain(1)], rtol=1e-14)


def test_a_random_draws_sizes_follow_from_givens(float64):
    vae, index = VAE(np.random.RandomState(0), n_visible=3, n_hidden=4, n_latent=2), pt.lscalar("index")
    cost, updates = vae.get_cost_updates(0.1)
    givens = {vae.x: minibatch(pytensor.shared(X / 30), index, 1)}
    fn = pytensor.function([index], cost, updates=updates, givens=givens, mode=MODE)
    assert not unknown(fn)
    assert len([node for node in fn.maker.fgraph.toposort() if "normal" in str(node.op)]) == 1


def test_what_is_inferred_is_not_inferred_again():
    x = pt.matrix("x", shape=(4, 3))
    fgraph = FunctionGraph([x], [SpecifyShape()(pt.tanh(x).sum(axis=0), 3)], clone=False)
    StaticShapes().apply(fgraph)
    assert len(fgraph.apply_nodes) == 2  # tanh and the sum
    after = fgraph.apply_nodes.copy()
    StaticShapes().apply(fgraph)
    assert fgraph.apply_nodes == after


@pytest.mark.parametrize("size", [pt.lscalar("n"), 5], ids=["computed", "another"])
def test_an_assertion_that_can_fail_stays(size):
    x = pt.matrix("x", shape=(4, 3))
    fgraph = FunctionGraph(outputs=[SpecifyShape()(x, size, None)], clone=False)
    StaticShapes().apply(fgraph)
    assert isinstance(fgraph.outputs[0].owner.op, SpecifyShape)


def test_sizes_that_contradict_each_other_are_an_error_of_the_call():
    x, one, other = pt.matrix("x"), pt.matrix("one", shape=(4, 3)), pt.matrix("other", shape=(None, 5))
    fgraph = FunctionGraph([x, other], [pt.tanh(x) + other], clone=False)
    fgraph.replace(x, one, import_missing=True)
    StaticShapes().apply(fgraph)
    assert fgraph.outputs[0].owner.inputs[0].type.shape == (4, 3)
    assert fgraph.outputs[0].type.shape == (None, 5)  # as it was: the sum cannot be made anew


def test_another_shape_is_an_error_that_says_which_was_specified():
    node = CheckedShape()(pt.matrix("x"), 4, None).owner
    check = numba_njit(node.op.loops(node), final_function=True)
    np.testing.assert_array_equal(check(np.ones((4, 3)), np.array(4), None), np.ones((4, 3)))
    with pytest.raises(AssertionError, match=r"shape is not \(4, any size\), which specify_shape asks for"):
        check(np.ones((3, 4)), np.array(4), None)


def test_each_shape_that_is_checked_has_code_of_its_own():
    x = pt.matrix("x")
    made = [CheckedShape()(x, *sizes).owner for sizes in [(4, None), (5, None), (None, 4), (4, None)]]
    keys = [numba_funcify_and_cache_key(node.op, node=node)[1] for node in made]
    assert len(set(keys)) == 3 and keys[0] == keys[3]


def test_a_size_that_is_computed_is_left_to_pytensor():
    x, n = pt.matrix("x"), pt.lscalar("n")
    fn = pytensor.function([x, n], pt.specify_shape(x, (n, None)), mode=MODE)
    assert nodes(fn, SpecifyShape) and not nodes(fn, CheckedShape)


ORDERS = [lambda A: A, np.asfortranarray, lambda A: np.repeat(A, 2, axis=1)[::-1, ::2][::-1]]


def reduction(symbol):
    """What a reduction of a matrix becomes: its machine code, for any order in memory, and its function in NumPy."""
    fn = pytensor.function([symbol.owner.inputs[0]], symbol, mode=MODE)
    [node] = nodes(fn, (MatrixSum, RowArgmax))
    signature = numba.types.Array(numba.from_dtype(node.inputs[0].type.numpy_dtype), 2, "A")
    return numba_njit((signature,), final_function=True)(node.op.loops(node)), fn


@pytest.mark.parametrize("dtype, axis", [("float64", 0), ("float32", 1), ("int8", 1), ("bool", 0)])
def test_sums(dtype, axis):
    A = (10 * np.random.RandomState(0).normal(size=(5, 7))).astype(dtype)
    x = pt.matrix("x", dtype=dtype)
    kernel, by_numpy = reduction(x.sum(axis=axis))
    for order in ORDERS:
        expected = A.sum(axis=axis, dtype="float64" if dtype.startswith("float") else "int64")
        for actual in kernel(order(A)), by_numpy(order(A)):
            assert actual.dtype == pt.sum(x).dtype
            np.testing.assert_allclose(actual, expected, rtol=np.finfo("f4").eps if dtype == "float32" else 1e-15)
    if dtype == "float32":  # in which 2^24 + 1 is 2^24
        large = np.array([[2.0**24, 1, 1]], dtype)
        for acc_dtype, expected in ("float32", 2.0**24), ("float64", 2.0**24 + 2):
            for add_up in reduction(x.sum(axis=axis, acc_dtype=acc_dtype)):
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
    kernel, by_numpy = reduction(pt.argmax(pt.matrix("x", dtype=dtype), axis=1))
    for order in ORDERS:
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
    assert not nodes(pytensor.function([x, v, z], outputs, mode=MODE), (MatrixSum, RowArgmax))


def test_a_sum_that_pytensor_fuses_with_what_is_summed_stays_fused():
    x = pt.matrix("x")
    fn = pytensor.function([x], (x**2).sum(axis=0), mode=rewrites.mode())  # it is not called: nothing is compiled
    assert bool(nodes(fn, MatrixSum)) == (len(fn.maker.fgraph.apply_nodes) > 1)
