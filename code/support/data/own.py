"""Data sets of one's own, from .npz files and pickles. A refusal names the array and says how to mend it."""

from support.console import say
from support.data.unpickling import read_pickle
from support.files import damaged, shown
from support.files.archives import LIMIT, read_arrays
from support.start import UserError

import numpy as np
import pytensor

PARTS = "training", "validation", "test"
MOST_CLASSES = 1 << 16  # a wrong label could otherwise ask for gigabytes of weights
MOST_NAMED = 10  # labels in a message
LARGE = 10  # the learning rates suit values from 0 to 1; standardised values are below this
SPLIT_SEED = 0  # seed of the shuffle: the parts of a file are the same at each run
NEEDED = (
    "needed is an .npz file of x, (n, width) or (n, height, width), y, (n,), and, if wanted, split: how many train, "
    "validate, test; or a pickle of ((x, y), (x, y), (x, y)); each an array of numbers, as np.stack makes of a list"
)
UNIQUE = "np.unique(y, return_inverse=True)[1]"


def read_own(path, remedy=NEEDED, to_predict=False):
    """Read and check a data set.

    Returns
    -------
    pairs : list of (x, y); x : (n, width), uint8 or float; y : (n,), int32
        Three pairs. An .npz file without a split, if it is read `to_predict`, gives one pair, in which y may be None.
    source : str, where they are from, in one line
    image_shape : (height, width), or None if the examples are no pictures

    A UserError ends with the remedy, or says how to mend an array.
    """
    content, refused = _read(path, remedy), f"{path} cannot be used:"
    if isinstance(content, list):
        source = f"the pickle {path.resolve()}"
        pairs = [_check(x, y, f"{refused} its {part} set") for part, (x, y) in zip(PARTS, content)]
    else:
        if not {"x"} <= content.keys() <= {"x", "y", "split"}:
            raise UserError(f"{refused} it holds {shown(', '.join(content)) or 'nothing'}; {remedy}")
        x, y = _check(content["x"], content.get("y"), f"{refused} it")
        pairs, how = [(x, y)], "all of them predicted"
        if "split" in content or not to_predict:
            if y is None:
                raise UserError(f"{refused} it has no y, the labels; {remedy}")
            pairs, how = _split(x, y, content.get("split"), refused)
        source = f"the arrays in {path.resolve()}, {how}"
    widths, floatX = [x[0].size for x, _ in pairs], np.dtype(pytensor.config.floatX)
    if len(set(widths)) > 1:
        raise UserError(f"{refused} its sets have rows of {widths} values; save the same number in each")
    if sum(x.size for x, _ in pairs) * floatX.itemsize > LIMIT:
        raise UserError(f"{refused} in {floatX} it needs more than {LIMIT >> 20} MiB")
    if len(pairs) == len(PARTS):
        _tell_classes([y for _, y in pairs])
    _tell_range([x for x, _ in pairs])
    _, *image_shape = pairs[0][0].shape
    pairs = [(_to_bytes(x.reshape(len(x), -1)), y) for x, y in pairs]
    return pairs, source, tuple(image_shape) if len(image_shape) == 2 else None


def _read(path, remedy):
    """The list of the three pairs in a pickle, or the dict of the arrays in an .npz file, unchecked."""
    with damaged(path, remedy), open(path, "rb") as file:
        head, suffix = file.read(32), path.suffix.lower()
        file.seek(0)
        others = {
            "an .npy file of one array": head.startswith(b"\x93NUMPY"),
            "an HTML page: a download may have gone wrong": head.lstrip().startswith(b"<"),
            "text, of which np.loadtxt makes an array": suffix in (".csv", ".tsv", ".txt"),
        }
        for kind, is_this in others.items():
            if is_this:
                raise ValueError(kind)
        return read_arrays(file) if head.startswith(b"PK") or suffix == ".npz" else read_pickle(file)


