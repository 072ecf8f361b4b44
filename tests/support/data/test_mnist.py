"""MNIST's files: found, checked each time, downloaded from mirrors that do everything wrong."""

import errno
import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
import time
import tracemalloc
from pathlib import Path

from support.data import mnist
from support.data.mnist import find_mnist, read_mnist
from support.start import ROOT, UserError

import numpy as np
import pytest

N_TRAIN, N_TEST, SIDE = 12, 5, 28


def idx(array):
    """A gzipped IDX file, byte for byte the same each time."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def publish(monkeypatch, contents, shapes):
    """Make these gzipped files the ones that `support.data.mnist` takes for MNIST's."""
    known = {
        name.removesuffix(".gz"): (shape, hashlib.sha256(gzip.decompress(content)).hexdigest())
        for (name, content), shape in zip(contents.items(), shapes, strict=True)
    }
    monkeypatch.setattr(mnist, "FILES", known)


@pytest.fixture
def arrays():
    """A little MNIST: images of noise."""
    random = np.random.RandomState(0)
    shapes = (N_TRAIN, SIDE, SIDE), (N_TRAIN,), (N_TEST, SIDE, SIDE), (N_TEST,)
    return [random.randint(256 if len(shape) == 3 else 10, size=shape).astype("u1") for shape in shapes]


@pytest.fixture
def contents(monkeypatch, arrays):
    """{name: bytes} of the four files."""
    contents = dict(zip([f"{name}.gz" for name in mnist.FILES], map(idx, arrays)))
    publish(monkeypatch, contents, [array.shape for array in arrays])
    monkeypatch.setattr(mnist, "N_VALID", 4)
    monkeypatch.setattr(mnist, "TIMEOUT", 0.5)
    monkeypatch.delenv("MNIST_DIR", raising=False)
    return contents


@pytest.fixture
def data(tmp_path):
    """The folder that stands for data/; it does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path, contents):
    """A folder with the four files."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def message(function, *arguments):
    """The one line with which it fails."""
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert str(caught.value).isprintable()
    return str(caught.value)


# The files


def test_the_three_parts(folder, arrays):
    train_x, train_y, test_x, test_y = arrays
    sets = read_mnist(folder)
    wanted = (train_x[:8], train_y[:8]), (train_x[8:], train_y[8:]), (test_x, test_y)
    for (x, y), (wanted_x, wanted_y) in zip(sets, wanted, strict=True):
        np.testing.assert_array_equal(x, wanted_x.reshape(-1, SIDE * SIDE), strict=True)
        np.testing.assert_array_equal(y, wanted_y, strict=True)


