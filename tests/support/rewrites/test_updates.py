"""RankUpdate and BackpropUpdate: where they come in, what they compute, and what they leave alone."""

import warnings

from graphs import DTYPES, RNG, assert_as_plain, assert_close, nodes, normal, parameter, row_or_batch
from support import rewrites
from support.rewrites.kernels import FEW
from support.rewrites.updates import BackpropUpdate, RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key
from pytensor.tensor.math import Dot

pytestmark = pytest.mark.usefixtures("kernels", "float64")  # so that a Python number is no float32


def layer(batch, n=6, m=20, dtype="float64"):
    W = parameter(normal(n, m, dtype=dtype), "W")
    return W, row_or_batch("X", batch, n, dtype), row_or_batch("D", batch, m, dtype)


def descend(W, inputs, updated, outputs=(), mode=None):
    """The function that updates W."""
    with pytensor.config.change_flags(on_opt_error="raise"):
        return pytensor.function(inputs, [*outputs], updates={W: updated}, mode=mode, on_unused_input="ignore")


def assert_updates(W, inputs, form, values, updates=1):
    """W becomes what `form` makes of W and the inputs, with so many RankUpdates, in place, and no other product."""
    before = W.get_value()
    fn = descend(W, inputs, form(W, *inputs))
    assert len(nodes(fn, RankUpdate)) == updates and not (updates and nodes(fn, Dot))
    assert all(node.op.inplace for node in nodes(fn, RankUpdate))
    fn(*values)
    assert_close(W.get_value(), form(before, *values), before.dtype)
    return fn


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, n, m", [(1, 7, 5), (2, 3, 40), (20, 33, 17), (20, 9, 16), (600, 11, 10), (7, 1, 2)])
def test_descent_is_one_update_in_place(batch, n, m, dtype):
    """A W with one row or column is left to PyTensor."""
    W, X, D = layer(batch, n, m, dtype)
    x, d, rate = normal(batch, n, dtype=dtype), normal(batch, m, dtype=dtype), np.asarray(0.1, dtype)
    x[:, ::2] = 0
    memory = W.get_value(borrow=True)
    assert_updates(W, [X, D], lambda W, X, D: W - rate * (X.T @ D), [x, d], updates=n > 1)
    assert n == 1 or W.get_value(borrow=True) is memory


def test_a_batch_whose_size_is_not_known():
    W, X, D = layer(None)
    for rows in 0, 1, 2, 9:
        x, d = normal(rows + 2, 6)[:rows], normal(rows + 2, 20)[:rows]  # beyond whose end there are numbers
        assert_updates(W, [X, D], lambda W, X, D: 0.5 * W - 0.1 * (X.T @ D), [x, d])


@pytest.mark.parametrize("batch", [1, 20])
def test_products_that_share_a_weight_matrix_become_one_update(batch):
    """As in a tied autoencoder: the second product's factors are swapped, and one has a factor of its own."""
    W, X, D = layer(batch, 8, 20)
    Y, E, lr = row_or_batch("Y", batch, 20, "float64"), row_or_batch("E", batch, 8, "float64"), pt.scalar("lr")
    x, d, y, e = normal(batch, 8), normal(batch, 20), normal(batch, 20), normal(batch, 8)
    x[:, :3] = e[:, 2:5] = 0  # rows of W with both, either and none of the terms
    form = lambda W, X, D, Y, E, lr: W - lr * (X.T @ D - 3 * (E.T @ Y))  # noqa: E731
    fn = assert_updates(W, [X, D, Y, E, lr], form, [x, d, y, e, 0.2])
    assert nodes(fn, RankUpdate)[0].inputs[1].type.shape == (2 * batch, 8)


FORMS = {
    "W + alpha X'D": lambda W, G, H, s: W + -0.1 * G,
    "W - X'D / 10": lambda W, G, H, s: W - G / 10,
    "beta W - lr X'D": lambda W, G, H, s: 0.5 * W - 0.1 * G,
    "lr (X'D + decay W)": lambda W, G, H, s: W - 0.1 * (G + s * W),
    # A scalar counts as often as it multiplies a term. Equal constants are one variable, too.
    "lr (X'D + lr Y'E)": lambda W, G, H, s: W - s * (G + s * H),
    "lr X'D + lr lr lr Y'E": lambda W, G, H, s: W - (s * G + s * (s * (s * H))),
    "the same with constants": lambda W, G, H, s: W - (0.5 * G + 0.5 * (0.5 * (0.5 * H))),
}


