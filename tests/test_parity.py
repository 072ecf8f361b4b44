"""On MNIST, the figures of the original: every step in float64 (reference/*.json), and the exact error."""

import json
from functools import partial
from pathlib import Path

import cA
import dA
import DBN
import logistic_sgd
import mlp
import rbm
import SdA
from graphs import interpreted_mode
from support.data import load_data

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.mnist
REFERENCE, FAMILY = (
    json.loads((Path(__file__).parent / "reference" / name).read_text()) for name in ("theano.json", "family.json")
)
RTOL = 1e-10  # the order of floating-point sums differs, nothing else


@pytest.fixture(params=["first steps", pytest.param("all", marks=pytest.mark.slow)])
def n_steps(request):
    """All steps, as machine code; or the first 20, rewritten, but run by NumPy: nothing is compiled."""
    whole = request.param == "all"
    mode = {} if whole else {"mode": interpreted_mode()}
    with pytensor.config.change_flags(floatX="float64", **mode):
        yield None if whole else 20


@pytest.fixture(scope="module")
def datasets():
    with pytensor.config.change_flags(floatX="float64"):
        return load_data("mnist")


def assert_params(params, recorded, rtol=RTOL, atol=0):
    """Compare shape, norm, sum, and the first and last four entries of each parameter with the recorded ones."""
    for param, expected in zip(params, recorded, strict=True):
        value = param.get_value()
        assert list(value.shape) == expected["shape"]
        np.testing.assert_allclose(np.linalg.norm(value), expected["norm"], rtol=rtol)
        # A sum of n entries whose signs differ may be near zero: its error scales with the sum of their sizes.
        np.testing.assert_allclose(value.sum(), expected["sum"], rtol=rtol, atol=rtol * np.abs(value).sum())
        np.testing.assert_allclose(value.ravel()[:4], expected["head"], rtol=rtol, atol=atol)
        np.testing.assert_allclose(value.ravel()[-4:], expected["tail"], rtol=rtol, atol=atol)


def assert_trajectory(step, costs, n_steps, n_minibatches=None):
    """Compare the cost of every step, minibatches in file order, beginning anew after `n_minibatches`."""
    costs = np.array(costs[:n_steps])
    found = [step(i % n_minibatches if n_minibatches else i) for i in range(len(costs))]
    np.testing.assert_allclose(np.reshape(found, costs.shape), costs, rtol=RTOL)


def check_autoencoder(recorded, model, numbers, series, datasets, n_steps):
    """`series` are the recorded costs, one or more for each step, and the model's expressions of them."""
    assert_params(model.params, recorded["initial_params"])
    cost, updates = model.get_cost_updates(*(recorded[name] for name in numbers), recorded["learning_rate"])
    outputs = [cost, *(output(model) for output in series.values())]
    step = logistic_sgd.minibatch_function(outputs, {model.x: datasets[0][0]}, recorded["batch_size"], updates)
    assert_trajectory(step, np.transpose([recorded[name] for name in ("costs", *series)]), n_steps)
    if n_steps is None:
        assert_params(model.params, recorded["params"])


def test_dA(datasets, n_steps):
    recorded = REFERENCE["dA"]
    da = dA.dA(np.random.RandomState(recorded["seed"]), n_visible=784, n_hidden=recorded["n_hidden"])
    check_autoencoder(recorded, da, ["corruption"], {}, datasets, n_steps)


@pytest.mark.slow
def test_cA(datasets, n_steps):
    recorded = FAMILY["cA"]
    ca = cA.cA(np.random.RandomState(recorded["seed"]), n_visible=784, n_hidden=recorded["n_hidden"])
    series = {"reconstruction": lambda ca: pt.mean(ca.L_rec), "jacobian": lambda ca: ca.L_jacob}
    check_autoencoder(recorded, ca, ["contraction_level"], series, datasets, n_steps)


@pytest.mark.parametrize("entry", ["RBM_CD1", pytest.param("RBM_PCD15", marks=pytest.mark.slow)])
def test_rbm(datasets, n_steps, entry):
    """With rounding in the place of draws. The chains enlarge a difference of rounding tenfold in ten steps."""
    recorded = FAMILY[entry]
    machine = rbm.RBM(n_hidden=recorded["n_hidden"], numpy_rng=np.random.RandomState(recorded["seed"]))
    machine.sample = lambda mean, rng: (rng, (mean > 0.5).astype(mean.dtype))
    assert_params(machine.params, recorded["initial_params"])
    batch_size, chain = recorded["batch_size"], None
    if recorded["persistent"]:
        start = np.random.RandomState(recorded["seed"] + 1).binomial(1, 0.5, (batch_size, recorded["n_hidden"]))
        chain = logistic_sgd.parameter(start, "persistent_chain")
    cost, updates = machine.get_cost_updates(recorded["learning_rate"], chain, recorded["k"])
    step = logistic_sgd.minibatch_function(cost, {machine.input: datasets[0][0]}, batch_size, updates)
    free_energy = pytensor.function([machine.input], machine.free_energy(machine.input))
    first = datasets[0][0].get_value()[:batch_size]
    np.testing.assert_allclose(free_energy(first), recorded["free_energy_before"], rtol=RTOL)
    found = [step(index) for index in range(n_steps or 100)]
    np.testing.assert_allclose(found[:50], recorded["costs"][: n_steps or 50], rtol=RTOL)
    if n_steps is None:
        np.testing.assert_allclose(found, recorded["costs"], rtol=1e-7)
        assert_params(machine.params, recorded["params"], rtol=1e-6)
        np.testing.assert_allclose(free_energy(first), recorded["free_energy_after"], rtol=1e-6)
        assert chain is None or chain.get_value().sum() == recorded["chain_sum"]


