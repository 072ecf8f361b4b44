from functools import partial

import rbm
from graphs import interpreted_mode, nodes
from numpy_reference import sigmoid
from support.data import load_data
from support.runs.models import SavedModel
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.scan.op import Scan
from scipy.special import logsumexp

pytestmark = pytest.mark.usefixtures("interpreted")


def make(n_visible=3, n_hidden=2, scale=1.0, seed=0):
    """A machine with random parameters."""
    machine, rng = rbm.RBM(n_visible=n_visible, n_hidden=n_hidden), np.random.RandomState(seed)
    for param in machine.params:
        param.set_value(scale * rng.randn(*param.get_value().shape).astype(param.dtype))
    return machine


def states(n):
    """All states of n units, (2^n, n): the bits of the row's number."""
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(pytensor.config.floatX)


def joint(machine):
    """exp(-E(v, h)) of all states, (2^n_visible, 2^n_hidden), by the formula of the energy."""
    W, c, b = (param.get_value() for param in machine.params)
    v, h = states(machine.n_visible), states(machine.n_hidden)
    return np.exp((v @ b)[:, None] + h @ c + v @ W @ h.T)


def assert_frequencies(samples, probabilities):
    """Compare how often states, (n, units), occur with their probabilities."""
    n = len(samples)
    found = np.bincount((samples @ 2 ** np.arange(samples.shape[1])).astype(int), minlength=len(probabilities)) / n
    assert (np.abs(found - probabilities) <= 4 * np.sqrt(probabilities * (1 - probabilities) / n)).all()


# The model


def test_free_energy_and_probabilities_are_those_of_the_energy(float64):
    machine = make()
    p, v, h = joint(machine), states(3), states(2)
    outputs = [machine.free_energy(machine.input), machine.propup(machine.input)[1]]
    free_energy, hidden = pytensor.function([machine.input], outputs)(v)
    np.testing.assert_allclose(free_energy, -np.log(p.sum(axis=1)), rtol=1e-12)
    np.testing.assert_allclose(hidden, p @ h / p.sum(axis=1, keepdims=True), rtol=1e-12)
    visible = pytensor.function([machine.input], machine.propdown(machine.input)[1])(h)
    np.testing.assert_allclose(visible, p.T @ v / p.sum(axis=0)[:, None], rtol=1e-12)


def test_free_energy_stays_finite_where_exp_does_not():
    machine = make(1, 1)
    for param, value in zip(machine.params, (1000, 0, 0)):
        param.set_value(np.full_like(param.get_value(), value))
    assert machine.free_energy(pt.ones((1, 1))).eval() == [-1000]


def test_the_seed_of_the_generator_is_drawn_first_then_the_weights_and_nothing_else(float64):
    for rng, same in (np.random.RandomState(7), np.random.RandomState(7)), (None, np.random.RandomState(1234)):
        machine = rbm.RBM(n_visible=60, n_hidden=90, numpy_rng=rng)
        expected = np.random.default_rng(same.randint(2**30)).bit_generator.state
        assert machine.theano_rng.get_value().bit_generator.state == expected
        np.testing.assert_allclose(machine.W.get_value(), same.uniform(-0.8, 0.8, (60, 90)), rtol=1e-15)
        assert machine.params == [machine.W, machine.hbias, machine.vbias]
        assert not machine.hbias.get_value().any() and not machine.vbias.get_value().any()
        assert rng is None or rng.randint(2**30) == same.randint(2**30)


# Sampling


def test_units_are_drawn_with_their_probabilities_and_anew_at_each_call():
    machine, mean = make(), pt.matrix("mean")
    next_rng, units = machine.sample(mean, machine.theano_rng)
    draw = pytensor.function([mean], units, updates={machine.theano_rng: next_rng})
    p = np.array([0, 0.02, 0.5, 0.9, 1], pytensor.config.floatX)
    values, others = (draw(np.tile(p, (20_000, 1))) for _ in range(2))
    assert values.dtype == pytensor.config.floatX and set(np.unique(values)) == {0, 1}
    assert (np.abs(values.mean(axis=0) - p) <= 4 * np.sqrt(p * (1 - p) / 20_000)).all()
    assert abs(np.corrcoef(values[:, 2], others[:, 2])[0, 1]) < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("start", ["visible", "hidden"])
