"""Contrastive divergence: UnitDraws, products in a scan, a product of which one column has changed."""

from functools import partial

from graphs import (
    DTYPES,
    RNG,
    assert_close,
    checked,
    interpreted_mode,
    nodes,
    normal,
    parameter,
    plain_mode,
    scalar_ops,
)
from support import rewrites
from support.rewrites.chains import Transposed, UnitDraws, five_rounds
from support.rewrites.products import SparseProduct
from support.rewrites.updates import RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.gradient import disconnected_grad
from pytensor.scan.op import Scan
from pytensor.tensor.math import Dot
from pytensor.tensor.random.basic import BinomialRV

AS_WRITTEN = Mode("py", None)
N_VISIBLE, N_HIDDEN, BATCH, EXAMPLES = 23, 19, 4, 40  # more units than a narrow product has
needs_inner_rewrites = pytest.mark.skipif(
    not hasattr(pytensor.compile, "rewriting"), reason="this PyTensor compiles the steps of a scan in a mode of its own"
)


@pytest.mark.parametrize(
    "counter, key, expected",
    [
        ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ],
)
def test_philox_gives_the_numbers_that_its_authors_publish(counter, key, expected):
    *numbers, _, _ = five_rounds(*five_rounds(*np.array([*counter, *key], "uint64")[:, None]))
    np.testing.assert_array_equal(np.ravel(numbers), expected)


def drawing(dtype, mode, seed=5):
    """A compiled function of p that gives draws, and the generator that it moves on."""
    rng, p = pt.random.shared_rng(seed=seed), pt.matrix("p", dtype=dtype)
    next_rng, draws = UnitDraws(dtype=dtype).make_node(rng, None, p).outputs
    return pytensor.function([p], draws, updates={rng: next_rng}, mode=mode), rng


@pytest.fixture(scope="module", params=DTYPES)
def compiled(request):
    return drawing(request.param, rewrites.mode())


def test_machine_code_draws_what_numpy_draws(compiled):
    fn, rng = compiled
    interpreted, same_rng = drawing(fn.maker.inputs[0].variable.dtype, AS_WRITTEN)
    rng.set_value(same_rng.get_value())
    [draw] = nodes(fn, UnitDraws)
    assert draw.op.inplace
    wide = RNG.uniform(size=(14, 86)).astype(draw.outputs[1].dtype)
    for p in wide[:1, :1], wide[:3, :4], wide[:7, :43], wide[::2, ::2], wide.T, wide[:0], wide:
        np.testing.assert_array_equal(fn(p), interpreted(p), strict=True)
    assert rng.get_value().bit_generator.state == same_rng.get_value().bit_generator.state


def test_frequencies_are_the_probabilities_and_draws_are_independent(compiled):
    """Of entries of one matrix, of those of the next ones, and of those of a generator with another seed."""
    fn, rng = compiled
    calls, p = (
        20_000,
        np.array([[0.03, 0.2, 0.5, 0.5, 0.9], [0.5, 0.97, 0.1, 0.5, 0.3]], fn.maker.inputs[0].variable.dtype),
    )
    runs = []
    for seed in 1, 2:
        rng.set_value(np.random.default_rng(seed))
        runs.append(np.array([fn(p).ravel() for _ in range(calls)]))
    assert set(np.unique(runs)) == {0, 1}
    first, second = ((run - p.ravel()) / np.sqrt(p * (1 - p)).ravel() for run in runs)  # of mean 0 and variance 1
    assert np.abs(first.mean(axis=0)).max() < 4.5 / np.sqrt(calls)
    same = first.T @ first / calls
    for correlations in same - np.diag(np.diag(same)), first.T @ second / calls, first[1:].T @ first[:-1] / calls:
        assert np.abs(correlations).max() < 4.5 / np.sqrt(calls)


