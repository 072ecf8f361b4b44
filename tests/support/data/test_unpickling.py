"""The restricted unpickler: what NumPy writes is read, what anybody else writes runs nothing."""

import copyreg
import functools
import gzip
import os
import pickle
import struct
import tracemalloc

from support.data import unpickling
from support.data.unpickling import read_pickle
from support.errors import UserError

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
        read_pickle(path)
    message = str(caught.value)
    assert str(path) in message and message.isprintable()
    return message


def assert_sets_equal(found, wanted):
    assert [type(pair) for pair in found] == [tuple] * 3
    for (x, y), (wanted_x, wanted_y) in zip(found, wanted, strict=True):
        for array, expected in (x, wanted_x), (y, wanted_y):
            assert type(array) is np.ndarray and array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected, strict=True)


# What is admitted


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_every_protocol(tmp_path, protocol, zipped):
    content = pickle.dumps(SETS, protocol)
    path = write(tmp_path / "sets.pkl", gzip.compress(content) if zipped else content)
    assert_sets_equal(read_pickle(path), SETS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_every_type_order_and_layout(tmp_path, protocol):
    for dtype in "u1", "<i4", ">i8", "<u2", "<f2", ">f4", "<f8", "?", "U3", "c8":
        x = np.arange(24).reshape(4, 6).astype(dtype)
        y = np.arange(4, dtype="u1")
        sets = [[x, y], [np.asfortranarray(x), y], [x[::2, ::3], y[::2]]]  # y is stored once, then referred to
        assert_sets_equal(read_pickle(write(tmp_path / "sets.pkl", pickle.dumps(sets, protocol))), sets)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_come_back_empty(tmp_path, protocol):
    """Only their type is told, so that a message can name it."""
    (x, _), *_ = read_pickle(write(tmp_path / "sets.pkl", pickle.dumps([(X.astype(object), Y)] * 3, protocol)))
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
    assert_sets_equal(read_pickle(write(tmp_path / "sets.pkl", content)), SETS)


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


def extension(canary, opcode, warm):
    """A call through a code in copyreg's registry, `warm` where this process has looked it up before."""
    copyreg.add_extension("os", "system", 0x7A)
    if warm:
        pickle.loads(b"\x80\x02\x82\x7a.")
    return b"\x80\x02" + opcode + touch(canary) + b"\x85R."


def evaluated(canary):
    return Reduced(eval, f"open({str(canary)!r}, 'w').close()")


HARMFUL = {
    "GLOBAL": lambda canary: b"cos\nsystem\n(V" + f"touch {canary}".encode() + b"\ntR.",
    "STACK_GLOBAL": lambda canary: b"\x80\x04" + stack_global("posix", "system") + touch(canary) + b"\x85R.",
    "INST": lambda canary: b"(" + touch(canary) + b"ios\nsystem\n.",
    "dotted name": lambda canary: b"\x80\x04" + stack_global("numpy.lib._npyio_impl", "os.system") + touch(canary)
    + b"\x85R.",
    "EXT1, cached": lambda canary: extension(canary, b"\x82\x7a", True),
    "__import__ and getattr": lambda canary: b"cbuiltins\ngetattr\n(c__builtin__\n__import__\n(Vos\ntRVsystem\ntR("
    + touch(canary) + b"tR.",
    "partial": lambda canary: pickle.dumps(Reduced(functools.partial(os.system, f"touch {canary}"))),
    "a set's last y": lambda canary: pickle.dumps((*SETS[:2], (X, evaluated(canary)))),
    "before a good data set": lambda canary: b"\x80\x02cos\nsystem\n" + touch(canary) + b"\x85R0"
    + pickle.dumps(SETS, 2),
    "gzipped": lambda canary: gzip.compress(pickle.dumps(evaluated(canary))),
    **{f"eval, protocol {p}": lambda canary, p=p: pickle.dumps(evaluated(canary), p) for p in (0, 2, 5)},
    "array of objects": lambda canary: pickle.dumps(np.array([evaluated(canary)], object)),
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
    pickle.loads(gzip.decompress(content) if kind == "gzipped" else content)
    assert canary.exists()  # so the file is a harmful one


# What is hostile in other ways


ENCODE = b"c_codecs\nencode\n"
DTYPE = b"cnumpy\ndtype\n" + text("u1") + b"\x85R"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
FROMBUFFER = b"cnumpy._core.numeric\n_frombuffer\n"


def array_state(shape, dtype=DTYPE, data=b"C\x01a"):
    return RECONSTRUCT + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


REFUSED = {
    "persistent id": (b"(Pos.system\n.", "another object"),
    "dict": (b"\x80\x02}.", "a dict"),
    "class of an array": (b"\x80\x04" + stack_global("numpy", "ndarray.__class__") + b".", "numpy.ndarray.__class__,"),
    "globals of a function": (b"(" + stack_global("numpy._core.multiarray", "_reconstruct.__globals__") + b".", "read"),
    "scalar": (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar, which is not read"),
    "name with an escape sequence": (b"c\x1b[31m\nx\n.", "holds [31m.x,"),
    "endless name": (b"c" + b"x" * 9999 + b"\ny\n.", f"holds {'x' * 80},"),
    "ndarray called": (b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.", "damaged"),
    "calling a text": (b"(" + text("system") + b"(tR.", "damaged"),
    "state of a function": (ENCODE + text("x") + b"\x85b.", "damaged"),
    "state of a list": (b"](tb.", "damaged"),
    "state of a dtype class": (b"cnumpy\ndtype\nN" + text("x") + b"\x86b.", "damaged"),
    "longer dtype": (b"cnumpy\ndtype\n" + text("u1,u1") + b"\x85R.", "than numbers"),
    "giant shape": (array_state(b"J\xff\xff\xff\x3f\x85"), "damaged"),
    "shape beyond any": (array_state(b"\x8a\xff" + b"\x7f" * 255 + b"\x85"), "damaged"),
    "data of a text": (array_state(b"K\x01\x85", data=text("a")), "damaged"),
    "dtype of a text": (array_state(b"K\x01\x85", dtype=text("u1")), "damaged"),
    "array never filled": (b"(" + (RECONSTRUCT + b"2\x86").replace(b"2", RECONSTRUCT) * 3 + b"t.", "((Array, Array), "),
    "buffer too small": (FROMBUFFER + b"(C\x01a" + DTYPE + b"J\xff\xff\xff\x3f\x85" + text("C") + b"tR.", "damaged"),
    "other codec": (ENCODE + text("x") + text("rot13") + b"\x86R.", "damaged"),
    "wide text": (b"(" + text("\N{GRINNING FACE}") + b".", "it holds text"),
    "wide text, protocol 0": (b"(V\\U0001f600\n.", "it holds text"),
    "memo of gigabytes, protocol 0": (b"(Np1000000000\n.", "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses(tmp_path, kind):
    content, reason = REFUSED[kind]
    assert reason in refusal(write(tmp_path / "sets.pkl", content))


BOMBS = {
    "bytes that are not there": b"\x80\x03B\xff\xff\xff\x3f.",
    "bytearray of exabytes": b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b".",
    "text that is not there": b"\x80\x02X\xff\xff\xff\x3f.",
    "frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".",
    "memo of gigabytes": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "half a gigabyte that is not there": b"\x80\x05\x96" + struct.pack("<Q", 1 << 29) + b".",
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
    monkeypatch.setattr(unpickling, "LIMIT", 1 << 20)
    zeros = gzip.compress(bytes(64 << 20))
    path = write(tmp_path / "sets.pkl.gz", gzip.compress(opening) + zeros * 32)  # members that inflate to 2 GiB
    tracemalloc.start()
    try:
        assert "it holds more than 1 MiB" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_the_limit_leaves_room_for_mnist_in_float64():
    assert 70_000 * 784 * 8 < unpickling.LIMIT <= 1 << 30


# What is damaged


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_every_truncation_is_refused(tmp_path, protocol):
    content = pickle.dumps(SETS, protocol)
    for size in range(len(content)):
        refusal(write(tmp_path / "sets.pkl", content[:size]))
    zipped = gzip.compress(content)
    for size in range(2, len(zipped), 1 if protocol == 5 else 50):
        assert "too early" in refusal(write(tmp_path / "sets.pkl", zipped[:size]))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_every_altered_byte_is_refused_or_read(tmp_path, protocol):
    content = pickle.dumps(SETS, protocol)
    refused = 0
    for place in range(len(content)):
        for mask in 0x01, 0x80:
            altered = bytearray(content)
            altered[place] ^= mask
            try:
                read_pickle(write(tmp_path / "sets.pkl", altered))
            except UserError as error:
                assert str(error).isprintable()
                refused += 1
    assert refused > len(content) / 2


def test_gzip_notices_an_altered_value(tmp_path):
    zipped = bytearray(gzip.compress(pickle.dumps(SETS), compresslevel=0))
    zipped[zipped.index(X.tobytes())] ^= 1
    assert "damaged" in refusal(write(tmp_path / "sets.pkl", zipped))


@pytest.mark.parametrize("zipped", [False, True])
def test_what_follows_the_end_is_refused(tmp_path, zipped):
    content = pickle.dumps(SETS) + b"!"
    path = write(tmp_path / "sets.pkl", gzip.compress(content) if zipped else content)
    assert "follows" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"1,2\n3,4\n", b"PK\x03\x04", gzip.compress(b"<html>")])
def test_what_is_no_pickle_is_refused(tmp_path, content):
    message = refusal(write(tmp_path / "sets.pkl", content))
    assert "it is no pickle" in message or "too early" in message


@pytest.mark.parametrize(
    "content, layout",
    [
        (None, "NoneType"),
        (X, "Array"),
        ((X, Y), "(Array, Array)"),
        ((*SETS, SETS[0]), "((Array, Array), (Array, Array), (Array, Array), ...)"),
        ([(X, Y), (X, Y), (X, [1, 2])], "[(Array, Array), (Array, Array), (Array, [int, int])]"),
        (pickle.dumps(SETS), "bytes"),
    ],
)
def test_another_layout_is_told(tmp_path, content, layout):
    assert f"it holds {layout}; needed is" in refusal(write(tmp_path / "sets.pkl", pickle.dumps(content)))


def test_parts_by_the_thousand_are_told(tmp_path):
    sets = [(X, [1] * 20_000)] * 3
    assert "more than 10,000 parts, such as single num" in refusal(write(tmp_path / "sets.pkl", pickle.dumps(sets)))


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    assert "directory" in refusal(tmp_path).lower()
    assert "No such file" in refusal(tmp_path / "absent")