def test_the_chains_of_a_tiny_machine_end_in_its_exact_distribution(start):
    machine, n = make(), 20_000
    p = joint(machine) / joint(machine).sum()
    step, units = (machine.gibbs_vhv, 3) if start == "visible" else (machine.gibbs_hvh, 2)
    begin = pt.zeros((n, units), dtype=pytensor.config.floatX)
    results = pytensor.scan(
        step, outputs_info=[None] * 5 + [begin, machine.theano_rng], n_steps=30, return_updates=False
    )
    middle, end = pytensor.function([], [results[2][-1], results[5][-1]])()
    visible, hidden = (end, middle) if start == "visible" else (middle, end)
    assert_frequencies(visible, p.sum(axis=1))
    assert_frequencies(hidden, p.sum(axis=0))
    assert_frequencies(np.concatenate([visible, hidden], axis=1), p.T.ravel())  # both come from one step


# The step


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("is_persistent", [False, True])
def test_a_step_is_the_rule_of_contrastive_divergence(k, is_persistent, float64):
    machine, lr, x = make(6, 4), 0.3, np.random.RandomState(1).uniform(size=(5, 6))
    W, c, b = before = [param.get_value() for param in machine.params]
    generator = machine.theano_rng.get_value()  # a copy, from which we draw what PyTensor is going to draw
    chains = rbm.parameter(np.random.RandomState(2).randint(0, 2, (5, 4)), "chains") if is_persistent else None
    h = chains.get_value() if is_persistent else generator.binomial(1, sigmoid(x @ W + c))
    for _ in range(k):
        a = h @ W.T + b
        v = generator.binomial(1, sigmoid(a))
        h = generator.binomial(1, sigmoid(v @ W + c))

    cost, updates = machine.get_cost_updates(lr, chains, k)
    cost = pytensor.function([machine.input], cost, updates=updates)(x)
    up_x, up_v = sigmoid(x @ W + c), sigmoid(v @ W + c)
    steps = (x.T @ up_x - v.T @ up_v) / 5, (up_x - up_v).mean(axis=0), (x - v).mean(axis=0)
    for param, value, step in zip(machine.params, before, steps, strict=True):
        np.testing.assert_allclose(param.get_value(), value + lr * step, rtol=1e-12)
    assert machine.theano_rng.get_value().bit_generator.state == generator.bit_generator.state
    if is_persistent:
        np.testing.assert_array_equal(chains.get_value(), h)
        assert machine.pixel.get_value() == 1
    else:
        z = sigmoid(a)
        expected = np.sum(x * np.log(z) + (1 - x) * np.log(1 - z), axis=1).mean()
        assert cost == pytest.approx(expected, rel=1e-12) and machine.pixel.get_value() == 0


def test_the_costs_stay_finite_where_the_sigmoid_saturates():
    x = np.array([[0, 1]], pytensor.config.floatX)
    for chains in None, rbm.parameter(np.zeros((1, 1)), "chains"):
        machine = make(2, 1, scale=0)
        machine.vbias.set_value(np.array([1000, -1000], pytensor.config.floatX))
        cost, updates = machine.get_cost_updates(0.0, chains)
        assert pytensor.function([machine.input], cost, updates=updates, mode=interpreted_mode())(x) == -2000


def test_each_pixel_in_turn_gives_the_pseudo_likelihood(float64):
    machine = make()
    x = np.array([[0.2, 0.5, 0.7], [1, 1, 0]])  # rounded: (0, 0, 1) and (1, 1, 0)
    p = joint(machine).sum(axis=1)
    places = [4, 3]  # of the two among all states
    of_pixels = [np.mean([3 * np.log(p[n] / (p[n] + p[n ^ 2**i])) for n in places]) for i in range(3)]
    updates = {}
    cost = machine.get_pseudo_likelihood_cost(updates)
    watch = pytensor.function([machine.input], cost, updates=updates)
    np.testing.assert_allclose([watch(x) for _ in range(4)], [*of_pixels, of_pixels[0]], rtol=1e-12)


@pytest.mark.skipif(pytensor.__version__ < "3.1", reason="PyTensor 3.0 compiles the loop in its own default mode")
def test_the_steps_inside_of_the_loop_are_rewritten_too():
    machine = make(6, 4)
    cost, updates = machine.get_cost_updates(0.1, None, 3)
    step = pytensor.function([machine.input], cost, updates=updates, mode=interpreted_mode())
    [loop] = nodes(step, Scan)
    ours = [node.op for node in loop.op.fgraph.toposort() if type(node.op).__module__.startswith("support.rewrites")]
    assert len(ours) >= 2  # the draws


# The log-likelihood


