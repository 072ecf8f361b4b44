"""The data sets: what each name stands for, where it is found, how it gets into shared variables."""

import hashlib
import math
import os
from pathlib import Path

from support.console import say
from support.data.mnist import find_mnist, read_mnist
from support.data.unpickling import LIMIT, expansion_limit, read_pickle
from support.environment import ROOT
from support.errors import UserError
from support.files.archives import read_arrays
from support.files.forms import shown
from support.files.replacing import replacing
from support.memory import aligned_empty

import numpy as np
import pytensor

DATA = ROOT / "data"
PICKLE = "mnist.pkl.gz"
MOST_CLASSES = 1 << 16  # so that a stray label asks for no gigabytes of weights
ARCHIVE = (
    "an .npz file of x, (n, width) or (n, height, width), y, (n,), and, "
    "if wanted, split: how many train, validate, test"
)
PARTS = "training", "validation", "test"
SETS = "train", "valid", "test"  # the same in the names of variables
SPLIT_SEED = 0  # of the shuffle, so that the parts of a file are the same at each run
ROWS = 4096  # that are looked at together, where a copy of a whole matrix is to be spared

MNIST_SHA256 = "d711e5df433097d195c89fafec17ab62f01bb0a125702458801564364a03997f"
DIGITS_SHA256 = "0f8e9b0aa6c970f03d559f696f517613bd39728529d64b83caef0e0cb12706a9"
NAMES = {MNIST_SHA256: "MNIST", DIGITS_SHA256: "digits"}


class Datasets(list):
    """[(train_x, train_y), (valid_x, valid_y), (test_x, test_y)] in shared variables, and what they are.

    Attributes
    ----------
    name : str
        'MNIST' or 'digits', which only these very contents are called; else the file's name.
    source : str
        Where they came from, in one line.
    sha256 : str
        Of the contents, as `checksum` has it.
    n_in : int
        Values of an example.
    n_out : int
        Classes: the largest label, plus one.
    image_shape : (int, int)
        Height and width of the picture of an example: those that the data have, else a square where its values fill
        one, else a single row.
    """

    def __init__(self, pairs, name, source, sha256, image_shape=None):
        super().__init__(pairs)
        self.name = name
        self.source = source
        self.sha256 = sha256
        self.n_in = pairs[0][0].get_value(borrow=True).shape[1]
        self.n_out = 1 + max(int(y.get_value(borrow=True).max()) for _, y in pairs)
        side = math.isqrt(self.n_in)
        self.image_shape = image_shape or ((side, side) if side**2 == self.n_in else (1, self.n_in))

    def n_minibatches(self, batch_size):
        """The full minibatches in the training set; what the three sets have beyond full minibatches is told in a line.

        Raises
        ------
        UserError
            Where one of the three sets has not one.
        """
        sizes = {part: len(y.get_value(borrow=True)) for part, (_, y) in zip(PARTS, self)}
        if batch_size > min(sizes.values()):
            raise UserError(
                f"batch_size must be at most {min(sizes.values())}, the size of the smallest set, not {batch_size}"
            )
        left = [f"{n % batch_size} of {n} {part}" for part, n in sizes.items() if n % batch_size]
        if left:
            say(f"minibatches of {batch_size} leave out the last {', '.join(left)} examples")
        return sizes["training"] // batch_size

    def check_that_they_can_be_rebuilt(self):
        """See to it that all values are in 0..1, where the cross-entropy of an autoencoder has a meaning.

        Raises
        ------
        UserError
            Where one is not.
        """
        for part, (x, _) in zip(PARTS, self):
            values = x.get_value(borrow=True)
            low, high = float(values.min()), float(values.max())
            if low < 0 or high > 1:
                raise UserError(
                    f"{self.name} cannot be used: its {part} set has values from {low:g} to {high:g}, and an "
                    "autoencoder rebuilds values from 0 to 1; scale them, such as by "
                    "(x - x.min()) / (x.max() - x.min())"
                )


