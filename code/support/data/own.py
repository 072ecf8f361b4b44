"""Data sets of one's own, from .npz files and pickles. A refusal names the array and says how to mend it."""

from support.console import say
from support.data.unpickling import read_pickle
from support.files import shown
from support.files.archives import LIMIT, Refused, read_arrays, usable
from support.start import UserError

import numpy as np
import pytensor

PARTS = "training", "validation", "test"
MOST_CLASSES = 1 << 16  # a wrong label could otherwise ask for gigabytes of weights
MOST_NAMED = 10  # labels in a message
LARGE = 10  # the learning rates suit values from 0 to 1; standardised values are below this
SPLIT_SEED = 0  # seed of the shuffle: the parts of a file are the same at each run
ROWS = 4096  # rows that are checked or copied at once, so that a large matrix need not be copied as a whole
NEEDED = (
    "needed is an .npz file of x, (n, width) or (n, height, width), y, (n,), and, if wanted, split: how many train, "
    "validate, test; or a pickle of ((x, y), (x, y), (x, y)), each an array, which np.asarray makes"
)
FOREIGN = {  # beginnings and endings of files that are often mistaken for data sets
    b"\x93NUMPY": "an .npy file of one array",
    b"<": "an HTML page, and no data: a download may have gone wrong",
    ".csv": "text, of which np.loadtxt makes an array",
    ".tsv": "text, of which np.loadtxt makes an array",
    ".txt": "text, of which np.loadtxt makes an array",
}
# How a picture with colours becomes grey: {(axis of the colours, how many): what to write}
GREY = {
    (3, 3): "x.mean(axis=3)",
    (1, 3): "x.mean(axis=1)",
    (3, 4): "x[..., :3].mean(axis=3)",
    (1, 4): "x[:, :3].mean(axis=1)",
}
UNIQUE = "np.unique(y, return_inverse=True)[1]"


def read_own(path, remedy=NEEDED):
    """Read and check a data set.

    Returns
    -------
    sets : list of three pairs of array; x : (n, width), uint8 or float; y : (n,), int32
    source : str, where they are from, in one line
    image_shape : (height, width), or None if the examples are no pictures

    A UserError ends with the remedy, or says how to mend an array.
    """
    pairs, split, image_shape = _read(path, remedy)
    source = f"the pickle {path.resolve()}"
    if len(pairs) == 1:
        ((x, y),) = pairs
        if y is None:
            raise UserError(f"{path} cannot be used: it has no y, the labels; {remedy}")
        parts, how = _split(path, len(x), split)
        pairs = [(x[part], y[part]) for part in parts]
        sizes = " + ".join(str(len(y)) for _, y in pairs)
        source = f"the arrays in {path.resolve()}, {how}: {sizes} to train, validate and test"
    _tell_classes([y for _, y in pairs])
    _tell_range([x for x, _ in pairs])
    return [(_to_bytes(x), y) for x, y in pairs], source, image_shape


def read_examples(path):
    """x, as from `read_own`, and y or None, of all examples in an .npz file; None if it gives a split, or is none.

    Predictions need neither labels nor a split.
    """
    if not _is_archive(path, NEEDED):
        return None
    ((x, y),), split, _ = _read(path, NEEDED)
    if split is not None:
        return None
    _tell_range([x])
    return _to_bytes(x), y


def _read(path, remedy):
    """The checked pairs (x, y) of a file, its split or None, and (height, width) or None.

    A pickle has three pairs. An .npz file has one, in which y may be None. The split is not checked.
    """
    split, whose = None, [f"its {part} set" for part in PARTS]
    if _is_archive(path, remedy):
        arrays = read_arrays(path, remedy)
        others = sorted(arrays.keys() - {"x", "y", "split"})
        if others or "x" not in arrays:
            found = shown(", ".join(arrays)) or "nothing"
            surplus = f", and no {shown(', '.join(others))}" if "x" in arrays else ""
            raise UserError(f"{path} cannot be used: it holds {found}; {remedy}{surplus}")
        pairs, split, whose = [(arrays["x"], arrays.get("y"))], arrays.get("split"), ["it"]
    else:
        pairs = read_pickle(path, remedy)
    shapes = []
    for number, (of, (x, y)) in enumerate(zip(whose, pairs)):
        of = f"{path} cannot be used: {of}"
        x, shape = _check_x(x, of)
        pairs[number] = x, None if y is None else _check_y(y, len(x), of)
        shapes.append(shape)
        if x.shape[1] != pairs[0][0].shape[1]:
            raise UserError(f"{of} has rows of {x.shape[1]} values, the training set of {pairs[0][0].shape[1]}")
    floatX = np.dtype(pytensor.config.floatX)
    if sum(x.size for x, _ in pairs) * floatX.itemsize > LIMIT:
        raise UserError(f"{path} cannot be used: in {floatX} it needs more than {LIMIT >> 20} MiB")
    return pairs, split, shapes[0]


def _is_archive(path, remedy):
    """Whether a file is an .npz file and no pickle. A UserError names the kinds of file that are neither."""
    with usable(path, "data set", remedy) as file:
        head, suffix = file.read(32), path.suffix.lower()
        if not head:
            raise Refused("it is empty")
        for sign, kind in FOREIGN.items():
            if sign == suffix or isinstance(sign, bytes) and head.lstrip().startswith(sign):
                raise Refused(f"it is {kind}")
        return head.startswith(b"PK") or suffix == ".npz"