@pytest.mark.parametrize("batch", [1, 20])
@pytest.mark.parametrize("form", FORMS)
def test_other_ways_to_write_it(form, batch):
    W, X, D = layer(batch)
    Y, E, s = row_or_batch("Y", batch, 6, "float64"), row_or_batch("E", batch, 20, "float64"), pt.scalar("s")
    x, d, y, e = normal(batch, 6), normal(batch, 20), normal(batch, 6), normal(batch, 20)
    x[:, 0] = 0
    make = lambda W, X, D, Y, E, s: FORMS[form](W, X.T @ D, Y.T @ E, s)  # noqa: E731
    assert_updates(W, [X, D, Y, E, s], make, [x, d, y, e, 0.5])


def test_rows_that_one_product_lacks_are_not_taken_from_another():
    """Each product for itself does not fit: together they have as many rows in X as in D."""
    W, X, D = layer(None)
    Y, E = row_or_batch("Y", None, 6, "float64"), row_or_batch("E", None, 20, "float64")
    fn = descend(W, [X, D, Y, E], W - pt.dot(X.T, D) - pt.dot(Y.T, E))
    assert len(nodes(fn, RankUpdate)) == 1
    with pytest.raises((ValueError, AssertionError)):
        fn(normal(2, 6), normal(3, 20), normal(3, 6), normal(2, 20))


@pytest.mark.parametrize("m", [20, 5])
def test_zero_times_infinity_is_nan_in_an_update(m):
    """Whichever way it is computed: by rows, few or many, sparse or dense, with alpha and beta 0 or not."""
    W, X, D = layer(None, 6, m)
    alpha, beta = pt.dscalars("alpha", "beta")
    fn = pytensor.function([X, D, alpha, beta], beta * W + alpha * pt.dot(X.T, D))
    assert len(nodes(fn, RankUpdate)) == 1
    for rows in 0, 1, 2, 5, 30:
        for a, b, where in [(1, 1, "D"), (0, 1, "D"), (np.inf, 1, None), (np.nan, 0, None), (0, 0, "W"), (0, 1, "X")]:
            for share in 0.2, 1:
                values = {"X": normal(rows, 6), "D": normal(rows, m), "W": normal(6, m)}
                values["X"] *= RNG.uniform(size=(rows, 6)) < share
                values["X"][:, 2] = 0
                if where and rows:
                    values[where][0, 3] = np.inf
                W.set_value(values["W"])
                with np.errstate(invalid="ignore"):
                    expected = b * values["W"] + a * (values["X"].T @ values["D"])
                actual = fn(values["X"], values["D"], a, b)
                np.testing.assert_allclose(actual, expected, atol=1e-12, err_msg=f"{rows} {a} {b} {where} {share}")


@pytest.mark.parametrize("batch, passes", [(1, 2), (4, 0)])
def test_each_layer_above_the_first_is_passed_over_once_going_back(batch, passes):
    """A network of tanh layers that shall give a target. A minibatch is not passed over row by row."""
    x, target = row_or_batch("x", batch, 9, "float64"), row_or_batch("target", batch, 5, "float64")
    weights, h = [parameter(normal(n, m), "W") for n, m in [(9, 6), (6, 7), (7, 5)]], x
    for W in weights:
        h = pt.tanh(pt.dot(h, W))
    gradients = pt.grad(((h - target) ** 2).sum(), weights)
    updated = [W - 0.01 * gradient for W, gradient in zip(weights, gradients)]
    fn, _ = assert_as_plain([x, target], updated, [normal(batch, 9), normal(batch, 5)])
    assert len(nodes(fn, BackpropUpdate)) == passes and not nodes(fn, Dot)
    assert len(nodes(fn, RankUpdate)) == 3 - passes


@pytest.mark.parametrize("batch", [1, 20])
def test_other_uses_of_W_see_its_old_value(batch):
    """Products before and after, W itself and its transpose: all from before the update, which is in place."""
    W, X, D = layer(batch)
    outputs = [pt.dot(X, W), pt.dot(D, W.T), W.sum(), 2 * W, W.T @ X.T]
    fn = descend(W, [X, D], W - 0.1 * pt.dot(X.T, D), outputs)
    assert all(node.op.inplace for node in nodes(fn, (RankUpdate, BackpropUpdate)))
    x, d, before = normal(batch, 6), normal(batch, 20), W.get_value()
    expected = [x @ before, d @ before.T, before.sum(), 2 * before, before.T @ x.T]
    for actual, value in zip(fn(x, d), expected):
        assert_close(actual, value, "float64")
    assert_close(W.get_value(), before - 0.1 * (x.T @ d), "float64")


