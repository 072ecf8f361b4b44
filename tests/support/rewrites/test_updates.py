"""RankUpdate and BackpropUpdate: where they come in, what they compute, and what they leave alone."""

from graphs import assert_close, interpreted_mode, nodes, parameter, plain_mode, row_or_batch
from support.rewrites import TAG
from support.rewrites.kernels import FEW
from support.rewrites.updates import BackpropUpdate, RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key
from pytensor.tensor.math import Dot

pytestmark = pytest.mark.usefixtures("kernels", "float64")  # so that a Python number is no float32
DTYPES = ["float32", "float64"]
RNG = np.random.RandomState(0)


def normal(*shape, dtype="float64"):
    return RNG.normal(size=shape).astype(dtype)


def descend(W, X, D, learning_rate=0.1, mode=None):
    """A function (X, D) whose update is W - learning_rate X'D."""
    return pytensor.function([X, D], [], updates={W: W - learning_rate * pt.dot(X.T, D)}, mode=mode)


def layer(batch, n, m, dtype="float64"):
    W = parameter(normal(n, m, dtype=dtype), "W")
    return W, row_or_batch("X", batch, n, dtype), row_or_batch("D", batch, m, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, n, m", [(1, 7, 5), (2, 3, 40), (20, 33, 17), (20, 9, 16), (600, 11, 10), (7, 1, 2)])
def test_descent_is_one_update_in_place(batch, n, m, dtype):
    W, X, D = layer(batch, n, m, dtype)
    before = W.get_value()
    fn = descend(W, X, D, learning_rate=np.asarray(0.1, dtype))
    if n > 1:  # a W with one row or column is left to PyTensor
        [update] = nodes(fn, RankUpdate)
        assert update.op.inplace and not nodes(fn, Dot)
    x, d = normal(batch, n, dtype=dtype), normal(batch, m, dtype=dtype)
    x[:, ::2] = 0
    fn(x, d)
    assert_close(W.get_value(), before - 0.1 * (x.T @ d), dtype)


@pytest.mark.parametrize("batch", [1, 20, None])
def test_the_same_with_a_batch_that_is_known_or_not(batch):
    W, X, D = layer(batch, 6, 30)
    before = W.get_value()
    fn = descend(W, X, D)
    assert len(nodes(fn, RankUpdate)) == 1
    for rows in [batch] if batch else [1, 2, 9]:
        x, d, before = normal(rows, 6), normal(rows, 30), W.get_value()
        fn(x, d)
        assert_close(W.get_value(), before - 0.1 * (x.T @ d), "float64")


@pytest.mark.parametrize("batch", [1, 20])
def test_products_that_share_a_weight_matrix_become_one_update(batch):
    """As in a tied autoencoder: the second product's factors are swapped, and one has a factor of its own."""
    W, X, D = layer(batch, 8, 20)
    Y, E = row_or_batch("Y", batch, 20, "float64"), row_or_batch("E", batch, 8, "float64")
    lr = pt.scalar("lr", dtype="float64")
    gradient = pt.dot(X.T, D) - 3 * pt.dot(E.T, Y)
    fn = pytensor.function([X, D, Y, E, lr], [], updates={W: W - lr * gradient})
    [update] = nodes(fn, RankUpdate)
    assert update.inputs[1].type.shape == (2 * batch, 8) and not nodes(fn, Dot)
    values = normal(batch, 8), normal(batch, 20), normal(batch, 20), normal(batch, 8)
    x, d, y, e = values
    x[:, :3] = e[:, 2:5] = 0  # rows of W with both, either and none of the terms
    before = W.get_value()
    fn(*values, 0.2)
    assert_close(W.get_value(), before - 0.2 * (x.T @ d - 3 * e.T @ y), "float64")


@pytest.mark.parametrize("batch, m", [(1, 20), (20, 20), (20, 10)])
def test_weight_decay_becomes_a_part_of_the_update(batch, m):
    W, X, D = layer(batch, 8, m)
    decay = pt.scalar("decay", dtype="float64")
    fn = pytensor.function([X, D, decay], [], updates={W: W - 0.1 * (pt.dot(X.T, D) + decay * W)})
    assert len(nodes(fn, RankUpdate)) == 1
    x, d, before = normal(batch, 8), normal(batch, m), W.get_value()
    x[:, 0] = 0
    fn(x, d, 0.5)
    assert_close(W.get_value(), before - 0.1 * (x.T @ d + 0.5 * before), "float64")


@pytest.mark.parametrize(
    "form", ["W + alpha X'D", "alpha X'D + W", "-(lr X'D) + W", "W - X'(lr D)", "W - X'D / 10", "beta W - lr X'D"]
)
def test_other_ways_to_write_it(form):
    W, X, D = layer(1, 6, 4)
    product = pt.dot(X.T, D)
    updated = {
        "W + alpha X'D": W + -0.1 * product,
        "alpha X'D + W": -0.1 * product + W,
        "-(lr X'D) + W": -(0.1 * product) + W,
        "W - X'(lr D)": W - pt.dot(X.T, 0.1 * D),
        "W - X'D / 10": W - product / 10,
        "beta W - lr X'D": 0.5 * W - 0.1 * product,
    }[form]
    fn = pytensor.function([X, D], [], updates={W: updated})
    assert len(nodes(fn, RankUpdate)) == 1
    x, d, before = normal(1, 6), normal(1, 4), W.get_value()
    fn(x, d)
    beta = 0.5 if form.startswith("beta") else 1
    assert_close(W.get_value(), beta * before - 0.1 * (x.T @ d), "float64")


REPEATED = {
    "lr (X'D + lr Y'E)": lambda lr, G, H: lr * (G + lr * H),
    "lr lr X'D + lr Y'E": lambda lr, G, H: lr * lr * G + lr * H,
    "lr X'D + lr lr lr Y'E": lambda lr, G, H: lr * G + lr * (lr * (lr * H)),
    "lr lr X'D": lambda lr, G, H: lr * (lr * G),
}


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("form", REPEATED)
def test_a_scalar_counts_as_often_as_it_multiplies_a_term(form, constant):
    """Equal constants are one variable, too."""
    W, X, D = layer(3, 6, 20)
    Y, E = row_or_batch("Y", 3, 6, "float64"), row_or_batch("E", 3, 20, "float64")
    lr = pt.scalar("lr", dtype="float64")
    gradient = REPEATED[form](0.5 if constant else lr, pt.dot(X.T, D), pt.dot(Y.T, E))
    inputs, updates = [X, D, Y, E, lr], {W: W - gradient}
    fn = pytensor.function(inputs, [], updates=updates, mode=interpreted_mode(), on_unused_input="ignore")
    assert len(nodes(fn, RankUpdate)) == 1
    x, d, y, e = values = normal(3, 6), normal(3, 20), normal(3, 6), normal(3, 20)
    before = W.get_value()
    fn(*values, 0.5)
    assert_close(W.get_value(), before - REPEATED[form](0.5, x.T @ d, y.T @ e), "float64")


SMALL_NUMBERS = {
    "uint8": ("uint8", 3, lambda W, s, G: W - s * G),
    "int8, squared": ("int8", 100, lambda W, s, G: W + s * (s * G)),
    "int8, decay": ("int8", 100, lambda W, s, G: W - s * (G + s * W)),
    "bool": ("bool", True, lambda W, s, G: W - s * G),
    "bool, decay": ("bool", True, lambda W, s, G: W - (G + s * W)),
}


@pytest.mark.parametrize("case", SMALL_NUMBERS)
def test_scalars_of_small_types_do_not_overflow(case):
    dtype, number, form = SMALL_NUMBERS[case]
    W, X, D = layer(3, 6, 20)
    s = pt.scalar("s", dtype=dtype)
    with pytensor.config.change_flags(on_opt_error="raise"):
        fn = pytensor.function([X, D, s], [], updates={W: form(W, s, pt.dot(X.T, D))}, mode=interpreted_mode())
    assert len(nodes(fn, RankUpdate)) == 1
    x, d, before = normal(3, 6), normal(3, 20), W.get_value()
    fn(x, d, number)
    assert_close(W.get_value(), form(before, float(number), x.T @ d), "float64")


@pytest.mark.parametrize("m", [20, 5])
def test_a_minibatch_without_rows_changes_nothing(m):
    W, X, D = layer(None, 6, m)
    before = W.get_value()
    fn = pytensor.function([X, D], [], updates={W: 0.5 * W - 0.1 * pt.dot(X.T, D)})
    assert len(nodes(fn, RankUpdate)) == 1
    fn(normal(2, 6)[:0], normal(2, m)[:0])  # beyond whose end there are numbers
    assert_close(W.get_value(), before / 2, "float64")


@pytest.mark.parametrize("columns", [(1, 20), (6, 1)])
def test_a_product_of_one_row_or_column_is_added_to_each_of_W(columns):
    """As a matrix of static shape (1, m) or (n, 1) is, in PyTensor."""
    W, _, _ = layer(3, 6, 20)
    X, D = (row_or_batch(name, 3, n, "float64") for name, n in zip("XD", columns))
    with pytensor.config.change_flags(on_opt_error="raise"):
        fn = pytensor.function([X, D], W - 0.1 * pt.dot(X.T, D), mode=interpreted_mode())
    assert not nodes(fn, RankUpdate)
    x, d = normal(3, columns[0]), normal(3, columns[1])
    assert_close(fn(x, d), W.get_value() - 0.1 * (x.T @ d), "float64")


def test_rows_that_one_product_lacks_are_not_taken_from_another():
    """Each product for itself does not fit: together they have as many rows in X as in D."""
    W, X, D = layer(None, 6, 20)
    Y, E = row_or_batch("Y", None, 6, "float64"), row_or_batch("E", None, 20, "float64")
    fn = pytensor.function([X, D, Y, E], W - pt.dot(X.T, D) - pt.dot(Y.T, E), mode=interpreted_mode())
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


def network(batch, sizes=(9, 6, 7, 5), dtype="float64"):
    """The parameters and the compiled step of a network of tanh layers that shall give a target."""
    x, target = row_or_batch("x", batch, sizes[0], dtype), row_or_batch("target", batch, sizes[-1], dtype)
    weights = [parameter(normal(n, m, dtype=dtype), "W") for n, m in zip(sizes, sizes[1:])]
    h = x
    for W in weights:
        h = pt.tanh(pt.dot(h, W))
    cost = ((h - target) ** 2).sum()
    updates = {W: W - np.asarray(0.01, dtype) * gradient for W, gradient in zip(weights, pt.grad(cost, weights))}
    return weights, lambda mode=None: pytensor.function([x, target], cost, updates=updates, mode=mode)


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_layer_above_the_first_is_passed_over_once_going_back(dtype):
    weights, compile_step = network(batch=1, dtype=dtype)
    start = [W.get_value() for W in weights]
    arguments = [(normal(1, 9, dtype=dtype), normal(1, 5, dtype=dtype)) for _ in range(3)]

    def run(mode):
        for W, value in zip(weights, start):
            W.set_value(value)
        step = compile_step(mode)
        return step, [step(*pair) for pair in arguments], [W.get_value() for W in weights]

    step, costs, ends = run(None)
    assert len(nodes(step, BackpropUpdate)) == 2 and len(nodes(step, RankUpdate)) == 1 and not nodes(step, Dot)
    assert all(node.op.inplace for node in nodes(step, (BackpropUpdate, RankUpdate)))
    plain, plain_costs, plain_ends = run(plain_mode())
    assert not nodes(plain, (BackpropUpdate, RankUpdate))
    for actual, expected in zip([*costs, *ends], [*plain_costs, *plain_ends]):
        assert_close(actual, expected, dtype)


def test_a_minibatch_is_not_passed_over_row_by_row():
    _, compile_step = network(batch=4)
    assert not nodes(compile_step(), BackpropUpdate)


@pytest.mark.parametrize("batch", [1, 20])
def test_other_uses_of_W_see_its_old_value(batch):
    """Products before and after, W itself and its transpose: all from before the update, which is in place."""
    W, X, D = layer(batch, 6, 20)
    before = W.get_value()
    outputs = [pt.dot(X, W), pt.dot(D, W.T), W.sum(), 2 * W, W.T @ X.T]
    fn = pytensor.function([X, D], outputs, updates={W: W - 0.1 * pt.dot(X.T, D)})
    assert all(node.op.inplace for node in nodes(fn, (RankUpdate, BackpropUpdate)))
    x, d = normal(batch, 6), normal(batch, 20)
    expected = [x @ before, d @ before.T, before.sum(), 2 * before, before.T @ x.T]
    for actual, value in zip(fn(x, d), expected):
        assert_close(actual, value, "float64")
    assert_close(W.get_value(), before - 0.1 * (x.T @ d), "float64")


@pytest.mark.parametrize("batch", [1, 20])
def test_a_W_that_is_not_to_change_is_copied(batch):
    """Without an update the sum is a new matrix, and the shared variable and an argument stay as they are."""
    W, X, D = layer(batch, 6, 20)
    V = pt.matrix("V", shape=(6, 20), dtype="float64")
    outputs = [W - 0.1 * pt.dot(X.T, D), V - 0.1 * pt.dot(X.T, pt.exp(D)), pt.dot(D, V.T)]
    fn = pytensor.function([X, D, V], outputs)
    assert len(nodes(fn, (RankUpdate, BackpropUpdate))) == 2  # a product that both sums shared would be left alone
    x, d, v = normal(batch, 6), normal(batch, 20), normal(6, 20)
    before, v_before = W.get_value(), v.copy()
    new, other, product = fn(x, d, v)
    assert_close(new, before - 0.1 * (x.T @ d), "float64")
    assert_close(other, v_before - 0.1 * (x.T @ np.exp(d)), "float64")
    assert_close(product, d @ v_before.T, "float64")
    np.testing.assert_array_equal(W.get_value(), before)
    np.testing.assert_array_equal(v, v_before)


@pytest.mark.parametrize("batch", [1, 20])
def test_borrowed_memory_is_updated_where_it_lies(batch):
    W, X, D = layer(batch, 6, 20)
    memory = W.get_value(borrow=True)
    descend(W, X, D)(normal(batch, 6), normal(batch, 20))
    assert W.get_value(borrow=True) is memory


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [1, 0.9])
@pytest.mark.parametrize("batch", [3, 20, FEW, FEW + 1])
def test_an_update_from_a_sparse_minibatch_skips_its_zeros(batch, beta, dtype):
    """With any number of rows of X that count at a row of W, from none to all; a row with none is not touched."""
    W, X, D = layer(batch, 40, 20, dtype)
    beta, rate = np.asarray(beta, dtype), np.asarray(0.1, dtype)
    fn = pytensor.function([X, D], [], updates={W: beta * W - rate * pt.dot(X.T, D)})
    x, d, before = normal(batch, 40, dtype=dtype), normal(batch, 20, dtype=dtype), W.get_value()
    x[np.arange(batch)[:, None] >= np.arange(40) - 30] = 0
    fn(x, d)
    assert_close(W.get_value(), beta * before - rate * (x.T @ d), dtype)
    [update] = nodes(fn, RankUpdate)
    skips = batch <= FEW and beta == 1
    assert update.op.rows_read(before, x, d, -rate, beta) == (x.any(axis=0).mean() if skips else 1)
    assert update.op.rows_read(before[:, :10], x, d[:, :10], -rate, beta) == 1  # few columns have loops of their own


