"""Pickled data sets from strangers: NumPy arrays in tuples and lists are read, and nothing else.

A pickle is a program for a small stack machine, which can import and call anything. `Unpickler` is this machine with
only the instructions that arrays need. It imports and calls nothing: a `Call` keeps what the file says of each array,
and the six arrays are made from that. The bytes and the pieces of a file are limited, and so is its memory.
"""

import gzip
import io
import pickle
import re

from support.files import shown
from support.files.archives import expansion_limit

import numpy as np

CHUNK = 1 << 18  # bytes read at once
PARTS = 10_000  # pieces of a pickle, about two for each instruction; six arrays need about 600
LAYOUT = "((Array, Array), (Array, Array), (Array, Array))"  # in tuples or lists
INSTRUCTIONS = (
    "PROTO MARK STOP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT STRING BINSTRING "
    "SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 "
    "TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS GLOBAL STACK_GLOBAL REDUCE BUILD GET BINGET LONG_BINGET PUT BINPUT "
    "LONG_BINPUT MEMOIZE"
).split()


def read_pickle(file):
    """The three pairs (x, y) of arrays in an open file: a pickle by Python 2 or 3, plain or gzipped. Nothing is run.

    The types, shapes and values of the arrays are not checked. An exception that `damaged` explains says that the file
    is not such a data set.
    """
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    unzipped, source, limit = gzip.GzipFile(fileobj=file) if zipped else file, Source(), expansion_limit(file)
    while piece := unzipped.read(CHUNK):
        source.write(piece)
        if source.tell() > limit:
            raise ValueError(f"it holds more than {limit >> 20} MiB")
    source.seek(0)
    content = Unpickler(source, encoding="latin1").load()
    if source.readline():
        raise ValueError("something follows the end of the pickle")
    source.close()  # its memory is free before the arrays are made
    layout = _layout(content)
    if layout.replace("[", "(").replace("]", ")") != LAYOUT:
        raise ValueError(f"it holds {layout}")
    return [(x.value(), y.value()) for x, y in content]


class Source(io.BytesIO):
    """Bytes in memory, which are read in at most PARTS pieces."""

    parts = 0

    def read(self, size):
        self.parts += 1
        if self.parts > PARTS:
            raise ValueError(f"it has more than {PARTS:,} parts, such as single numbers in the place of an array")
        content = super().read(size)
        if len(content) < size:
            raise EOFError("it ends too early")
        return content


class Call:
    """A call in a pickle. It is not made: its arguments are kept, and the state that its result would be given."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, None

    def __setstate__(self, state):
        self.state = state


class Array(Call):
    """A call that would make an array."""

    def value(self):
        """The array, a view of the bytes that were read."""
        if self.state is None:  # protocol 5
            data, dtype, shape, order = self.arguments
        else:
            _version, shape, dtype, is_fortran, data = self.state
            order = "F" if is_fortran is True else "C"
        (code, *_), (_version, byte_order, *_) = dtype.arguments, dtype.state
        if not re.fullmatch(r"[A-Za-z][0-9]{0,4}", code):
            raise ValueError("it holds an array of something other than numbers")
        data = data.encode("latin1") if isinstance(data, str) else data  # Python 2 has bytes in strings
        return np.frombuffer(data, np.dtype(code).newbyteorder(byte_order)).reshape(shape, order=order)


class Unpickler(pickle._Unpickler):
    """An unpickler of `Array` objects, tuples and lists.

    It is derived from the one that is written in Python. The one in C takes memory before it reads, and its
    instructions cannot be chosen.
    """

    NAMES = {
        "numpy.ndarray": Array,
        "numpy.dtype": Call,
        "numpy.core.multiarray._reconstruct": Array,
        "numpy.core.numeric._frombuffer": Array,
        "_codecs.encode": lambda text, encoding: text,  # bytes in protocols 0 to 2 of Python 3
    }

    def find_class(self, module, name):
        """The stand-in for a name that NumPy's arrays need. Any other name is refused."""
        name = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        if name not in self.NAMES:
            raise ValueError(f"it holds {shown(name)}, which is not read")
        return self.NAMES[name]

    def _refuse(self):
        raise ValueError("it is no pickle, or holds a dict or another object, and not only arrays")

    dispatch = {
        **dict.fromkeys(range(256), _refuse),
        **{code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in INSTRUCTIONS)},
        pickle.FRAME[0]: lambda self: self.read(8),  # the length of a buffer that we do not need
        pickle.BYTEARRAY8[0]: pickle._Unpickler.load_binbytes8,
    }


def _layout(value, depth=3):
    """What is in a list or a tuple, such as (Array, [int, int])."""
    if type(value) not in (tuple, list) or depth == 0:
        return type(value).__name__
    items = [_layout(item, depth - 1) for item in value[:3]] + ["..."] * (len(value) > 3)
    return f"({', '.join(items)})" if type(value) is tuple else f"[{', '.join(items)}]"
