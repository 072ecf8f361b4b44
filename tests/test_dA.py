import json

import dA
import logistic_sgd
from graphs import interpreted_mode
from support.rewrites import TAG

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


def make_step(da, corruption_level=0.0, learning_rate=0.1, mode=None):
    cost, updates = da.get_cost_updates(corruption_level, learning_rate)
    return pytensor.function([da.x], cost, updates=updates, mode=mode)


def test_one_step_worked_out_by_hand(float64):
    # Two visible units, one hidden: x = (1, 0), W = (2 ln 3, 0)', b = -2 ln 3, b' = (0, 0), no corruption.
    #   y  = sigmoid(1 * 2 ln 3 - 2 ln 3) = sigmoid(0) = 1/2
    #   z  = (sigmoid(1/2 * 2 ln 3), sigmoid(0)) = (3/4, 1/2)
    #   L  = -ln(3/4) - ln(1 - 1/2) = ln(8/3)
    #   dL/d(input of z) = z - x = (-1/4, 1/2), which is also the gradient of b'
    #   dL/d(input of y) = (-1/4 * 2 ln 3 + 1/2 * 0) * y (1 - y) = -(ln 3)/8, which is also the gradient of b
    #   dL/dW = x' * (-(ln 3)/8) + (z - x)' * y = (-(ln 3)/8 - 1/8, 1/4)'
    ln3 = np.log(3)
    da = dA.dA(np.random.RandomState(0), n_visible=2, n_hidden=1)
    for param, value in zip(da.params, ([[2 * ln3], [0.0]], [-2 * ln3], [0.0, 0.0])):
        param.set_value(np.array(value))
    assert make_step(da, learning_rate=0.8)([[1.0, 0.0]]) == pytest.approx(np.log(8 / 3), rel=1e-15)
    W, b, b_prime = (param.get_value() for param in da.params)
    np.testing.assert_allclose(W, [[2 * ln3 + 0.1 * ln3 + 0.1], [-0.2]], rtol=1e-15)
    np.testing.assert_allclose(b, [-2 * ln3 + 0.1 * ln3], rtol=1e-15)
    np.testing.assert_allclose(b_prime, [0.2, -0.4], rtol=1e-15)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.3, 0.9])
def test_entries_are_kept_with_probability_one_minus_the_level(level):
    da = dA.dA(np.random.RandomState(0), n_visible=400, n_hidden=2)
    next_rng, corrupted = da.get_corrupted_input(da.x, level)
    corrupt = pytensor.function([da.x], corrupted, updates={da.theano_rng: next_rng})
    x = np.random.RandomState(1).uniform(0.5, 1, size=(50, 400)).astype(pytensor.config.floatX)
    first, second = corrupt(x), corrupt(x)
    for value in first, second:
        assert set(np.unique(value[value != x])) <= {0}
        kept = np.mean(value == x)
        deviation = np.sqrt(level * (1 - level) / x.size)  # of the mean of 20,000 independent draws
        assert abs(kept - (1 - level)) <= 4 * deviation
    assert level == 0 or (first != second).any()  # the generator's state went on


def test_the_compiled_cost_uses_softplus_and_stays_finite_where_the_sigmoid_saturates():
    da = dA.dA(np.random.RandomState(0), n_visible=2, n_hidden=1)
    step = make_step(da, mode=interpreted_mode().excluding(TAG))
    printed = pytensor.printing.debugprint(step, file="str").lower()
    assert "softplus" in printed and "log" not in printed
    da.W.set_value(np.zeros((2, 1), pytensor.config.floatX))
    da.b_prime.set_value(np.array([1000, -1000], pytensor.config.floatX))  # z = (1, 0), for x = (0, 1)
    assert step(np.array([[0, 1]], pytensor.config.floatX)) == 2000


def test_a_step_with_a_batch_of_one_is_rewritten_to_three_passes_over_the_weights():
    da = dA.dA(np.random.RandomState(0), n_visible=6, n_hidden=4)
    cost, updates = da.get_cost_updates(0.3, 0.1)
    data = pytensor.shared(np.ones((3, 6), pytensor.config.floatX))
    index = pt.lscalar("index")
    givens = {da.x: logistic_sgd.minibatch(data, index, 1)}
    step = pytensor.function([index], cost, updates=updates, givens=givens, mode=interpreted_mode())
    order = step.maker.fgraph.toposort()
    of_weights = [node for node in order if any(getattr(v.type, "shape", None) == (6, 4) for v in node.inputs)]
    passes = [type(node.op).__name__ for node in of_weights]
    assert passes == ["SparseProduct", "TiedDecoder", "RankUpdate"]


def test_the_driver_trains_each_level_and_draws_its_filters(small_dataset, tmp_path, capsys):
    results = dA.test_dA(training_epochs=3, dataset=small_dataset, batch_size=20, output_folder=tmp_path, n_hidden=20)
    printed = capsys.readouterr().out
    assert list(results) == [0.0, 0.3]
    for result in results.values():
        costs = [line["cost"] for line in result.curve]
        assert [line["epoch"] for line in result.curve] == [0, 1, 2]
        assert sorted(costs, reverse=True) == costs
        assert f"Training epoch 2, cost {costs[-1]:f}\n" in printed
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["corruption"] for line in lines] == [0.0] * 3 + [0.3] * 3
    assert {path.name for path in tmp_path.glob("filters*.png")} == {
        "filters_corruption_0.png",
        "filters_corruption_30.png",
        "filters.png",
    }