def test_a_gradient_whose_shape_is_asserted():
    """As where the number of columns of the data is not known: PyTensor then has it checked against that of W."""
    W, _, D = layer(20, 6, 30)
    X = pt.matrix("X", dtype="float64")
    gradient = pt.specify_shape(pt.dot(X.T, D), (6, 30))
    fn = pytensor.function([X, D], [], updates={W: W - 0.1 * gradient})
    assert nodes(fn, RankUpdate) and not nodes(fn, Dot)
    x, d, before = normal(20, 6), normal(20, 30), W.get_value()
    fn(x, d)
    assert_close(W.get_value(), before - 0.1 * (x.T @ d), "float64")
    with pytest.raises(ValueError, match="do not fit"):
        fn(normal(20, 7), d)


def test_rows_of_W_itself_are_read_before_they_are_overwritten():
    W = parameter(normal(6, 20), "W")
    before = W.get_value()
    fn = pytensor.function([], [], updates={W: W - 0.1 * pt.dot(W[:, 3:4], W[2:3])})
    fn()
    assert_close(W.get_value(), before - 0.1 * (before[:, 3:4] @ before[2:3]), "float64")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("batch", [1, 3, 20])
def test_any_order_in_memory_will_do(batch, order):
    W, X, D = layer(batch, 6, 20)
    W.set_value(np.array(normal(6, 20), order=order), borrow=True)
    fn = descend(W, X, D)
    x, d, before = np.asfortranarray(normal(batch, 6)), normal(2 * batch, 20)[::2], W.get_value()
    fn(x, d)
    assert_close(W.get_value(), before - 0.1 * (x.T @ d), "float64")


