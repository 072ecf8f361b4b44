"""Arrays from .npz files: what NumPy writes is read, what lies about itself takes no memory."""

import io
import struct
import tracemalloc
import zipfile

from support.files import archives
from support.files.archives import read_arrays, read_described, write_described
from support.start import UserError

import numpy as np
import pytest


def refusal(path):
    """The one line with which it is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            read_arrays(path, "make it anew")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(str(path)) and text.isprintable()
    return text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.npz"


def npy(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)


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
    found = read_arrays(path, "")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert all(array.flags.writeable for array in found.values())


def test_the_second_version_of_the_header_is_read_too(path):
    archive(path, [("x.npy", npy(np.arange(3), (2, 0)))])
    assert read_arrays(path, "")["x"].tolist() == [0, 1, 2]


def test_what_claims_more_than_the_limit_is_refused(path, monkeypatch):
    monkeypatch.setattr(archives, "EXPANSION", 1)
    monkeypatch.setattr(archives, "SMALL", 1 << 20)
    np.savez_compressed(path, x=np.zeros((1 << 20) - 128, "u1"))  # and a header of 128 bytes
    assert len(read_arrays(path, "")["x"]) == (1 << 20) - 128
    np.savez_compressed(path, x=np.zeros((1 << 20) - 127, "u1"))
    assert "it holds more than 1 MiB" in refusal(path)
    np.savez(path, x=np.zeros(1 << 20))  # a file that is not compressed may have any size
    assert len(read_arrays(path, "")["x"]) == 1 << 20


def test_objects_are_not_unpickled(path):
    """Only their type is told, so that a message can name it."""
    np.savez(path, x=np.array([{}]), y=np.zeros(2))
    arrays = read_arrays(path, "")
    assert arrays["x"].dtype == object and arrays["x"].size == 0 and arrays["y"].tolist() == [0, 0]


def test_thousands_of_arrays_are_refused(path):
    archive(path, [(f"{i}.npy", npy(np.zeros(0))) for i in range(MEMBERS + 1)])
    assert "more than 1000 arrays" in refusal(path)


def test_a_compression_that_cannot_be_bounded_is_refused(path):
    archive(path, [("x.npy", npy(np.zeros(9)))], zipfile.ZIP_LZMA)
    assert "compressed in a way that NumPy does not use" in refusal(path)


@pytest.mark.parametrize("shape", ["(2,)", "(-3, -1)", "(10**30,)", "3"])
def test_a_shape_that_is_not_the_sizes_is_refused(path, shape):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(999) + b"\n"
    archive(path, [("x.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + b"abc")])
    text = refusal(path)
    assert "shape and size differ" in text or "damaged" in text


@pytest.mark.slow
def test_every_altered_byte_is_refused_or_changes_nothing(path):
    """The archive's own checksum goes over each array; what is in none, such as the time of writing, may differ."""
    arrays = {"x": np.arange(5.0), "y": np.arange(3)}
    np.savez(path, **arrays)
    content, refused = path.read_bytes(), 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x21]) + content[place + 1 :])
        try:
            found = read_arrays(path, "make it anew")
        except UserError:
            refused += 1
        else:
            assert [array.tolist() for array in found.values()] == [array.tolist() for array in arrays.values()]
    assert refused > 0.7 * len(content)


def test_a_description_comes_back(path):
    write_described(path, {"about": {"name": "x", "count": 3}}, {"W": np.ones(2)})
    about, arrays = read_described(path, "about", "make it anew")
    assert about == {"name": "x", "count": 3} and {name: a.tolist() for name, a in arrays.items()} == {"W": [1, 1]}
    with pytest.raises(UserError) as refusal:
        read_described(path, "state", "make it anew")
    assert str(refusal.value) == f"{path} is damaged (it lacks 'state'): make it anew"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, np.zeros(3)])
def test_a_description_that_is_no_json_is_refused(path, text):
    np.savez(path, about=np.array(text))
    with pytest.raises(UserError, match="is damaged "):
        read_described(path, "about", "make it anew")
