"""The data sets: split, scaling, types, names and checksums; where they are looked for; what is refused."""

import gzip
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

from support import data
from support.data import Datasets, digits, fetch_mnist, load_data, mnist, own
from support.start import ROOT, UserError

import numpy as np
import pytensor
import pytest

FLOATS = ["float32", "float64"]
FOLDER = os.environ.get("MNIST_DIR") or str(ROOT / "data")


def make_sets(seed=0, sizes=(6, 3, 4), width=5):
    """A small data set of bytes: [(x, y), (x, y), (x, y)]."""
    random = np.random.RandomState(seed)
    return [(random.randint(256, size=(n, width)).astype("u1"), random.randint(10, size=n).astype("u1")) for n in sizes]


SETS = make_sets()


def save(path, sets, protocol=4):
    path.write_bytes(pickle.dumps(sets, protocol))
    return path


def values(datasets):
    """The arrays inside the shared variables."""
    return [tuple(shared.get_value(borrow=True) for shared in pair) for pair in datasets]


def refusal(dataset):
    """The one line with which it is refused."""
    with pytest.raises(UserError) as caught:
        load_data(dataset)
    assert str(caught.value).isprintable()
    return str(caught.value)


def sha256(sets):
    """`checksum` of bytes, from its description."""
    arrays = [(array, form) for pair in sets for array, form in zip(pair, ("|u1", "<i4"))]
    lines = [f"{form} {array.shape}\n".encode() + array.astype(form).tobytes() for array, form in arrays]
    return hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A current folder and a data/ of its own, neither MNIST nor a network."""
    (tmp_path / "here").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(data, "DATA", tmp_path / "data")
    monkeypatch.setattr(mnist, "MIRRORS", [])
    monkeypatch.delenv("MNIST_DIR", raising=False)
    return tmp_path


@pytest.fixture
def small_mnist(monkeypatch):
    """Makes SETS pass for MNIST."""
    monkeypatch.setattr(data, "MNIST_SHA256", sha256(SETS))
    monkeypatch.setattr(data, "NAMES", {sha256(SETS): "MNIST"})


# MNIST itself


@pytest.mark.mnist
def test_mnist_is_split_scaled_and_known_by_its_contents(house, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", FOLDER)
    names = "train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"
    unzipped = [gzip.decompress(Path(FOLDER, f"{name}-ubyte.gz").read_bytes()) for name in names]
    images, labels, test_images, test_labels = (bytes[header:] for bytes, header in zip(unzipped, (16, 8, 16, 8)))
    n = 50_000
    wanted = [(images[: n * 784], labels[:n]), (images[n * 784 :], labels[n:]), (test_images, test_labels)]
    datasets = load_data("mnist")
    assert isinstance(datasets, Datasets) and datasets.name == "MNIST" and datasets.source.startswith("MNIST, from ")
    for (x, y), (pixels, classes), size in zip(values(datasets), wanted, (50_000, 10_000, 10_000), strict=True):
        assert x.shape == (size, 784) and y.shape == (size,)
        assert x.dtype == pytensor.config.floatX and y.dtype == "int32"
        assert (x * 256).astype("u1").tobytes() == pixels  # exact: byte / 256 is a float, so is its product with 256
        assert x.max() == 255 / 256 and x.min() == 0
        assert y.astype("u1").tobytes() == classes
    assert values(datasets)[0][1][:5].tolist() == [5, 0, 4, 1, 9]
    assert fetch_mnist() == datasets.source
    pickled = load_data(save(house / "my.pkl", values(datasets), 5))
    assert pickled.name == "MNIST" and pickled.sha256 == datasets.sha256 == data.MNIST_SHA256


@pytest.mark.mnist
def test_loading_mnist_needs_little_memory():
    """The arrays take 220 MB in float32, the bytes 55: there is no other copy of them at any time."""
    program = """
