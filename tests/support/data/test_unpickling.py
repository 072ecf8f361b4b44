"""The restricted unpickler: what NumPy writes is read, what anybody else writes runs nothing."""

import copyreg
import functools
import gzip
import os
import pickle
import struct
import tracemalloc

from support.data.unpickling import read_pickle
from support.files import archives
from support.start import UserError

import numpy as np
import pytest

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
X = np.arange(6, dtype="f4").reshape(3, 2) / 8
Y = np.array([2, 0, 1])
SETS = ((X, Y), (X[:2], Y[:2]), (X[:1], Y[:1]))


def write(path, content):
    path.write_bytes(content)
    return path


def refusal(path):
    """The message with which a file is refused: one line, which names it."""
    with pytest.raises(UserError) as caught:
        read_pickle(path, "do this")
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be ") and message.isprintable()
    return message


def assert_sets_equal(found, wanted):
    assert [type(pair) for pair in found] == [tuple] * 3
    for (x, y), (wanted_x, wanted_y) in zip(found, wanted, strict=True):
        for array, expected in (x, wanted_x), (y, wanted_y):
            assert type(array) is np.ndarray and array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected, strict=True)


# What is admitted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_every_protocol_type_and_layout(tmp_path, protocol):
    for dtype in "u1", "<i4", ">i8", "<u2", "<f2", ">f4", "<f8", "?", "U3", "c8":
        x = np.arange(24).reshape(4, 6).astype(dtype)
        y = np.arange(4, dtype="u1")
        sets = [[x, y], [np.asfortranarray(x), y], [x[::2, ::3], y[::2]]]  # y is stored once, then referred to
        content = pickle.dumps(sets, protocol)
        for packed in content, gzip.compress(content):
            assert_sets_equal(read_pickle(write(tmp_path / "sets.pkl", packed), ""), sets)
    sets[0][0] = np.arange(4).astype(object)  # comes back empty: its type can be named
    (x, _), *_ = read_pickle(write(tmp_path / "sets.pkl", pickle.dumps(sets, protocol)), "")
    assert x.dtype == object and x.size == 0


