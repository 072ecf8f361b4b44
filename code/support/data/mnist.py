"""MNIST as published: four IDX files. They are found in a folder or downloaded, and checked at each reading."""

import gzip
import hashlib
import io
import math
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

from support.errors import UnavailableError, UserError
from support.files import replacing, shown

import numpy as np

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
TIMEOUT = 6  # seconds that a mirror has for each CHUNK
CHUNK = 1 << 14  # bytes


class Idx(NamedTuple):
    """The facts about a published file."""

    shape: tuple  # of the array of unsigned bytes in it
    sha256: str  # of the unpacked file

    @property
    def size(self):
        """Bytes of the unpacked file: four, four for each axis, and the array."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


FILES = {
    "train-images-idx3-ubyte": Idx((60000, 28, 28), "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": Idx((60000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": Idx((10000, 28, 28), "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": Idx((10000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
N_VALID = 10000  # the last images of the training file


def find_mnist(data):
    """The folder with the four files: `$MNIST_DIR` if that is set, else `data`. Missing files are downloaded to `data`.

    Parameters
    ----------
    data : Path

    Returns
    -------
    Path
        All four files are in it. Their contents are checked by `read_mnist`.

    Raises
    ------
    UserError
        `$MNIST_DIR` lacks a file, or a downloaded file cannot be written.
    UnavailableError
        A file cannot be downloaded.
    """
    chosen = os.environ.get("MNIST_DIR")
    folder = Path(chosen) if chosen else data
    missing = [name for name in FILES if not os.path.lexists(_file(folder, name))]
    if missing and chosen:
        lacking = f"lacks {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise UserError(f"MNIST_DIR={chosen} {lacking}: name the folder with MNIST's four files, or unset MNIST_DIR")
    mirrors = list(MIRRORS)
    for name in missing:
        packed = _download(name, mirrors, data)
        path = data / f"{name}.gz"
        try:
            data.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(packed)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): make room for it, or set MNIST_DIR to a folder that has "
                "MNIST's four files"
            ) from error
    return folder


def _file(folder, name):
    """The path of a file, gzipped or unpacked. Some programs put a dot into the name of an unpacked file."""
    paths = [folder / each for each in (f"{name}.gz", name, name.replace("-idx", ".idx"))]
    return next((path for path in paths if os.path.lexists(path)), paths[0])


def read_mnist(folder):
    """MNIST in the three parts of the tutorial, from the files in a folder.

    Returns
    -------
    list of three pairs of uint8 array, (n, 784) and (n,)
        The first 50,000 images and labels of the training file; its last 10,000; the 10,000 of the test file.

    Raises
    ------
    UserError
        A file differs from the published one.
    """
    train_x, train_y, test_x, test_y = (_read_idx(_file(folder, name), known) for name, known in FILES.items())
    train_x, test_x = (x.reshape(len(x), -1) for x in (train_x, test_x))
    return [(train_x[:-N_VALID], train_y[:-N_VALID]), (train_x[-N_VALID:], train_y[-N_VALID:]), (test_x, test_y)]


def _read_idx(path, known):
    """The array of unsigned bytes in an IDX file, gzipped or not, that must be the `known` one."""
    try:
        with open(path, "rb") as file:
            content, fault = _unpack(file, known)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if fault:
        chosen = os.environ.get("MNIST_DIR")
        way = "name another folder in MNIST_DIR" if chosen else "delete it, and it is downloaded again"
        raise UserError(f"{path} is not the file that MNIST's authors published ({fault}): {way}")
    return np.frombuffer(content, np.uint8, offset=known.size - math.prod(known.shape)).reshape(known.shape)


def _unpack(file, known):
    """The unpacked bytes of a file, and in words how they differ from the `known` ones; "" if they do not."""
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        content = (gzip.GzipFile(fileobj=file) if zipped else file).read(known.size + 1)
    except Exception:  # gzip and zlib have an error for each kind of damage
        return b"", "it is damaged"
    if content.lstrip().startswith(b"<"):
        return content, "it is an HTML page"
    if len(content) != known.size:
        return content, f"{'more' if len(content) > known.size else len(content)} bytes instead of {known.size}"
    return content, "" if hashlib.sha256(content).hexdigest() == known.sha256 else "another SHA-256"


def _download(name, mirrors, data):
    """The bytes of one gzipped file, checked, from the first mirror that has them. One that fails goes to the end."""
    known = FILES[name]
    for mirror in tuple(mirrors):
        print(f"... downloading {name}.gz from {mirror}", file=sys.stderr, flush=True)
        try:
            packed = _fetch(f"{mirror}{name}.gz", 2 * known.size)
            _, fault = _unpack(io.BytesIO(packed), known)
        except Exception as error:  # an error of the network, HTTP or TLS: the next mirror may work
            fault = shown(error) or type(error).__name__
        if not fault:
            return packed
        print(f"    passed over: {fault}", file=sys.stderr, flush=True)
        mirrors.remove(mirror)
        mirrors.append(mirror)
    raise UnavailableError(
        f"MNIST cannot be downloaded: --dataset digits trains on the embedded digits without a network; or put MNIST's "
        f"four files, {', '.join(FILES)}, into {data}, or set MNIST_DIR to their folder"
    )


def _fetch(url, most):
    """The first bytes from an address, some more than `most` at most, or a TimeoutError."""
    content, start = bytearray(), time.monotonic()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        while (chunk := response.read1(CHUNK)) and len(content) < most:
            content += chunk
            if time.monotonic() - start > TIMEOUT * (1 + len(content) / CHUNK):
                raise TimeoutError(f"less than {CHUNK} bytes in {TIMEOUT} seconds")
    return content
