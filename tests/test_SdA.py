import io
import json
import shutil
import signal
from contextlib import redirect_stderr, redirect_stdout

import SdA
from graphs import interpreting
from numpy_reference import autoencoder_cost_and_gradients, classifier_cost_and_gradients, sigmoid
from support import runs
from support.data import load_data
from support.runs.interruption import Interrupted
from support.runs.models import save_model
from support.runs.stage import Stage

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


def small_sda(seed=3, **changes):
    return SdA.SdA(np.random.RandomState(seed), **{"n_ins": 49, "hidden_layers_sizes": [6, 5], "n_outs": 10, **changes})


def test_autoencoders_share_their_parameters_with_the_sigmoid_layers():
    sda = small_sda()
    for sigmoid_layer, dA_layer in zip(sda.sigmoid_layers, sda.dA_layers, strict=True):
        assert dA_layer.W is sigmoid_layer.W and dA_layer.b is sigmoid_layer.b
    expected = [*sda.sigmoid_layers[0].params, *sda.sigmoid_layers[1].params, *sda.logLayer.params]
    assert sda.params == expected  # without the visible biases
    assert [param.get_value().shape for param in sda.params] == [(49, 6), (6,), (6, 5), (5,), (5, 10), (10,)]
    assert sda.n_layers == 2 and sda.corruption_levels == [0.1, 0.1]
    with pytest.raises(ValueError, match="at least one"):
        small_sda(hidden_layers_sizes=[])


def test_the_generators_of_the_layers_are_derived_from_one_seed_and_differ():
    seed = np.random.RandomState(3).randint(2**30)
    sda, given = small_sda(seed=3), small_sda(seed=3, theano_rng=pt.random.shared_rng(seed=seed))
    states = [[layer.theano_rng.get_value().bit_generator.state for layer in model.dA_layers] for model in (sda, given)]
    assert states[0] == states[1] and states[0][0] != states[0][1]


def test_pretraining_a_layer_rebuilds_the_clean_output_below_and_changes_that_layer_alone(small_dataset, float64):
    data, sda = load_data(small_dataset)[0][0], small_sda()
    params = sda.params + [layer.b_prime for layer in sda.dA_layers]
    before = [param.get_value() for param in params]
    h = sigmoid(data.get_value()[:10] @ before[0] + before[1])
    expected, _ = autoencoder_cost_and_gradients(h, h, *before[2:4], np.zeros(6))
    cost = sda.pretraining_functions(data, batch_size=10)[1](0, corruption=0.0)
    np.testing.assert_allclose(cost, expected, rtol=1e-13)
    changed = [(param.get_value() != value).any() for param, value in zip(params, before)]
    assert changed == [False, False, True, True, False, False, False, True]


def test_finetuning_is_gradient_descent_through_the_whole_stack(small_dataset, float64):
    datasets, sda, rng = load_data(small_dataset), small_sda(), np.random.RandomState(0)
    for param in sda.params:
        param.set_value(rng.randn(*param.get_value().shape))
    before = [param.get_value() for param in sda.params]
    train_fn, valid_score, test_score = sda.build_finetune_functions(datasets, batch_size=20, learning_rate=0.5)
    cost = train_fn(2)
    x, y = (data.get_value()[40:60] for data in datasets[0])
    expected_cost, gradients = classifier_cost_and_gradients(x, y, before, sigmoid, lambda h: h * (1 - h))
    np.testing.assert_allclose(cost, expected_cost, rtol=1e-13)
    for param, value, gradient in zip(sda.params, before, gradients, strict=True):
        np.testing.assert_allclose(value - param.get_value(), 0.5 * gradient, rtol=1e-9, atol=1e-14)

    for score, (x, y) in ((valid_score, datasets[1]), (test_score, datasets[2])):
        errors = score()
        assert type(errors) is list and len(errors) == 5
        h = x.get_value()
        for W, b in zip(sda.params[:4:2], sda.params[1:4:2]):
            h = sigmoid(h @ W.get_value() + b.get_value())
        predicted = (h @ sda.params[4].get_value() + sda.params[5].get_value()).argmax(axis=1)
        np.testing.assert_allclose(np.mean(errors), np.mean(predicted != y.get_value()), rtol=1e-13)