@pytest.mark.parametrize("n_visible, n_hidden", [(3, 5), (5, 3), (20, 2)])
def test_log_z_is_summed_exactly_over_the_smaller_layer(n_visible, n_hidden, float64):
    machine = make(n_visible, n_hidden)
    expected = np.log(joint(machine).sum()) if n_visible < 20 else logsumexp(-free_energies(machine, states(20)))
    assert rbm.exact_log_z(machine) == pytest.approx(expected, rel=1e-12)


def free_energies(machine, v):
    return pytensor.function([machine.input], machine.free_energy(machine.input))(v)


def test_log_z_of_a_large_machine_is_not_summed():
    assert rbm.exact_log_z(make(17, 17)) is None


def test_annealed_importance_sampling_is_as_good_as_the_exact_sum(float64):
    machine = make(12, 8, scale=0.6)
    images = np.random.RandomState(0).uniform(0, 0.7, size=(50, 12))
    annealing = rbm.Annealing(machine, images, n_temperatures=500, n_chains=250)
    anneal = annealing.step_function()
    estimates = []
    for _ in range(2):
        for step in range(len(annealing.betas)):
            anneal(step)
        estimates.append(annealing.log_z)
    exact = rbm.exact_log_z(machine)
    assert estimates == pytest.approx([exact, exact], abs=0.05) and estimates[0] != estimates[1]
    assert abs(exact - 12 * np.log(2) - 8 * np.log(2)) > 1  # another machine than one without weights
    assert 200 < annealing.effective_chains < 250


def test_the_weights_of_one_temperature_by_hand(float64):
    # From beta 0 to 1 in a single step: w = exp(-F(v)) / (exp(v b0) 2^n_hidden), for v drawn from the base rates.
    machine = make()
    images = np.array([[0, 1, 0.5], [0, 1, 0]])  # means 0, 1 and 1/4, of which the first two are kept off the ends
    annealing = rbm.Annealing(machine, images, n_temperatures=1, n_chains=1000)
    np.testing.assert_allclose(annealing.base_vbias, np.log([1 / 99, 99, 1 / 3]), rtol=1e-12)
    anneal = annealing.step_function()
    anneal(0)
    assert not annealing.log_weights.get_value().any()
    v = annealing.v.get_value()
    assert abs(v.mean(axis=0) - [0.01, 0.99, 0.25]).max() < 4 * np.sqrt(0.25 * 0.75 / 1000)
    anneal(1)
    log_weights = -free_energies(machine, v) - v @ annealing.base_vbias - 2 * np.log(2)
    np.testing.assert_allclose(annealing.log_weights.get_value(), log_weights, rtol=1e-10, atol=1e-12)
    w, log_z_of_base = np.exp(log_weights), 2 * np.log(2) + np.log1p(np.exp(annealing.base_vbias)).sum()
    assert annealing.log_z == pytest.approx(log_z_of_base + np.log(w.mean()), rel=1e-12)
    assert annealing.effective_chains == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-10)
    anneal(0)
    assert not annealing.log_weights.get_value().any()  # the next run starts over


def test_temperatures_are_those_of_the_paper(float64):
    betas = rbm.Annealing(make(), np.full((1, 3), 0.5), 14_500).betas
    steps = np.diff(betas, axis=1).ravel()
    np.testing.assert_allclose(steps, [0] + [0.001] * 500 + [0.0001] * 4000 + [0.00001] * 10_000, atol=1e-12)
    assert betas[0].tolist() == [0, 0] and betas[-1, 1] == 1 and (betas[1:, 0] == betas[:-1, 1]).all()


# The driver

ARGUMENTS = {"batch_size": 20, "n_hidden": 9, "n_chains": 40, "n_samples": 2, "k": 2, "n_temperatures": 20}


