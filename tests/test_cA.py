import json

import cA
import logistic_sgd
from graphs import interpreted_mode, nodes
from support.data import load_data
from support.rewrites.updates import RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


def make_step(ca, contraction_level=0.1, learning_rate=0.1):
    cost, updates = ca.get_cost_updates(contraction_level, learning_rate)
    return pytensor.function([ca.x], [cost, ca.L_rec, ca.L_jacob], updates=updates)


def test_the_jacobian_is_that_of_the_hidden_units(float64):
    rng = np.random.RandomState(0)
    ca = cA.cA(rng, n_visible=5, n_hidden=3)
    x = pt.dmatrix("x")
    hidden = ca.get_hidden_values(x)
    J = ca.get_jacobian(hidden, ca.W)
    one = pt.dvector("one")
    derivatives = pt.jacobian(ca.get_hidden_values(one[None, :])[0], one).T  # (n_visible, n_hidden)
    examples = rng.uniform(size=(4, 5))
    actual = pytensor.function([x], J)(examples)
    assert actual.shape == (4, 5, 3)
    for value, example in zip(actual, examples):
        np.testing.assert_allclose(value, pytensor.function([one], derivatives)(example), rtol=1e-13)


def test_the_compiled_step_makes_no_tensor_of_the_jacobians_size():
    ca = cA.cA(np.random.RandomState(0), n_visible=6, n_hidden=4)
    cost, updates = ca.get_cost_updates(0.1, 0.1)
    data = pytensor.shared(np.ones((6, 6), pytensor.config.floatX))
    index = pt.lscalar("index")
    givens = {ca.x: logistic_sgd.minibatch(data, index, 3)}
    step = pytensor.function(
        [index], [ca.L_rec.mean(), ca.L_jacob], updates=updates, givens=givens, mode=interpreted_mode()
    )
    assert len(nodes(step, RankUpdate)) == 1
    for node in step.maker.fgraph.toposort():
        shapes = [variable.type.broadcastable for variable in node.inputs if hasattr(variable.type, "broadcastable")]
        # Operands that together have three long axes would be multiplied to a tensor of that shape, if only in a loop.
        long_axes = [axes for axes in zip(*(shape for shape in shapes if len(shape) == 3)) if not all(axes)]
        assert len(long_axes) < 3, node


def test_the_driver_hands_on_what_it_is_given(small_dataset, tmp_path, capsys, float64, monkeypatch):
    monkeypatch.setattr(cA, "plot", lambda *_: None)
    results = cA.test_cA(0.02, 2, small_dataset, 20, tmp_path, 0.3, 7, 5)
    train_x = load_data(small_dataset)[0][0].get_value()
    printed = capsys.readouterr().out
    assert list(results) == [0.3, 0.0]
    for level, result in results.items():
        ca = cA.cA(np.random.RandomState(5), n_visible=49, n_hidden=7)
        step = make_step(ca, level, 0.02)
        for number, line in enumerate(result.curve):
            costs, L_rec, L_jacob = map(np.array, zip(*(step(train_x[i : i + 20]) for i in range(0, 300, 20))))
            expected = {"epoch": number, "cost": costs.mean(), "reconstruction": L_rec.mean()}
            expected["jacobian_norm"] = np.sqrt(L_jacob).mean()
            assert {name: line[name] for name in expected} == pytest.approx(expected, rel=1e-11)
            figures = f"reconstruction cost {L_rec.mean():f} jacobian norm {np.sqrt(L_jacob).mean():f}"
            assert f"Training epoch {number}, {figures}\n" in printed
        np.testing.assert_allclose(result.model.W.get_value(), ca.W.get_value(), rtol=1e-9)


def test_without_the_penalty_there_is_one_autoencoder_and_its_figures(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(cA, "plot", lambda *_: None)
    results = cA.test_cA(0.02, 1, small_dataset, 20, tmp_path, 0.0, 7)
    figures = json.loads((tmp_path / "result.json").read_text())
    assert list(results) == [0.0] and figures["reconstruction"] == results[0.0].curve[-1]["reconstruction"]


@pytest.mark.parametrize("n_visible, n_hidden", [(6, 4), (3, 5)])
def test_singular_values_are_those_of_the_jacobians(n_visible, n_hidden):
    rng = np.random.RandomState(0)
    W, hidden = rng.randn(n_visible, n_hidden), rng.uniform(size=(7, n_hidden))
    expected = np.mean([np.linalg.svd(W * (h * (1 - h)), compute_uv=False) for h in hidden], axis=0)
    np.testing.assert_allclose(cA.singular_values(W, hidden), expected, rtol=1e-7)