def arrays_of(path):
    with np.load(path) as saved:
        return {name: saved[name] for name in saved.files if name != "about"}


def assert_same_arrays(one, other, *names):
    for name in names:
        before, after = arrays_of(one / name), arrays_of(other / name)
        assert list(before) == list(after)
        for array in before:
            np.testing.assert_array_equal(after[array], before[array])


def run_driver(small_dataset, folder, **changes):
    settings = {"pretraining_epochs": 2, "training_epochs": 3, "batch_size": 20, "hidden_layers_sizes": [6, 5]}
    return SdA.test_SdA(dataset=small_dataset, output_folder=folder, **{**settings, **changes})


@pytest.fixture(scope="module")
def full(small_dataset, tmp_path_factory):
    """A run of 2 epochs of pre-training, 3 of fine-tuning, layers of 6 and 5 units: its folder, result, and lines."""
    folder, out, error = tmp_path_factory.mktemp("full"), io.StringIO(), io.StringIO()
    with interpreting(), redirect_stdout(out), redirect_stderr(error):
        result = run_driver(small_dataset, folder)
    return folder, result, (out.getvalue(), error.getvalue())


def test_the_driver_pretrains_each_layer_then_finetunes_and_keeps_the_best(full):
    folder, result, (printed, error) = full
    assert [line for line in printed.splitlines() if line.startswith("...")] == [
        "... loading data",
        "... building the model",
        "... getting the pretraining functions",
        "... pre-training the model",
        "... getting the finetuning functions",
        "... finetunning the model",
    ]
    places = [(line.get("layer"), line["epoch"]) for line in result.curve]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (None, 1), (None, 2), (None, 3)]
    assert f"Pre-training layer 1, epoch 1, cost {result.curve[3]['cost']:f}\n" in printed
    assert "The pretraining code for file SdA.py ran for 0." in error
    assert "The training code for file SdA.py ran for 0." in error

    # The saved model gives the printed test error again: all 100 test images are in full minibatches of 20.
    assert SdA.predict(folder / "model.npz") == pytest.approx(result.test_error)
    assert (folder / "filters_layer_0.png").exists()
    for value, param in zip(arrays_of(folder / "model.npz").values(), result.model.params, strict=True):
        np.testing.assert_array_equal(value, param.get_value())


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(SdA, "plot", lambda *_: None)


def test_two_equal_runs_are_equal_in_every_bit(full, small_dataset, tmp_path, no_pictures):
    run_driver(small_dataset, tmp_path)
    assert_same_arrays(full[0], tmp_path, "model.npz", "pretrained.npz")


def test_without_pretraining_the_run_starts_at_the_finetuning(small_dataset, tmp_path, no_pictures):
    result = run_driver(small_dataset, tmp_path, pretraining_epochs=0)
    assert [line["epoch"] for line in result.curve] == [1, 2, 3]
    assert not (tmp_path / "pretrained.npz").exists()


@pytest.mark.parametrize(
    "rate, place, kept",
    [
        ("pretrain_lr", r"layer 0, epoch 0, minibatch \d+/15", False),
        ("finetune_lr", r"epoch 1, minibatch \d+/15", True),
    ],
)
def test_a_cost_that_is_not_finite_ends_the_run_and_keeps_the_last_good_model(
    small_dataset, tmp_path, rate, place, kept
):
    with pytest.raises(ValueError, match=f"cost became (nan|inf) in {place}"):
        run_driver(small_dataset, tmp_path, pretraining_epochs=1, **{rate: 1e38})
    assert not (tmp_path / "model.npz").exists()
    assert (tmp_path / "pretrained.npz").exists() == kept
    if kept:
        assert all(np.isfinite(array).all() for array in arrays_of(tmp_path / "pretrained.npz").values())


