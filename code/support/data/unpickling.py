"""Pickled data sets from strangers: NumPy arrays in tuples and lists are admitted, and nothing else.

A pickle is a program for a small stack machine, which may import and call anything. Here it can do neither: the names
that NumPy's arrays need lead to stand-ins of this module, any other name is refused, and so is every opcode that an
array does not need. The stand-ins only look at bytes that are in the file, so that a few bytes cannot ask for
gigabytes either.
"""

import gzip
import math
import os
import pickle
import re
import zlib
from struct import unpack

from support.errors import UserError

import numpy as np

LIMIT = 1 << 30  # bytes of a pickle once decompressed; MNIST in float64 has 440 MB
SMALL, EXPANSION = 1 << 26, 100  # bytes that any file may be decompressed to, and how often its own size a larger one
READS = 10_000  # of the opcodes and their arguments; six arrays take about 300
DTYPES = {"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "b1"}
LAYOUT = "a pickle, plain or gzipped, of NumPy arrays: ((x, y), (x, y), (x, y)) for training, validation and test"


def read_pickle(path):
    """Read a data set without running anything that the file says.

    Parameters
    ----------
    path : path-like
        A pickle of any protocol, written by Python 2 or 3, plain or gzipped.

    Returns
    -------
    list of three pairs of array
        (x, y) for training, validation and test; shapes and values are not checked yet. They are read-only.

    Raises
    ------
    UserError
        Where the file cannot be read, or is anything else than a data set.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if zipped else file
            limit = expansion_limit(os.fstat(file.fileno()).st_size) if zipped else LIMIT
            content = RestrictedUnpickler(BoundedReader(source, limit)).load()
            if source.read(1):  # what also makes gzip compare its own checksum
                raise pickle.UnpicklingError("something follows the end of the pickle")
        return _pairs(content)
    except (gzip.BadGzipFile, zlib.error):
        reason = "it is damaged"
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        reason = str(error)
    except EOFError:
        reason = "it ends too early"
    except Exception as error:  # a damaged or hostile file chooses which one the stack machine trips over
        reason = f"it is damaged, or no pickle ({type(error).__name__})"
    raise UserError(f"{path} cannot be used: {reason}; needed is {LAYOUT}")


def _pairs(content):
    """The arrays of a data set, where `content` has its layout."""

    def unpack_sequence(value, length):
        if type(value) not in (tuple, list) or len(value) != length:
            raise pickle.UnpicklingError("its layout is another one")
        return value

    pairs = [unpack_sequence(pair, 2) for pair in unpack_sequence(content, 3)]
    if not all(isinstance(item, Array) and item.value is not None for pair in pairs for item in pair):
        raise pickle.UnpicklingError("its layout is another one")
    return [(x.value, y.value) for x, y in pairs]


def expansion_limit(size):
    """Bytes that a compressed file of this size may hold: MNIST in float64 is packed to a thirtieth, a bomb to more."""
    return min(LIMIT, max(SMALL, EXPANSION * size))


class BoundedReader:
    """What the unpickler reads from: never short, never more than `limit` bytes, nor in more than `READS` pieces."""

    def __init__(self, file, limit=LIMIT):
        self.file = file
        self.limit = self.bytes_left = limit
        self.reads_left = READS

    def read(self, size):
        if size > self.bytes_left:
            raise pickle.UnpicklingError(f"it holds more than {self.limit >> 20} MiB")
        return self._count(self.file.read(size), size)

    def readline(self):
        line = self.file.readline(self.bytes_left)
        return self._count(line, len(line) if line.endswith(b"\n") else len(line) + 1)

    def _count(self, data, wanted):
        self.bytes_left -= len(data)
        self.reads_left -= 1
        if self.reads_left < 0:
            raise pickle.UnpicklingError("it has too many parts")
        if len(data) < wanted:
            raise EOFError
        return data


class DType:
    """Stands in for a numpy.dtype that is being rebuilt: one of `DTYPES`, in either byte order."""

    def __init__(self, code, *_):
        code = code.decode("ascii") if isinstance(code, bytes) else code  # Python 2 wrote bytes
        if type(code) is not str or code not in DTYPES:
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        self.value = np.dtype(code)

    def build(self, _version, order, *fields):
        if any(field is not None for field in fields[:3]):  # subarray, names, fields
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        self.value = self.value.newbyteorder(order.decode("ascii") if isinstance(order, bytes) else order)


class Array:
    """Stands in for a numpy.ndarray that is being rebuilt: a view of the bytes in the file."""

    value = None

    def build(self, _version, shape, dtype, is_fortran, data):
        """Take the state that `ndarray.__reduce__` wrote, data being C- or Fortran-ordered bytes."""
        sizes = type(shape) is tuple and len(shape) < 32 and all(type(n) is int and 0 <= n <= LIMIT for n in shape)
        if not (sizes and type(dtype) is DType and type(data) is bytes):
            raise pickle.UnpicklingError("it holds an array in a form that NumPy does not write")
        if math.prod(shape) * dtype.value.itemsize != len(data):
            raise pickle.UnpicklingError("it holds an array whose shape and size differ")
        self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if is_fortran is True else "C")


class Stand:
    """What a global name of the file leads to: a thing that can be called by REDUCE, and cannot be altered."""

    __slots__ = ("call",)

    def __init__(self, call):
        self.call = call


def _opcodes(names):
    return {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in names.split()}


class Opcodes(dict):
    def __missing__(self, code):
        raise pickle.UnpicklingError(f"it is no pickle, or holds more than arrays, tuples and lists (opcode {code:#x})")


class RestrictedUnpickler(pickle._Unpickler):
    """An unpickler that admits arrays of numbers, tuples and lists.

    It is derived from the unpickler written in Python: the one in C takes extension codes past `find_class`, cannot be
    told which opcodes to refuse, and allocates what a file asks for before it looks whether the file has it. Speed is
    no matter, a data set being a few large strings of bytes.

    Parameters
    ----------
    reader : BoundedReader
    """

    dispatch = Opcodes(
        _opcodes(
            "PROTO STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
            "STRING BINSTRING SHORT_BINSTRING SHORT_BINUNICODE SHORT_BINBYTES BINBYTES BINBYTES8 "
            "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS "
            "GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL"
        )
    )

    def __init__(self, reader):
        super().__init__(reader, encoding="bytes")  # Python 2's strings are the arrays' bytes
        self.encode_left = LIMIT

    def find_class(self, module, name):
        """Lead the names that NumPy's arrays need to a stand-in, and refuse any other."""
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return Stand(DType if name == "dtype" else None)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return Stand(lambda *_: Array())  # whichever subclass the file names
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return Stand(self._from_buffer)
        if (module, name) == ("_codecs", "encode"):
            return Stand(self._encode)
        raise pickle.UnpicklingError(f"it names {ascii(f'{module}.{name}'):.60}, which is refused")

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("it refers to an object outside itself")

    def get_extension(self, code):
        raise pickle.UnpicklingError("it refers to a registered extension")

    @staticmethod
    def _from_buffer(data, dtype, shape, order, *_):
        """NumPy's _frombuffer, of protocol 5."""
        if order not in ("C", "F"):  # others are of arrays of three and more axes
            raise pickle.UnpicklingError("it holds an array of too many axes")
        array = Array()
        array.build(1, shape, dtype, order == "F", data)
        return array

    def _encode(self, text, encoding):
        """Bytes as protocols 0 to 2 of Python 3 disguise them. The sum is bounded: a text may be encoded often."""
        if type(text) is not str or encoding != "latin1":
            raise pickle.UnpicklingError("it encodes something else than bytes")
        self.encode_left -= len(text)
        if self.encode_left < 0:
            raise pickle.UnpicklingError(f"it holds more than {LIMIT >> 20} MiB")
        return text.encode("latin1")

    def _load_reduce(self):
        arguments, stand = self.stack.pop(), self.stack.pop()
        if type(stand) is not Stand or stand.call is None or type(arguments) is not tuple:
            raise pickle.UnpicklingError("it calls something that is refused")
        self.append(stand.call(*arguments))

    def _load_build(self):
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) not in (Array, DType) or type(state) is not tuple:
            raise pickle.UnpicklingError("it sets the state of something else than an array")
        built.build(*state)

    def _load_text(self):
        size = unpack("<I", self.read(4))[0]
        self.append(_latin1(self.read(size), rb"[\xc4-\xff]", "utf-8"))

    def _load_text_line(self):
        self.append(_latin1(self.readline()[:-1], rb"\\u(?!00)|\\U", "raw-unicode-escape"))

    def _load_bytearray(self):
        size = unpack("<Q", self.read(8))[0]
        self.append(self.read(size))

    def _load_frame(self):
        self.read(8)  # frames are for speed only; without them, everything passes through the reader

    dispatch.update(
        {
            pickle.REDUCE[0]: _load_reduce,
            pickle.BUILD[0]: _load_build,
            pickle.BINUNICODE[0]: _load_text,
            pickle.UNICODE[0]: _load_text_line,
            pickle.BYTEARRAY8[0]: _load_bytearray,
            pickle.FRAME[0]: _load_frame,
        }
    )


def _latin1(data, wider, codec):
    """Decode text, refusing any `wider` than Latin-1, of which a single letter multiplies the memory by four."""
    if re.search(wider, data):
        raise pickle.UnpicklingError("it holds text")
    return str(data, codec)
