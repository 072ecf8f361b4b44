"""The restricted unpickler: what NumPy writes is read, what anybody else writes runs nothing."""

import copyreg
import gzip
import pickle
import struct
import tracemalloc

from support.data.unpickling import read_pickle
from support.files import archives, damaged
from support.start import UserError

import numpy as np
import pytest

X = np.arange(6, dtype="f4").reshape(3, 2) / 8
Y = np.array([2, 0, 1])
SETS = ((X, Y), (X[:2], Y[:2]), (X[:1], Y[:1]))


def read(path, content):
    path.write_bytes(content)
    with damaged(path, "do this"), open(path, "rb") as file:
        return read_pickle(file)


def refusal(path, content):
    """The reason for which a content is refused, in one line, without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            read(path, content)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged or of another kind (") and message.isprintable()
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sets.pkl"


def assert_sets_equal(found, wanted):
    assert [type(pair) for pair in found] == [tuple] * 3
    for (x, y), (wanted_x, wanted_y) in zip(found, wanted, strict=True):
        for array, expected in (x, wanted_x), (y, wanted_y):
            assert type(array) is np.ndarray and array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected, strict=True)


# What is admitted


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_every_protocol_type_and_layout(path, protocol):
    for dtype in "u1", "<i4", ">i8", "<u2", "<f2", ">f4", "<f8", "?", "U3", "c8":
        x = np.arange(24).reshape(4, 6).astype(dtype)
        y = np.arange(4, dtype="u1")
        sets = [[x, y], [np.asfortranarray(x), y], [x[::2, ::3], y[::2]]]  # y is stored once, then referred to
        content = pickle.dumps(sets, protocol)
        for packed in content, gzip.compress(content):
            assert_sets_equal(read(path, packed), sets)


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
def test_reads_python_2(path, protocol):
    pairs = [b"(" + python2_array(x, protocol) + python2_array(y, protocol) + b"t" for x, y in SETS]
    content = (b"\x80\x02" if protocol else b"") + b"(" + b"".join(pairs) + b"t."
    assert_sets_equal(pickle.loads(content, encoding="latin1"), SETS)  # the test's own file is a good one
    assert_sets_equal(read(path, content), SETS)


# What runs code elsewhere


class Reduced:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(string):
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def stack_global(module, name):
    return text(module) + text(name) + b"\x93"


def extension(canary):
    """A call through a code in copyreg's registry, which this process has looked up before."""
    copyreg.add_extension("os", "system", 0x7A)
    pickle.loads(b"\x80\x02\x82\x7a.")
    return b"\x80\x02\x82\x7a" + text(f"touch {canary}") + b"\x85R."


