"""Saved models: they come back as they were, or are refused in one line."""

from support.runs.models import NEEDED, SavedModel, save_model
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


SHAPES = (3, 4), (4,), (4, 2), (2,)


@pytest.fixture
def path(tmp_path):
    save_model(tmp_path / "model.npz", make_params(*SHAPES), ABOUT)
    return tmp_path / "model.npz"


def test_a_model_comes_back_as_it_was_saved(path):
    saved = SavedModel(path, "mlp")
    assert saved.about == ABOUT and saved.layer_sizes() == [3, 4, 2]
    params = [pytensor.shared(np.zeros(shape)) for shape in SHAPES]
    saved.restore(params)
    for param, original in zip(params, make_params(*SHAPES), strict=True):
        np.testing.assert_array_equal(param.get_value(), original.get_value())


def with_a_capital(data):
    """The bytes of a file whose description has a `lessoN`."""
    return data.replace("lesson".encode("utf-32-le"), "lessoN".encode("utf-32-le"))


@pytest.mark.parametrize(
    "spoil, told",
    [(lambda data: data[: len(data) // 2], NEEDED), (with_a_capital, NEEDED), (None, "cannot be read: No such file")],
)
def test_what_is_no_model_is_refused_in_one_line(path, spoil, told):
    path.write_bytes(spoil(path.read_bytes())) if spoil else path.unlink()
    with pytest.raises(UserError, match=told) as refusal:
        SavedModel(path, "mlp")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "about, told",
    [
        ({"lesson": None}, f"is damaged .*{NEEDED}"),
        ({"settings": []}, NEEDED),
        ({"dataset": {"name": "x"}}, NEEDED),
        ({"code": {"mlp": 1}}, NEEDED),
        ({"code": []}, NEEDED),
        ({"lesson": "SdA"}, "is a model of the lesson 'SdA', not of 'mlp'"),
    ],
)
def test_a_model_with_another_description_is_refused(about, told, tmp_path):
    save_model(tmp_path / "model.npz", make_params(*SHAPES), {**ABOUT, **about})
    with pytest.raises(UserError, match=told):
        SavedModel(tmp_path / "model.npz", "mlp")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    save_model(tmp_path / "model.npz", [pytensor.shared(np.array([1, np.nan]), name="W")], ABOUT)
    with pytest.raises(UserError, match="finite"):
        SavedModel(tmp_path / "model.npz", "mlp")


def test_a_data_set_and_a_network_of_other_shapes_are_refused(path, small_dataset):
    saved = SavedModel(path, "mlp")
    with pytest.raises(UserError, match="takes 3 inputs, but small.pkl has 49"):
        saved.load_examples(small_dataset)
    for refused in (lambda: saved.restore(make_params((3, 5), (5,), (5, 2), (2,)))), lambda: saved.layer_sizes(1):
        with pytest.raises(UserError, match=r"fits another network: its shapes are \[\(3, 4\), \(4,\), "):
            refused()


@pytest.mark.parametrize(
    "shapes", [[(3, 4), (4,), (5, 2), (2,)], [(3, 4), (3,)], [(3, 4)], [(), (4,)], [(3, 4), (4, 1)]]
)
def test_layers_that_do_not_fit_are_refused(shapes, tmp_path):
    save_model(tmp_path / "odd.npz", make_params(*shapes), ABOUT)
    for n_layers in None, 1:
        with pytest.raises(UserError, match="fits another network"):
            SavedModel(tmp_path / "odd.npz", "mlp").layer_sizes(n_layers)
