"""Arrays from .npz files. A file may come from a stranger: nothing in it is run, and no size in it is trusted.

An .npz file is a zip archive. The archive says how large its parts are, and each array says it again. The sum of the
sizes is checked against a limit before anything is inflated. The memory for an array is claimed only if the compressed
bytes in the file can fill it.
"""

import io
import json
import math
import struct
import warnings
import zipfile

from support.errors import UserError
from support.files import replacing
from support.files.forms import parse_json

import numpy as np
from numpy.lib import format

MEMBERS = 1000  # arrays in a file; a checkpoint has fewer than a hundred
HEADER = 4096  # bytes; an array's header must be shorter. NumPy writes 128.
DEFLATE = 1032  # bytes that one compressed byte can become, at most, in this format
CHUNK = 1 << 20  # bytes inflated at once


def write_described(path, description, arrays):
    """Write arrays and a description into an .npz file. It replaces an earlier file.

    `description` is {name: content}. The content is written as JSON under this name.
    """
    ((name, content),) = description.items()
    with replacing(path) as file:
        np.savez(file, **{name: json.dumps(content)}, **arrays)


def read_described(path, name, form, remedy):
    """The description of this name, and the dict of arrays, that `write_described` wrote.

    The description must have the form; see `support.files.forms.check_form`. A UserError says that the file cannot be
    read or is not such a file, and ends with the remedy.
    """
    arrays = read_arrays(path, remedy)
    try:
        return parse_json(str(arrays.pop(name)[()]), form), arrays
    except KeyError:
        reason = f"it holds no {name!r}"
    except (ValueError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else f"its {name!r} is no JSON"
    raise UserError(f"{path} cannot be used: {reason}; {remedy}")


def read_arrays(path, remedy, limit=None):
    """The arrays in an .npz file.

    Parameters
    ----------
    path : path-like
    remedy : str
        The end of the error message: what to do about a file that cannot be used.
    limit : int, optional
        Bytes that all arrays together may have. The default is the size of the file, so a compressed file is refused.

    Returns
    -------
    dict of array
        Integers and floats, up to 8 bytes each, of any shape; and single texts, of shape ().

    Raises
    ------
    UserError
        The file cannot be read, is damaged, or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            return _read(file, limit)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Refused as error:
        reason = str(error)
    except Exception as error:  # a damaged file can make zipfile and NumPy raise almost anything
        reason = f"it is damaged, or no .npz file ({type(error).__name__})"
    raise UserError(f"{path} cannot be used: {reason}; {remedy}")


class Refused(Exception):
    """The file is not damaged, but it is refused for this reason."""


def _read(file, limit):
    size = file.seek(0, io.SEEK_END)
    left = limit = size if limit is None else limit
    parts = _count_parts(file, size)
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) != parts:
            raise zipfile.BadZipFile
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused("it is compressed in a way that NumPy does not use")
            left -= member.file_size
        if left < 0 or any(member.file_size > DEFLATE * member.compress_size for member in members):
            raise Refused(f"it says that it holds more than it can, or more than {limit:,} bytes")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise Refused("it holds two arrays of one name")
            with archive.open(member) as stream:
                arrays[name] = _read_array(stream, member.file_size)
    return arrays


def _count_parts(file, size):
    """The number of members, as the end of a zip archive gives it. Too many are refused before their list is read."""
    file.seek(max(0, size - 42))
    tail = file.read()
    signature, parts, comment = struct.unpack("<4s6xH8xH", tail[-22:])
    is_large = tail.startswith(b"PK\x06\x07")  # a second index, which only giant archives need
    if signature != b"PK\x05\x06" or comment or is_large and size < 1 << 31:
        raise zipfile.BadZipFile
    if parts > MEMBERS:
        raise Refused(f"it holds more than {MEMBERS} arrays")
    return parts


def _read_array(stream, size):
    """The array in a member of the archive. The archive says that the member has `size` bytes."""
    head = stream.read(HEADER)
    buffer = io.BytesIO(head)
    read_header = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    with warnings.catch_warnings(action="ignore"):
        shape, is_fortran, dtype = read_header[format.read_magic(buffer)](buffer)
    is_text = dtype.kind == "U" and shape == ()
    if not is_text and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise Refused("it holds something other than numbers")
    rest = head[buffer.tell() :]
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes != size - buffer.tell():
        raise Refused("it holds an array whose shape and size differ")
    memory = np.empty(n_bytes, np.uint8)
    memory[: len(rest)] = np.frombuffer(rest, np.uint8)
    filled = len(rest)
    while filled < n_bytes and (count := stream.readinto(memory[filled : filled + CHUNK])):
        filled += count
    if filled < n_bytes:  # if all bytes came, zipfile has compared their checksum
        raise EOFError
    return memory.view(dtype).reshape(shape, order="F" if is_fortran else "C")