@pytest.mark.parametrize("lesson", ["logistic_sgd", "mlp"])
def test_classifiers(datasets, n_steps, lesson):
    recorded, x, y = REFERENCE[lesson], pt.matrix("x"), pt.ivector("y")
    if lesson == "mlp":
        classifier = mlp.MLP(np.random.RandomState(recorded["seed"]), x, 784, recorded["n_hidden"], 10)
        assert_params(classifier.params, recorded["initial_params"])
        penalty = recorded["L1_reg"] * classifier.L1 + recorded["L2_reg"] * classifier.L2_sqr
    else:
        classifier, penalty = logistic_sgd.LogisticRegression(x, 784, 10), 0
    cost, batch_size = classifier.negative_log_likelihood(y) + penalty, recorded["batch_size"]
    train_fn, valid_score, _ = logistic_sgd.supervised_functions(
        classifier, cost, classifier.errors(y), y, datasets, batch_size, recorded["learning_rate"]
    )
    assert_trajectory(train_fn, recorded["costs"], n_steps, 50_000 // batch_size)
    if n_steps is None:
        assert_params(classifier.params, recorded["params"])
        np.testing.assert_allclose(np.mean(valid_score()), recorded["valid_error"], rtol=1e-15)


@pytest.mark.parametrize("entry", ["SdA", pytest.param("SdA_minibatch", marks=pytest.mark.slow)])
def test_SdA(datasets, entry, n_steps):
    recorded = REFERENCE[entry]
    sda = SdA.SdA(np.random.RandomState(recorded["seed"]), hidden_layers_sizes=recorded["hidden_layers_sizes"])
    assert_params(sda.params, recorded["initial_params"])
    pretraining_fns = sda.pretraining_functions(datasets[0][0], recorded["batch_size"])
    for pretrain, costs in zip(pretraining_fns, recorded["pretrain_costs"], strict=True):
        step = partial(pretrain, corruption=recorded["corruption"], lr=recorded["pretrain_lr"])
        assert_trajectory(step, costs, None)  # the next layer's costs need this one to be trained to its end
    assert_params(sda.params, recorded["params_after_pretraining"])
    assert_params([layer.b_prime for layer in sda.dA_layers], recorded["visible_biases_after_pretraining"])
    train_fn, *scores = sda.build_finetune_functions(datasets, recorded["batch_size"], recorded["finetune_lr"])
    assert_trajectory(train_fn, recorded["finetune_costs"], n_steps)
    if n_steps is None:
        assert_params(sda.params, recorded["params_after_finetuning"])
        errors = [np.mean(score()) for score in scores]
        np.testing.assert_allclose(errors, [recorded["valid_error"], recorded["test_error"]], rtol=1e-15)


@pytest.mark.slow
def test_DBN(datasets, float64, monkeypatch):
    """With rounding in the place of draws, layer by layer, and then with labels."""
    monkeypatch.setattr(rbm.RBM, "sample", lambda self, mean, rng: (rng, (mean > 0.5).astype(mean.dtype)))
    recorded = FAMILY["DBN"]
    rng, batch_size = np.random.RandomState(recorded["seed"]), recorded["batch_size"]
    dbn = DBN.DBN(rng, hidden_layers_sizes=recorded["hidden_layers_sizes"])
    assert_params(dbn.params, recorded["initial_params"])
    pretraining_fns = dbn.pretraining_functions(datasets[0][0], batch_size, recorded["k"])
    for pretrain, costs in zip(pretraining_fns, recorded["pretrain_costs"], strict=True):
        found = [pretrain(index, lr=recorded["pretrain_lr"]) for index in range(len(costs))]
        np.testing.assert_allclose(found, costs, rtol=1e-9)
    assert_params(dbn.params, recorded["params_after_pretraining"], rtol=1e-8)
    visible_biases = [layer.vbias for layer in dbn.rbm_layers]
    assert_params(visible_biases, recorded["visible_biases_after_pretraining"], rtol=1e-8)
    train_fn, *scores = dbn.build_finetune_functions(datasets, batch_size, recorded["finetune_lr"])
    found = [train_fn(index) for index in range(100)]
    np.testing.assert_allclose(found, recorded["finetune_costs"], rtol=1e-8)
    assert_params(dbn.params, recorded["params_after_finetuning"], rtol=1e-8, atol=1e-9)  # of entries near zero
    errors = [np.mean(score()) for score in scores]
    np.testing.assert_allclose(errors, [recorded["valid_error"], recorded["test_error"]], rtol=1e-15)


def test_logistic_sgd_meets_the_published_figure_to_every_digit(tmp_path, capsys):
    with pytensor.config.change_flags(floatX="float32"):
        result = logistic_sgd.sgd_optimization_mnist(output_folder=tmp_path)
    printed = capsys.readouterr().out
    for words in "best validation score of 7.500000 %", "with test performance 7.489583 %", "code run for 74 epochs":
        assert words in printed
    assert len(result.curve) == 74

    # predict() finds the model again: over all 10,000 test images, not over the 9,600 of full minibatches.
    test_error = logistic_sgd.predict(tmp_path / "model.npz")
    printed = capsys.readouterr().out
    assert f"test error {100 * test_error:f} % of 10000 images" in printed
    assert "test error 7.750000 %" in printed  # which README names beside the other
    assert abs(test_error - 0.07489583) <= 400 / 10000
    assert "[7, 2, 1, 0, 4, 1, 4, 9, 5, 9]" in printed  # the first ten labels of MNIST's test file