import resource
from support.data import load_data
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_data("mnist")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    environment = {**os.environ, "PYTENSOR_FLAGS": "floatX=float32"}
    arguments = dict(capture_output=True, text=True, check=True, cwd=ROOT / "code", env=environment)
    kilobytes = int(subprocess.run([sys.executable, "-c", program], **arguments).stdout)
    assert kilobytes < 350_000


# Any pickle


@pytest.mark.parametrize("floatX", FLOATS)
@pytest.mark.parametrize("form", ["u1", "f4", ">f8"])
def test_a_pickle_of_bytes_or_of_floats(house, floatX, form):
    """Bytes are divided by 256, floats taken as they are; either way the contents, and so the checksum, is the same."""
    sets = [(x if form == "u1" else (x / 256).astype(form), y.astype(int)) for x, y in SETS]
    with pytensor.config.change_flags(floatX=floatX):
        datasets = load_data(str(save(house / "my.pkl", sets)))
    assert (datasets.name, datasets.source) == ("my.pkl", f"the pickle {house / 'my.pkl'}")
    assert datasets.sha256 == sha256(SETS)
    for (x, y), (bytes_x, bytes_y) in zip(values(datasets), SETS, strict=True):
        np.testing.assert_array_equal(x, (bytes_x / 256).astype(floatX), strict=True)
        np.testing.assert_array_equal(y, bytes_y.astype("int32"), strict=True)
        assert x.flags.c_contiguous and x.flags.writeable and x.ctypes.data % 64 == 0


