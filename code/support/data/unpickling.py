"""Pickled data sets from strangers: NumPy arrays in tuples and lists are read, and nothing else.

A pickle is a program for a small stack machine, which can import and call anything. So `_screen` goes through the file
first. It refuses every opcode that arrays do not need, and every length that is not in the file: no file can ask for
more memory than a few times its size. Then `Unpickler` has a stand-in for each name that NumPy's arrays need, and
refuses any other name.
"""

import gzip
import os
import pickle
import re

from support.errors import UserError
from support.files import shown

import numpy as np

LIMIT = 1 << 30  # bytes of a decompressed pickle; MNIST in float64 has 440 MB
SMALL, EXPANSION = 1 << 26, 100  # a file may grow to this many bytes, or to this many times its size
CHUNK = 1 << 18  # bytes decompressed at once
PARTS = 10_000  # opcodes; six arrays need about 300
LAYOUT = (
    "a pickle, plain or gzipped, of NumPy arrays, ((x, y), (x, y), (x, y)) for training, validation and test; "
    "np.asarray makes an array of a list or a table"
)


def _opcodes(**sizes):
    return {getattr(pickle, name): int(size[1:]) for size, names in sizes.items() for name in names.split()}


# The opcodes that are read: by the bytes of their argument, of the length that it begins with, and by its lines.
FIXED = _opcodes(
    _0="MARK STOP POP POP_MARK NONE NEWTRUE NEWFALSE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND "
    "APPENDS REDUCE BUILD STACK_GLOBAL MEMOIZE",
    _1="PROTO BININT1 BINGET BINPUT",
    _2="BININT2",
    _4="BININT LONG_BINGET LONG_BINPUT",
    _8="BINFLOAT FRAME",
)
COUNTED = _opcodes(
    _1="LONG1 SHORT_BINSTRING SHORT_BINUNICODE SHORT_BINBYTES",
    _4="BINSTRING BINUNICODE BINBYTES",
    _8="BINBYTES8 BYTEARRAY8",
)
LINES = _opcodes(_1="INT LONG FLOAT STRING UNICODE GET PUT", _2="GLOBAL")
BEGINNINGS = pickle.PROTO, pickle.MARK, pickle.GLOBAL, pickle.EMPTY_LIST, pickle.EMPTY_DICT
# Letters beyond Latin-1, one of which makes a text four times as large.
WIDE = {pickle.BINUNICODE: re.compile(rb"[\xc4-\xff]"), pickle.UNICODE: re.compile(rb"\\u(?:[^0]|0[^0])|\\U")}