DAMAGE = {
    "empty": (lambda content: b"", "another SHA-256"),
    "truncated": (lambda content: content[:-1], "damaged"),
    "altered value": (lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:], "damaged"),
    "altered header": (lambda content: gzip.compress(b"\0\0\x09" + gzip.decompress(content)[3:]), "another SHA-256"),
    "bomb": (lambda content: gzip.compress(bytes(64 << 20)), "another SHA-256"),
    "gzipped page": (lambda content: gzip.compress(b"\n<!DOCTYPE html>"), "an HTML page"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_neither_used_nor_touched(monkeypatch, folder, contents, kind):
    damage, reason = DAMAGE[kind]
    damaged = damage(contents[IMAGES])
    (folder / IMAGES).write_bytes(damaged)
    monkeypatch.setattr(mnist, "MIRRORS", [])  # nothing is downloaded
    for chosen, way in (str(folder), "name another folder in MNIST_DIR"), ("", "delete it, and it is downloaded again"):
        monkeypatch.setenv("MNIST_DIR", chosen)
        assert find_mnist(folder) == folder
        tracemalloc.start()
        try:
            text = message(read_mnist, folder)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        assert str(folder / IMAGES) in text and reason in text and way in text
    assert (folder / IMAGES).read_bytes() == damaged


WRAPPINGS = {
    "unpacked": (".gz", "", gzip.decompress),
    "unpacked, with a dot in the name": ("-idx3-ubyte.gz", ".idx3-ubyte", gzip.decompress),
    "gzipped otherwise": ("", "", lambda content: gzip.compress(gzip.decompress(content), compresslevel=1, mtime=1)),
}


@pytest.mark.parametrize("kind", WRAPPINGS)
def test_what_is_inside_counts_and_not_the_wrapping(monkeypatch, folder, contents, arrays, kind):
    ending, other, rewrap = WRAPPINGS[kind]
    path = folder / (IMAGES.removesuffix(ending) + other)
    (folder / IMAGES).unlink()
    path.write_bytes(rewrap(contents[IMAGES]))
    monkeypatch.setenv("MNIST_DIR", str(folder))
    assert find_mnist(folder) == folder
    np.testing.assert_array_equal(read_mnist(folder)[0][0], arrays[0][:8].reshape(8, -1))
    path.write_bytes(rewrap(contents[IMAGES])[:-1])
    assert str(path) in message(read_mnist, folder)


# Where they are looked for


def test_mnist_dir_comes_first_and_must_have_the_files(monkeypatch, folder, data):
    monkeypatch.setenv("MNIST_DIR", str(folder))
    monkeypatch.setattr(mnist, "MIRRORS", [])
    assert find_mnist(data) == folder and not data.exists()
    (folder / LABELS).unlink()
    text = message(find_mnist, data)
    assert f"MNIST_DIR={folder} lacks {LABELS.removesuffix('.gz')}:" in text
    monkeypatch.setenv("MNIST_DIR", str(folder / "absent"))
    assert f"MNIST_DIR={folder / 'absent'} is not a folder" in message(find_mnist, data)


# The mirrors


class Mirrors(http.server.BaseHTTPRequestHandler):
    """Answers /behaviour/name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.requests.append((behaviour, name))
        self.close_connection = True
        content = self.server.contents.get(name, b"")
        getattr(self, behaviour)(content)

    def answer(self, content, length=None, status=200, **headers):
        self.send_response(status)
        for key, value in {"Content-Length": len(content) if length is None else length, **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def good(self, content):
        self.answer(content)

    def truncating(self, content):
        self.answer(content[: len(content) // 2], length=len(content))

    def altering(self, content):
        place = len(content) // 2
        self.answer(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])

    def stalling(self, content):
        self.answer(content[: len(content) // 2], length=len(content))
        self.server.released.wait(10)

    def endless(self, content):
        self.send_response(200)
        self.end_headers()
        try:
            while not self.server.released.is_set():
                self.wfile.write(bytes(1 << 16))
        except OSError:
            self.server.left.set()

    def missing(self, content):
        self.answer(b"no such file", status=404)

    def page(self, content):
        self.answer(b"<html><body>Please log in</body></html>")

    def to_a_file(self, content):
        self.answer(b"", status=302, Location=f"file://{__file__}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirrors)
    server.handle_error = lambda *_: None  # clients leave
    server.contents, server.requests = {}, []
    server.released, server.left = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def serve(monkeypatch, server, contents):
    """Sets the mirrors by their behaviour."""
    server.contents = contents
    return lambda *behaviours: monkeypatch.setattr(mnist, "MIRRORS", [f"{server.url}/{b}/" for b in behaviours])


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


BAD = {
    "missing": "404", "truncating": "it is damaged", "altering": "it is damaged", "page": "an HTML page",
    "stalling": "timed out", "endless": "another SHA-256", "to_a_file": "file",
}  # fmt: skip


@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_mirror_is_passed_over(serve, server, contents, data, capsys, behaviour):
    serve(behaviour, "good")
    start = time.monotonic()
    assert find_mnist(data) == data
    assert time.monotonic() - start < 2
    assert behaviour != "endless" or server.left.wait(5)
    assert listing(data) == contents
    assert [name for kind, name in server.requests if kind == "good"] == list(contents)
    assert {name for kind, name in server.requests if kind == behaviour} == {IMAGES}  # failing once is enough
    lines = capsys.readouterr().err.splitlines()
    assert BAD[behaviour] in lines[1]
    assert [line.split()[0] for line in lines] == ["...", "passed", "...", "...", "...", "..."]
    assert all(line.isprintable() for line in lines)
    read_mnist(data)


def test_a_mirror_that_is_down_is_passed_over(monkeypatch, serve, server, contents, data):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    monkeypatch.setattr(mnist, "MIRRORS", [down, "http://127.0.0.1:1/", "nonsense", f"{server.url}/good/"])
    find_mnist(data)
    assert listing(data) == contents


def test_when_all_fail_one_line_says_what_to_do(serve, data):
    serve("stalling", "missing", "altering")
    start = time.monotonic()
    text = message(find_mnist, data)
    assert time.monotonic() - start < 3
    assert "--dataset digits" in text and str(data) in text and "MNIST_DIR" in text
    assert listing(data) == {}


def test_what_is_there_is_neither_downloaded_again_nor_replaced(serve, server, folder, contents):
    serve("good")
    (folder / LABELS).unlink()
    (folder / IMAGES).write_bytes(b"mine")
    find_mnist(folder)
    assert server.requests == [("good", LABELS)] and listing(folder) == {**contents, IMAGES: b"mine"}


def test_a_full_disk_leaves_nothing(monkeypatch, serve, data):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    serve("good")
    monkeypatch.setattr(os, "replace", fail)
    text = message(find_mnist, data)
    assert "No space left" in text and str(data / IMAGES) in text and "MNIST_DIR" in text
    assert listing(data) == {}


def test_the_published_mirrors_are_asked_in_order_and_by_https():
    assert [mirror.split("/")[2] for mirror in mnist.MIRRORS] == [
        "ossci-datasets.s3.amazonaws.com",
        "storage.googleapis.com",
        "raw.githubusercontent.com",
    ]
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in mnist.MIRRORS)
    assert mnist.TIMEOUT * len(mnist.MIRRORS) < 30  # seconds without a network


@pytest.mark.mnist
def test_downloads_the_published_files(monkeypatch, server, data):
    folder = Path(os.environ.get("MNIST_DIR") or ROOT / "data")
    server.contents = {f"{name}.gz": (folder / f"{name}.gz").read_bytes() for name in mnist.FILES}
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(mnist, "MIRRORS", [f"{server.url}/altering/", f"{server.url}/good/"])
    assert find_mnist(data) == data
    assert listing(data) == server.contents
    assert [x.shape for x, _ in read_mnist(data)] == [(50000, 784), (10000, 784), (10000, 784)]
