"""Data sets of one's own, from .npz files and pickles. A refusal names the array and says how to mend it."""

from support.console import say
from support.data.unpickling import LAYOUT, LIMIT, expansion_limit, read_pickle
from support.errors import UserError
from support.files import shown
from support.files.archives import read_arrays

import numpy as np
import pytensor

PARTS = "training", "validation", "test"
MOST_CLASSES = 1 << 16  # a wrong label could otherwise ask for gigabytes of weights
MOST_NAMED = 10  # labels in a message
LARGE = 10  # the learning rates suit values from 0 to 1; standardised values are below this
SPLIT_SEED = 0  # seed of the shuffle: the parts of a file are the same at each run
ROWS = 4096  # rows that are checked or copied at once, so that a large matrix need not be copied as a whole
ARCHIVE = (
    "an .npz file of x, (n, width) or (n, height, width), y, (n,), and, "
    "if wanted, split: how many train, validate, test"
)


def read_own(path):
    """Read and check a data set.

    Returns
    -------
    sets : list of three pairs of array
        x : (n, width), uint8 or float; y : (n,), int32.
    source : str, where they are from, in one line
    image_shape : (height, width), or None if the examples are no pictures
    """
    if is_archive(path):
        x, y, split, image_shape = _read_archive(path)
        if y is None:
            raise UserError(f"{path} cannot be used: it has no y, the labels; needed is {ARCHIVE}")
        parts, how = _split(path, len(x), split)
        sets = [(_to_bytes(x[part]), y[part]) for part in parts]
        sizes = " + ".join(str(len(y)) for _, y in sets)
        source = f"the arrays in {path.resolve()}, {how}: {sizes} to train, validate and test"
    else:
        sets, image_shape = read_sets(path)
        source = f"the pickle {path.resolve()}"
    _check_size(path, [x for x, _ in sets])
    _tell_classes([y for _, y in sets])
    _tell_range([x for x, _ in sets])
    return sets, source, image_shape


def read_examples(path):
    """x, as from `read_own`, and y or None, of all examples in an .npz file; None if the file gives a split.

    Predictions need neither labels nor a split.
    """
    x, y, split, _ = _read_archive(path)
    if split is not None:
        return None
    _check_size(path, [x])
    _tell_range([x])
    return _to_bytes(x), y


def is_archive(path, remedy=f"needed is {ARCHIVE}"):
    """Whether a file is an .npz file and no pickle. A UserError, which ends with the remedy, refuses other files."""
    try:
        with open(path, "rb") as file:
            head = file.read(32)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    kind = "" if head else "empty"
    if head.startswith(b"\x93NUMPY"):
        kind = "an .npy file of one array"
    elif head.lstrip().startswith(b"<"):
        kind = "an HTML page, and no data: a download may have gone wrong"
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        kind = "text, of which np.loadtxt makes an array"
    if kind:
        raise UserError(f"{path} cannot be used: it is {kind}; {remedy}")
    return head.startswith(b"PK") or path.suffix.lower() == ".npz"


def read_sets(path, remedy=f"needed is {LAYOUT}"):
    """The sets and the image shape of a pickle, as from `read_own`."""
    pairs, sets, shapes = read_pickle(path, remedy), [], []
    while pairs:
        of = f"{path} cannot be used: its {PARTS[len(sets)]} set"
        x, y = pairs.pop(0)
        x, shape = _check_x(x, of)
        if sets and x.shape[1] != sets[0][0].shape[1]:
            raise UserError(f"{of} has rows of {x.shape[1]} values, the training set of {sets[0][0].shape[1]}")
        sets.append((_to_bytes(x), _check_y(y, len(x), of)))
        shapes.append(shape)
    return sets, shapes[0]


