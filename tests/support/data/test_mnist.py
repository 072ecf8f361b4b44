"""MNIST's files: found, checked each time, downloaded from mirrors that do everything wrong."""

import errno
import gzip
import hashlib
import http.server
import os
import struct
import threading
import time
from contextlib import suppress

from support.data import mnist
from support.data.mnist import read_mnist
from support.start import UserError

import numpy as np
import pytest

N_TRAIN, N_TEST, SIDE = 12, 5, 28


def idx(array):
    """A gzipped IDX file, byte for byte the same each time."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def publish(monkeypatch, contents):
    """Make these gzipped files the ones that `support.data.mnist` takes for MNIST's."""
    unzipped = {name.removesuffix(".gz"): gzip.decompress(content) for name, content in contents.items()}
    known = {name: hashlib.sha256(content).hexdigest() for name, content in unzipped.items()}
    monkeypatch.setattr(mnist, "FILES", known)
    monkeypatch.setattr(mnist, "LIMIT", 1 << 20)


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
    publish(monkeypatch, contents)
    monkeypatch.setattr(mnist, "N_VALID", 4)
    monkeypatch.setattr(mnist, "TIMEOUT", 0.5)
    monkeypatch.setattr(mnist, "MIRRORS", [])
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


def message(folder):
    """The one line with which it fails."""
    with pytest.raises(UserError) as caught:
        read_mnist(folder)
    assert str(caught.value).isprintable()
    return str(caught.value)


# The files


WRAPPINGS = {
    "as published": (IMAGES, lambda content: content),
    "unpacked": (IMAGES.removesuffix(".gz"), gzip.decompress),
    "unpacked, with a dot in the name": (IMAGES.removesuffix(".gz").replace("-idx", ".idx"), gzip.decompress),
    "gzipped otherwise": (IMAGES, lambda content: gzip.compress(gzip.decompress(content), compresslevel=1, mtime=1)),
}


@pytest.mark.parametrize("kind", WRAPPINGS)
def test_the_three_parts_however_they_are_wrapped(folder, contents, arrays, kind):
    name, rewrap = WRAPPINGS[kind]
    (folder / IMAGES).unlink()
    (folder / name).write_bytes(rewrap(contents[IMAGES]))
    train_x, train_y, test_x, test_y = arrays
    sets, found = read_mnist(folder)
    wanted = (train_x[:8], train_y[:8]), (train_x[8:], train_y[8:]), (test_x, test_y)
    for (x, y), (wanted_x, wanted_y) in zip(sets, wanted, strict=True):
        np.testing.assert_array_equal(x, wanted_x.reshape(-1, SIDE * SIDE), strict=True)
        np.testing.assert_array_equal(y, wanted_y, strict=True)
    assert found == folder


DAMAGE = {
    "empty": (lambda content: b"", "another SHA-256"),
    "truncated": (lambda content: content[:-1], "ended before"),
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
    for chosen, way in (str(folder), "name another folder in MNIST_DIR"), ("", "delete it, and it is downloaded again"):
        monkeypatch.setenv("MNIST_DIR", chosen)
        text = message(folder)
        assert str(folder / IMAGES) in text and reason in text and way in text
    assert (folder / IMAGES).read_bytes() == damaged


def test_mnist_dir_comes_first_and_must_have_the_files(monkeypatch, folder, data):
    monkeypatch.setenv("MNIST_DIR", str(folder))
    assert read_mnist(data)[1] == folder and not data.exists()
    (folder / LABELS).unlink()
    assert f"MNIST_DIR={folder} lacks {LABELS.removesuffix('.gz')}:" in message(data)
    monkeypatch.setenv("MNIST_DIR", str(folder / "absent"))
    assert f"MNIST_DIR={folder / 'absent'} is not a folder" in message(data)


# The mirrors


class Mirrors(http.server.BaseHTTPRequestHandler):
    """Answers /behaviour/name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.requests.append((behaviour, name))
        self.close_connection = True
        content = self.server.contents[name]
        self.send_response(404 if behaviour == "missing" else 200)
        if behaviour != "endless":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        shares = {"good": 1, "truncating": 0.5, "stalling": 0.5}
        self.wfile.write(content[: int(shares.get(behaviour, 0) * len(content))])
        self.wfile.flush()
        if behaviour == "stalling":
            self.server.released.wait(10)
        with suppress(OSError):
            while behaviour == "endless" and not self.server.released.is_set():
                self.wfile.write(bytes(1 << 16))

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirrors)
    server.handle_error = lambda *_: None  # clients leave
    server.contents, server.requests, server.released = {}, [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def serve(monkeypatch, server, contents):
    """Sets the mirrors by their behaviour, or by their address."""
    server.contents = contents
    return lambda *mirrors: monkeypatch.setattr(
        mnist, "MIRRORS", [each if ":" in each else f"{server.url}/{each}/" for each in mirrors]
    )


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


BAD = {
    "missing": "404", "truncating": "ended before", "stalling": "timed out", "endless": "another SHA-256",
    "http://127.0.0.1:1/": "refused",
}  # fmt: skip


@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_mirror_is_passed_over(serve, server, contents, data, capsys, behaviour):
    serve(behaviour, "good")
    start = time.monotonic()
    sets, folder = read_mnist(data)
    assert time.monotonic() - start < 2
    assert folder == data and listing(data) == contents
    assert [len(y) for _, y in sets] == [8, 4, 5]
    assert [name for kind, name in server.requests if kind == "good"] == list(contents)
    assert {name for kind, name in server.requests if kind == behaviour} <= {IMAGES}  # failing once is enough
    lines = capsys.readouterr().err.splitlines()
    assert BAD[behaviour] in lines[1]
    assert [line.split()[0] for line in lines] == ["...", "passed", "...", "...", "...", "..."]
    assert all(line.isprintable() for line in lines)


def test_when_all_fail_one_line_says_what_to_do(serve, data):
    serve("stalling", "missing", "truncating")
    text = message(data)
    assert "--dataset digits" in text and str(data) in text and "MNIST_DIR" in text
    assert listing(data) == {}


def test_what_is_there_is_neither_downloaded_again_nor_replaced(serve, server, folder, contents):
    serve("good")
    (folder / LABELS).unlink()
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"mine")
    message(folder)
    assert server.requests == [("good", LABELS)]
    assert listing(folder) == {**contents, "t10k-images-idx3-ubyte.gz": b"mine"}


def test_a_full_disk_leaves_nothing(monkeypatch, serve, data):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    serve("good")
    monkeypatch.setattr(os, "replace", fail)
    text = message(data)
    assert "No space left" in text and str(data / IMAGES) in text and "MNIST_DIR" in text
    assert listing(data) == {}


def test_the_published_mirrors_are_asked_by_https():
    assert len(mnist.MIRRORS) == 3
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in mnist.MIRRORS)
    assert mnist.TIMEOUT * len(mnist.MIRRORS) < 30  # seconds without a network
