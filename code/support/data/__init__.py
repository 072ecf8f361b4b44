"""The data sets: their names, the places where they are found, and the shared variables that hold them."""

import hashlib
import math
import os
from pathlib import Path

from support.console import say
from support.data.mnist import find_mnist, read_mnist
from support.data.unpickling import LIMIT, expansion_limit, read_pickle
from support.environment import ROOT
from support.errors import UserError
from support.files import replacing
from support.files.archives import read_arrays
from support.files.forms import shown
from support.memory import aligned_empty

import numpy as np
import pytensor

DATA = ROOT / "data"
PICKLE = "mnist.pkl.gz"
MOST_CLASSES = 1 << 16  # a wrong label could otherwise ask for gigabytes of weights
ARCHIVE = (
    "an .npz file of x, (n, width) or (n, height, width), y, (n,), and, "
    "if wanted, split: how many train, validate, test"
)
PARTS = "training", "validation", "test"
SETS = "train", "valid", "test"  # the same parts in the names of variables
SPLIT_SEED = 0  # seed of the shuffle: the parts of a file are the same at each run
ROWS = 4096  # rows that are checked or copied at once, so that a large matrix need not be copied as a whole

MNIST_SHA256 = "d711e5df433097d195c89fafec17ab62f01bb0a125702458801564364a03997f"
DIGITS_SHA256 = "0f8e9b0aa6c970f03d559f696f517613bd39728529d64b83caef0e0cb12706a9"
NAMES = {MNIST_SHA256: "MNIST", DIGITS_SHA256: "digits"}


class Datasets(list):
    """The list [(train_x, train_y), (valid_x, valid_y), (test_x, test_y)] of shared variables, with a description.

    Attributes
    ----------
    name : str
        'MNIST' or 'digits' if the contents are exactly those; else the name of the file.
    source : str
        The place where the data were found, in one line.
    sha256 : str
        The `checksum` of the contents.
    n_in : int
        Number of values in an example.
    n_out : int
        Number of classes: the largest label plus one.
    image_shape : (int, int)
        Height and width at which an example is drawn. A file of pictures gives them. Otherwise an example is drawn as
        a square if its values fill one, else as a single row.
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

    train_x, valid_x, test_x = (property(lambda self, part=part: self[part][0]) for part in range(3))

    def n_minibatches(self, batch_size):
        """The number of full minibatches in the training set. A line says how many examples of each set are left out.

        A UserError says that one of the three sets does not fill one minibatch.
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
        """Raise a UserError if a value is outside 0..1: the cross-entropy of an autoencoder is defined there only."""
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
        - 'mnist.pkl.gz' or 'mnist': MNIST. A pickle named mnist.pkl.gz is looked for in the current folder and in
          data/. Then the four IDX files are looked for in `$MNIST_DIR` or, if that is not set, in data/. If they are
          not in data/, they are downloaded there.
        - 'digits': the embedded digits. They are drawn once and kept in data/.
        - A path that ends in .npz: a file of x, (n, width) or, for pictures, (n, height, width); y, (n,); and, if you
          like, split, (3,). split says how many of the n examples train, validate and test, in the order of the file.
          Without it the examples are shuffled with a fixed seed and split 5 : 1 : 1, as MNIST is.
        - Any other path: a pickle of ((x, y), (x, y), (x, y)), plain or gzipped. Each x is a matrix.

        In your own files, x holds floats, which are used as they are, or bytes, which are divided by 256; y holds
        labels from 0 up.

    Returns
    -------
    Datasets
        x : shared, (n, width) of floatX (MNIST: width 784, values byte / 256); y : shared, (n,) of int32.

    Raises
    ------
    UserError
        There is no such data set, it cannot be downloaded, or a file is damaged or has other contents.
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
    for part in SETS:  # one set after the other: the memory of its arrays is free before the next set is converted
        x, y = sets.pop(0)
        x, y = _to_float(x), y.astype(np.int32)
        pairs.append(
            tuple(pytensor.shared(array, f"{part}_{name}", borrow=True) for array, name in ((x, "x"), (y, "y")))
        )
    return Datasets(pairs, name, source, sha256, image_shape)


def fetch_mnist():
    """Find MNIST, or download it to data/. Return the place where it is, in one line, or raise a UserError."""
    return _mnist()[1]