def test_the_number_of_units_that_are_on_varies_as_that_of_independent_ones(compiled):
    """A dependence of entries far from each other, too small to be seen in any two, would change its variance."""
    fn, _ = compiled
    p = np.full((20, 784), 0.13, fn.maker.inputs[0].variable.dtype)
    draws = np.array([fn(p) for _ in range(2000)], dtype="float64")
    for counts in draws.sum(axis=(1, 2)), draws.sum(axis=1).ravel(), draws.sum(axis=2).ravel():
        n = p.size * len(draws) // counts.size
        assert abs(counts.mean() - 0.13 * n) < 4.5 * np.sqrt(0.13 * 0.87 * n / counts.size)
        assert abs(counts.var() / (0.13 * 0.87 * n) - 1) < 4.5 * np.sqrt(2 / counts.size)


def test_certain_and_impossible_units(compiled):
    fn, _ = compiled
    p = np.array([[0, 1, np.nan]], fn.maker.inputs[0].variable.dtype).repeat(5000, axis=1)
    np.testing.assert_array_equal(fn(p), np.array([[0, 1, 0]]).repeat(5000, axis=1))


def test_a_saved_generator_goes_on_with_the_same_draws(compiled):
    fn, rng = compiled
    p = np.full((20, 30), 0.5, fn.maker.inputs[0].variable.dtype)
    saved = rng.get_value()
    draws = [fn(p) for _ in range(3)]
    rng.set_value(saved)
    np.testing.assert_array_equal([fn(p) for _ in range(3)], draws)