def load_data(dataset=PICKLE):
    """Load a data set.

    Parameters
    ----------
    dataset : str or path-like
        'mnist.pkl.gz' or 'mnist': MNIST, from a pickle of the first name in the current folder or in data/, else from
        the four IDX files in `$MNIST_DIR`, else in data/, else downloaded there.
        'digits': the embedded digits, drawn once and kept in data/.
        A path that ends in .npz: that of a file of x, (n, width) or, for pictures, (n, height, width), y, (n,), and,
        if wanted, split, (3,): how many of the n examples train, validate and test, in the file's order. Without it
        they are shuffled, with a fixed seed, and split 5 : 1 : 1, as MNIST is.
        Anything else: the path of a pickle of ((x, y), (x, y), (x, y)), plain or gzipped, each x a matrix.
        In both x are floats, used as they are, or bytes, divided by 256; y are labels from 0 up.

    Returns
    -------
    Datasets
        x : shared, (n, width) of floatX (width 784, values byte / 256); y : shared, (n,) of int32.

    Raises
    ------
    UserError
        Where there is no such data set, it cannot be downloaded, or a file is damaged or does not hold what it should.
    """
    dataset, image_shape = str(dataset), None
    if dataset in ("mnist", PICKLE):
        name = "MNIST"
        sets, source = _mnist()
    elif dataset == "digits":
        name = "digits"
        sets, source = _digits(), "the embedded digits, drawn by support.data.digits"
    else:
        path = _existing(dataset)
        name = f"another {path.name}" if path.name in NAMES.values() else path.name
        if path.suffix.lower() == ".npz":
            sets, source, image_shape = _read_archive(path)
        else:
            sets, source = _read_sets(path), f"the pickle {path.resolve()}"
        _tell_missing_classes(sets)
    sha256 = checksum(sets)
    name = NAMES.get(sha256, name)
    pairs = []
    for part in SETS:  # one after the other, so that the arrays of one are free before the next are made
        x, y = sets.pop(0)
        x, y = _to_float(x), y.astype(np.int32)
        pairs.append(
            tuple(pytensor.shared(array, f"{part}_{name}", borrow=True) for array, name in ((x, "x"), (y, "y")))
        )
    return Datasets(pairs, name, source, sha256, image_shape)


def fetch_mnist():
    """See to it that MNIST is to be had, downloading it to data/ if need be, and say in one line where it is.

    Raises
    ------
    UserError
        Where it cannot be had.
    """
    return _mnist()[1]


def checksum(sets):
    """The SHA-256 of a data set's contents, whichever file and floatX they come in.

    It goes over x and y of training, validation and test in turn, each one's type and shape in a line of ASCII, such as
    '|u1 (50000, 784)', then its values in C order: labels as <i4; pixels as the byte where every x of the matrix is
    byte / 256, else as <f8. So MNIST has one checksum, as IDX or pickle, in bytes, float32 or float64.

    Parameters
    ----------
    sets : list of pairs of array
        As `_read_sets` and `read_mnist` return them.
    """
    digest = hashlib.sha256()
    for x, y in sets:
        for array, form in (x, "|u1" if x.dtype == np.uint8 else "<f8"), (y, "<i4"):
            digest.update(f"{form} {array.shape}\n".encode())
            for start in range(0, len(array), ROWS):
                digest.update(np.ascontiguousarray(array[start : start + ROWS], form))
    return digest.hexdigest()


def _mnist():
    """MNIST's three pairs of uint8 array, and where they come from."""
    for path in Path(PICKLE), DATA / PICKLE:
        if os.path.isfile(path):
            sets = _read_sets(path)
            if checksum(sets) != MNIST_SHA256:
                raise UserError(
                    f"{path} is a data set, but not MNIST: rename it and give its path as the dataset to use it, or "
                    "delete it to use MNIST"
                )
            return sets, f"MNIST, from the pickle {path.resolve()}"
    folder = find_mnist(DATA)
    return read_mnist(folder), f"MNIST, from the IDX files in {folder.resolve()}"


def _digits():
    """The embedded digits' three pairs of uint8 array: those kept in data/, else new ones, which are then kept."""
    path = DATA / "digits.npz"
    names = [(f"{part}_x", f"{part}_y") for part in SETS]
    try:
        arrays = read_arrays(path, "they are drawn anew", limit=1 << 26)  # 55 MB is right
        sets = [(arrays[x], arrays[y]) for x, y in names]
        if checksum(sets) == DIGITS_SHA256:
            return sets
    except Exception:  # no such file, or damaged in any of many ways: it is only a copy
        pass
    from support.data.digits import make_digits

    sets = list(make_digits())
    try:
        DATA.mkdir(exist_ok=True)
        with replacing(path) as file:
            np.savez(file, **{name: array for pair in zip(names, sets) for name, array in zip(*pair)})
    except OSError:  # a folder that cannot be written to
        pass
    return sets


def _existing(dataset):
    """The path of a data set that is a file."""
    if not os.path.isfile(dataset):
        fault = "is not a file" if os.path.exists(dataset) else "does not exist"
        raise UserError(
            f"dataset {shown(dataset)!r} {fault}: give mnist (or {PICKLE}), digits, or the path of a pickle or of an "
            ".npz file"
        )
    return Path(dataset)


def _read_sets(path):
    """Three pairs of array (n, width), uint8 or float, and (n,), int32, from a pickle, everything in it checked."""
    return _check_sets(path, read_pickle(path))