def _read_archive(path):
    """x, y or None, split or None, and the image shape or None, of an .npz file. All but the split are checked."""
    arrays = read_arrays(path, f"needed is {ARCHIVE}", expansion_limit(path.stat().st_size))
    others = sorted(arrays.keys() - {"x", "y", "split"})
    if others or "x" not in arrays:
        raise UserError(
            f"{path} cannot be used: it holds {shown(', '.join(arrays)) or 'nothing'}; needed is {ARCHIVE}"
            + (f", and no {shown(', '.join(others))}" if "x" in arrays else "")
        )
    of = f"{path} cannot be used: it"
    x, image_shape = _check_x(arrays["x"], of)
    y = _check_y(arrays["y"], len(x), of) if "y" in arrays else None
    return x, y, arrays.get("split"), image_shape


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
        cast = "np.stack(x)" if x.dtype.hasobject else "x"
        cast += ".astype(np.uint8)" if is_bytes else ".astype(np.float32)"
        raise UserError(
            f"{of} has x of {shown(x.dtype)}; needed are floats, or uint8, which is divided by 256, such as from {cast}"
        )
    if x.ndim == 4 and 1 in (x.shape[1], x.shape[3]):  # grey pictures with an axis for their one channel
        x = x.reshape(x.shape[:1] + (x.shape[1:3] if x.shape[3] == 1 else x.shape[2:]))
    if x.ndim not in (2, 3) or x.size == 0:
        raise UserError(
            f"{of} has x of shape {x.shape}; needed is (n, width) or (n, height, width){_advice(x) if x.size else ''}"
        )
    matrix = x.reshape(len(x), -1)
    most = float(np.finfo(pytensor.config.floatX).max)
    if not max(-float(matrix.min()), float(matrix.max())) <= most:
        raise UserError(
            f"{of} has an x that is not a finite number of {pytensor.config.floatX}: leave such examples out"
        )
    return matrix, x.shape[1:] if x.ndim == 3 else None


def _advice(x):
    """The end of a refusal: how x of another shape becomes right."""
    if x.ndim < 2:
        return ": x[None] is one example"
    axis = next((axis for axis in (3, 1) if x.ndim == 4 and x.shape[axis] in (3, 4)), None)
    if axis is None:
        return ": x.reshape(len(x), -1) makes each example a row"
    colours = "x" if x.shape[axis] == 3 else "x[..., :3]" if axis == 3 else "x[:, :3]"
    return f": {colours}.mean(axis={axis}).astype(x.dtype) makes colours grey"


def _check_y(y, n, of):
    """y as int32, if it holds n labels. `of` begins a refusal."""
    kind, unique = y.dtype.kind, "np.unique(y, return_inverse=True)[1]"
    if y.shape != (n,) and not y.dtype.hasobject:
        hint = "" if y.size % n or not y.size else ": y.ravel()" if y.size == n else ": y.argmax(axis=1), if one-hot"
        raise UserError(f"{of} has y of shape {y.shape}; needed is {(n,)}, a label for each x{hint}")
    if kind not in "iu":
        is_whole = kind == "f" and np.array_equal(y, np.floor(y)) or kind in "US" and np.char.isdigit(y).all()
        cast = "y.astype(int)" if is_whole or kind == "b" else unique
        raise UserError(f"{of} has y of {shown(y.dtype)}; needed are whole numbers, such as from {cast}")
    if y.min() < 0 or y.max() >= MOST_CLASSES:
        raise UserError(
            f"{of} has labels from {y.min()} to {y.max()}; needed are whole numbers from 0 to {MOST_CLASSES - 1}, "
            f"such as from {unique}"
        )
    return y.astype(np.int32)


def _check_size(path, matrices):
    if sum(x.size for x in matrices) * np.dtype(pytensor.config.floatX).itemsize > LIMIT:
        raise UserError(f"{path} cannot be used: in {pytensor.config.floatX} it needs more than {LIMIT >> 20} MiB")


def _tell_classes(labels):
    """Print which classes a set lacks. A classifier cannot learn them, or its error does not count them."""
    there = [set(y.tolist()) for y in labels]
    classes = set().union(*there)
    if len(classes) == 1:
        say(f"note: every example has the label {max(classes)}: there is nothing to tell apart")
    elif absent := set(range(max(classes))) - classes:
        say(f"note: the labels go from 0 to {max(classes)}, but no example has the label {_listed(absent)}")
    consequences = ["so that it is never learned"] + 2 * ["so that its error does not count it"]
    for part, here, consequence in zip(PARTS, there, consequences):
        if absent := classes - here:
            say(f"note: the {part} set has no example of the label {_listed(absent)}, {consequence}")


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