def _split(path, n, split):
    """The indices of three parts of n examples, and in words how they are made."""
    if split is None:
        if n < 7:
            raise UserError(f"{path} cannot be used: {n} examples are too few to split 5 : 1 : 1; add some, or a split")
        order = np.random.RandomState(SPLIT_SEED).permutation(n)
        return np.split(order, [n - 2 * (n // 7), n - n // 7]), "shuffled and split 5 : 1 : 1"
    if split.shape != (3,) or split.dtype.kind not in "iu" or split.min() < 1 or sum(split.tolist()) != n:
        raise UserError(f"{path} cannot be used: its split is {shown(split)}, not three counts of its {n} examples")
    valid, test = split[:2].cumsum().tolist()
    return (slice(valid), slice(valid, test), slice(test, n)), "in their order"


def _check_x(x, of):
    """x as a matrix of uint8 or of floats, and (height, width) if it holds pictures. `of` begins a refusal."""
    if x.dtype != np.uint8 and (x.dtype.kind != "f" or x.itemsize > 8):
        is_bytes = x.dtype.kind in "iu" and x.size and 0 <= x.min() and x.max() <= 255
        cast = f"{'np.stack(x)' if x.dtype.hasobject else 'x'}.astype({'np.uint8' if is_bytes else 'np.float32'})"
        raise UserError(
            f"{of} has x of {shown(x.dtype)}; needed are floats, or uint8, which is divided by 256, such as from {cast}"
        )
    if x.ndim == 4 and 1 in x.shape[1::2]:  # grey pictures with an axis for their one channel
        x = x.squeeze(3 if x.shape[3] == 1 else 1)
    if x.size == 0:
        raise UserError(f"{of} has x of shape {x.shape}, which holds nothing; save examples in it")
    if x.ndim not in (2, 3):
        greys = [grey for (axis, n_colours), grey in GREY.items() if x.ndim == 4 and x.shape[axis] == n_colours]
        advice = "x[None] is one example" if x.ndim < 2 else "x.reshape(len(x), -1) makes each example a row"
        advice = f"{greys[0]}.astype(x.dtype) makes colours grey" if greys else advice
        raise UserError(f"{of} has x of shape {x.shape}; needed is (n, width) or (n, height, width): {advice}")
    matrix = x.reshape(len(x), -1)
    floatX = pytensor.config.floatX
    if not max(-float(matrix.min()), float(matrix.max())) <= float(np.finfo(floatX).max):
        raise UserError(f"{of} has an x that is not a finite number of {floatX}: leave such examples out")
    return matrix, x.shape[1:] if x.ndim == 3 else None


def _check_y(y, n, of):
    """y as int32, if it holds n labels. `of` begins a refusal."""
    kind = y.dtype.kind
    if y.shape != (n,) and not y.dtype.hasobject:
        hint = "" if y.size % n or not y.size else ": y.ravel()" if y.size == n else ": y.argmax(axis=1), if one-hot"
        raise UserError(f"{of} has y of shape {y.shape}; needed is {(n,)}, a label for each x{hint}")
    if kind not in "iu":
        is_whole = kind == "b" or kind == "f" and (y == np.floor(y)).all() or kind in "US" and np.char.isdigit(y).all()
        cast = "y.astype(int)" if is_whole else UNIQUE
        raise UserError(f"{of} has y of {shown(y.dtype)}; needed are whole numbers, such as from {cast}")
    if y.min() < 0 or y.max() >= MOST_CLASSES:
        raise UserError(
            f"{of} has labels from {y.min()} to {y.max()}; needed are whole numbers from 0 to {MOST_CLASSES - 1}, "
            f"such as from {UNIQUE}"
        )
    return y.astype(np.int32)


def _tell_classes(labels):
    """Print which classes a set lacks. A classifier cannot learn them, or its error does not count them."""
    there = [set(y.tolist()) for y in labels]
    classes = set().union(*there)
    if len(classes) == 1:
        say(f"note: every example has the label {max(classes)}: there is nothing to tell apart")
    elif absent := set(range(max(classes))) - classes:
        say(f"note: the labels go from 0 to {max(classes)}, but no example has the label {_listed(absent)}")
    for part, here in zip(PARTS, there):
        if absent := classes - here:
            end = "it is never learned" if part == PARTS[0] else "its error does not count it"
            say(f"note: the {part} set has no example of the label {_listed(absent)}, so that {end}")


def _listed(labels):
    return ", ".join(map(str, sorted(labels)[:MOST_NAMED])) + ", ..." * (len(labels) > MOST_NAMED)


def _tell_range(matrices):
    """Print what to do about pixels from 0 to 255 that are floats: with them the training diverges."""
    floats = [x for x in matrices if x.dtype != np.uint8]
    low, high = min((x.min() for x in floats), default=0), max((x.max() for x in floats), default=0)
    if max(-low, high) > LARGE:
        cast = "x.astype(np.uint8)" if low >= 0 and high <= 255 else "(x - x.min()) / (x.max() - x.min())"
        say(f"note: x goes from {low:g} to {high:g}, but learning rates suit values from 0 to 1: save {cast} instead")


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