REFUSED = {
    "the learning rate is a matrix": lambda W, X, D: (W - parameter(normal(6, 20)) * pt.dot(X.T, D), []),
    "the gradient is an output, too": lambda W, X, D: (W - 0.1 * (g := pt.dot(X.T, D)), [g]),
    "the gradient is clipped": lambda W, X, D: (W - 0.1 * pt.clip(pt.dot(X.T, D), -1, 1), []),
    "more than a product is subtracted": lambda W, X, D: (W - 0.1 * (pt.dot(X.T, D) + pt.sign(W)), []),
    "W is not what is updated": lambda W, X, D: (2 * W.T.T[::-1] - 0.1 * pt.dot(X.T, D), []),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_left_alone(case):
    W, X, D = layer(20, 6, 20)
    start = W.get_value()
    updated, outputs = REFUSED[case](W, X, D)
    x, d = normal(20, 6), normal(20, 20)
    results = []
    for mode in (None, plain_mode()):
        W.set_value(start)
        fn = pytensor.function([X, D], outputs, updates={W: updated}, mode=mode)
        assert not nodes(fn, RankUpdate)
        results.append([*fn(x, d), W.get_value()])
    for actual, expected in zip(*results):
        assert_close(actual, expected, "float64")


def test_an_update_that_waits_for_the_product_is_not_fused_with_it():
    """X depends on D W': the pass would need its own result."""
    W, _, D = layer(1, 6, 20)
    X = pt.dot(D, W.T)
    fn = pytensor.function([D], [], updates={W: W - 0.1 * pt.dot(X.T, D)})
    assert not nodes(fn, BackpropUpdate)
    d, before = normal(1, 20), W.get_value()
    fn(d)
    assert_close(W.get_value(), before - 0.1 * ((d @ before.T).T @ d), "float64")


@pytest.mark.parametrize("batch, decay, factor", [(1, 1, "D"), (None, 0, "D"), (1, 0, "E")])
def test_a_pass_is_shared_with_the_very_product_of_a_batch_of_1_only(batch, decay, factor):
    """Not with weight decay, which it has no place for, a batch of unknown size, nor the product of another factor."""
    W, X, D = layer(batch, 6, 20)
    factors = {"D": D, "E": row_or_batch("E", batch, 20, "float64")}
    before = W.get_value()
    gradient = pt.dot(X.T, D) + decay * W if decay else pt.dot(X.T, D)
    fn = pytensor.function(
        [X, *factors.values()], pt.dot(factors[factor], W.T), updates={W: W - 0.1 * gradient}, on_unused_input="ignore"
    )
    assert nodes(fn, RankUpdate) and not nodes(fn, BackpropUpdate)
    x, d, e = normal(batch or 3, 6), normal(batch or 3, 20), normal(batch or 3, 20)
    assert_close(fn(x, d, e), (d if factor == "D" else e) @ before.T, "float64")
    assert_close(W.get_value(), before - 0.1 * (x.T @ d + decay * before), "float64")


def test_a_W_of_one_row_that_is_added_to_each_row_is_left_alone():
    W, X, D = parameter(normal(1, 20), "W"), pt.matrix("X", dtype="float64"), pt.matrix("D", dtype="float64")
    fn = pytensor.function([X, D], W - 0.1 * pt.dot(X.T, D))
    x, d = normal(3, 6), normal(3, 20)
    assert_close(fn(x, d), W.get_value() - 0.1 * (x.T @ d), "float64")


@pytest.mark.parametrize("op", [RankUpdate, BackpropUpdate])
@pytest.mark.parametrize("inplace", [False, True])
def test_what_runs_agrees_with_perform(op, inplace):
    W, X, D = layer(1, 6, 20)
    others = (-0.3, 0.5) if op is RankUpdate else (-0.3,)
    variables = [pt.matrix(dtype="float64"), X, D, *map(pt.constant, others)]
    outputs = op(inplace=inplace).make_node(*variables).outputs
    arguments = normal(6, 20), normal(1, 6), normal(1, 20)
    results = []
    for linker in ("numba", "py"):
        mode = pytensor.compile.mode.Mode(linker, None)
        inputs = [pytensor.In(variables[0], mutable=True), X, D]
        fn = pytensor.function(inputs, outputs, mode=mode, accept_inplace=True)
        results.append(fn(arguments[0].copy(), *arguments[1:]))
    for actual, expected in zip(*results):
        assert_close(actual, expected, "float64")


@pytest.mark.parametrize("batch", [1, 20])
def test_shapes_that_do_not_fit_are_refused(batch):
    W, X, D = layer(batch, 6, 20)
    X, D = pt.matrix("X", dtype="float64"), pt.matrix("D", dtype="float64")
    fn = descend(W, X, D)
    assert nodes(fn, RankUpdate)
    for x, d in [((batch, 5), (batch, 20)), ((batch, 6), (batch, 21)), ((batch, 6), (batch + 1, 20))]:
        with pytest.raises(ValueError, match="do not fit"):
            fn(normal(*x), normal(*d))


def test_the_cache_keeps_what_was_compiled_for_few_rows_apart():
    """By types alone, which have no static shapes, Numba would take the machine code of one row for twenty."""
    keys = []
    for batch in 1, 2, 3, 20, None:
        node = RankUpdate().make_node(*layer(batch, 6, 20), *map(pt.constant, (-0.3, 0.5)))
        keys.append(numba_funcify_and_cache_key(node.op, node=node)[1])
    of_one, of_two, *others = keys
    assert len({*keys}) == 3 and len({*others}) == 1 and of_one not in others and of_two not in others


def test_the_tag_leaves_all_of_them_out():
    W, X, D = layer(1, 6, 20)
    assert not nodes(descend(W, X, D, mode=pytensor.compile.mode.get_default_mode().excluding(TAG)), RankUpdate)
    assert not nodes(descend(W, X, D, mode=plain_mode()), RankUpdate)