DRAWS = {
    "binomial": lambda rng, p: rng.binomial(n=1, p=p),
    "bernoulli": lambda rng, p: rng.bernoulli(p=p),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_units_are_drawn_in_the_type_of_their_probabilities(kind):
    a, rng = pt.fmatrix("a"), pt.random.shared_rng(seed=1)
    next_rng, draws = DRAWS[kind](rng, pt.sigmoid(a))
    outputs = [draws.astype("float32"), draws, draws.astype("float64")]
    fn = pytensor.function([a], outputs, updates={rng: next_rng}, mode=interpreted_mode())
    assert len(nodes(fn, UnitDraws)) == 1
    results = fn(np.zeros((30, 40), "float32"))
    assert [result.dtype for result in results] == ["float32", draws.dtype, "float64"]
    for result in results:
        np.testing.assert_array_equal(result, results[0])
    assert not np.array_equal(fn(np.zeros((30, 40), "float32"))[0], results[0])


LEFT_ALONE = {
    "probabilities that are not those of units": lambda rng, a: rng.binomial(n=1, p=a),
    "two trials": lambda rng, a: rng.binomial(n=2, p=pt.sigmoid(a)),
    "a size": lambda rng, a: rng.binomial(n=1, p=pt.sigmoid(a[0])[None], size=a.shape),
    "a vector": lambda rng, a: rng.binomial(n=1, p=pt.sigmoid(a[0])),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_other_draws_are_left_alone(case):
    a = pt.fmatrix("a")
    fn = pytensor.function([a], LEFT_ALONE[case](pt.random.shared_rng(seed=1), a)[1], mode=interpreted_mode())
    assert not nodes(fn, UnitDraws)


def free_energy(v, W, hbias, vbias):
    return -pt.dot(v, vbias) - pt.sum(pt.softplus(pt.dot(v, W) + hbias), axis=1)


def divergence_step(dtype, k, persistent, sample, mode, density=0.3):
    """A step of contrastive divergence, f(index), and what it changes: W, the biases, the chains, a pixel's index."""
    rng = np.random.RandomState(3)
    W = parameter(rng.normal(size=(N_VISIBLE, N_HIDDEN)).astype(dtype), "W")
    hbias, vbias = (
        parameter(rng.normal(size=N_HIDDEN).astype(dtype)),
        parameter(rng.normal(size=N_VISIBLE).astype(dtype)),
    )
    data = (rng.uniform(size=(EXAMPLES, N_VISIBLE)) * (rng.uniform(size=(EXAMPLES, N_VISIBLE)) < density)).astype(dtype)
    index, pixel, theano_rng = pt.lscalar(), pytensor.shared(0), pt.random.shared_rng(seed=7)
    x = pt.specify_shape(pytensor.shared(data)[index * BATCH : (index + 1) * BATCH], (BATCH, N_VISIBLE))

    def up_and_down(h, rng):
        rng, v = sample(pt.sigmoid(a := pt.dot(h, W.T) + vbias), rng)
        rng, h = sample(pt.sigmoid(pt.dot(v, W) + hbias), rng)
        return a, v, h, rng

    chains = parameter((rng.uniform(size=(BATCH, N_HIDDEN)) < 0.3).astype(dtype))
    start, state = chains, theano_rng
    if not persistent:
        state, start = sample(pt.sigmoid(pt.dot(x, W) + hbias), theano_rng)
    a, v, h, state = pytensor.scan(
        up_and_down, outputs_info=[None, None, start, state], n_steps=k, return_updates=False
    )
    params, end = [W, hbias, vbias], disconnected_grad(v[-1])
    difference = pt.mean(free_energy(x, *params)) - pt.mean(free_energy(end, *params))
    rate = np.asarray(0.05, dtype)
    grads = pt.grad(difference, params)
    updates = {param: param - rate * grad for param, grad in zip(params, grads)}
    updates |= {chains: h[-1], theano_rng: state, pixel: (pixel + 1) % N_VISIBLE}
    rounded, p = pt.round(x), pt.sigmoid(a[-1])
    flipped = pt.set_subtensor(rounded[:, pixel], 1 - rounded[:, pixel])
    pseudo = pt.mean(pt.log(pt.sigmoid(free_energy(flipped, *params) - free_energy(rounded, *params))))
    reconstruction = pt.mean(pt.sum(x * pt.log(p) + (1 - x) * pt.log(1 - p), axis=1))
    with pytensor.config.change_flags(on_opt_error="raise"):
        fn = pytensor.function([index], [pseudo, reconstruction], updates=updates, mode=mode)
    return fn, [*params, chains, pixel]


def rounding(mean, rng):
    return rng, (mean > 0.5).astype(mean.dtype)


def drawn(mean, rng):
    next_rng, draws = rng.binomial(n=1, p=mean)
    return next_rng, draws.astype(mean.dtype)


def trajectory(make, mode, steps=50):
    fn, variables = make(mode=mode)
    costs = [fn(index % (EXAMPLES // BATCH)) for index in range(steps)]
    return fn, [np.array(costs), *(variable.get_value() for variable in variables)]


@needs_inner_rewrites
@pytest.mark.parametrize("density", [0, 0.2, 1])
@pytest.mark.parametrize("k, persistent", [(1, False), (3, False), (4, True)])
def test_a_step_with_rounding_does_what_it_does_without_rewrites(k, persistent, density):
    make = partial(divergence_step, "float64", k, persistent, rounding, density=density)
    fn, actual = trajectory(make, checked(interpreted_mode()))
    _, expected = trajectory(make, AS_WRITTEN)
    assert len(nodes(fn, Transposed)) == len(nodes(fn, Scan)) == (k > 1)
    assert len(nodes(fn, RankUpdate)) == 1 and len(nodes(fn, SparseProduct)) >= 3
    for value, other in zip(actual, expected, strict=True):
        assert value.dtype == other.dtype
        np.testing.assert_allclose(value, other, rtol=1e-10, atol=1e-10)


@needs_inner_rewrites
@pytest.mark.slow
@pytest.mark.parametrize("k, persistent", [(1, False), (4, True)])
def test_so_does_its_machine_code(k, persistent):
    """W is overwritten after the chain, which reads a copy of it, and other nodes have read it."""
    make = partial(divergence_step, "float64", k, persistent, rounding)
    fn, actual = trajectory(make, rewrites.mode())
    _, expected = trajectory(make, AS_WRITTEN)
    assert nodes(fn, RankUpdate)[0].op.inplace
    for value, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-10, atol=1e-10)


@needs_inner_rewrites
def test_the_steps_of_a_scan_draw_units_and_read_few_rows():
    fn, _ = divergence_step("float32", 4, True, drawn, checked(interpreted_mode()))
    [scan] = nodes(fn, Scan)
    inner = scan.op.fgraph.toposort()
    of_type = {op_type: sum(isinstance(node.op, op_type) for node in inner) for op_type in (UnitDraws, SparseProduct)}
    assert of_type == {UnitDraws: 2, SparseProduct: 2} and not any(isinstance(node.op, Dot) for node in inner)
    plain, _ = divergence_step("float32", 4, True, drawn, plain_mode())
    assert not nodes(plain, UnitDraws | SparseProduct | Transposed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_of_the_transpose(dtype):
    W = pt.matrix("W", dtype=dtype)
    fn = pytensor.function([W], Transposed()(W), mode=rewrites.mode())
    wide = normal(34, 46, dtype=dtype)
    for value in wide[:1, :1], wide[:5, :3], wide[:8, :9], wide[:17], wide[::2, ::2], wide.T, wide[:0]:
        np.testing.assert_array_equal(fn(value), value.T, strict=True)
        assert fn(value).flags.c_contiguous and not np.shares_memory(fn(value), value)
        np.testing.assert_array_equal(Transposed().compute(value)[0], value.T, strict=True)


def column_set(X, W, i):
    return pt.dot(pt.set_subtensor(X[:, i], 1 - X[:, i]), W)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_of_a_matrix_of_which_one_column_is_set(dtype):
    X, i = pt.matrix("X", dtype=dtype), pt.lscalar("i")
    W = parameter(normal(6, 5, dtype=dtype))
    fn = pytensor.function([X, i], [pt.dot(X, W), column_set(X, W, i)], mode=interpreted_mode())
    assert len(nodes(fn, Dot)) == 1
    x = normal(4, 6, dtype=dtype)
    for column in 0, 3, -1:
        changed = x.copy()
        changed[:, column] = 1 - x[:, column]
        for actual, expected in zip(fn(x, column), (x @ W.get_value(), changed @ W.get_value())):
            assert_close(actual, expected, dtype)
    with pytest.raises(IndexError):
        fn(x, 6)


OTHER_COLUMNS = {
    "whose product nobody needs": lambda X, W, i: [column_set(X, W, i)],
    "of which a column is added to": lambda X, W, i: [pt.dot(X, W), pt.dot(pt.inc_subtensor(X[:, i], 1), W)],
    "of which a row is set": lambda X, W, i: [pt.dot(X, W), pt.dot(pt.set_subtensor(X[i], 1), W)],
    "of which a part of a column is set": lambda X, W, i: [pt.dot(X, W), pt.dot(pt.set_subtensor(X[1:, i], 1), W)],
}


@pytest.mark.parametrize("case", OTHER_COLUMNS)
def test_products_of_other_matrices_are_left_alone(case):
    X, W, i = pt.dmatrix("X"), pt.dmatrix("W"), pt.lscalar("i")
    outputs = OTHER_COLUMNS[case](X, W, i)
    fn, plain = (pytensor.function([X, W, i], outputs, mode=mode) for mode in (interpreted_mode(), AS_WRITTEN))
    assert len(nodes(fn, Dot)) == len(outputs)
    x, w = normal(4, 6), normal(6, 5)
    for actual, expected in zip(fn(x, w, 2), plain(x, w, 2), strict=True):
        assert_close(actual, expected, "float64")


def test_a_function_without_the_mode_draws_as_the_binomial():
    a, rng = pt.fmatrix("a"), pt.random.shared_rng(seed=1)
    fn = pytensor.function([a], drawn(pt.sigmoid(a), rng)[1], mode=plain_mode())
    assert nodes(fn, BinomialRV) and UnitDraws not in scalar_ops(fn.maker.fgraph)
