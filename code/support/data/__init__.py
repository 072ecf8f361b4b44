"""The data sets: their names, the places where they are found, and the shared variables that hold them."""

import hashlib
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from support.console import say
from support.data.mnist import read_mnist
from support.data.own import PARTS, read_own
from support.files import replacing, shown
from support.start import ROOT, UserError, aligned_empty

import numpy as np
import pytensor

DATA = ROOT / "data"
PICKLE = "mnist.pkl.gz"
SETS = "train", "valid", "test"  # the three parts in the names of variables

MNIST_SHA256 = "d711e5df433097d195c89fafec17ab62f01bb0a125702458801564364a03997f"
DIGITS_SHA256 = "0f8e9b0aa6c970f03d559f696f517613bd39728529d64b83caef0e0cb12706a9"
NAMES = {MNIST_SHA256: "MNIST", DIGITS_SHA256: "digits"}


class Examples(NamedTuple):
    """Examples to predict: x, (n, n_in) of floatX; y, (n,), or None; whether they are a test set; name and source."""

    x: np.ndarray
    y: np.ndarray | None
    is_test_set: bool
    name: str
    source: str

    @property
    def n_in(self):
        return self.x.shape[1]


class Datasets(list):
    """The list [(train_x, train_y), (valid_x, valid_y), (test_x, test_y)] of shared variables, with a description.

    Attributes
    ----------
    name : str, 'MNIST' or 'digits' if the contents are exactly those; else the name of the file
    source : str, the place where the data were found, in one line
    sha256 : str, the `checksum` of the contents
    n_in : int, number of values in an example
    n_out : int, number of classes: the largest label plus one
    image_shape : (int, int)
        Height and width at which an example is drawn. A file of pictures gives them. Otherwise an example is drawn as
        a square if its values fill one, else as a single row.
    """

    def __init__(self, pairs, name, source, sha256, image_shape=None):
        super().__init__(pairs)
        self.name, self.source, self.sha256 = name, source, sha256
        self.n_in = pairs[0][0].get_value(borrow=True).shape[1]
        self.n_out = 1 + max(int(y.get_value(borrow=True).max()) for _, y in pairs)
        side = math.isqrt(self.n_in)
        self.image_shape = image_shape or ((side, side) if side**2 == self.n_in else (1, self.n_in))

    train_x, valid_x, test_x = (property(lambda self, part=part: self[part][0]) for part in range(3))

    def n_minibatches(self, batch_size):
        """The number of full minibatches in the training set. A line says how many examples of each set are left out.

        A UserError says that one of the three sets does not fill one minibatch.
        """
        sizes = {part: len(y.get_value(borrow=True)) for part, (_, y) in zip(PARTS, self)}
        if batch_size > (least := min(sizes.values())):
            raise UserError(f"batch_size must be at most {least}, the size of the smallest set, not {batch_size}")
        left = [f"{n % batch_size} of {n} {part}" for part, n in sizes.items() if n % batch_size]
        if left:
            say(f"minibatches of {batch_size} leave out the last {', '.join(left)} examples")
        return sizes["training"] // batch_size

    def test_examples(self):
        """The test set as `Examples`."""
        x, y = (shared.get_value(borrow=True) for shared in self[2])
        return Examples(x, y, True, self.name, self.source)

    def check_that_they_can_be_rebuilt(self):
        """Raise a UserError if a value is outside 0..1: the cross-entropy of an autoencoder is defined there only."""
        for part, (x, _) in zip(PARTS, self):
            values = x.get_value(borrow=True)
            low, high = float(values.min()), float(values.max())
            if low < 0 or high > 1:
                told = f"{self.name} cannot be used: its {part} set has values from {low:g} to {high:g}"
                remedy = "scale them, such as by (x - x.min()) / (x.max() - x.min())"
                raise UserError(f"{told}, and the model makes values from 0 to 1; {remedy}")