@pytest.mark.parametrize("batch", [1, 20])
def test_a_W_that_is_not_to_change_is_copied(batch):
    """Without an update the sum is a new matrix, and the shared variable and an argument stay as they are."""
    W, X, D = layer(batch)
    V = pt.matrix("V", shape=(6, 20))
    outputs = [W - 0.1 * pt.dot(X.T, D), V - 0.1 * pt.dot(X.T, pt.exp(D)), pt.dot(D, V.T)]
    fn = pytensor.function([X, D, V], outputs)
    assert len(nodes(fn, (RankUpdate, BackpropUpdate))) == 2  # a product that both sums shared would be left alone
    x, d, v = normal(batch, 6), normal(batch, 20), normal(6, 20)
    w, v_before = W.get_value(), v.copy()
    for actual, value in zip(fn(x, d, v), [w - 0.1 * x.T @ d, v_before - 0.1 * x.T @ np.exp(d), d @ v_before.T]):
        assert_close(actual, value, "float64")
    np.testing.assert_array_equal([W.get_value(), v], [w, v_before])


@pytest.mark.parametrize("linker", ["numba", "py"])
def test_a_copy_without_updates_evaluates_without_training(linker):
    """Its cost needs D W', which comes with an update in the same pass."""
    with pytensor.config.change_flags(mode=Mode(linker, "fast_run").excluding("fusion", "BlasOpt")):
        mode = rewrites.mode()
    W, X, D = layer(1)
    fn = descend(W, [X, D], W - 0.1 * pt.dot(X.T, D), [pt.dot(D, W.T)], mode)
    assert [node.op.inplace for node in nodes(fn, BackpropUpdate)] == [True]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTensor tells of what does not happen
        evaluate = fn.copy(delete_updates=True)
    x, d, before = normal(1, 6), normal(1, 20), W.get_value()
    for step, after in (evaluate, before), (fn, before - 0.1 * x.T @ d):
        assert_close(step(x, d)[0], d @ before.T, "float64")
        np.testing.assert_allclose(W.get_value(), after, rtol=0, atol=0 if step is evaluate else 1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [1, 0.9])
@pytest.mark.parametrize("batch", [3, 20, FEW, FEW + 1])
def test_an_update_from_a_sparse_minibatch_skips_its_zeros(batch, beta, dtype):
    """With any number of rows of X that count at a row of W, from none to all; a row with none is not touched."""
    W, X, D = layer(batch, 40, 20, dtype)
    beta, rate = np.asarray(beta, dtype), np.asarray(0.1, dtype)
    x, d, before = normal(batch, 40, dtype=dtype), normal(batch, 20, dtype=dtype), W.get_value()
    x[np.arange(batch)[:, None] >= np.arange(40) - 30] = 0
    fn = assert_updates(W, [X, D], lambda W, X, D: beta * W - rate * (X.T @ D), [x, d])
    [update] = nodes(fn, RankUpdate)
    skips = batch <= FEW and beta == 1
    assert update.op.rows_read(before, x, d, -rate, beta) == (x.any(axis=0).mean() if skips else 1)
    assert update.op.rows_read(before[:, :10], x, d[:, :10], -rate, beta) == 1  # few columns have loops of their own


def test_a_gradient_whose_shape_is_asserted():
    """As where the number of columns of the data is not known: PyTensor then has it checked against that of W."""
    W, _, D = layer(20)
    X = pt.matrix("X")
    x, d, before = normal(20, 6), normal(20, 20), W.get_value()
    fn = descend(W, [X, D], W - 0.1 * pt.specify_shape(pt.dot(X.T, D), (6, 20)))
    assert nodes(fn, RankUpdate) and not nodes(fn, Dot)
    fn(x, d)
    assert_close(W.get_value(), before - 0.1 * (x.T @ d), "float64")
    with pytest.raises(ValueError, match="do not fit"):
        fn(normal(20, 7), d)


