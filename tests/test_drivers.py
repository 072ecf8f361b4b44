"""Each driver hands on what it is given: its curve is that of the lesson's classes, called by hand.

No two arguments here have the same value, and none has its default.
"""

import pickle

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


@pytest.fixture
def common(dataset, tmp_path):
    """The arguments that all drivers are given."""
    return {"dataset": dataset, "batch_size": BATCH_SIZE, "output_folder": tmp_path}


def assert_finetuned(curve, classifier, functions, datasets, n_epochs=3):
    """The lines of a curve are those of training the classifier by hand."""
    predict = pytensor.function([classifier.input], classifier.y_pred)
    assert [line["epoch"] for line in curve] == list(range(1, n_epochs + 1)) and "test_error" in curve[0]
    for line in curve:
        cost = np.mean([functions[0](index) for index in range(60 // BATCH_SIZE)])
        valid, test = (np.mean(predict(x.get_value()) != y.get_value()) for x, y in datasets[1:])
        assert line["cost"] == pytest.approx(cost, rel=1e-12)
        assert (line["validation_error"], line.get("test_error", test)) == pytest.approx((valid, test))


@pytest.mark.parametrize("lesson", [logistic_sgd, mlp])
def test_a_classifier(lesson, common):
    datasets, x, y = load_data(common["dataset"]), pt.matrix("x"), pt.ivector("y")
    if lesson is mlp:
        result = mlp.test_mlp(learning_rate=0.3, L1_reg=0.02, L2_reg=0.07, n_epochs=3, n_hidden=6, seed=5, **common)
        model = mlp.MLP(np.random.RandomState(5), x, 49, 6, 10)
        cost, rate = model.negative_log_likelihood(y) + 0.02 * model.L1 + 0.07 * model.L2_sqr, 0.3
    else:
        result = logistic_sgd.sgd_optimization_mnist(learning_rate=0.7, n_epochs=3, **common)
        model = logistic_sgd.LogisticRegression(x, 49, 10)
        cost, rate = model.negative_log_likelihood(y), 0.7
    functions = supervised_functions(model, cost, model.errors(y), y, datasets, BATCH_SIZE, rate)
    assert_finetuned(result.curve, model, functions, datasets)


def test_dA(common):
    results = dA.test_dA(
        learning_rate=0.3, training_epochs=2, n_hidden=7, corruption_levels=[0.2, 0.6], seed=9, **common
    )
    for level, result in results.items():
        da = dA.dA(np.random.RandomState(9), n_visible=49, n_hidden=7)
        cost, updates = da.get_cost_updates(level, 0.3)
        train = minibatch_function(cost, {da.x: load_data(common["dataset"]).train_x}, BATCH_SIZE, updates)
        expected = [np.mean([train(index) for index in range(6)]) for _ in range(2)]
        assert [line["cost"] for line in result.curve] == pytest.approx(expected, rel=1e-12)
        np.testing.assert_array_equal(result.model.W.get_value(), da.W.get_value())
    assert list(results) == [0.2, 0.6]


@pytest.mark.parametrize("levels", [[0.2, 0.6], None])
def test_SdA(common, levels):
    result = SdA.test_SdA(
        finetune_lr=0.4, pretraining_epochs=2, pretrain_lr=0.03, training_epochs=3, hidden_layers_sizes=[6, 5],
        corruption_levels=levels, seed=11, **common,
    )  # fmt: skip
    datasets = load_data(common["dataset"])
    sda = SdA.SdA(np.random.RandomState(11), n_ins=49, hidden_layers_sizes=[6, 5], n_outs=10)
    pretrained = []
    for layer, pretrain in enumerate(sda.pretraining_functions(datasets.train_x, BATCH_SIZE)):
        level = (levels or [0.1, 0.2])[layer]
        pretrained += [np.mean([pretrain(index, level, 0.03) for index in range(6)]) for _ in range(2)]
    assert [line["cost"] for line in result.curve if "layer" in line] == pytest.approx(pretrained, rel=1e-12)
    functions = sda.build_finetune_functions(datasets, BATCH_SIZE, 0.4)
    assert_finetuned([line for line in result.curve if "layer" not in line], sda, functions, datasets)
    assert result.model.corruption_levels == (levels or [0.1, 0.2])


def test_pretraining_arguments_by_position_by_name_and_by_default(dataset):
    train_set_x = load_data(dataset).train_x

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


def test_levels_that_would_share_their_files_are_refused(dataset, tmp_path):
    with pytest.raises(UserError, match="corruption_levels must differ"):
        dA.test_dA(dataset=dataset, corruption_levels=[0.3, 0.3000000001], output_folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