def load_data(dataset=PICKLE):
    """Load a data set.

    Parameters
    ----------
    dataset : str or path-like
        - 'mnist.pkl.gz' or 'mnist': MNIST. A pickle named mnist.pkl.gz is looked for in the current folder and in
          data/. Then the four IDX files are looked for in `$MNIST_DIR` or, if that is not set, in data/. If they are
          not in data/, they are downloaded there.
        - 'digits': the embedded digits. They are drawn once and kept in data/.
        - The path of an .npz file of x, (n, width) or, for grey pictures, (n, height, width); y, (n,); and, if you
          like, split, (3,). split says how many of the n examples train, validate and test, in the order of the file.
          Without it the examples are shuffled with a fixed seed and split 5 : 1 : 1, as MNIST is.
        - The path of a pickle of ((x, y), (x, y), (x, y)), plain or gzipped.

        In your own files, x holds floats, which are used as they are, or bytes, which are divided by 256; y holds
        labels from 0 up.

    Returns
    -------
    Datasets
        x : shared, (n, width) of floatX (MNIST: width 784, values byte / 256); y : shared, (n,) of int32.

    A UserError says that there is no such data set, that it cannot be downloaded, or why a file cannot be used.
    """
    sets, name, source, image_shape = _find(dataset)
    sha256, pairs = checksum(sets), []
    for part in SETS:  # one set after the other: the memory of its arrays is free before the next set is converted
        x, y = sets.pop(0)
        x, y = _to_float(x), y.astype(np.int32)
        pairs.append((pytensor.shared(x, f"{part}_x", borrow=True), pytensor.shared(y, f"{part}_y", borrow=True)))
    return Datasets(pairs, NAMES.get(sha256, name), source, sha256, image_shape)


def load_examples(dataset):
    """The `Examples` of a data set that are to be predicted.

    An .npz file without a split gives all its examples, and needs no y. Any other data set gives its test set. The
    exceptions are those of `load_data`.
    """
    pairs, name, source, _ = _find(dataset, to_predict=True)
    x, y = pairs[-1]
    return Examples(_to_float(x), y, len(pairs) == len(SETS), name, source)


def fetch_mnist():
    """Find MNIST, or download it to data/. Return the place where it is, in one line, or raise a UserError."""
    return _mnist()[2]


def checksum(sets):
    """The SHA-256 of the contents of a data set, three pairs of array, as `read_own` returns them.

    The arrays are hashed in the order x, y of training, validation and test. For each, a line of ASCII comes first,
    with its type and shape, such as '|u1 (50000, 784)'; then its values in C order: labels as <i4, x as bytes if it is
    made of bytes / 256, else as <f8. So MNIST has one checksum, from IDX files or a pickle, in bytes, float32 or
    float64.
    """
    digest = hashlib.sha256()
    for x, y in sets:
        for array, form in (x, "|u1" if x.dtype == np.uint8 else "<f8"), (y, "<i4"):
            digest.update(f"{form} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array, form))
    return digest.hexdigest()


def _find(dataset, to_predict=False):
    """The result of `read_own` for a data set, with its name before the source."""
    dataset = str(dataset)
    if dataset in ("mnist", PICKLE):
        return _mnist()
    if dataset == "digits":
        return _digits(), dataset, "the embedded digits, drawn by support.data.digits", None
    if not os.path.isfile(dataset):
        fault = "is not a file" if os.path.exists(dataset) else "does not exist"
        known = f"give mnist (or {PICKLE}), digits, or the path of a pickle or of an .npz file"
        raise UserError(f"dataset {shown(dataset)!r} {fault}: {known}")
    path = Path(dataset)
    sets, source, image_shape = read_own(path, to_predict=to_predict)
    return sets, f"another {path.name}" if path.name in NAMES.values() else path.name, source, image_shape


def _mnist():
    for path in Path(PICKLE), DATA / PICKLE:
        if path.is_file():
            remedy = "rename it and give its path as the dataset to use it, or delete it to use MNIST's four files"
            sets, *_ = read_own(path, remedy)
            if checksum(sets) != MNIST_SHA256:
                raise UserError(f"{path} is a data set, but not MNIST: {remedy}")
            return sets, "MNIST", f"MNIST, from the pickle {path.resolve()}", None
    sets, folder = read_mnist(DATA)
    return sets, "MNIST", f"MNIST, from the IDX files in {folder.resolve()}", None


def _digits():
    path = DATA / "digits.npz"
    with suppress(UserError, FileNotFoundError):  # it is only a copy
        sets, *_ = read_own(path)
        if checksum(sets) == DIGITS_SHA256:
            return sets
    from support.data.digits import make_digits

    sets = list(make_digits())
    with suppress(OSError):  # if the folder cannot be written, the digits are drawn again at the next run
        DATA.mkdir(exist_ok=True)
        with replacing(path) as file:
            x, y = (np.concatenate(arrays) for arrays in zip(*sets))
            np.savez(file, x=x, y=y, split=[len(y) for _, y in sets])
    return sets


def _to_float(x):
    """A new matrix of floatX. Bytes are divided by 256, which is exact."""
    matrix = aligned_empty(x.shape, pytensor.config.floatX)
    return np.divide(x, 256 if x.dtype == np.uint8 else 1, out=matrix, dtype=matrix.dtype)
