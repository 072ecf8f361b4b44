"""Saved models: they come back as they were, or are refused in one line."""

from support.runs.models import SavedModel, save_model
from support.start import UserError

import numpy as np
import pytensor
import pytest

ABOUT = {
    "lesson": "mlp",
    "dataset": {"name": "MNIST", "sha256": "0"},
    "settings": {"dataset": "mnist"},
    "floatX": "float64",
}


def make_params(*shapes):
    rng = np.random.RandomState(0)
    return [pytensor.shared(rng.randn(*shape), name="Wb"[i % 2]) for i, shape in enumerate(shapes)]


@pytest.fixture
def path(tmp_path):
    save_model(tmp_path / "model.npz", make_params((3, 4), (4,), (4, 2), (2,)), ABOUT)
    return tmp_path / "model.npz"


def test_a_model_comes_back_as_it_was_saved(path):
    saved = SavedModel(path, "mlp")
    assert saved.about == ABOUT and saved.dataset == "mnist"
    assert saved.layer_sizes() == [3, 4, 2]
    params = [pytensor.shared(np.zeros_like(p.get_value())) for p in make_params((3, 4), (4,), (4, 2), (2,))]
    saved.restore(params)
    for param, original in zip(params, make_params((3, 4), (4,), (4, 2), (2,)), strict=True):
        np.testing.assert_array_equal(param.get_value(), original.get_value())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"no zip file at all",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace("lesson".encode("utf-32-le"), "lessoN".encode("utf-32-le")),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(path, spoil):
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match="needed is a model saved by this project") as refusal:
        SavedModel(path, "mlp")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "about", [{"lesson": None}, {"settings": []}, {"dataset": {"name": "x"}}, {"code": {"mlp": 1}}, {"code": 1}]
)
def test_a_model_with_a_wrong_description_is_refused(about, tmp_path):
    save_model(tmp_path / "model.npz", make_params((3, 4), (4,)), {**ABOUT, **about})
    with pytest.raises(UserError, match="is damaged .*needed is a model"):
        SavedModel(tmp_path / "model.npz", "mlp")


def test_a_pickle_in_a_model_is_not_run(tmp_path):
    np.savez(tmp_path / "model.npz", about=np.array({"lesson": "mlp"}, dtype=object))
    with pytest.raises(UserError, match="is damaged .*needed is a model"):
        SavedModel(tmp_path / "model.npz", "mlp")


def test_a_missing_model_and_another_lessons_are_refused(path, tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        SavedModel(tmp_path / "another.npz", "mlp")
    with pytest.raises(UserError, match="is a model of the lesson 'mlp', not of 'SdA'"):
        SavedModel(path, "SdA")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    save_model(tmp_path / "model.npz", [pytensor.shared(np.array([1, np.nan]), name="W")], ABOUT)
    with pytest.raises(UserError, match="finite"):
        SavedModel(tmp_path / "model.npz", "mlp")


def test_a_data_set_and_a_network_of_other_shapes_are_refused(path, tmp_path, small_dataset):
    with pytest.raises(UserError, match="takes 3 inputs, but small.pkl has 49"):
        SavedModel(path, "mlp").load_data(small_dataset)
    with pytest.raises(UserError, match="fits another network"):
        SavedModel(path, "mlp").restore(make_params((3, 5), (5,), (5, 2), (2,)))
    with pytest.raises(UserError, match="fits another network"):
        SavedModel(path, "mlp").layer_sizes(n_layers=1)
    for shapes in [(3, 4), (4,), (5, 2), (2,)], [(3, 4), (3,)], [(3, 4)]:
        save_model(tmp_path / "odd.npz", make_params(*shapes), ABOUT)
        with pytest.raises(UserError, match="fits another network"):
            SavedModel(tmp_path / "odd.npz", "mlp").layer_sizes()
