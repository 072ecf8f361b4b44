"""On MNIST, the figures of the original: every step in float64 (reference/*.json), and the exact error."""

import json
from pathlib import Path

import cA
import dA
import logistic_sgd
import mlp
import SdA
from support import rewrites
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


@pytest.fixture(scope="module", autouse=True)
def float64():
    with pytensor.config.change_flags(floatX="float64"):
        yield


@pytest.fixture(scope="module")
def datasets(float64):
    return load_data("mnist")


def assert_params(params, recorded):
    """Compare shape, norm, sum, and the first and last four entries of each parameter with the recorded ones."""
    assert len(params) == len(recorded)
    for param, expected in zip(params, recorded):
        value = param.get_value()
        assert list(value.shape) == expected["shape"]
        norm = np.linalg.norm(value)
        np.testing.assert_allclose(norm, expected["norm"], rtol=RTOL)
        # A sum of n entries whose signs differ may be near zero: its error scales with the sum of their sizes.
        np.testing.assert_allclose(value.sum(), expected["sum"], rtol=RTOL, atol=RTOL * np.abs(value).sum())
        np.testing.assert_allclose(value.ravel()[:4], expected["head"], rtol=RTOL)
        np.testing.assert_allclose(value.ravel()[-4:], expected["tail"], rtol=RTOL)


def assert_trajectory(step, expected_costs, n_minibatches=None):
    """Compare the cost of every step, minibatches in file order, beginning anew after `n_minibatches`."""
    costs = [step(i % n_minibatches if n_minibatches else i) for i in range(len(expected_costs))]
    np.testing.assert_allclose(costs, expected_costs, rtol=RTOL)


