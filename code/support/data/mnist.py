"""MNIST as published: four IDX files. They are found in a folder or downloaded, and checked at each reading."""

import gzip
import hashlib
import io
import os
import sys
import urllib.request
from pathlib import Path

from support.files import damaged, replacing, shown
from support.start import UnavailableError, UserError

import numpy as np

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
TIMEOUT = 6  # seconds without a byte after which a mirror is passed over
LIMIT = 48_000_000  # bytes that are read of a file; the largest, unpacked, has 47,040,016
FILES = {  # {name: SHA-256 of the unpacked file}
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
N_VALID = 10000  # the last images of the training file


def read_mnist(data):
    """MNIST in the three parts of the tutorial: three pairs of uint8 array, (n, 784) and (n,); and the files' folder.

    The parts are the first 50,000 images and labels of the training file; its last 10,000; the 10,000 of the test file.
    The folder is `$MNIST_DIR` if that is set, else `data`, to which missing files are downloaded. A UserError says that
    a file cannot be read or written or is not the published one, or that `$MNIST_DIR` lacks it; an UnavailableError
    that it cannot be downloaded.
    """
    chosen = os.environ.get("MNIST_DIR")
    remedy = "name another folder in MNIST_DIR" if chosen else "delete it, and it is downloaded again"
    folder, mirrors, arrays = Path(chosen or data), list(MIRRORS), []
    for name in FILES:
        paths = [folder / each for each in (f"{name}.gz", name, name.replace("-idx", ".idx"))]  # as programs unpack it
        path = next((path for path in paths if os.path.lexists(path)), None)
        if path is None and chosen:
            lacking = f"lacks {name}" if folder.is_dir() else "is not a folder"
            raise UserError(
                f"MNIST_DIR={chosen} {lacking}: name the folder with MNIST's four files, or unset MNIST_DIR"
            )
        if path is None:
            path = paths[0]
            _download(path, name, mirrors)
        with damaged(path, remedy), open(path, "rb") as file:
            content = _unpack(file, name)
        n_axes = content[3]
        arrays.append(np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes))
    train_x, train_y, test_x, test_y = arrays
    train_x, test_x = train_x.reshape(len(train_y), -1), test_x.reshape(len(test_y), -1)
    parts = (train_x[:-N_VALID], train_y[:-N_VALID]), (train_x[-N_VALID:], train_y[-N_VALID:]), (test_x, test_y)
    return list(parts), folder


def _unpack(file, name):
    """The unpacked bytes of an open file. A ValueError says that they are not the published ones."""
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    content = (gzip.GzipFile(fileobj=file) if zipped else file).read(LIMIT)
    if content[:32].lstrip().startswith(b"<"):
        raise ValueError("an HTML page")
    if hashlib.sha256(content).hexdigest() != FILES[name]:
        raise ValueError("another SHA-256 than that of MNIST's authors")
    return content


def _download(path, name, mirrors):
    """Download a file, gzipped, and check it. A mirror that fails is taken out of the list, and the next is asked."""
    while mirrors:
        print(f"... downloading {name}.gz from {mirrors[0]}", file=sys.stderr, flush=True)
        try:
            with urllib.request.urlopen(f"{mirrors[0]}{name}.gz", timeout=TIMEOUT) as response:
                packed = response.read(LIMIT)
            _unpack(io.BytesIO(packed), name)
        except Exception as error:  # an error of the network, HTTP, TLS or gzip: the next mirror may work
            print(f"    passed over: {shown(error) or type(error).__name__}", file=sys.stderr, flush=True)
            del mirrors[0]
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(packed)
        except OSError as error:
            way = "make room for it, or set MNIST_DIR to a folder that has MNIST's four files"
            raise UserError(f"{path} cannot be written ({error.strerror}): {way}") from error
        return
    raise UnavailableError(
        f"MNIST cannot be downloaded: --dataset digits trains on the embedded digits without a network; or put MNIST's "
        f"four files, {', '.join(FILES)}, into {path.parent}, or set MNIST_DIR to their folder"
    )
