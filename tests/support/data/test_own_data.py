"""One's own data, as an .npz file of x, y and split."""

import dA
import logistic_sgd
import mlp
import SdA
from support.command import command
from support.data import checksum, load_data
from support.errors import UserError

import numpy as np
import pytensor
import pytest
from PIL import Image

N, HEIGHT, WIDTH = 70, 6, 4


def examples(n=N):
    """Bytes of noise with a bright upper or lower half, class 0 or 1, sorted by class."""
    random = np.random.RandomState(0)
    y = np.arange(n) * 2 // n
    x = random.randint(128, size=(n, HEIGHT, WIDTH)).astype(np.uint8)
    x[y == 0, :3] += 128
    x[y == 1, 3:] += 128
    return x, y


def save(path, x=None, y=None, **others):
    own_x, own_y = examples()
    np.savez(path, x=own_x if x is None else x, y=own_y if y is None else y, **others)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my.npz"


def values(datasets):
    return [tuple(shared.get_value() for shared in pair) for pair in datasets]


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_the_split_is_three_counts_in_the_files_order(path, writer):
    x, y = examples()
    writer(path, x=x, y=y, split=[40, 20, 10])
    datasets = load_data(path)
    assert (datasets.name, datasets.n_in, datasets.n_out, datasets.image_shape) == ("my.npz", 24, 2, (HEIGHT, WIDTH))
    wanted = [(x[:40], y[:40]), (x[40:60], y[40:60]), (x[60:], y[60:])]
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


def test_mnist_proportions_leave_seven_examples_one_to_test(path):
    x, y = examples()
    assert [len(y) for _, y in values(load_data(save(path, x[:7], y[:7])))] == [5, 1, 1]
    assert [len(y) for _, y in values(load_data(save(path, x[:13], y[:13])))] == [11, 1, 1]


@pytest.mark.parametrize("form", ["f2", "f4", "f8", ">f8"])
def test_floats_are_used_as_they_are(path, form):
    x = (examples()[0] / 255).astype(form)
    datasets = load_data(save(path, x.reshape(N, -1), split=[50, 10, 10]))
    np.testing.assert_array_equal(values(datasets)[0][0], x[:50].reshape(50, -1).astype(pytensor.config.floatX))
    assert datasets.image_shape == (1, 24)  # 24 values fill no square, and nothing says how wide a picture is


def test_the_same_contents_have_the_same_checksum_in_any_file(path, tmp_path):
    import pickle

    x, y = examples()
    x = x.reshape(N, -1)
    (tmp_path / "my.pkl").write_bytes(pickle.dumps(((x[:50], y[:50]), (x[50:60], y[50:60]), (x[60:], y[60:]))))
    assert load_data(save(path, split=[50, 10, 10])).sha256 == load_data(tmp_path / "my.pkl").sha256


def test_labels_with_gaps_are_used_and_told(path, capsys):
    x, y = examples()
    assert load_data(save(path, x, y)).n_out == 2 and not capsys.readouterr().out
    assert load_data(save(path, x, 2 + 2 * y)).n_out == 5
    assert capsys.readouterr().out == "note: the labels go from 0 to 4, but no example has the label 0, 1, 3\n"


