"""One's own data, as an .npz file of x, y and split."""

import dA
import logistic_sgd
import SdA
from support.command import command
from support.data import checksum, load_data
from support.runs.models import save_model
from support.start import UserError

import numpy as np
import pytensor
import pytest
from PIL import Image

N, HEIGHT, WIDTH = 70, 6, 4


# Bytes of noise with a bright upper or lower half, class 0 or 1, sorted by class.
Y = np.arange(N) * 2 // N
X = np.random.RandomState(0).randint(128, size=(N, HEIGHT, WIDTH)).astype(np.uint8)
X[Y == 0, :3] += 128
X[Y == 1, 3:] += 128


def save(path, x=X, y=Y, **others):
    np.savez(path, x=x, y=y, **others)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my.npz"


def values(datasets):
    return [tuple(shared.get_value() for shared in pair) for pair in datasets]


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_the_split_is_three_counts_in_the_files_order(path, writer):
    writer(path, x=X, y=Y, split=[40, 20, 10])
    datasets = load_data(path)
    assert (datasets.name, datasets.n_in, datasets.n_out, datasets.image_shape) == ("my.npz", 24, 2, (HEIGHT, WIDTH))
    wanted = [(X[:40], Y[:40]), (X[40:60], Y[40:60]), (X[60:], Y[60:])]
    for (found_x, found_y), (wanted_x, wanted_y) in zip(values(datasets), wanted, strict=True):
        np.testing.assert_array_equal(found_x, (wanted_x.reshape(-1, 24) / 256).astype(pytensor.config.floatX))
        np.testing.assert_array_equal(found_y, wanted_y)
    assert datasets.sha256 == checksum([(x.reshape(-1, 24), y) for x, y in wanted])
    assert "in their order: 40 + 20 + 10 to train" in datasets.source and datasets.source.isprintable()


def test_without_a_split_they_are_shuffled_the_same_way_each_time(path):
    """A file sorted by class, as many are, would otherwise be tested on one class alone."""
    x = np.arange(N * 2.0).reshape(N, 2) / 1000
    y = np.arange(N) // 7
    first, again = load_data(save(path, x, y)), load_data(path)
    assert first.sha256 == again.sha256
    assert "shuffled and split 5 : 1 : 1: 50 + 10 + 10 to train" in first.source
    assert [len(y) for _, y in values(first)] == [50, 10, 10]
    rows = np.concatenate([np.column_stack(pair) for pair in values(first)])
    np.testing.assert_allclose(rows[rows[:, 0].argsort()], np.column_stack([x, y]), rtol=1e-6)  # each just once
    assert len(set(values(first)[2][1])) > 3
    # The order is that of NumPy's frozen RandomState, of which this is the beginning: the same on every machine.
    np.testing.assert_allclose(rows[:5, 0] * 500, np.random.RandomState(0).permutation(N)[:5], rtol=1e-6)


def test_24_values_that_fill_no_square_are_drawn_as_a_row(path):
    assert load_data(save(path, X.reshape(N, -1))).image_shape == (1, 24)


