"""MNIST as published: four IDX files. They are found in a folder or downloaded, and checked at each reading."""

import gzip
import hashlib
import io
import math
import os
import sys
import urllib.request
from pathlib import Path

from support.files import replacing, shown
from support.start import UnavailableError, UserError

import numpy as np

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
TIMEOUT = 6  # seconds without a byte after which a mirror is passed over
# {name: (shape of the array of unsigned bytes in the file, SHA-256 of the unpacked file)}
FILES = {
    "train-images-idx3-ubyte": ((60000, 28, 28), "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": ((60000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": ((10000, 28, 28), "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": ((10000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
N_VALID = 10000  # the last images of the training file


def find_mnist(data):
    """The folder with the four files: `$MNIST_DIR` if that is set, else `data`. Missing files are downloaded to `data`.

    The files' contents are checked by `read_mnist`. A UserError says that `$MNIST_DIR` lacks a file or that a file
    cannot be written, an UnavailableError that one cannot be downloaded.
    """
    chosen = os.environ.get("MNIST_DIR")
    folder = Path(chosen or data)
    missing = [name for name in FILES if not os.path.lexists(_file(folder, name))]
    if missing and chosen:
        lacking = f"lacks {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise UserError(f"MNIST_DIR={chosen} {lacking}: name the folder with MNIST's four files, or unset MNIST_DIR")
    mirrors = list(MIRRORS)
    for name in missing:
        packed, path = _download(name, mirrors, data), data / f"{name}.gz"
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
    """MNIST in the three parts of the tutorial: three pairs of uint8 array, (n, 784) and (n,).

    They are the first 50,000 images and labels of the training file; its last 10,000; the 10,000 of the test file. A
    UserError says that a file differs from the published one.
    """
    arrays = []
    for name, (shape, _) in FILES.items():
        path = _file(folder, name)
        try:
            with open(path, "rb") as file:
                content, fault = _unpack(file, name)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        if fault:
            chosen = os.environ.get("MNIST_DIR")
            way = "name another folder in MNIST_DIR" if chosen else "delete it, and it is downloaded again"
            raise UserError(f"{path} is not the file that MNIST's authors published ({fault}): {way}")
        values = np.frombuffer(content, np.uint8, offset=len(content) - math.prod(shape))
        arrays.append(values.reshape(len(values) if len(shape) == 1 else (shape[0], -1)))
    train_x, train_y, test_x, test_y = arrays
    return [(train_x[:-N_VALID], train_y[:-N_VALID]), (train_x[-N_VALID:], train_y[-N_VALID:]), (test_x, test_y)]


def _size(name):
    """Bytes of the unpacked file: four, four for each axis, and the array."""
    shape, _ = FILES[name]
    return 4 + 4 * len(shape) + math.prod(shape)


def _unpack(file, name):
    """The unpacked bytes of a file, and in words how they differ from the published ones; "" if they do not."""
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        content = (gzip.GzipFile(fileobj=file) if zipped else file).read(_size(name) + 1)
    except Exception:  # gzip and zlib have an error for each kind of damage
        return b"", "it is damaged"
    if content[:32].lstrip().startswith(b"<"):
        return content, "it is an HTML page"
    return content, "" if hashlib.sha256(content).hexdigest() == FILES[name][1] else "another SHA-256"


def _download(name, mirrors, data):
    """The bytes of one gzipped file, checked. A mirror that fails is taken out of the list, and the next is asked."""
    while mirrors:
        print(f"... downloading {name}.gz from {mirrors[0]}", file=sys.stderr, flush=True)
        try:
            with urllib.request.urlopen(f"{mirrors[0]}{name}.gz", timeout=TIMEOUT) as response:
                packed = response.read(_size(name) + 1024)  # a file that cannot be shortened grows by a few bytes
            _, fault = _unpack(io.BytesIO(packed), name)
        except Exception as error:  # an error of the network, HTTP or TLS: the next mirror may work
            fault = shown(error) or type(error).__name__
        if not fault:
            return packed
        print(f"    passed over: {fault}", file=sys.stderr, flush=True)
        del mirrors[0]
    raise UnavailableError(
        f"MNIST cannot be downloaded: --dataset digits trains on the embedded digits without a network; or put MNIST's "
        f"four files, {', '.join(FILES)}, into {data}, or set MNIST_DIR to their folder"
    )