def test_logistic_sgd(datasets):
    recorded = REFERENCE["logistic_sgd"]
    x, y = pt.matrix("x"), pt.ivector("y")
    classifier = logistic_sgd.LogisticRegression(x, 784, 10)
    cost = classifier.negative_log_likelihood(y)
    updates = logistic_sgd.sgd_updates(cost, classifier.params, recorded["learning_rate"])
    batch_size = recorded["batch_size"]
    step = logistic_sgd.minibatch_function(cost, x, y, datasets[0], batch_size, updates)
    assert_trajectory(step, recorded["costs"], 50_000 // batch_size)
    assert_params(classifier.params, recorded["params"])
    valid_score = logistic_sgd.score_function(classifier.errors(y), x, y, datasets[1], batch_size)
    np.testing.assert_allclose(np.mean(valid_score()), recorded["valid_error"], rtol=1e-15)


def test_mlp(datasets):
    recorded = REFERENCE["mlp"]
    x, y = pt.matrix("x"), pt.ivector("y")
    classifier = mlp.MLP(np.random.RandomState(recorded["seed"]), x, 784, recorded["n_hidden"], 10)
    assert_params(classifier.params, recorded["initial_params"])
    penalty = recorded["L1_reg"] * classifier.L1 + recorded["L2_reg"] * classifier.L2_sqr
    cost = classifier.negative_log_likelihood(y) + penalty
    updates = logistic_sgd.sgd_updates(cost, classifier.params, recorded["learning_rate"])
    step = logistic_sgd.minibatch_function(cost, x, y, datasets[0], recorded["batch_size"], updates)
    assert_trajectory(step, recorded["costs"])
    assert_params(classifier.params, recorded["params"])
    valid_score = logistic_sgd.score_function(classifier.errors(y), x, y, datasets[1], recorded["batch_size"])
    np.testing.assert_allclose(np.mean(valid_score()), recorded["valid_error"], rtol=1e-15)


def test_dA(datasets):
    recorded = REFERENCE["dA"]
    rng = np.random.RandomState(recorded["seed"])
    theano_rng = pt.random.shared_rng(seed=rng.randint(2**30))
    da = dA.dA(rng, theano_rng, n_visible=784, n_hidden=recorded["n_hidden"])
    assert_params(da.params, recorded["initial_params"])
    cost, updates = da.get_cost_updates(recorded["corruption"], recorded["learning_rate"])
    index = pt.lscalar("index")
    givens = {da.x: logistic_sgd.minibatch(datasets[0][0], index, recorded["batch_size"])}
    step = pytensor.function([index], cost, updates=updates, givens=givens, mode=rewrites.mode())
    assert_trajectory(step, recorded["costs"])
    assert_params(da.params, recorded["params"])


def test_cA(datasets):
    recorded = FAMILY["cA"]
    batch_size = recorded["batch_size"]
    rng = np.random.RandomState(recorded["seed"])
    ca = cA.cA(rng, n_visible=784, n_hidden=recorded["n_hidden"], n_batchsize=batch_size)
    assert_params(ca.params, recorded["initial_params"])
    cost, updates = ca.get_cost_updates(recorded["contraction_level"], recorded["learning_rate"])
    index = pt.lscalar("index")
    givens = {ca.x: logistic_sgd.minibatch(datasets[0][0], index, batch_size)}
    figures = [pt.mean(ca.L_rec), ca.L_jacob, cost]
    step = pytensor.function([index], figures, updates=updates, givens=givens, mode=rewrites.mode())
    series = np.transpose([recorded[name] for name in ("reconstruction", "jacobian", "costs")])
    assert_trajectory(step, series)
    assert_params(ca.params, recorded["params"])


@pytest.mark.parametrize("entry", ["SdA", "SdA_minibatch"])
def test_SdA(datasets, entry):
    recorded = REFERENCE[entry]
    sda = SdA.SdA(np.random.RandomState(recorded["seed"]), hidden_layers_sizes=recorded["hidden_layers_sizes"])
    assert_params(sda.params, recorded["initial_params"])
    pretraining_fns = sda.pretraining_functions(datasets[0][0], recorded["batch_size"])
    for pretrain, costs in zip(pretraining_fns, recorded["pretrain_costs"], strict=True):
        assert_trajectory(lambda i: pretrain(i, corruption=recorded["corruption"], lr=recorded["pretrain_lr"]), costs)
    assert_params(sda.params, recorded["params_after_pretraining"])
    visible_biases = [layer.b_prime for layer in sda.dA_layers]
    assert_params(visible_biases, recorded["visible_biases_after_pretraining"])
    train_fn, valid_score, test_score = sda.build_finetune_functions(
        datasets, recorded["batch_size"], recorded["finetune_lr"]
    )
    assert_trajectory(train_fn, recorded["finetune_costs"])
    assert_params(sda.params, recorded["params_after_finetuning"])
    np.testing.assert_allclose(np.mean(valid_score()), recorded["valid_error"], rtol=1e-15)
    np.testing.assert_allclose(np.mean(test_score()), recorded["test_error"], rtol=1e-15)


def test_logistic_sgd_meets_the_published_figure_to_every_digit(tmp_path, capsys):
    with pytensor.config.change_flags(floatX="float32"):
        result = logistic_sgd.sgd_optimization_mnist(output_folder=tmp_path)
    printed = capsys.readouterr().out
    assert "best validation score of 7.500000 %" in printed
    assert "with test performance 7.489583 %" in printed
    assert "The code run for 74 epochs" in printed
    assert len(result.curve) == 74

    # predict() finds the model again: over all 10,000 test images, not over the 9,600 of full minibatches.
    test_error = logistic_sgd.predict(tmp_path / "model.npz")
    printed = capsys.readouterr().out
    assert f"test error {100 * test_error:f} % of 10000 images" in printed
    assert "test error 7.750000 %" in printed  # which README names beside the other
    assert abs(test_error - 0.07489583) <= 400 / 10000
    assert "[7, 2, 1, 0, 4, 1, 4, 9, 5, 9]" in printed  # the first ten labels of MNIST's test file