NOTES = {
    "gaps": (X, 2 + 2 * Y, None, "note: no example has the label 0, 1, 3\n"),
    "one class": (X, 0 * Y, None, "note: every example has the label 0: there is nothing to tell apart\n"),
    "training": (
        X, np.r_[np.arange(50) % 2, np.arange(20) % 3], [50, 10, 10],
        "note: the training set has no example of the label 2\n",
    ),
    "test": (
        X, np.r_[np.arange(60) % 30, np.arange(10)], [30, 30, 10],
        "note: the test set has no example of the label 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ...\n",
    ),
    "pixels": (
        X * 1.0, Y, None,
        "note: x goes from 0 to 255, but learning rates suit values from 0 to 1: save x.astype(np.uint8) instead\n",
    ),
    "range": (
        X * 16.0 - 9, Y, None,
        "note: x goes from -9 to 4071, but learning rates suit values from 0 to 1: "
        "save (x - x.min()) / (x.max() - x.min()) instead\n",
    ),
    "standardised": ((X - 128) / 64, Y, None, ""),
    "bytes": (X, Y, None, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOTES)
def test_unusual_classes_and_values_are_noted(path, capsys, kind):
    x, y, split, note = NOTES[kind]
    load_data(save(path, x, y, **({} if split is None else {"split": split})))
    assert capsys.readouterr().out == note


@pytest.mark.parametrize("axis", [1, 3])
def test_a_single_channel_is_taken_away(path, axis):
    """As PyTorch, (n, 1, height, width), and Keras, (n, height, width, 1), lay out grey pictures."""
    plain, channel = load_data(save(path)), load_data(save(path, np.expand_dims(X, axis)))
    assert channel.sha256 == plain.sha256 and channel.image_shape == plain.image_shape == (HEIGHT, WIDTH)


FLOATS, UNIQUE = "needed are floats, or uint8, which is divided by 256, such as from ", "np.unique(y, return_inverse=Tr"
WHOLE = "needed are whole numbers, such as from "
WRONG = {  # what is saved instead of X and Y, and what the refusal says
    "colour": (dict(x=np.zeros((N, 6, 4, 3), "u1")), "x of shape (70, 6, 4, 3); .*: x.mean(axis=3).astype(x.dtype)"),
    "colour first": (dict(x=np.zeros((N, 3, 6, 5), "u1")), "x of shape (70, 3, 6, 5); .*: x.mean(axis=1)"),
    "channels": (dict(x=np.zeros((N, 2, 6, 5), "u1")), "x of shape (70, 2, 6, 5); .*: x.reshape(len(x), -1)"),
    "no y": (dict(y=None), "it has no y, the labels; needed is an .npz file of x"),
    "other names": (dict(labels=Y), "it holds x, y, labels; needed is an .npz file of x"),
    "vector": (dict(x=X[0, 0], y=Y[:4]), "x of shape (4,); needed is .*x[None] is one example"),
    "too few labels": (dict(y=Y[1:]), "y of shape (69,); needed is (70,)"),
    "labels in a column": (dict(y=Y[:, None]), "y of shape (70, 1).*: y.ravel()"),
    "one-hot labels": (dict(y=np.eye(2)[Y]), "y of shape (70, 2).*: y.argmax(axis=1)"),
    "labels of floats": (dict(y=Y / 1.0), f"y of float64; {WHOLE}y.astype(int)"),
    "labels between": (dict(y=Y / 2), f"y of float64; {WHOLE}{UNIQUE}"),
    "labels of bool": (dict(y=Y > 0), f"y of bool; {WHOLE}y.astype(int)"),
    "labels of text": (dict(y=np.array(["cat", "dog"])[Y]), f"y of <U3; {WHOLE}{UNIQUE}"),
    "labels of objects": (dict(y=Y.astype(object)), "Object arrays .*; each an array of numbers"),
    "pixels in int64": (dict(x=X.astype(int)), f"x of int64; {FLOATS}x.astype(np.uint8)"),
    "x of bool": (dict(x=X > 9), f"x of bool; {FLOATS}x.astype(np.float32)"),
    "objects": (dict(x=X.astype(object)), "Object arrays .*; each an array of numbers, as np.stack makes of a list"),
    "NaN": (dict(x=np.where(X == X[9, 3, 3], np.nan, X)), "not a finite number"),
    "split of another sum": (dict(split=[50, 10, 9]), "split is [50 10  9], not three counts of its 70 examples"),
    "an empty set": (dict(split=[60, 10, 0]), "split is [60 10  0], not three counts of its 70 examples"),
    "no examples": (dict(x=X[:0], y=Y[:0]), "x of shape (0, 6, 4), which holds nothing"),
    "six examples": (dict(x=X[:6], y=Y[:6]), "6 examples are too few to split"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_contents_are_refused_in_one_line(path, kind):
    arrays, reason = WRONG[kind]
    np.savez(path, **{name: array for name, array in {"x": X, "y": Y, **arrays}.items() if array is not None})
    assert_refused(path, reason)


def assert_refused(path, reason):
    with pytest.raises(UserError) as refusal:
        load_data(path)
    text = str(refusal.value)
    assert text.startswith(f"{path} ") and text.isprintable()
    for piece in reason.split(".*"):
        assert piece in text


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("a.npy", b"\x93NUMPY\1\0", "an .npy file of one array"),
        ("a.csv", b"1,2,3\n", "text, of which np.loadtxt makes an array"),
        ("a.npz", b"1,2,3\n", "File is not a zip file"),
        ("a.pkl", b"1,2,3\n", "it is no pickle"),
        ("a.pkl.gz", b"\n<!DOCTYPE html>", "an HTML page: a download may have gone wrong"),
        ("a.pkl", b"", "it ends too early"),
    ],
)
def test_other_files_are_named(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, f"({reason}.*needed is an .npz file of x, (n, width)")


def test_an_archive_is_known_by_its_contents(path):
    save(path).rename(path.with_suffix(".data"))
    assert load_data(path.with_suffix(".data")).n_in == 24


# Predictions of one's own images


@pytest.fixture
def model(path, tmp_path):
    """The model of a logistic regression, trained on my.npz, with b = 0 and W the numbers from 0 to 47, row by row."""
    about = {"lesson": "logistic_sgd", "dataset": {"name": "my.npz", "sha256": "0"}, "floatX": "float64"}
    params = [pytensor.shared(np.arange(48.0).reshape(24, 2), name="W"), pytensor.shared(np.zeros(2), name="b")]
    save_model(tmp_path / "model.npz", params, {**about, "settings": {"dataset": str(path)}})
    return tmp_path / "model.npz"


@pytest.fixture
def other(tmp_path):
    return tmp_path / "other.npz"


def one_pixel(n=1):
    """Pictures whose first pixel is 2: its weights are 0 and 1, so the classes' sums are 0 and 2."""
    x = np.zeros((n, HEIGHT, WIDTH))
    x[:, 0, 0] = 2
    return x


def test_one_image_without_a_label_is_predicted(other, model, capsys):
    np.savez(other, x=one_pixel())
    assert logistic_sgd.predict(model, other) is None
    # exp(2) / (1 + exp(2)) = 0.8808
    assert capsys.readouterr().out.splitlines() == [
        f"dataset: the arrays in {other}, all of them predicted",
        "example 0: class 1 with probability 0.8808, class 0 with probability 0.1192",
        "images of each class: 0: 0, 1: 1",
    ]


def test_labels_give_an_error(other, model, capsys):
    """None is left out, though seven examples could be split."""
    np.savez(other, x=one_pixel(12), y=[1] * 9 + [0] * 3)
    assert logistic_sgd.predict(model, other) == 0.25
    _, *lines, error = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and error == "error 25.000000 % of 12 images"
    assert lines[9] == "example 9: class 1 with probability 0.8808, class 0 with probability 0.1192; its label is 0"


def test_a_split_and_the_models_own_data_give_the_test_set(path, other, model, capsys):
    """The other examples may have trained the model."""
    save(other, one_pixel(8), [0] * 6 + [1] * 2, split=[3, 3, 2])
    assert logistic_sgd.predict(model, other) == 0
    assert "test error 0.000000 % of 2 images" in capsys.readouterr().out
    logistic_sgd.predict(model, save(path))
    assert "% of 10 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arrays, reason",
    [
        (dict(x=np.zeros((1, 5, 5))), "takes 24 inputs, but other.npz has 25"),
        (dict(x=np.zeros(24)), "x[None] is one example"),
        (dict(x=one_pixel(), y=[1, 2]), "y of shape (2,); needed is (1,)"),
        (dict(y=[1]), "it holds y; needed"),
    ],
)
def test_what_cannot_be_predicted_is_refused(other, model, arrays, reason):
    np.savez(other, **arrays)
    with pytest.raises(UserError) as refusal:
        logistic_sgd.predict(model, other)
    assert reason in str(refusal.value)