HARMFUL = {
    "GLOBAL": lambda canary: b"cos\nsystem\n(V" + f"touch {canary}".encode() + b"\ntR.",
    "INST": lambda canary: b"(" + text(f"touch {canary}") + b"ios\nsystem\n.",
    "dotted name": lambda canary: b"\x80\x04" + stack_global("numpy.lib._npyio_impl", "os.system")
    + text(f"touch {canary}") + b"\x85R.",
    "EXT1, cached": extension,
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
def test_runs_nothing(path, canary, kind):
    content = HARMFUL[kind](canary)
    refusal(path, content)
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists()  # so the file is a harmful one


# What is no such data set, or hostile in other ways


ENCODE = b"c_codecs\nencode\n"
DTYPE = b"cnumpy\ndtype\n%b\x85R(K\x03" + text("|") + b"NNNtb"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def six_arrays(shape=b"K\x01\x85", dtype=b"\x8c\x02u1"):
    array = RECONSTRUCT + b"(K\x01" + shape + DTYPE % dtype + b"\x89C\x01atb"
    return b"\x80\x04" + 3 * (array + array + b"\x86") + b"\x87."


REFUSED = {
    "persistent id": (b"(Pos.system\n.", "another object"),
    "dict": (b"\x80\x02}.", "a dict"),
    "class of an array": (b"\x80\x04" + stack_global("numpy", "ndarray.__class__") + b".", "numpy.ndarray.__class__,"),
    "scalar": (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar, which is not read"),
    "endless name": (b"c" + b"\x1b" * 9999 + b"x\ny\n.", "holds , which"),
    "ndarray called": (3 * (2 * b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R" + b"\x86") + b"\x87.", "got 1"),
    "calling a text": (b"(" + text("system") + b"(tR.", "form is different"),
    "state of a function": (ENCODE + text("x") + b"\x85b.", "form is different"),
    "dtype of several": (six_arrays(dtype=text("u1,u1")), "than numbers"),
    "dtype of a number": (six_arrays(dtype=b"J\xff\xff\xff\x7f"), "form is different"),
    "giant shape": (six_arrays(b"J\xff\xff\xff\x3f\x85"), "cannot reshape array"),
    "objects": (pickle.dumps(3 * [(Y.astype(object), Y)]), "cannot create an OBJECT array"),
    "no pickle": (b"1,2\n3,4\n", "is no pickle"),
    "end too early": (pickle.dumps(SETS)[:-1], "it ends too early): do this"),
    "gzip, end too early": (gzip.compress(pickle.dumps(SETS))[:-1], "ended before"),
    "gzip, altered": (gzip.compress(pickle.dumps(SETS), 0).replace(X.tobytes(), X.tobytes()[::-1]), "CRC"),
    "more behind the end": (pickle.dumps(SETS) + b"!", "follows"),
    "more behind the end, gzipped": (gzip.compress(pickle.dumps(SETS) + b"!"), "follows"),
    "None": (pickle.dumps(None), "it holds NoneType"),
    "a pair": (pickle.dumps((X, Y)), "it holds (Array, Array)"),
    "four pairs": (pickle.dumps((*SETS, SETS[0])), "it holds ((Array, Array), (Array, Array), (Array, Array), ...)"),
    "a list of labels": (pickle.dumps([(X, Y), (X, Y), (X, [1, 2])]), "(Array, Array), (Array, [int, int])]"),
    "a long list of labels": (pickle.dumps(3 * [(X, 20_000 * [1])]), "more than 10,000 parts, such as single num"),
    # and some that are small and would be large
    "bytes that are not there": (b"\x80\x03B\xff\xff\xff\x3f.", "too early"),
    "60 MiB that are not there": (b"\x80\x05\x96" + struct.pack("<Q", 60 << 20) + b".", "too early"),
    "frame of exabytes": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b".", "form is different"),
    "memo of gigabytes": (b"\x80\x02Nr\xff\xff\xff\x7f.", "it holds NoneType"),
    "a million lists": (b"\x80\x02" + b"]" * 1_000_000 + b".", "more than 10,000 parts"),
    "deep nesting": (b"\x80\x02N" + b"\x85" * 9_000 + b".", "it holds (((tuple)))"),
    "doubling": (b"\x80\x04)" + b"\x94h\x00\x86" * 2_000 + b".", "it holds (((tuple, tuple"),
    "text encoded again and again": (
        b"\x80\x02" + ENCODE + b"q\0" + text("a" * 60_000) + text("latin1") + b"\x86q\1R]" + b"h\0h\1Ra" * 1_500 + b".",
        "it holds [str, str, str, ...]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses_what_is_no_data_set_without_much_memory(path, kind):
    content, reason = REFUSED[kind]
    assert reason in refusal(path, content)


def test_a_hand_made_data_set_is_read(path):
    """So each of `REFUSED` that is made as this one is refused for what it changes."""
    assert_sets_equal(read(path, six_arrays()), 3 * [(np.array([97], "u1"),) * 2])


@pytest.mark.parametrize("opening", [b"\x80\x05\x96" + struct.pack("<Q", 2 << 30), b"(V"])  # bytes, an endless line
def test_a_gzip_bomb_is_not_inflated(path, monkeypatch, opening):
    monkeypatch.setattr(archives, "LIMIT", 1 << 20)
    zeros = gzip.compress(bytes(64 << 20))
    assert "it holds more than " in refusal(path, gzip.compress(opening) + zeros * 32)  # members that inflate to 2 GiB


def test_the_limit_leaves_room_for_mnist_in_float64():
    assert 70_000 * 784 * 8 < archives.LIMIT <= 1 << 30
