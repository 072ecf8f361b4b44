"""Each driver hands on what it is given: its curve is that of the lesson's classes, called by hand.

No two arguments here have the same value, and none has its default.
"""

import json
import pickle
from fractions import Fraction

import dA
import logistic_sgd
import mlp
import SdA
from logistic_sgd import minibatch, minibatch_function, supervised_functions
from support.data import load_data
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted", "float64")
BATCH_SIZE = 10


@pytest.fixture(scope="module")
def dataset(small_dataset, tmp_path_factory):
    """60 / 20 / 30 examples; each set has labels of its own, so that none stands in for another without a sign."""
    with open(small_dataset, "rb") as file:
        sets = pickle.load(file)
    sets = [(x[:n], (y[:n] + place) % 10) for place, ((x, y), n) in enumerate(zip(sets, (60, 20, 30)))]
    path = tmp_path_factory.mktemp("data") / "smaller.pkl"
    path.write_bytes(pickle.dumps(tuple(sets)))
    return path


def fraction_wrong(classifier, dataset):
    """The fraction of a set that is misclassified; the set consists of full minibatches."""
    x, y = (shared.get_value() for shared in dataset)
    return np.mean(pytensor.function([classifier.input], classifier.y_pred)(x) != y)


def finetuned(classifier, functions, datasets, n_epochs):
    """The lines of the curve that training a classifier by hand gives, up to the test error."""
    lines = []
    for _ in range(n_epochs):
        costs = [functions[0](index) for index in range(60 // BATCH_SIZE)]
        valid, test = (fraction_wrong(classifier, each) for each in datasets[1:])
        lines.append((np.mean(costs), valid, test))
    return lines


def assert_curve(curve, expected, n_epochs):
    assert [line["epoch"] for line in curve] == list(range(1, n_epochs + 1))
    for line, (cost, valid, test) in zip(curve, expected, strict=True):
        assert line["cost"] == pytest.approx(cost, rel=1e-12) and line["validation_error"] == pytest.approx(valid)
        if "test_error" in line:  # each new best model's
            assert line["test_error"] == pytest.approx(test)
    assert "test_error" in curve[0]


def symbols():
    return pt.matrix("x"), pt.ivector("y")


def test_logistic_sgd(dataset, tmp_path):
    common = {"dataset": dataset, "batch_size": BATCH_SIZE, "output_folder": tmp_path}
    result = logistic_sgd.sgd_optimization_mnist(learning_rate=0.7, n_epochs=3, **common)
    datasets, (x, y) = load_data(dataset), symbols()
    model = logistic_sgd.LogisticRegression(x, 49, 10)
    cost = model.negative_log_likelihood(y)
    functions = supervised_functions(model, cost, model.errors(y), y, datasets, BATCH_SIZE, 0.7)
    assert_curve(result.curve, finetuned(model, functions, datasets, 3), 3)


def test_mlp(dataset, tmp_path):
    common = {"dataset": dataset, "batch_size": BATCH_SIZE, "output_folder": tmp_path}
    result = mlp.test_mlp(learning_rate=0.3, L1_reg=0.02, L2_reg=0.07, n_epochs=4, n_hidden=6, seed=5, **common)
    datasets, (x, y) = load_data(dataset), symbols()
    model = mlp.MLP(np.random.RandomState(5), x, 49, 6, 10)
    cost = model.negative_log_likelihood(y) + 0.02 * model.L1 + 0.07 * model.L2_sqr
    functions = supervised_functions(model, cost, model.errors(y), y, datasets, BATCH_SIZE, 0.3)
    assert_curve(result.curve, finetuned(model, functions, datasets, 4), 4)


def test_dA(dataset, tmp_path):
    common = {"dataset": dataset, "batch_size": BATCH_SIZE, "output_folder": tmp_path}
    results = dA.test_dA(
        learning_rate=0.3, training_epochs=2, n_hidden=7, corruption_levels=[0.2, 0.6], seed=9, **common
    )
    (train_set_x, _), *_ = load_data(dataset)
    for level in 0.2, 0.6:
        da = dA.dA(np.random.RandomState(9), n_visible=49, n_hidden=7)
        cost, updates = da.get_cost_updates(level, 0.3)
        train = minibatch_function(cost, {da.x: train_set_x}, BATCH_SIZE, updates)
        expected = [np.mean([train(index) for index in range(6)]) for _ in range(2)]
        assert [line["cost"] for line in results[level].curve] == pytest.approx(expected, rel=1e-12)
        np.testing.assert_array_equal(results[level].model.W.get_value(), da.W.get_value())


@pytest.mark.parametrize("levels", [[0.2, 0.6], None])
def test_SdA(dataset, tmp_path, levels):
    result = SdA.test_SdA(
        finetune_lr=0.4, pretraining_epochs=2, pretrain_lr=0.03, training_epochs=3, hidden_layers_sizes=[6, 5],
        corruption_levels=levels, seed=11, dataset=dataset, batch_size=BATCH_SIZE, output_folder=tmp_path,
    )  # fmt: skip
    datasets = load_data(dataset)
    sda = SdA.SdA(np.random.RandomState(11), n_ins=49, hidden_layers_sizes=[6, 5], n_outs=10)
    pretrained = []
    for layer, pretrain in enumerate(sda.pretraining_functions(datasets[0][0], BATCH_SIZE)):
        level = (levels or [0.1, 0.2])[layer]
        pretrained += [np.mean([pretrain(index, level, 0.03) for index in range(6)]) for _ in range(2)]
    assert [line["cost"] for line in result.curve if "layer" in line] == pytest.approx(pretrained, rel=1e-12)
    functions = sda.build_finetune_functions(datasets, BATCH_SIZE, 0.4)
    lines = [line for line in result.curve if "layer" not in line]
    assert_curve(lines, finetuned(sda, functions, datasets, 3), 3)
    assert result.model.corruption_levels == (levels or [0.1, 0.2])


def test_pretraining_arguments_by_position_by_name_and_by_default(dataset):
    (train_set_x, _), *_ = load_data(dataset)

    def cost_and_weights(*arguments, **named):
        sda = SdA.SdA(np.random.RandomState(1), n_ins=49, hidden_layers_sizes=[6], n_outs=10)
        (pretrain,) = sda.pretraining_functions(train_set_x, BATCH_SIZE)
        return float(pretrain(*arguments, **named)), sda.params[0].get_value().tolist()

    sda = SdA.SdA(np.random.RandomState(1), n_ins=49, hidden_layers_sizes=[6], n_outs=10)
    cost, updates = sda.dA_layers[0].get_cost_updates(corruption_level=0.3, learning_rate=0.01)
    train = pytensor.function([], cost, updates=updates, givens={sda.x: minibatch(train_set_x, 2, BATCH_SIZE)})
    expected = float(train()), sda.params[0].get_value().tolist()
    assert cost_and_weights(2, 0.3, 0.01) == cost_and_weights(index=2, corruption=0.3, lr=0.01) == expected
    assert cost_and_weights(2) == cost_and_weights(2, lr=0.1, corruption=0.2)
    assert cost_and_weights(2) != cost_and_weights(2, 0.3) != cost_and_weights(2, 0.3, 0.01)


def test_a_notebooks_numbers_train_as_plain_ones_do(dataset, tmp_path):
    plain = {"learning_rate": 0.5, "L1_reg": 0.0, "L2_reg": 0.25, "n_epochs": 1, "batch_size": 10, "n_hidden": 5}
    types = np.float64, int, Fraction, np.int64, np.int32, np.int16
    numbers = {name: kind(value) for (name, value), kind in zip(plain.items(), types, strict=True)}
    (one,), (other,) = (
        mlp.test_mlp(dataset=dataset, output_folder=tmp_path / str(place), **arguments).curve
        for place, arguments in enumerate((plain, numbers))
    )
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    settings = [json.loads((tmp_path / place / "settings.json").read_text())["settings"] for place in "01"]
    assert settings[0] == settings[1]


@pytest.mark.parametrize("levels", [[0.3, 0.3], [0.3, 0.3000000001]])
def test_levels_that_would_share_their_files_are_refused(dataset, tmp_path, levels):
    with pytest.raises(UserError, match="corruption_levels must differ"):
        dA.test_dA(dataset=dataset, corruption_levels=levels, output_folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
