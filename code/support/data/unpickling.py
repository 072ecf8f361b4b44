"""Pickled data sets from strangers: NumPy arrays in tuples and lists are read, and nothing else.

A pickle is a program for a small stack machine, which can import and call anything. `Unpickler` is this machine with
only the instructions that arrays need. It has a stand-in for each name of NumPy's arrays, and refuses any other name.
`Source` limits what is read: no file can ask for more memory than a few times its size.
"""

import gzip
import pickle
import re

from support.files import shown
from support.files.archives import Refused, expansion_limit, usable

import numpy as np

CHUNK = 1 << 18  # bytes read at once
PARTS = 10_000  # pieces of a pickle, about two for each instruction; six arrays need about 600
LAYOUT = "((Array, Array), (Array, Array), (Array, Array))"  # in tuples or lists
INSTRUCTIONS = (
    "PROTO MARK STOP POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT STRING "
    "BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE "
    "TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS GLOBAL STACK_GLOBAL REDUCE BUILD GET BINGET LONG_BINGET PUT "
    "BINPUT LONG_BINPUT MEMOIZE"
).split()


def read_pickle(path, remedy):
    """The three pairs (x, y) of arrays in a pickle of any protocol, by Python 2 or 3, plain or gzipped. Nothing is run.

    The types, shapes and values of the arrays are not checked. An array of objects comes back empty. A UserError, which
    ends with the remedy, says that the file cannot be read or is not such a data set.
    """
    with usable(path, "pickle of arrays", remedy) as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        source = Source(gzip.GzipFile(fileobj=file) if zipped else file, expansion_limit(file))
        content = Unpickler(source).load()
        if source.file.read(1):  # at the end of the file, gzip compares its checksum
            raise Refused("something follows the end of the pickle")
        layout = _layout(content)
        if layout.replace("[", "(").replace("]", ")") != LAYOUT:
            raise Refused(f"it holds {layout}")
    return [(x.value, y.value) for x, y in content]


class Source:
    """Reads a file once: at most `limit` bytes, at most PARTS pieces, and no memory for bytes that are not there."""

    def __init__(self, file, limit):
        self.file, self.limit, self.size, self.parts = file, limit, 0, 0

    def read(self, size):
        self._count(size)
        content = bytearray()
        while len(content) < size:
            piece = self.file.read(min(size - len(content), CHUNK))
            if not piece:
                raise EOFError
            content += piece
        return content

    def readline(self):
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self.file.readline(CHUNK)
            if not piece:
                raise EOFError
            self._count(len(piece))
            line += piece
        return line

    def _count(self, size):
        self.size += size
        self.parts += 1
        if self.size > self.limit:
            raise Refused(f"it holds more than {self.limit >> 20} MiB")
        if self.parts > PARTS:
            raise Refused(f"it has more than {PARTS:,} parts, such as single numbers in the place of an array")


class Unpickler(pickle._Unpickler):
    """An unpickler of arrays, tuples and lists.

    It is derived from the one that is written in Python. The one in C takes memory before it reads, and its
    instructions cannot be chosen.
    """

    def __init__(self, source):
        super().__init__(source, encoding="bytes")  # the arrays of Python 2 keep their bytes in strings
        self.source, self.encoded = source, 0

    def find_class(self, module, name):
        """The stand-in for a name that NumPy's arrays need. Any other name is refused."""
        module = module.replace("numpy._core.", "numpy.core.")
        stand_ins = {
            "numpy.ndarray": Array,
            "numpy.dtype": DType,
            "numpy.core.multiarray._reconstruct": lambda *_: Array(),  # the file may name any subclass
            "numpy.core.numeric._frombuffer": from_buffer,
            "_codecs.encode": self._encode,  # in protocols 0 to 2 of Python 3
        }
        if f"{module}.{name}" not in stand_ins:
            raise Refused(f"it holds {shown(f'{module}.{name}')}, which is not read")
        return stand_ins[f"{module}.{name}"]

    def _encode(self, text, encoding):
        """Bytes from text. Their sum is limited, because a file can use one text again and again."""
        self.encoded += len(text)
        if self.encoded > self.source.size or encoding != "latin1":
            raise Refused("it is damaged")
        return text.encode("latin1")

    def _refuse(self):
        raise Refused("it holds a dict or another object, and not only arrays")

    def _ignore_frame(self):
        self.read(8)  # the length of a buffer that we do not need

    dispatch = {
        **dict.fromkeys(pickle._Unpickler.dispatch, _refuse),
        **{code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in INSTRUCTIONS)},
        pickle.FRAME[0]: _ignore_frame,
        pickle.BYTEARRAY8[0]: pickle._Unpickler.load_binbytes8,
    }


class DType:
    """Stand-in for a numpy.dtype."""

    def __init__(self, code, *_):
        code = code if isinstance(code, str) else code.decode("ascii")  # Python 2 wrote bytes
        if not re.fullmatch(r"[A-Za-z][0-9]{0,4}", code):
            raise Refused("it holds an array of something other than numbers")
        self.value = np.dtype(code)

    def __setstate__(self, state):
        order = state[1]
        self.value = self.value.newbyteorder(order if isinstance(order, str) else order.decode("ascii"))


class Array:
    """Stand-in for a numpy.ndarray: `value` is a view of the bytes in the file. An array of objects stays empty."""

    value = np.empty(0, object)

    def __setstate__(self, state):
        _version, shape, dtype, is_fortran, data = state
        if not dtype.value.hasobject:
            self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if is_fortran is True else "C")


def from_buffer(data, dtype, shape, order, *_):
    """Stand-in for NumPy's function of this kind, which protocol 5 has."""
    array = Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _layout(value, depth=3):
    """What is in a list or a tuple, such as (Array, [int, int])."""
    if type(value) not in (tuple, list) or depth == 0:
        return type(value).__name__
    items = [_layout(item, depth - 1) for item in value[:3]] + ["..."] * (len(value) > 3)
    return f"({', '.join(items)})" if type(value) is tuple else f"[{', '.join(items)}]"