def test_corruption_levels_number_the_layers_and_the_default_ones_are_cut_or_continued():
    assert SdA.fit_corruption_levels(None, 1) == [0.1] and SdA.fit_corruption_levels([0.5], 1) == [0.5]
    assert SdA.fit_corruption_levels(None, 5) == [0.1, 0.2, 0.3, 0.3, 0.3]
    for levels in [0.1], [0.1, 0.2, 0.3]:
        with pytest.raises(ValueError, match="must number the 2 hidden layers"):
            SdA.fit_corruption_levels(levels, 2)


def finetuning(curve):
    return [{**line, "seconds": None} for line in curve if "layer" not in line]


def test_finetuning_a_pretrained_stack_repeats_the_full_run_bit_by_bit(
    full, small_dataset, tmp_path, monkeypatch, no_pictures
):
    folder, result, _ = full
    stack = tmp_path / "stack.npz"
    shutil.copy(folder / "pretrained.npz", stack)

    def finetune():
        return run_driver(small_dataset, tmp_path / "run", pretrained=stack, seed=1, hidden_layers_sizes=None)

    keep = Stage.keep

    def interrupt(stage, **figures):
        signal.raise_signal(signal.SIGINT)  # as Ctrl-C does
        keep(stage, **figures)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Stage, "keep", interrupt)
        finetune()
    again = finetune()
    assert finetuning(again.curve) == finetuning(result.curve) and len(again.curve) == 3
    assert_same_arrays(folder, tmp_path / "run", "model.npz", "pretrained.npz")
    # W and b of two layers and of the classifier, which is as it was made, then the visible biases, which are not.
    kept = arrays_of(folder / "pretrained.npz")
    assert [array.shape for array in kept.values()] == [(49, 6), (6,), (6, 5), (5,), (5, 10), (10,), (49,), (6,)]
    assert [bool(array.any()) for array in kept.values()] == [True] * 4 + [False] * 2 + [True] * 2
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert settings["hidden_layers_sizes"] == [6, 5] and settings["pretraining_epochs"] == 0

    with np.load(stack) as file:
        about = json.loads(str(file["about"]))
    save_model(stack, [pytensor.shared(value + 1, name="W") for value in kept.values()], about)
    with pytest.raises(ValueError, match="holds a run with pretrained_sha256 = .*, not .*: --fresh"):
        finetune()


def test_what_is_no_pretrained_stack_or_does_not_fit_is_refused(full, small_dataset, tmp_path, monkeypatch):
    datasets, pretrained = load_data(small_dataset), full[0] / "pretrained.npz"

    def refusal(path=pretrained, sizes=None):
        with pytest.raises(ValueError) as refused:
            run_driver(small_dataset, tmp_path / "run", pretrained=path, hidden_layers_sizes=sizes)
        assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()
        return str(refused.value)

    assert "hidden layers of [6, 5] units, not [6, 4]: leave hidden_layers_sizes" in refusal(sizes=[6, 4])
    assert "is not a stack at the end of its pre-training: give a run's" in refusal(pretrained.with_name("model.npz"))
    assert "missing.npz cannot be read" in refusal(tmp_path / "missing.npz")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(pretrained.read_bytes()[:-9])
    assert "needed is a model saved by this project" in refusal(damaged)
    with pytest.raises(ValueError, match="fits another network"):
        SdA.predict(pretrained)

    monkeypatch.setattr(runs, "load_data", lambda dataset: datasets)
    datasets.n_out = 11
    assert "tells 10 classes apart, but small.pkl has 11" in refusal()
    datasets.n_in = 64
    assert "takes 49 inputs, but small.pkl has 64" in refusal()
