"""MNIST as published: four gzipped IDX files. They are found in a folder or downloaded, and checked at each reading."""

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
from support.files import replacing

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
            content = unzip.decompress(packed, length + 1)  # one byte too many is enough to see that the file is wrong
        except zlib.error:
            content = b""
        if len(content) == length and unzip.eof and not unzip.unused_data and content.startswith(header):
            return np.frombuffer(content, np.uint8, offset=len(header)).reshape(known.shape)
        fault = f"it does not hold {' x '.join(map(str, known.shape))} bytes in IDX form"
    way = "name another folder in MNIST_DIR" if os.environ.get("MNIST_DIR") else "delete it, and it is downloaded again"
    raise UserError(f"{path} is not the file that MNIST's authors published ({fault}): {way}")


def _fault(packed, known):
    """The first difference between some bytes and the `known` file, in words. An empty string: they are equal."""
    if len(packed) != known.size:
        return f"{'more' if len(packed) > known.size else len(packed)} bytes instead of {known.size}"
    return "" if hashlib.sha256(packed).hexdigest() == known.sha256 else "another SHA-256"


def _download(name, mirrors, data):
    """The checked bytes of one file, from the first mirror that has them. A mirror that fails goes to the end."""
    known = FILES[name]
    for mirror in tuple(mirrors):
        print(f"... downloading {name} ({known.size / 1e6:.1f} MB) from {mirror}", file=sys.stderr, flush=True)
        try:
            content = b"".join(_chunks(mirror + name, known.size + 1))
            fault = _fault(content, known)
        except Exception as error:  # an error of the network, HTTP or TLS: the next mirror may work
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

    The time-out of urllib counts for each address of a host and for each packet anew, and does not limit the look-up of
    the host's name. So a thread does the reading. If it stalls, it is left behind.
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