def checksum(sets):
    """The SHA-256 of a data set's contents.

    The arrays are hashed in the order x, y of training, validation and test. Of each array a line of ASCII comes first,
    its type and shape, such as '|u1 (50000, 784)'. Its values follow in C order. Labels are written as <i4. An x is
    written as bytes if it is made of bytes / 256, else as <f8. So MNIST has one checksum, whether it comes from IDX
    files or a pickle, in bytes, float32 or float64.

    `sets` is a list of pairs of array, as `_read_sets` and `read_mnist` return it.
    """
    digest = hashlib.sha256()
    for x, y in sets:
        for array, form in (x, "|u1" if x.dtype == np.uint8 else "<f8"), (y, "<i4"):
            digest.update(f"{form} {array.shape}\n".encode())
            for start in range(0, len(array), ROWS):
                digest.update(np.ascontiguousarray(array[start : start + ROWS], form))
    return digest.hexdigest()


def _mnist():
    """The three pairs (x, y) of MNIST, uint8, and a line that says where they were found."""
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
    """The three pairs (x, y) of the embedded digits, uint8. They are read from data/, or drawn and kept there."""
    path = DATA / "digits.npz"
    names = [(f"{part}_x", f"{part}_y") for part in SETS]
    try:
        arrays = read_arrays(path, "they are drawn again", limit=1 << 26)  # the right file has 55 MB
        sets = [(arrays[x], arrays[y]) for x, y in names]
        if checksum(sets) == DIGITS_SHA256:
            return sets
    except Exception:  # the file is missing or damaged, in whatever way: it is only a copy
        pass
    from support.data.digits import make_digits

    sets = list(make_digits())
    try:
        DATA.mkdir(exist_ok=True)
        with replacing(path) as file:
            np.savez(file, **{name: array for pair in zip(names, sets) for name, array in zip(*pair)})
    except OSError:  # the folder cannot be written: the digits are drawn again at the next run
        pass
    return sets


def _existing(dataset):
    """The path of a data set. A UserError says that it is not a file."""
    if not os.path.isfile(dataset):
        fault = "is not a file" if os.path.exists(dataset) else "does not exist"
        raise UserError(
            f"dataset {shown(dataset)!r} {fault}: give mnist (or {PICKLE}), digits, or the path of a pickle or of an "
            ".npz file"
        )
    return Path(dataset)


def _read_sets(path):
    """The three pairs (x, y) of a pickle, checked: x is (n, width) of uint8 or float, y is (n,) of int32."""
    return _check_sets(path, read_pickle(path))


def _read_archive(path):
    """The three pairs of an .npz file, as from `_read_sets`; a line on their source; (height, width) or None."""
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
            raise UserError(f"{path} cannot be used: {n} examples are too few to split 5 : 1 : 1; add some, or a split")
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
    """Check three pairs of any arrays, which are taken out of the list. Return the pairs as `_read_sets` does."""
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
        raise UserError(f"{path} cannot be used: in {pytensor.config.floatX} it needs more than {LIMIT >> 20} MiB")
    return sets


def _tell_missing_classes(sets):
    """Print which labels below the largest one have no example. The output for such a label learns nothing."""
    classes = np.unique(np.concatenate([y for _, y in sets]))
    missing = np.setdiff1d(np.arange(classes[-1]), classes)
    if missing.size:
        names = f"{', '.join(map(str, missing[:10]))}{', ...' if missing.size > 10 else ''}"
        say(f"note: the labels go from 0 to {classes[-1]}, but no example has the label {names}")


def _to_bytes(x):
    """256 x as uint8, if all its values are bytes, which needs a quarter of the memory or less; else x itself."""
    if x.dtype == np.uint8:
        return x
    pixels = np.empty(x.shape, np.uint8)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        with np.errstate(all="ignore"):  # a value that is not a byte is found by the comparison below
            scaled = 256 * x[rows]
            pixels[rows] = scaled
        if not np.array_equal(pixels[rows], scaled):
            return x
    return pixels


def _to_float(x):
    """A new matrix of floatX. Bytes are divided by 256, which is exact."""
    matrix = aligned_empty(x.shape, pytensor.config.floatX)
    if x.dtype == np.uint8:
        return np.divide(x, 256, out=matrix, dtype=matrix.dtype)
    matrix[...] = x
    return matrix
