"""Pickled data sets from strangers: NumPy arrays in tuples and lists are read, and nothing else.

A pickle is a program for a small stack machine. An ordinary unpickler lets it import and call anything. This module
allows neither. Each name that NumPy's arrays need leads to a stand-in of this module. Any other name is refused, and so
is every opcode that an array does not need. The stand-ins only use bytes that are in the file, so a short file cannot
ask for gigabytes.
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

LIMIT = 1 << 30  # bytes of a decompressed pickle; MNIST in float64 has 440 MB
SMALL, EXPANSION = 1 << 26, 100  # a file may grow to this many bytes, or to this many times its size
READS = 10_000  # reads of an opcode or its argument; six arrays need about 300
DTYPES = {"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "b1"}
LAYOUT = "a pickle, plain or gzipped, of NumPy arrays: ((x, y), (x, y), (x, y)) for training, validation and test"


def read_pickle(path):
    """Read a data set from a pickle of any protocol, by Python 2 or 3, plain or gzipped. Nothing in it is run.

    Returns
    -------
    list of three pairs of array
        (x, y) for training, validation and test, read-only. Their shapes and values are not checked yet.

    Raises
    ------
    UserError
        The file cannot be read, or is not a data set.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if zipped else file
            limit = expansion_limit(os.fstat(file.fileno()).st_size) if zipped else LIMIT
            content = RestrictedUnpickler(BoundedReader(source, limit)).load()
            if source.read(1):  # at the end of the file, gzip compares its checksum
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
    except Exception as error:  # a damaged or hostile file can make the unpickler raise almost anything
        reason = f"it is damaged, or no pickle ({type(error).__name__})"
    raise UserError(f"{path} cannot be used: {reason}; needed is {LAYOUT}")


def _pairs(content):
    """The three pairs of arrays in a data set. An UnpicklingError says that the content has another layout."""

    def unpack_sequence(value, length):
        if type(value) not in (tuple, list) or len(value) != length:
            raise pickle.UnpicklingError("its layout is different")
        return value

    pairs = [unpack_sequence(pair, 2) for pair in unpack_sequence(content, 3)]
    if not all(isinstance(item, Array) and item.value is not None for pair in pairs for item in pair):
        raise pickle.UnpicklingError("its layout is different")
    return [(x.value, y.value) for x, y in pairs]


def expansion_limit(size):
    """The bytes that a compressed file of this size may hold. MNIST in float64 shrinks 30 times, a bomb much more."""
    return min(LIMIT, max(SMALL, EXPANSION * size))


class BoundedReader:
    """A file that gives all the bytes asked for, or raises: at most `limit` bytes, in at most `READS` reads."""

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
    """Stand-in for a numpy.dtype: one of `DTYPES`, in either byte order."""

    def __init__(self, code, *_):
        code = code.decode("ascii") if isinstance(code, bytes) else code  # Python 2 wrote bytes
        if type(code) is not str or code not in DTYPES:
            raise pickle.UnpicklingError("it holds an array of something other than numbers")
        self.value = np.dtype(code)

    def build(self, _version, order, *fields):
        if any(field is not None for field in fields[:3]):  # subarray, names, fields
            raise pickle.UnpicklingError("it holds an array of something other than numbers")
        self.value = self.value.newbyteorder(order.decode("ascii") if isinstance(order, bytes) else order)


class Array:
    """Stand-in for a numpy.ndarray: a view of the bytes in the file."""

    value = None

    def build(self, _version, shape, dtype, is_fortran, data):
        """Take the state that `ndarray.__reduce__` wrote. `data` are bytes in C or Fortran order."""
        sizes = type(shape) is tuple and len(shape) < 32 and all(type(n) is int and 0 <= n <= LIMIT for n in shape)
        if not (sizes and type(dtype) is DType and type(data) is bytes):
            raise pickle.UnpicklingError("it holds an array in a form that NumPy does not write")
        if math.prod(shape) * dtype.value.itemsize != len(data):
            raise pickle.UnpicklingError("it holds an array whose shape and size differ")
        self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if is_fortran is True else "C")


class Stand:
    """Stand-in for a global name in the file. The opcode REDUCE can call it. No opcode can change it."""

    __slots__ = ("call",)

    def __init__(self, call):
        self.call = call


def _opcodes(names):
    return {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in names.split()}


class Opcodes(dict):
    def __missing__(self, code):
        raise pickle.UnpicklingError(f"it is no pickle, or holds more than arrays, tuples and lists (opcode {code:#x})")


class RestrictedUnpickler(pickle._Unpickler):
    """An unpickler that reads arrays of numbers, tuples and lists from a `BoundedReader`.

    Its parent is the unpickler written in Python. The one in C has three faults: extension codes bypass `find_class`,
    no opcode can be refused, and it claims the memory that a file asks for before it knows that the file has so many
    bytes. The one in Python is slow, but a data set is only a few large strings of bytes.
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
        super().__init__(reader, encoding="bytes")  # the arrays of Python 2 keep their bytes in strings
        self.encode_left = LIMIT

    def find_class(self, module, name):
        """The stand-in for a name that NumPy's arrays need. Any other name is refused."""
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return Stand(DType if name == "dtype" else None)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return Stand(lambda *_: Array())  # the file may name any subclass
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
        """Stand-in for NumPy's _frombuffer, which protocol 5 uses."""
        if order not in ("C", "F"):  # arrays of three and more axes can have other orders
            raise pickle.UnpicklingError("it holds an array of too many axes")
        array = Array()
        array.build(1, shape, dtype, order == "F", data)
        return array

    def _encode(self, text, encoding):
        """Bytes, which protocols 0 to 2 of Python 3 write as text. Their sum is limited: a text can be used again."""
        if type(text) is not str or encoding != "latin1":
            raise pickle.UnpicklingError("it encodes something other than bytes")
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
            raise pickle.UnpicklingError("it sets the state of something other than an array")
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
        self.read(8)  # frames only serve speed; without them every byte passes through the reader

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
    """Decode text. Letters beyond Latin-1 (`wider`) are refused: one of them makes a text four times as large."""
    if re.search(wider, data):
        raise pickle.UnpicklingError("it holds text")
    return str(data, codec)