def _read_archive(path):
    """The same from an .npz file; where it comes from, and how it is split; (height, width), where x has them."""
    needed = f"needed is {ARCHIVE}"
    arrays = read_arrays(path, needed, expansion_limit(path.stat().st_size))
    if not {"x", "y"} <= arrays.keys() <= {"x", "y", "split"}:
        raise UserError(f"{path} cannot be used: it holds {shown(', '.join(arrays)) or 'nothing'}; {needed}")
    x, y = arrays.pop("x"), arrays.pop("y")
    if x.ndim not in (2, 3) or x.size == 0:
        colour = ", grey and not in colour, such as x.mean(axis=3)" if x.ndim == 4 else ""
        raise UserError(f"{path} cannot be used: it has x of shape {x.shape}; {needed}{colour}")
    if y.shape != x.shape[:1]:
        raise UserError(
            f"{path} cannot be used: it has y of shape {y.shape}; needed is {x.shape[:1]}, a label for each x"
        )
    n, split = len(x), arrays.get("split")
    if split is None:
        if n < 7:
            raise UserError(f"{path} cannot be used: of {n} examples none would be left to test; add some, or a split")
        order = np.random.RandomState(SPLIT_SEED).permutation(n)
        parts = np.split(order, [n - 2 * (n // 7), n - n // 7])
        how = "shuffled and split 5 : 1 : 1"
    else:
        if split.shape != (3,) or split.dtype.kind not in "iu" or split.min() < 1 or sum(split.tolist()) != n:
            raise UserError(f"{path} cannot be used: its split is {shown(split)}, not three counts of its {n} examples")
        valid, test = split[:2].cumsum().tolist()
        parts = slice(valid), slice(valid, test), slice(test, n)
        how = "in their order"
    image_shape = x.shape[1:] if x.ndim == 3 else None
    x = x.reshape(n, -1)
    sets = _check_sets(path, [(x[part], y[part]) for part in parts])
    sizes = " + ".join(str(len(y)) for _, y in sets)
    return sets, f"the arrays in {path.resolve()}, {how}: {sizes} to train, validate and test", image_shape


def _check_sets(path, pairs):
    """Three pairs of array (n, width), uint8 or float, and (n,), int32, from a list of three pairs of any arrays."""
    sets = []
    while pairs:
        x, y = pairs.pop(0)
        of = f"{path} cannot be used: its {PARTS[len(sets)]} set"
        if x.ndim != 2 or x.size == 0:
            raise UserError(f"{of} has x of shape {x.shape}; needed is (n, width), a row for each image")
        if sets and x.shape[1] != sets[0][0].shape[1]:
            raise UserError(f"{of} has rows of {x.shape[1]} values, the training set of {sets[0][0].shape[1]}")
        if y.shape != x.shape[:1]:
            raise UserError(f"{of} has y of shape {y.shape}; needed is {x.shape[:1]}, a label for each image")
        if x.dtype != np.uint8 and x.dtype.kind != "f":
            raise UserError(f"{of} has x of {x.dtype}; needed are floats, or uint8, which is divided by 256")
        if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= MOST_CLASSES:
            raise UserError(f"{of} has labels that are not whole numbers from 0 to {MOST_CLASSES - 1}")
        if not max(-float(x.min()), float(x.max())) <= float(np.finfo(pytensor.config.floatX).max):
            raise UserError(f"{of} has an x that is not a finite number of {pytensor.config.floatX}")
        sets.append((_to_bytes(x), y.astype(np.int32)))
    if sum(x.size for x, _ in sets) * np.dtype(pytensor.config.floatX).itemsize > LIMIT:
        raise UserError(f"{path} cannot be used: its x need more than {LIMIT >> 20} MiB in {pytensor.config.floatX}")
    return sets


def _tell_missing_classes(sets):
    """Say in a line which classes below the largest label have no example: each is an output that learns nothing."""
    classes = np.unique(np.concatenate([y for _, y in sets]))
    missing = np.setdiff1d(np.arange(classes[-1]), classes)
    if missing.size:
        names = f"{', '.join(map(str, missing[:10]))}{', ...' if missing.size > 10 else ''}"
        say(f"note: the labels go from 0 to {classes[-1]}, but no example has the label {names}")


def _to_bytes(x):
    """256 x as uint8 where all of it is a byte, a quarter of the memory; else x itself."""
    if x.dtype == np.uint8:
        return x
    pixels = np.empty(x.shape, np.uint8)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        with np.errstate(all="ignore"):  # what is no byte is seen by comparing
            scaled = 256 * x[rows]
            pixels[rows] = scaled
        if not np.array_equal(pixels[rows], scaled):
            return x
    return pixels


def _to_float(x):
    """A new matrix of floatX; bytes are divided by 256, which rounds nothing."""
    matrix = aligned_empty(x.shape, pytensor.config.floatX)
    if x.dtype == np.uint8:
        return np.divide(x, 256, out=matrix, dtype=matrix.dtype)
    matrix[...] = x
    return matrix