X, Y = examples()
WRONG = {
    "colour": (dict(x=np.zeros((N, 6, 4, 3), "u1")), "x of shape (70, 6, 4, 3); .* grey and not in colour"),
    "no y": (dict(drop="y"), "it holds x; needed is an .npz file of x"),
    "another name": (dict(labels=Y), "it holds x, y, labels; needed"),
    "empty": (dict(x=X[:0], y=Y[:0]), "x of shape (0, 6, 4)"),
    "vector": (dict(x=X[:, 0, 0]), "x of shape (70,)"),
    "too few labels": (dict(y=Y[1:]), "y of shape (69,); needed is (70,)"),
    "labels in a column": (dict(y=Y[:, None]), "y of shape (70, 1)"),
    "labels of floats": (dict(y=Y / 1.0), "labels that are not whole numbers"),
    "labels below 0": (dict(y=Y - 1), "labels that are not whole numbers from 0"),
    "labels of text": (dict(y=Y.astype(str)), "something other than numbers"),
    "x of int64": (dict(x=X.astype(int)), "x of int64; needed are floats, or uint8"),
    "complex x": (dict(x=X * 1j), "something other than numbers"),
    "objects": (dict(x=X.astype(object)), "something other than numbers"),
    "NaN": (dict(x=np.where(X == X[9, 3, 3], np.nan, X)), "not a finite number"),
    "split of another sum": (dict(split=[50, 10, 9]), "split is [50 10  9], not three counts of its 70 examples"),
    "split of two": (dict(split=[60, 10]), "split is [60 10]"),
    "split of floats": (dict(split=[50.0, 10, 10]), "split is [50. 10. 10.]"),
    "split with an empty part": (dict(split=[60, 10, 0]), "split is [60 10  0]"),
    "split that wraps around": (dict(split=np.array([2**64 - 1, 61, 10], "u8")), "split is [18446744073709551615"),
    "split of a part for each": (dict(split=np.zeros(N, int)), "split is [0 0 0 0"),
    "six examples": (dict(x=X[:6], y=Y[:6]), "6 examples are too few to split"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_contents_are_refused_in_one_line(path, kind):
    arrays, reason = WRONG[kind]
    arrays = {"x": X, "y": Y, **arrays}
    arrays.pop(arrays.pop("drop", None), None)
    np.savez(path, **arrays)
    with pytest.raises(UserError) as refusal:
        load_data(path)
    text = str(refusal.value)
    assert text.startswith(f"{path} cannot be used: ") and text.isprintable()
    for piece in reason.split(".* "):
        assert piece in text


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("low, high", [(-0.01, 1), (0, 1.01)])
@pytest.mark.parametrize("part", range(3))
def test_an_autoencoder_refuses_what_it_cannot_rebuild(path, tmp_path, low, high, part, capsys):
    x = np.full((N, 3), 0.5)
    x[60 * (part > 1) + 50 * (part == 1), :2] = low, high
    save(path, x, split=[50, 10, 10])
    for lesson, driver in (dA, dA.test_dA), (SdA, SdA.test_SdA):
        assert command(driver, {}, argv=["--dataset", str(path), "--output-folder", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        name = ("training", "validation", "test")[part]
        assert error.startswith(f"{lesson.__name__}.py: error: my.npz cannot be used: its {name} set has values from")
        assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    logistic_sgd.sgd_optimization_mnist(n_epochs=1, dataset=path, batch_size=10, output_folder=tmp_path / "run")


@pytest.mark.usefixtures("interpreted")
def test_every_lesson_trains_on_it_and_predicts(path, tmp_path, capsys):
    save(path)
    common = ["--dataset", str(path), "--batch-size", "5", "--output-folder"]
    lessons = {
        "logistic_sgd": (logistic_sgd.sgd_optimization_mnist, logistic_sgd.predict, ["--n-epochs", "5"]),
        "mlp": (mlp.test_mlp, mlp.predict, ["--n-epochs", "5", "--n-hidden", "9", "--learning-rate", "0.1"]),
        "dA": (dA.test_dA, None, ["--training-epochs", "1", "--n-hidden", "9"]),
        "SdA": (
            SdA.test_SdA,
            SdA.predict,
            "--training-epochs 5 --pretraining-epochs 1 --hidden-layers-sizes 9".split(),
        ),
    }
    for name, (driver, predict, options) in lessons.items():
        folder, actions = tmp_path / name, {"predict": predict} if predict else {}
        assert command(driver, {}, [*common, str(folder), *options], **actions) == 0, capsys.readouterr().err
        out = capsys.readouterr().out
        assert f"dataset: the arrays in {path}, shuffled and split 5 : 1 : 1: 50 + 10 + 10" in out
        if predict is not None:
            assert "these figures are for my.npz" in out
            assert command(driver, {}, ["--predict", str(folder / "model.npz")], **actions) == 0
            assert "test error 0.000000 % of 10 images" in capsys.readouterr().out
    # Ten rows and columns of tiles of 6 x 4, with a pixel between them; Pillow tells the width first.
    for picture in tmp_path / "dA" / "filters_corruption_30.png", tmp_path / "SdA" / "filters_layer_0.png":
        with Image.open(picture) as image:
            assert image.size == (10 * (WIDTH + 1) - 1, 10 * (HEIGHT + 1) - 1)