def read_pickle(path, remedy=f"needed is {LAYOUT}"):
    """Read a data set from a pickle of any protocol, by Python 2 or 3, plain or gzipped. Nothing in it is run.

    Returns
    -------
    list of three pairs of array
        (x, y) for training, validation and test. Their types, shapes and values are not checked yet. An array of
        objects comes back empty.

    Raises
    ------
    UserError
        The file cannot be read, or is not a data set. The message ends with the remedy.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if zipped else file
            size = _screen(source, expansion_limit(os.fstat(file.fileno()).st_size) if zipped else LIMIT)
            source.seek(0)
            return _pairs(Unpickler(source, size).load())
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile):
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
        reason = "it is damaged"
    except Refused as error:
        reason = str(error)
    except EOFError:
        reason = "it ends too early"
    except Exception:  # a damaged or hostile file can make the unpickler raise almost anything
        reason = "it is damaged, or no pickle of arrays"
    raise UserError(f"{path} cannot be used: {reason}; {remedy}")


class Refused(Exception):
    """The file is refused for this reason."""


def expansion_limit(size):
    """The bytes that a compressed file of this size may hold. MNIST in float64 shrinks 30 times, a bomb much more."""
    return min(LIMIT, max(SMALL, EXPANSION * size))


def _screen(source, limit):
    """The size of a pickle. It is refused as soon as it has more bytes than `limit`, or what arrays do not need."""
    reader = Reader(source, limit)
    for _ in range(PARTS):
        code = reader.take(1)
        if reader.size == 1 and code not in BEGINNINGS:
            raise Refused("it is no pickle")
        if code in FIXED:
            argument = reader.take(FIXED[code])
        elif code in COUNTED:
            argument = reader.take(int.from_bytes(reader.take(COUNTED[code]), "little"), WIDE.get(code))
        elif code in LINES:
            argument = [reader.take_line(WIDE.get(code)) for _ in range(LINES[code])][-1]
        else:
            raise Refused("it holds a dict or another object, and not only arrays")
        # The unpickler has a table of all the numbers up to the largest one that it puts something under.
        if code == pickle.PUT and int(argument) > PARTS:
            raise Refused("it is damaged")
        if code == pickle.LONG_BINPUT and int.from_bytes(argument, "little") > PARTS:
            raise Refused("it is damaged")
        if code == pickle.STOP:
            if source.read(1):  # at the end of the file, gzip compares its checksum
                raise Refused("something follows the end of the pickle")
            return reader.size
    raise Refused(f"it has more than {PARTS:,} parts, such as single numbers in the place of an array")


class Reader:
    """Reads from a file, in small pieces, at most `limit` bytes, and not more than there are."""

    def __init__(self, source, limit):
        self.source, self.limit, self.size = source, limit, 0

    def take(self, size, refused=None):
        """Read so many bytes, and return the last of them: at most a CHUNK, and none in which `refused` is found."""
        self._check(size)
        piece = b""
        while size:
            piece = self._read(self.source.read(min(size, CHUNK)), refused)
            size -= len(piece)
        return piece

    def take_line(self, refused=None):
        """Read up to the next end of a line, and return the last bytes."""
        piece = b""
        while not piece.endswith(b"\n"):
            piece = self._read(self.source.readline(CHUNK), refused)
        return piece

    def _read(self, piece, refused):
        self._check(len(piece))
        if not piece:
            raise EOFError
        if refused and refused.search(piece):
            raise Refused("it holds text")
        self.size += len(piece)
        return piece

    def _check(self, size):
        if self.size + size > self.limit:
            raise Refused(f"it holds more than {self.limit >> 20} MiB")


class Unpickler(pickle.Unpickler):
    """An unpickler of arrays, tuples and lists, for a file of this size that `_screen` has passed."""

    def __init__(self, source, size):
        super().__init__(source, encoding="bytes")  # the arrays of Python 2 keep their bytes in strings
        self.left = size

    def find_class(self, module, name):
        """The stand-in for a name that NumPy's arrays need. Any other name is refused."""
        module = module.replace("numpy._core.", "numpy.core.")
        stand_ins = {
            "numpy.ndarray": Array,
            "numpy.dtype": DType,
            "numpy.core.multiarray._reconstruct": lambda *_: Array(),  # the file may name any subclass
            "numpy.core.numeric._frombuffer": Array,  # in protocol 5
            "_codecs.encode": self._encode,  # in protocols 0 to 2 of Python 3
        }
        if f"{module}.{name}" not in stand_ins:
            raise Refused(f"it holds {shown(f'{module}.{name}')}, which is not read")
        return stand_ins[f"{module}.{name}"]

    def _encode(self, text, encoding):
        """Bytes from text. Their sum is limited, because a file can use one text again and again."""
        self.left -= len(text)
        if self.left < 0 or encoding != "latin1":
            raise Refused("it is damaged")
        return text.encode("latin1")


class DType:
    """Stand-in for a numpy.dtype."""

    def __init__(self, code, *_):
        code = code.decode("ascii") if isinstance(code, bytes) else code  # Python 2 wrote bytes
        if not re.fullmatch(r"[A-Za-z][0-9]{0,4}", code):
            raise Refused("it holds an array of something other than numbers")
        self.value = np.dtype(code)

    def __setstate__(self, state):
        order = state[1]
        self.value = self.value.newbyteorder(order.decode("ascii") if isinstance(order, bytes) else order)


class Array:
    """Stand-in for a numpy.ndarray: `value` is a view of the bytes in the file."""

    value = None

    def __init__(self, *of_frombuffer):
        if of_frombuffer:
            self._view(*of_frombuffer[:4])

    def __setstate__(self, state):
        _version, shape, dtype, is_fortran, data = state
        self._view(data, dtype, shape, "F" if is_fortran is True else "C")

    def _view(self, data, dtype, shape, order):
        values = np.empty(0, object) if dtype.value.hasobject else np.frombuffer(data, dtype.value)
        self.value = values if dtype.value.hasobject else values.reshape(shape, order=order)


def _pairs(content):
    """The three pairs of arrays in a data set. If the content has another layout, it is refused."""

    def is_row(value, length):
        return type(value) in (tuple, list) and len(value) == length

    if is_row(content, 3) and all(is_row(pair, 2) for pair in content):
        if all(isinstance(item, Array) and item.value is not None for pair in content for item in pair):
            return [(x.value, y.value) for x, y in content]
    raise Refused(f"it holds {_layout(content)}")


def _layout(value, depth=3):
    """What is in a list or a tuple, such as (Array, [int, int])."""
    if type(value) not in (tuple, list) or depth == 0:
        return type(value).__name__
    items = [_layout(item, depth - 1) for item in value[:3]] + ["..."] * (len(value) > 3)
    return f"({', '.join(items)})" if type(value) is tuple else f"[{', '.join(items)}]"
