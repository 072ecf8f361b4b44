"""Arrays from .npz files: what NumPy writes is read, what lies about itself takes no memory."""

import io
import struct
import tracemalloc
import zipfile

from support.files import archives, damaged
from support.files.archives import read_arrays, read_described, write_described
from support.start import UserError

import numpy as np
import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.npz"


def read(path):
    with damaged(path, "make it anew"), open(path, "rb") as file:
        return read_arrays(file)


def refusal(path):
    """The one line with which it is refused, without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(f"{path} is damaged or of another kind (") and text.isprintable()
    return text


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_every_type_shape_and_order_comes_back(path, writer):
    numbers = np.random.RandomState(0).randint(100, size=(700, 30))
    arrays = {dtype: numbers.astype(dtype) for dtype in ["u1", "<i4", ">i8", "<u2", "<f2", ">f4", "<f8", "?", "U3"]}
    arrays |= {
        "columns": np.asfortranarray(np.arange(60.0).reshape(3, 4, 5)),
        "large": np.random.RandomState(0).random_sample(1 << 18),  # more than NumPy reads at once
        "scalar": np.array(7),
        "nothing": np.zeros((0, 3)),
        "text": np.array("a text"),
    }
    writer(path, **arrays)
    found = read(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_a_compressed_file_may_not_hold_more_than_the_limit(path, monkeypatch):
    monkeypatch.setattr(archives, "EXPANSION", 1)
    monkeypatch.setattr(archives, "SMALL", 1 << 20)
    np.savez_compressed(path, x=np.zeros((1 << 20) - 128, "u1"))  # and a header of 128 bytes
    assert len(read(path)["x"]) == (1 << 20) - 128
    np.savez_compressed(path, x=np.zeros((1 << 20) - 127, "u1"))
    assert "it holds more than 1 MiB" in refusal(path)
    np.savez(path, x=np.zeros(1 << 20))  # a file that is not compressed may have any size
    assert len(read(path)["x"]) == 1 << 20


def npy(shape, content=b"abc", descr="|u1"):
    """The file of an array, which may claim anything."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def archive(member, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as members:
        members.writestr("x.npy", member)
    return file.getvalue()


LARGE = npy((32 << 20,), bytes(32 << 20))
CLAIMS = struct.Struct("<L").pack
REFUSED = {
    "larger shape": (archive(npy("(4,)")), "EOF"),
    "smaller shape": (archive(npy("(2,)")), "whose shape and size differ"),
    "negative shape": (archive(npy((-3, -1))), "only specify one unknown dimension"),
    "giant shape": (archive(npy((10**30,))), "(its form is different)"),
    "shape that is none": (archive(npy(3)), "shape is not valid"),
    "nested shape": (archive(npy("(" * 2000 + ")" * 2000)), ""),
    "objects": (archive(npy((3,), descr="|O")), "Object arrays cannot be loaded"),
    "no array": (archive(b"hello"), "EOF"),
    "large, no array": (archive(bytes(32 << 20)), "magic string"),
    "large, claims little": (archive(LARGE).replace(CLAIMS(len(LARGE)), CLAIMS(200)), "Bad CRC"),
    "compressed otherwise": (archive(npy((3,)), zipfile.ZIP_LZMA), "compressed in a way that NumPy does not use"),
    "list of members cut": (archive(npy((3,)))[:-12] + b"\2\0" + archive(npy((3,)))[-10:], "list of arrays is cut"),
    "no archive": (b"x", "File is not a zip file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_lies_about_itself_is_refused_without_much_memory(path, kind):
    content, reason = REFUSED[kind]
    path.write_bytes(content)
    assert reason in refusal(path)


def test_a_shape_of_terabytes_takes_addresses_but_no_memory(path):
    path.write_bytes(archive(npy((1 << 42,))))
    with pytest.raises(UserError, match="Unable to allocate|EOF"):  # as the system allows
        read(path)


def test_an_archive_that_tells_the_truth_is_read(path):
    """So each of `REFUSED` is refused for what it changes."""
    path.write_bytes(archive(npy((3,))))
    assert read(path)["x"].tolist() == list(b"abc")


def test_a_description_comes_back(path):
    write_described(path, {"about": {"name": "x", "count": 3}}, {"W": np.ones(2)})
    about, arrays = read_described(path, "about", "make it anew")
    assert about == {"name": "x", "count": 3} and {name: a.tolist() for name, a in arrays.items()} == {"W": [1, 1]}
    with pytest.raises(UserError, match="it lacks 'state'.: make it anew"):
        read_described(path, "state", "make it anew")
    path.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file or directory; make it anew"):
        read_described(path, "about", "make it anew")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, np.zeros(3)])
def test_a_description_that_is_no_json_is_refused(path, text):
    np.savez(path, about=np.array(text))
    with pytest.raises(UserError, match="is damaged "):
        read_described(path, "about", "make it anew")
