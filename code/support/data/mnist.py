"""MNIST as it was published: four gzipped IDX files, found in a folder, checked each time, downloaded where missing."""

import hashlib
import math
import os
import queue
import struct
import sys
import threading
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple

from support.errors import UnavailableError, UserError
from support.files.replacing import replacing

import numpy as np

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
TIMEOUT = 6  # seconds that a mirror has for the first CHUNK, and for each further one
CHUNK = 1 << 14  # bytes


class Idx(NamedTuple):
    """What is known of a published file."""

    shape: tuple  # of the array of unsigned bytes in it
    size: int  # bytes, compressed
    sha256: str  # of the compressed file


FILES = {
    "train-images-idx3-ubyte.gz": Idx(
        (60000, 28, 28), 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": Idx(
        (60000,), 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": Idx(
        (10000, 28, 28), 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": Idx(
        (10000,), 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
N_VALID = 10000  # the last images of the training file


def find_mnist(data):
    """The folder with the four files: `$MNIST_DIR` where it is set, else `data`, where they are downloaded if need be.

    Parameters
    ----------
    data : Path

    Returns
    -------
    Path
        All four are in it; what they hold is checked by `read_mnist`.

    Raises
    ------
    UserError
        Where `$MNIST_DIR` lacks a file, or one cannot be kept; an UnavailableError where one cannot be downloaded.
    """
    chosen = os.environ.get("MNIST_DIR")
    folder = Path(chosen) if chosen else data
    missing = [name for name in FILES if not os.path.lexists(folder / name)]
    if missing and chosen:
        lacking = f"lacks {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise UserError(f"MNIST_DIR={chosen} {lacking}: name the folder with MNIST's four files, or unset MNIST_DIR")
    mirrors = list(MIRRORS)
    for name in missing:
        content = _download(name, mirrors, data)
        try:
            data.mkdir(parents=True, exist_ok=True)
            with replacing(data / name) as file:
                file.write(content)
        except OSError as error:
            raise UserError(
                f"{data / name} cannot be written ({error.strerror}): make room for it, or set MNIST_DIR to a folder "
                "that has MNIST's four files"
            ) from error
    return folder


def read_mnist(folder):
    """MNIST in the tutorial's three parts.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of three pairs of uint8 array
        The training file's first 50,000 images and labels, its last 10,000, the test file's 10,000:
        (n, 784) and (n,).

    Raises
    ------
    UserError
        Where a file is not, byte for byte, the published one.
    """
    train_x, train_y, test_x, test_y = (_read_idx(folder / name, known) for name, known in FILES.items())
    train_x, test_x = (x.reshape(len(x), -1) for x in (train_x, test_x))
    return [(train_x[:-N_VALID], train_y[:-N_VALID]), (train_x[-N_VALID:], train_y[-N_VALID:]), (test_x, test_y)]


def _read_idx(path, known):
    """The array of unsigned bytes in a gzipped IDX file that must be the `known` one."""
    try:
        with open(path, "rb") as file:
            packed = file.read(known.size + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    fault = _fault(packed, known)
    if not fault:
        header = struct.pack(f">{1 + len(known.shape)}I", 0x0800 + len(known.shape), *known.shape)
        length = len(header) + math.prod(known.shape)
        unzip = zlib.decompressobj(wbits=31)  # gzip's format and checksum
        try:
            content = unzip.decompress(packed, length + 1)  # however much more the file would expand to
        except zlib.error:
            content = b""
        if len(content) == length and unzip.eof and not unzip.unused_data and content.startswith(header):
            return np.frombuffer(content, np.uint8, offset=len(header)).reshape(known.shape)
        fault = f"it holds no {' x '.join(map(str, known.shape))} bytes in IDX form"
    way = "name another folder in MNIST_DIR" if os.environ.get("MNIST_DIR") else "delete it, and it is downloaded anew"
    raise UserError(f"{path} is not the file that MNIST's authors published ({fault}): {way}")


def _fault(packed, known):
    """In what some bytes differ from those of the `known` file; an empty string where they do not."""
    if len(packed) != known.size:
        return f"{'more' if len(packed) > known.size else len(packed)} bytes instead of {known.size}"
    return "" if hashlib.sha256(packed).hexdigest() == known.sha256 else "another SHA-256"


def _download(name, mirrors, data):
    """The bytes of one file, checked, from the first mirror that has them; the ones that fail go to the list's end."""
    known = FILES[name]
    for mirror in tuple(mirrors):
        print(f"... downloading {name} ({known.size / 1e6:.1f} MB) from {mirror}", file=sys.stderr, flush=True)
        try:
            content = b"".join(_chunks(mirror + name, known.size + 1))
            fault = _fault(content, known)
        except Exception as error:  # of the network, of HTTP, of TLS: the next mirror may do
            fault = "".join(filter(str.isprintable, str(error))) or type(error).__name__
        if not fault:
            return content
        print(f"    passed over: {fault:.200}", file=sys.stderr, flush=True)
        mirrors.remove(mirror)
        mirrors.append(mirror)
    raise UnavailableError(
        f"MNIST cannot be downloaded: --dataset digits trains on the embedded digits without a network; or put MNIST's "
        f"four files, {', '.join(FILES)}, into {data}, or set MNIST_DIR to their folder"
    )


def _chunks(url, most):
    """Yield at most `most` bytes from an address, with `TIMEOUT` seconds for each chunk.

    The time-out of urllib is one for each address of a host and each packet, and none for the look-up of its name: a
    thread does the reading, so that whatever stalls is left behind.
    """
    chunks = queue.SimpleQueue()

    def read():
        left = most
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                while chunk := response.read(min(CHUNK, left)):
                    left -= len(chunk)
                    chunks.put(chunk)
            chunks.put(b"")
        except Exception as error:
            chunks.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            chunk = chunks.get(timeout=TIMEOUT)
        except queue.Empty:
            raise TimeoutError(f"no {CHUNK} bytes in {TIMEOUT} seconds") from None
        if isinstance(chunk, Exception):
            raise chunk
        if not chunk:
            return
        yield chunk
