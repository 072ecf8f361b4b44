import json

import sA
from support.data import load_data

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


def make_step(sa, sparsity_target=0.1, sparsity_weight=1.0, learning_rate=0.1):
    cost, updates = sa.get_cost_updates(sparsity_target, sparsity_weight, learning_rate)
    return pytensor.function([sa.x], [cost, sa.sparsity_penalty, sa.mean_activation], updates=updates)


def test_the_divergence_is_zero_at_the_target_and_positive_elsewhere(float64):
    activation = np.array([0.01, 0.09, 0.1, 0.11, 0.5, 0.99])
    divergence = sA.kl_of_coins(0.1, pt.constant(activation)).eval()
    assert divergence[2] == pytest.approx(0, abs=1e-16)
    assert (np.delete(divergence, 2) > 0).all()
    # The mean logarithm by which a toss of the first coin is likelier for it than for the second.
    tosses = np.random.RandomState(0).uniform(size=10**6) < 0.1
    ratios = np.where(tosses, np.log(0.1 / 0.5), np.log(0.9 / 0.5))
    assert abs(ratios.mean() - divergence[4]) < 4 * ratios.std() / 1000


def test_the_penalty_moves_the_mean_activation_to_the_target():
    rng = np.random.RandomState(1)
    x = rng.uniform(size=(50, 6)).astype(pytensor.config.floatX)
    sa = sA.sA(np.random.RandomState(0), n_visible=6, n_hidden=4)
    step = make_step(sa, 0.1, 30.0, 0.01)
    _, _, before = step(x)
    for _ in range(500):
        _, _, after = step(x)
    assert np.abs(before - 0.1).min() > 0.1 and np.abs(after - 0.1).max() < 0.02


def test_the_driver_hands_on_what_it_is_given(small_dataset, tmp_path, capsys, float64, monkeypatch):
    monkeypatch.setattr(sA, "plot", lambda *_: None)
    results = sA.test_sA(0.3, 2, small_dataset, 10, tmp_path, 7, 0.2, 3.0, 5)
    printed = capsys.readouterr().out
    train_x, valid_x, test_x = (x.get_value() for x, _ in load_data(small_dataset))
    assert list(results) == [3.0, 0.0]
    for weight, result in results.items():
        sa = sA.sA(np.random.RandomState(5), n_visible=49, n_hidden=7)
        step = make_step(sa, 0.2, weight, 0.3)
        activations_of = pytensor.function([sa.x], sa.get_hidden_values(sa.x).mean(axis=0))
        for number, line in enumerate(result.curve):
            costs, penalties, _ = zip(*(step(train_x[i : i + 10]) for i in range(0, 300, 10)))
            if number == 0:
                first = f"first cost {costs[0]:f}, of which reconstruction {costs[0] - weight * penalties[0]:f}"
                assert f"{first}, by chance {49 * np.log(2):f}\n" in printed
            activations = activations_of(valid_x)
            expected = {"cost": np.mean(costs), "penalty": np.mean(penalties)}
            expected |= {"mean_activation": activations.mean(), "highest_activation": activations.max()}
            assert {name: line[name] for name in expected} == pytest.approx(expected, rel=1e-11)
        np.testing.assert_allclose(result.model.W.get_value(), sa.W.get_value(), rtol=1e-9)
        found, activations = json.loads((tmp_path / "result.json").read_text()), activations_of(test_x)
        expected = {"mean_activation_without_penalty": activations.mean()}
        if weight:
            distance = np.abs(activations - 0.2).mean()
            expected = {"lowest_activation": activations.min(), "distance_from_target": distance}
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1])
def test_a_target_that_no_coin_has_is_refused(target, tmp_path):
    with pytest.raises(ValueError, match=r"sparsity_target must be a number in \(0, 1\)"):
        sA.test_sA(sparsity_target=target, output_folder=tmp_path)
