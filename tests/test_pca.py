import pca
from numpy_reference import linear_autoencoder_cost_and_gradient
from support.data import load_data
from support.runs.run import Run
from support.runs.stage import Stage

import numpy as np
import pytensor
import pytest
from scipy.linalg import subspace_angles

pytestmark = pytest.mark.usefixtures("interpreted", "float64", "no_pictures")


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(pca, "plot", lambda *_: None)


def test_cost_and_gradient_are_those_of_numpy():
    rng = np.random.RandomState(0)
    x, mean, W = rng.randn(20, 6), rng.randn(6), rng.randn(6, 3)
    autoencoder = pca.LinearAutoencoder(None, None, 6, 3, pytensor.shared(W), pytensor.shared(mean))
    cost, gradient = pytensor.function([autoencoder.x], autoencoder.get_cost_gradient())(x)
    expected_cost, expected_gradient = linear_autoencoder_cost_and_gradient(x, mean, W)
    np.testing.assert_allclose(cost, expected_cost, rtol=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12)


def test_eigenvectors_are_those_of_the_covariance_over_n():
    x = np.random.RandomState(0).randn(50, 5) * [3, 1, 4, 2, 5] + 10
    mean, eigenvalues, eigenvectors = pca.principal_components(x)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-14)
    covariance = np.cov(x.T, bias=True)
    np.testing.assert_allclose(eigenvectors * eigenvalues @ eigenvectors.T, covariance, rtol=1e-11, atol=1e-13)
    assert (np.diff(eigenvalues) < 0).all()


def train(small_dataset, folder, **named):
    return pca.test_pca(**{"n_hidden": 3, "max_iterations": 200, **named}, dataset=small_dataset, output_folder=folder)


def test_the_driver_reaches_pcas_plane_by_other_axes_and_says_so(small_dataset, tmp_path, capsys):
    result = train(small_dataset, tmp_path, seed=5)
    _, eigenvalues, eigenvectors = pca.principal_components(load_data(small_dataset)[0][0].get_value())
    assert result.figures["optimum"] == pytest.approx(eigenvalues[3:].sum(), rel=1e-13)
    assert result.figures["cost"] == pytest.approx(result.figures["optimum"], rel=1e-9)
    W, components = result.model.W.get_value(), eigenvectors[:, :3]
    angle = np.degrees(subspace_angles(W, components)).max()
    assert angle == pytest.approx(result.figures["largest_angle"]) and angle < 0.1
    np.testing.assert_allclose(W.T @ W, np.eye(3), atol=1e-4)
    assert np.abs(np.abs(W) - np.abs(components)).max() > 0.05
    costs = [line["cost"] for line in result.curve]
    assert [line["epoch"] for line in result.curve] == list(range(1, len(costs) + 1))
    assert sorted(costs, reverse=True) == costs and len(costs) < 200
    assert costs[-1] == result.figures["cost"]
    assert f"cost {costs[-1]:.11f}" in capsys.readouterr().out
    again = train(small_dataset, tmp_path, seed=5)
    assert again.figures == result.figures and len(again.curve) == len(costs)


def test_a_run_that_was_stopped_goes_on_from_its_last_weights(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "seconds_between_checkpoints", 0)
    keep, kept = Stage.keep, []

    def keep_and_fail(stage):
        keep(stage)
        kept.append(stage.run.curve[-1]["cost"] if stage.run.curve else None)
        if len(kept) == 9:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "keep", keep_and_fail)
        with pytest.raises(KeyboardInterrupt):
            train(small_dataset, tmp_path)
    result = train(small_dataset, tmp_path)
    costs = [line["cost"] for line in result.curve]
    assert costs[7] == kept[-1] and sorted(costs, reverse=True) == costs  # the eight that were whole are there
    assert costs[8] < costs[7]
    assert result.figures["cost"] == pytest.approx(result.figures["optimum"], rel=1e-9)


def test_more_hidden_units_than_inputs_are_refused(small_dataset, tmp_path):
    with pytest.raises(ValueError, match="n_hidden must be at most 49"):
        train(small_dataset, tmp_path, n_hidden=50)
