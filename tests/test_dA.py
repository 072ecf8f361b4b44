import dA
import logistic_sgd
from graphs import interpreted_mode
from support.rewrites import TAG

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


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
    cost, updates = da.get_cost_updates(0.0, 0.1)
    step = pytensor.function([da.x], cost, updates=updates, mode=interpreted_mode().excluding(TAG))
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


def test_costs_fall_at_each_level_and_each_has_its_filters(small_dataset, tmp_path, capsys):
    results = dA.test_dA(training_epochs=3, dataset=small_dataset, batch_size=20, output_folder=tmp_path, n_hidden=20)
    printed = capsys.readouterr().out
    assert list(results) == [0.0, 0.3]
    for level, result in results.items():
        costs = [line["cost"] for line in result.curve]
        assert [(line["epoch"], line["corruption"]) for line in result.curve] == [(epoch, level) for epoch in range(3)]
        assert sorted(costs, reverse=True) == costs
        assert f"Training epoch 2, cost {costs[-1]:f}\n" in printed
        assert (tmp_path / f"filters_corruption_{100 * level:.0f}.png").exists()