def test_rows_of_W_itself_are_read_before_they_are_overwritten():
    W = parameter(normal(6, 20), "W")
    before = W.get_value()
    descend(W, [], W - 0.1 * pt.dot(W[:, 3:4], W[2:3]))()
    assert_close(W.get_value(), before - 0.1 * (before[:, 3:4] @ before[2:3]), "float64")


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_any_order_in_memory_will_do(batch):
    W, X, D = layer(batch)
    W.set_value(np.asfortranarray(normal(6, 20)), borrow=True)
    values = np.asfortranarray(normal(batch, 6)), normal(2 * batch, 20)[::2]
    assert_updates(W, [X, D], lambda W, X, D: W - 0.1 * (X.T @ D), values)


REFUSED = {
    "the learning rate is a matrix": lambda W, X, D: (W - parameter(normal(6, 20)) * pt.dot(X.T, D), []),
    "the gradient is an output, too": lambda W, X, D: (W - 0.1 * (g := pt.dot(X.T, D)), [g]),
    "the gradient is clipped": lambda W, X, D: (W - 0.1 * pt.clip(pt.dot(X.T, D), -1, 1), []),
    "W is not what is updated": lambda W, X, D: (2 * W.T.T[::-1] - 0.1 * pt.dot(X.T, D), []),
    "W decays by its square": lambda W, X, D: (W - 0.1 * (pt.dot(X.T, D) + W * W), []),
    "W decays by a column": lambda W, X, D: (W - 0.1 * (pt.dot(X.T, D) + W * X[:1].T), []),
    "W decays in another order": lambda W, X, D: (W - 0.1 * (pt.dot(X.T, D) + W[:, ::-1] * D[:1]), []),
    "one row is added to each": lambda W, X, D: (W - 0.1 * pt.dot(X[:, :1].T, D), []),
    "one row is added to each that decays": lambda W, X, D: (W - 0.1 * (pt.dot(X[:, :1].T, D) + W * D[:1]), []),
    "one column is added to each that decays": lambda W, X, D: (W - 0.1 * (pt.dot(X.T, D[:, :1]) + W * D[:1]), []),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_left_alone(case):
    W, X, D = layer(20)
    updated, outputs = REFUSED[case](W, X, D)
    fn, _ = assert_as_plain([X, D], [updated, *outputs], [normal(20, 6), normal(20, 20)])
    assert not nodes(fn, RankUpdate)


@pytest.mark.parametrize("two_products", [False, True])
def test_columns_that_decay_are_one_update(two_products):
    W, X, D = layer(4)
    row, values = pt.row("row"), (normal(4, 6), normal(4, 20), normal(1, 20))

    def form(W, X, D, row):
        return W - 0.1 * (X.T @ D + 2 * W * row + (3 * (X.T @ (D * D)) if two_products else 0 * W))

    assert_updates(W, [X, D, row], form, values)


@pytest.mark.parametrize("batch, decay, factor", [(1, 1, "D"), (None, 0, "D"), (1, 0, "E"), (1, 0, "X")])
def test_a_pass_is_shared_with_the_very_product_of_a_batch_of_1_only(batch, decay, factor):
    """Not with weight decay, which it has no place for, a batch of unknown size, nor the product of another factor.

    Nor where X depends on D W': the pass would need its own result.
    """
    W, X, D = layer(batch)
    E = row_or_batch("E", batch, 20, "float64")
    back = pt.dot(E if factor == "E" else D, W.T)
    gradient = pt.dot((back if factor == "X" else X).T, D) + decay * W
    fn = descend(W, [X, D, E], W - 0.1 * gradient, [back])
    assert nodes(fn, RankUpdate) and not nodes(fn, BackpropUpdate)
    (x, d, e), w = (normal(batch or 3, columns) for columns in (6, 20, 20)), W.get_value()
    back = (e if factor == "E" else d) @ w.T
    assert_close(fn(x, d, e)[0], back, "float64")
    assert_close(W.get_value(), w - 0.1 * ((back if factor == "X" else x).T @ d + decay * w), "float64")


def test_the_cache_keeps_what_was_compiled_for_few_rows_apart():
    """By types alone, which have no static shapes, Numba would take the machine code of one row for twenty."""
    keys = []
    for batch in 1, 2, 3, 20, None:
        node = RankUpdate().make_node(*layer(batch), *map(pt.constant, (-0.3, 0.5)))
        keys.append(numba_funcify_and_cache_key(node.op, node=node)[1])
    assert len({*keys[:2]}) == len({*keys[2:]}) == 1 and keys[0] != keys[2]