def python2_array(array, protocol):
    """An array as cPickle of Python 2.7 and NumPy 1.x wrote it: strings of bytes, the old module's name."""

    def number(n):
        return b"I%d\n" % n if protocol == 0 else b"J" + struct.pack("<i", n)

    def string(s):
        return b"S%b\n" % repr(s)[1:].encode() if protocol == 0 else b"T" + struct.pack("<i", len(s)) + s

    false = b"I00\n" if protocol == 0 else b"\x89"
    order = array.dtype.str[:1].encode()
    return b"".join(
        [
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(", number(0), b"t", string(b"b"), b"tR(",
            number(1), b"(", *map(number, array.shape), b"tcnumpy\ndtype\n(", string(array.dtype.str[1:].encode()),
            number(0), number(1), b"tR(", number(3), string(order), b"NNN", number(-1), number(-1), number(0), b"tb",
            false, string(array.tobytes()), b"tb",
        ]
    )  # fmt: skip


@pytest.mark.parametrize("protocol", [0, 2])
def test_reads_python_2(tmp_path, protocol):
    pairs = [b"(" + python2_array(x, protocol) + python2_array(y, protocol) + b"t" for x, y in SETS]
    content = (b"\x80\x02" if protocol else b"") + b"(" + b"".join(pairs) + b"t."
    assert_sets_equal(pickle.loads(content, encoding="latin1"), SETS)  # the test's own file is a good one
    assert_sets_equal(read_pickle(write(tmp_path / "sets.pkl", content), ""), SETS)


# What runs code elsewhere


class Reduced:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(string):
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def touch(canary):
    return text(f"touch {canary}")


def stack_global(module, name):
    return text(module) + text(name) + b"\x93"


def extension(canary):
    """A call through a code in copyreg's registry, which this process has looked up before."""
    copyreg.add_extension("os", "system", 0x7A)
    pickle.loads(b"\x80\x02\x82\x7a.")
    return b"\x80\x02\x82\x7a" + touch(canary) + b"\x85R."


HARMFUL = {
    "GLOBAL": lambda canary: b"cos\nsystem\n(V" + f"touch {canary}".encode() + b"\ntR.",
    "INST": lambda canary: b"(" + touch(canary) + b"ios\nsystem\n.",
    "dotted name": lambda canary: b"\x80\x04" + stack_global("numpy.lib._npyio_impl", "os.system") + touch(canary)
    + b"\x85R.",
    "EXT1, cached": extension,
    "partial": lambda canary: pickle.dumps(Reduced(functools.partial(os.system, f"touch {canary}"))),
    "before a good data set": lambda canary: b"\x80\x02cos\nsystem\n" + touch(canary) + b"\x85R0"
    + pickle.dumps(SETS, 2),
    "array of objects": lambda canary: pickle.dumps(
        np.array([Reduced(eval, f"open({str(canary)!r}, 'w').close()")], object)
    ),
}  # fmt: skip


@pytest.fixture
def canary(tmp_path):
    yield tmp_path / "canary"
    if ("os", "system") in copyreg._extension_registry:
        copyreg.remove_extension("os", "system", 0x7A)


@pytest.mark.parametrize("kind", HARMFUL)
def test_runs_nothing(tmp_path, canary, kind):
    content = HARMFUL[kind](canary)
    path = write(tmp_path / "sets.pkl", content)
    refusal(path)
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists()  # so the file is a harmful one


# What is hostile in other ways


ENCODE = b"c_codecs\nencode\n"
DTYPE = b"cnumpy\ndtype\n" + text("u1") + b"\x85R"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def array_state(shape, dtype=DTYPE, data=b"C\x01a"):
    return RECONSTRUCT + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


REFUSED = {
    "persistent id": (b"(Pos.system\n.", "another object"),
    "dict": (b"\x80\x02}.", "a dict"),
    "class of an array": (b"\x80\x04" + stack_global("numpy", "ndarray.__class__") + b".", "numpy.ndarray.__class__,"),
    "scalar": (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar, which is not read"),
    "endless name": (b"c" + b"\x1b" * 9999 + b"x\ny\n.", "holds , which"),
    "ndarray called": (b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.", "damaged"),
    "calling a text": (b"(" + text("system") + b"(tR.", "damaged"),
    "state of a function": (ENCODE + text("x") + b"\x85b.", "damaged"),
    "longer dtype": (b"cnumpy\ndtype\n" + text("u1,u1") + b"\x85R.", "than numbers"),
    "dtype of a number": (b"cnumpy\ndtype\nJ\xff\xff\xff\x7f\x85R.", "damaged"),
    "giant shape": (array_state(b"J\xff\xff\xff\x3f\x85"), "damaged"),
    "data of a text": (array_state(b"K\x01\x85", data=text("a")), "damaged"),
    "other codec": (ENCODE + text("x") + text("rot13") + b"\x86R.", "damaged"),
    "no pickle": (b"1,2\n3,4\n", "damaged, or no pickle of arrays; do this"),
    "end too early": (pickle.dumps(SETS)[:-1], "too early"),
    "more behind the end": (pickle.dumps(SETS) + b"!", "follows"),
    "more behind the end, gzipped": (gzip.compress(pickle.dumps(SETS) + b"!"), "follows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses(tmp_path, kind):
    content, reason = REFUSED[kind]
    assert reason in refusal(write(tmp_path / "sets.pkl", content))


BOMBS = {
    "bytes that are not there": b"\x80\x03B\xff\xff\xff\x3f.",
    "60 MiB that are not there": b"\x80\x05\x96" + struct.pack("<Q", 60 << 20) + b".",
    "frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".",
    "memo of gigabytes": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a million lists": b"\x80\x02" + b"]" * 1_000_000 + b".",
    "deep nesting": b"\x80\x02N" + b"\x85" * 9_000 + b".",
    "doubling": b"\x80\x04)" + b"\x94h\x00\x86" * 2_000 + b".",
    "text encoded again and again": b"\x80\x02" + ENCODE + b"q\0" + text("a" * 60_000) + text("latin1") + b"\x86q\1R0"
    + b"h\0h\1R" * 1_500 + b".",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_needs_little_memory(tmp_path, kind):
    path = write(tmp_path / "sets.pkl", BOMBS[kind])
    tracemalloc.start()
    try:
        refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("opening", [b"\x80\x05\x96" + struct.pack("<Q", 2 << 30), b"(V"])  # bytes, an endless line
def test_a_gzip_bomb_is_not_inflated(tmp_path, monkeypatch, opening):
    monkeypatch.setattr(archives, "LIMIT", 1 << 20)
    zeros = gzip.compress(bytes(64 << 20))
    path = write(tmp_path / "sets.pkl.gz", gzip.compress(opening) + zeros * 32)  # members that inflate to 2 GiB
    tracemalloc.start()
    try:
        assert "it holds more than " in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_the_limit_leaves_room_for_mnist_in_float64():
    assert 70_000 * 784 * 8 < archives.LIMIT <= 1 << 30


# What is damaged


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_every_truncation_and_altered_byte_is_refused_or_read(tmp_path, protocol):
    content = pickle.dumps(SETS, protocol)
    zipped = gzip.compress(content)
    for size in range(len(content)):
        refusal(write(tmp_path / "sets.pkl", content[:size]))
    for size in range(2, len(zipped), 50):
        assert "too early" in refusal(write(tmp_path / "sets.pkl", zipped[:size]))
    refused = 0
    for place in range(len(content)):
        for mask in 0x01, 0x80:
            altered = bytearray(content)
            altered[place] ^= mask
            try:
                read_pickle(write(tmp_path / "sets.pkl", altered), "do this")
            except UserError as error:
                assert str(error).isprintable()
                refused += 1
    assert refused > len(content) / 2


def test_gzip_notices_an_altered_value(tmp_path):
    zipped = bytearray(gzip.compress(pickle.dumps(SETS), compresslevel=0))
    zipped[zipped.index(X.tobytes())] ^= 1
    assert "damaged" in refusal(write(tmp_path / "sets.pkl", zipped))


@pytest.mark.parametrize(
    "content, layout",
    [
        (None, "NoneType"),
        (X, "Array"),
        ((X, Y), "(Array, Array)"),
        ((*SETS, SETS[0]), "((Array, Array), (Array, Array), (Array, Array), ...)"),
        ([(X, Y), (X, Y), (X, [1, 2])], "[(Array, Array), (Array, Array), (Array, [int, int])]"),
    ],
)
def test_another_layout_is_told(tmp_path, content, layout):
    assert f"it holds {layout}; do this" in refusal(write(tmp_path / "sets.pkl", pickle.dumps(content)))


def test_parts_by_the_thousand_are_told(tmp_path):
    sets = [(X, [1] * 20_000)] * 3
    assert "more than 10,000 parts, such as single num" in refusal(write(tmp_path / "sets.pkl", pickle.dumps(sets)))


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    assert "directory" in refusal(tmp_path).lower()
    assert "No such file" in refusal(tmp_path / "absent")