@pytest.mark.parametrize("is_persistent", [False, True])
def test_the_driver_trains_samples_and_estimates(is_persistent, small_dataset, tmp_path, float64, monkeypatch, capsys):
    monkeypatch.setattr(rbm, "plot", lambda *_: None)
    monkeypatch.setattr(rbm, "GIBBS_STEPS", 5)
    result = rbm.test_rbm(
        0.05, 5, small_dataset, seed=5, output_folder=tmp_path, contrastive_divergence=not is_persistent, **ARGUMENTS
    )
    datasets, rng = load_data(small_dataset), np.random.RandomState(5)
    train_x, test_x = (datasets[i][0].get_value() for i in (0, 2))
    machine = rbm.RBM(None, 49, 9, numpy_rng=rng)
    chains = rbm.parameter(np.zeros((20, 9)), "chains") if is_persistent else None
    cost, updates = machine.get_cost_updates(0.05, chains, 2)
    step = pytensor.function([machine.input], cost, updates=updates)
    training, rest = result.curve[:5], result.curve[5:]
    for epoch, line in enumerate(training):
        costs = [step(train_x[i : i + 20]) for i in range(0, 300, 20)]
        assert line["epoch"] == epoch and line["cost"] == pytest.approx(np.mean(costs), rel=1e-9)
        name = {0: "model_epoch_0", 1: "model_epoch_1", 3: "model_epoch_3", 4: "model"}.get(epoch)
        if name is not None:
            saved = SavedModel(tmp_path / f"{name}.npz", "rbm").arrays
            for param, array in zip(machine.params, saved, strict=True):
                np.testing.assert_allclose(array, param.get_value(), rtol=1e-9, atol=1e-12)
    assert not (tmp_path / "model_epoch_2.npz").exists()

    first = rng.randint(60)
    [images] = SavedModel(tmp_path / "samples.npz", "rbm").arrays
    assert images.shape == (49, 120) and 0 <= images.min() < images.max() <= 1
    np.testing.assert_array_equal(images[:, :40].T, test_x[first : first + 40])
    assert [line["chains"] for line in rest if "chains" in line] == [40, 40]

    runs = [line for line in rest if "temperatures" in line]
    assert result.figures["epochs"] == 5  # of the training
    assert [line["temperatures"] for line in runs] == [20] * 3 and len({line["log_z"] for line in runs}) == 3
    figures, log_z = result.figures, rbm.exact_log_z(machine)
    rounded = -free_energies(machine, np.round(test_x)).mean() - log_z
    drawn = test_x > np.random.default_rng(0).uniform(size=test_x.shape)
    expected = {
        "cost": training[-1]["cost"], "exact_log_z": log_z, "test_log_likelihood_of_rounded": rounded,
        "log_z": np.log(np.mean(np.exp([line["log_z"] for line in runs]))),
        "fewest_effective_chains": min(line["effective_chains"] for line in runs),
        "test_log_likelihood": -free_energies(machine, drawn.astype(float)).mean() - log_z,
    }  # fmt: skip
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    printed = capsys.readouterr().out
    for words in "Training epoch 4, cost is -", " ... plotting sample 1", "Annealing run 3, log Z ", "log Z is exact":
        assert words in printed


def test_chains_go_on_from_their_samples_and_the_images_are_their_means(float64):
    machine = make(4, 3)
    start = np.random.RandomState(1).randint(0, 2, (5, 4)).astype(float)
    samples = rbm.Samples(machine, start, 2)
    draw = samples.step_function(3)
    W, c, b = (param.get_value() for param in machine.params)
    generator, v, rows = machine.theano_rng.get_value(), start, [start]
    for row in range(2):
        free_energy = draw(row)
        for _ in range(3):
            h = generator.binomial(1, sigmoid(v @ W + c))
            mean = sigmoid(h @ W.T + b)
            v = generator.binomial(1, mean)
        rows.append(mean)
        assert free_energy == pytest.approx(free_energies(machine, v.astype(float)).mean(), rel=1e-12)
    np.testing.assert_array_equal(samples.v.get_value(), v)
    np.testing.assert_allclose(samples.images.get_value(), np.concatenate(rows).T, rtol=1e-12)


def test_new_samples_of_a_saved_model_follow_from_their_seed(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(rbm, "GIBBS_STEPS", 2)
    monkeypatch.setattr(rbm, "plot", lambda *_: None)
    rbm.test_rbm(0.05, 1, small_dataset, output_folder=tmp_path, **{**ARGUMENTS, "n_temperatures": 1})
    first, again, other = (rbm.sample(tmp_path / "model.npz", seed).read_bytes() for seed in (0, 0, 1))
    assert first.startswith(b"\x89PNG") and first == again != other
    with pytest.raises(UserError, match="fits another network: its shapes are"):
        rbm.sample(tmp_path / "samples.npz")


def test_too_many_chains_are_told(small_dataset, tmp_path):
    train = partial(rbm.test_rbm, dataset=small_dataset, output_folder=tmp_path)
    with pytest.raises(UserError, match="n_chains must be below 100, the number of test images, not 100"):
        train(n_chains=100)


def test_the_last_line_warns_of_few_effective_chains():
    figures = {"cost": -60.0, "log_z": 400.0, "test_log_likelihood": -110.0, "test_log_likelihood_of_rounded": -100.0}
    few, many = (rbm.closing({**figures, "fewest_effective_chains": n}) for n in (1.5, 50.0))
    assert few.endswith(
        "; from 1.5 effective chains, log Z is probably estimated too low, and both log-likelihoods too high"
    )
    assert "too low" not in many and "log Z" not in many