@pytest.mark.parametrize("floatX", FLOATS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_floats_that_are_no_bytes_are_kept(house, floatX):
    """1.0 is none: 256 / 256 does not fit into a byte; nor are negative values and what lies between two bytes."""
    for value in 1.0, -1 / 256, 0.3, 1e6, 1 / 512:
        x = np.zeros((5000, 2))
        x[4999, 1] = value
        sets = [(np.asfortranarray(x), np.zeros(5000, int))] * 3
        with pytensor.config.change_flags(floatX=floatX):
            datasets = load_data(save(house / "my.pkl", sets))
        np.testing.assert_array_equal(values(datasets)[2][0], x.astype(floatX), strict=True)
        assert values(datasets)[2][0].flags.c_contiguous
        lines = b"<f8 (5000, 2)\n" + x.tobytes() + b"<i4 (5000,)\n" + bytes(5000 * 4)
        assert datasets.sha256 == hashlib.sha256(3 * lines).hexdigest()


def test_the_checksum_tells_any_difference():
    (x0, y0), second, third = SETS
    different = [
        SETS,
        [(x0 ^ np.uint8(1), y0), second, third],
        [(x0, y0), second, (third[0], third[1] ^ np.uint8(1))],
        [(x0.reshape(5, 6), y0), second, third],
        [second, (x0, y0), third],
        [(x0[:5], y0[:5]), (np.vstack([x0[5:], second[0]]), np.hstack([y0[5:], second[1]])), third],
    ]
    assert len({data.checksum(sets) for sets in different}) == len(different)
    assert data.checksum(SETS) == sha256(SETS)


def test_only_mnist_is_called_so(house):
    assert load_data(save(house / "MNIST", SETS)).name == "another MNIST"
    assert load_data(save(house / "digits", SETS)).name == "another digits"


WRONG = {
    "another width": (2, np.zeros((4, 6)), SETS[2][1], "sets have rows of [5, 5, 6] values"),
    "negative label": (2, SETS[2][0], np.array([0, 1, -1, 2]), "test set has labels from -1 to 2; needed are whole"),
    "giant label": (0, SETS[0][0], np.full(6, 2**64 - 1, "u8"), "training set has labels from 18446744073709551615 to"),
    "too large": (1, np.full((3, 5), -1e39), SETS[1][1], "validation set has an x that is not a finite number of"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_refusal_names_the_set(house, kind):
    part, x, y, reason = WRONG[kind]
    sets = make_sets()
    sets[part] = x, y
    path = save(house / "my.pkl", sets)
    with pytensor.config.change_flags(floatX="float32"):
        assert refusal(path).startswith(f"{path} cannot be used: its {reason}")


def test_bytes_that_are_gigabytes_as_floats_are_refused(house, monkeypatch):
    path = save(house / "my.pkl", [(np.zeros((100, 1000), "u1"), np.zeros(100, "u1"))] * 3)
    monkeypatch.setattr(own, "LIMIT", 1 << 20)
    assert "more than 1 MiB" in refusal(path)


@pytest.mark.parametrize("dataset", ["minst", "", "a\nb", "a\0b", "x" * 9999, ".", "pipe"])
def test_an_unknown_name_is_told_the_known_ones(house, dataset):
    os.mkfifo("pipe")
    text = refusal(dataset)
    assert ("is not a file" if dataset in (".", "pipe") else "does not exist") in text
    assert all(word in text for word in ("mnist", "mnist.pkl.gz", "digits", "path of a pickle"))


# Where MNIST is looked for


@pytest.mark.parametrize("dataset", ["mnist", "mnist.pkl.gz"])
def test_the_pickle_here_comes_before_the_one_in_data(house, small_mnist, monkeypatch, dataset):
    monkeypatch.setenv("MNIST_DIR", str(house / "absent"))  # comes after both
    with pytest.raises(UserError, match="MNIST_DIR"):
        load_data(dataset)
    for folder in "data", "here":
        save(house / folder / "mnist.pkl.gz", SETS)
        datasets = load_data(dataset)
        assert datasets.name == load_data().name == "MNIST"
        assert datasets.source == f"MNIST, from the pickle {house / folder / 'mnist.pkl.gz'}"
        assert fetch_mnist() == datasets.source


@pytest.mark.parametrize(
    "content, reason",
    [
        (pickle.dumps(make_sets(seed=1)), "not MNIST"),
        (b"<html>404</html>", "an HTML page"),
        (gzip.compress(pickle.dumps(SETS))[:-9], "ended before"),
    ],
)
def test_no_other_file_stands_in_for_mnist(house, small_mnist, monkeypatch, content, reason):
    monkeypatch.setenv("MNIST_DIR", str(house / "absent"))
    path = house / "data" / "mnist.pkl.gz"
    path.write_bytes(content)
    text = refusal("mnist")
    assert str(path) in text and reason in text and "or delete it to use MNIST's four files" in text
    path.unlink()
    assert "MNIST_DIR" in refusal("mnist")  # now it is the folder's turn


def test_without_files_and_network_the_digits_are_named(house):
    for attempt in load_data, lambda: load_data("mnist"), fetch_mnist:
        with pytest.raises(UserError, match="--dataset digits"):
            attempt()


# The embedded digits


@pytest.fixture
def drawn(house, monkeypatch):
    """Makes SETS pass for the embedded digits; a list that grows with each time they are drawn."""
    times = []
    monkeypatch.setattr(digits, "make_digits", lambda: times.append(1) or make_sets())
    monkeypatch.setattr(data, "DIGITS_SHA256", sha256(SETS))
    monkeypatch.setattr(data, "NAMES", {sha256(SETS): "digits"})
    return times


def assert_digits():
    datasets = load_data("digits")
    assert datasets.name == "digits" and datasets.sha256 == sha256(SETS)
    assert "embedded digits" in datasets.source


def test_digits_are_drawn_once_and_kept(house, drawn, monkeypatch):
    monkeypatch.setattr(data, "DATA", house / "new")  # a folder that is made for them
    for _ in range(3):
        assert_digits()
    assert drawn == [1]
    assert [path.name for path in (house / "new").iterdir()] == ["digits.npz"]


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "other values": lambda path: np.savez(path, x=np.ones((13, 5), "u1"), y=np.ones(13, int), split=[6, 3, 4]),
    "folder": lambda path: (path.unlink(), path.mkdir()),  # so that they cannot be kept, either
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_copy_is_drawn_anew(house, drawn, kind):
    assert_digits()
    DAMAGE[kind](house / "data" / "digits.npz")
    for _ in range(2):
        assert_digits()
    assert len(drawn) == (3 if kind == "folder" else 2)