def _split(x, y, split, refused):
    """The three pairs (x, y) that a split makes of one, and in words how; without a split, those of a shuffle."""
    n, how = len(x), "in their order"
    if split is None:
        if n < 7:
            raise UserError(f"{refused} {n} examples are too few to split 5 : 1 : 1; add some, or a split")
        order, how = np.random.RandomState(SPLIT_SEED).permutation(n), "shuffled and split 5 : 1 : 1"
        x, y, split = x[order], y[order], np.array([n - 2 * (n // 7), n // 7, n // 7])
    if split.shape != (3,) or split.dtype.kind not in "iu" or split.min() < 1 or sum(split.tolist()) != n:
        raise UserError(f"{refused} its split is {shown(split)}, not three counts of its {n} examples")
    pairs = zip(*(np.split(array, np.cumsum(split)[:2]) for array in (x, y)))
    return list(pairs), f"{how}: {' + '.join(map(str, split))} to train, validate and test"


def _check(x, y, told):
    """x, (n, width) or (n, height, width), and y, (n,) of int32 or None, if usable. `told` begins a refusal."""
    if x.size == 0:
        raise UserError(f"{told} has x of shape {x.shape}, which holds nothing; save examples in it")
    if x.dtype != np.uint8 and (x.dtype.kind != "f" or x.itemsize > 8):
        cast = "np.uint8" if x.dtype.kind in "iu" and 0 <= x.min() and x.max() <= 255 else "np.float32"
        needed = f"needed are floats, or uint8, which is divided by 256, such as from x.astype({cast})"
        raise UserError(f"{told} has x of {shown(x.dtype)}; {needed}")
    if x.ndim == 4 and 1 in x.shape[1::2]:  # grey pictures with an axis for their one channel
        x = x.squeeze(3 if x.shape[3] == 1 else 1)
    if x.ndim not in (2, 3):
        advice = "x[None] is one example" if x.ndim < 2 else "x.reshape(len(x), -1) makes each example a row"
        if x.ndim == 4 and 3 in x.shape[1::2]:
            advice = f"x.mean(axis={3 if x.shape[3] == 3 else 1}).astype(x.dtype) makes colours grey"
        raise UserError(f"{told} has x of shape {x.shape}; needed is (n, width) or (n, height, width): {advice}")
    floatX = pytensor.config.floatX
    if not max(-float(x.min()), float(x.max())) <= float(np.finfo(floatX).max):
        raise UserError(f"{told} has an x that is not a finite number of {floatX}: leave such examples out")
    return x, None if y is None else _check_y(y, len(x), told)


def _check_y(y, n, told):
    """y as int32, if it holds n labels."""
    if y.shape != (n,):
        hint = "" if y.size % n or not y.size else ": y.ravel()" if y.size == n else ": y.argmax(axis=1), if one-hot"
        raise UserError(f"{told} has y of shape {y.shape}; needed is {(n,)}, a label for each x{hint}")
    if y.dtype.kind not in "iu":
        cast = "y.astype(int)" if y.dtype.kind in "bf" and (y == np.floor(y)).all() else UNIQUE
        raise UserError(f"{told} has y of {shown(y.dtype)}; needed are whole numbers, such as from {cast}")
    if y.min() < 0 or y.max() >= MOST_CLASSES:
        needed = f"needed are whole numbers from 0 to {MOST_CLASSES - 1}, such as from {UNIQUE}"
        raise UserError(f"{told} has labels from {y.min()} to {y.max()}; {needed}")
    return y.astype(np.int32)


def _tell_classes(labels):
    """Print which classes a set lacks: a classifier cannot learn them, or its error does not count them."""
    there = [set(y.tolist()) for y in labels]
    classes = set.union(*there)
    notes = {"no example has": set(range(max(classes))) - classes}
    notes |= {f"the {part} set has no example of": classes - here for part, here in zip(PARTS, there)}
    for told, absent in notes.items():
        if absent:
            some = ", ".join(map(str, sorted(absent)[:MOST_NAMED])) + ", ..." * (len(absent) > MOST_NAMED)
            say(f"note: {told} the label {some}")
    if len(classes) == 1:
        say(f"note: every example has the label {max(classes)}: there is nothing to tell apart")


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
    with np.errstate(all="ignore"):  # a value that is not a byte is found by the comparison below
        scaled = 256 * x
        pixels = scaled.astype(np.uint8)
    return pixels if np.array_equal(pixels, scaled) else x