@pytest.mark.parametrize("part, low, high", [(0, -0.01, 1), (1, 0, 1.01), (2, -0.01, 1)])
def test_values_that_an_autoencoder_cannot_rebuild_are_told(path, part, low, high):
    x = np.full((N, 3), 0.5)
    x[[0, 50, 60][part], :2] = low, high
    datasets = load_data(save(path, x, split=[50, 10, 10]))
    name = ("training", "validation", "test")[part]
    with pytest.raises(UserError, match=f"my.npz cannot be used: its {name} set has values from {low} to {high}, and"):
        datasets.check_that_they_can_be_rebuilt()


@pytest.mark.usefixtures("interpreted")
def test_lessons_train_on_it_predict_and_draw_it(path, tmp_path, capsys):
    common = ["--dataset", str(save(path)), "--batch-size", "5", "--output-folder"]
    driver, predict = logistic_sgd.sgd_optimization_mnist, {"predict": logistic_sgd.predict}
    assert command(driver, {}, [*common, str(tmp_path / "run"), "--n-epochs", "5"], **predict) == 0
    out = capsys.readouterr().out
    assert f"dataset: the arrays in {path}, shuffled and split 5 : 1 : 1: 50 + 10 + 10" in out
    assert "these figures are for my.npz" in out
    assert command(driver, {}, ["--predict", str(tmp_path / "run" / "model.npz")], **predict) == 0
    assert "test error 0.000000 % of 10 images" in capsys.readouterr().out
    options = ["--training-epochs", "1", "--n-hidden", "9"]
    assert command(dA.test_dA, {}, [*common, str(tmp_path / "dA"), *options]) == 0
    # Ten rows and columns of tiles of 6 x 4, with a pixel between them; Pillow tells the width first.
    with Image.open(tmp_path / "dA" / "filters_corruption_30.png") as image:
        assert image.size == (10 * (WIDTH + 1) - 1, 10 * (HEIGHT + 1) - 1)


@pytest.mark.parametrize("driver", [dA.test_dA, SdA.test_SdA])
def test_an_autoencoder_refuses_what_it_cannot_rebuild(path, tmp_path, driver, capsys):
    save(path, X / 64)
    assert command(driver, {}, ["--dataset", str(path), "--output-folder", str(tmp_path / "run")]) == 2
    assert "the model makes values from 0 to 1; scale them" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
