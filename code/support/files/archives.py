"""Arrays from .npz files, which may come from strangers: nothing in them is run.

An .npz file is a zip archive, and both the archive and each array in it say how large they are. Here nothing is
believed: an array is inflated into memory that is claimed by no more than its bytes can fill, and a file whose sum
exceeds a limit is refused before anything of it is inflated.
"""

import io
import json
import math
import struct
import warnings
import zipfile

from support.errors import UserError
from support.files.forms import parse_json
from support.files.replacing import replacing

import numpy as np
from numpy.lib import format

MEMBERS = 1000  # arrays in a file; a checkpoint has some tens
HEADER = 4096  # bytes in which an array's header must end; NumPy writes 128
DEFLATE = 1032  # bytes that a byte can inflate to, in the format's best case
CHUNK = 1 << 20  # bytes inflated at once


def write_described(path, description, arrays):
    """Put an .npz file of arrays, and JSON beside them, in place of an earlier file.

    Parameters
    ----------
    path : Path
    description : {name: content}
        The JSON's name in the file, and what it says.
    arrays : dict of array
    """
    ((name, content),) = description.items()
    with replacing(path) as file:
        np.savez(file, **{name: json.dumps(content)}, **arrays)


def read_described(path, name, form, remedy):
    """What `write_described` wrote.

    Parameters
    ----------
    path : path-like
    name : str
    form
        That the JSON must have, as for `support.files.forms.check_form`.
    remedy : str
        What to do about a file that cannot be used.

    Returns
    -------
    content : what the JSON says
    arrays : dict of array

    Raises
    ------
    UserError
        Where the file cannot be read, or is another one.
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
        What to do about a file that cannot be used.
    limit : int, optional
        Bytes that all arrays may take. By default as many as the file: one that is compressed is refused.

    Returns
    -------
    dict of array
        Of integers and floats, up to 8 bytes each, of any shape; and texts, of shape ().

    Raises
    ------
    UserError
        Where the file cannot be read, is damaged, or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            return _read(file, limit)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Refused as error:
        reason = str(error)
    except Exception as error:  # a damaged file chooses which one the zip and NumPy trip over
        reason = f"it is damaged, or no .npz file ({type(error).__name__})"
    raise UserError(f"{path} cannot be used: {reason}; {remedy}")


class Refused(Exception):
    """Why a whole file is not used."""


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
                raise Refused("it is compressed otherwise than NumPy does it")
            left -= member.file_size
        if left < 0 or any(member.file_size > DEFLATE * member.compress_size for member in members):
            raise Refused(f"it claims to hold more than it can, or than {limit:,} bytes")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise Refused("it holds two arrays of one name")
            with archive.open(member) as stream:
                arrays[name] = _read_array(stream, member.file_size)
    return arrays


def _count_parts(file, size):
    """How many members the end of a zip archive says that it has; too many are refused before their list is read."""
    file.seek(max(0, size - 42))
    tail = file.read()
    signature, parts, comment = struct.unpack("<4s6xH8xH", tail[-22:])
    is_large = tail.startswith(b"PK\x06\x07")  # a second list, for an archive that needs one
    if signature != b"PK\x05\x06" or comment or is_large and size < 1 << 31:
        raise zipfile.BadZipFile
    if parts > MEMBERS:
        raise Refused(f"it holds more than {MEMBERS} arrays")
    return parts


def _read_array(stream, size):
    """The array in a member of the archive that says that it has so many bytes."""
    head = stream.read(HEADER)
    buffer = io.BytesIO(head)
    read_header = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    with warnings.catch_warnings(action="ignore"):
        shape, is_fortran, dtype = read_header[format.read_magic(buffer)](buffer)
    is_text = dtype.kind == "U" and shape == ()
    if not is_text and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise Refused("it holds something else than numbers")
    rest = head[buffer.tell() :]
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes != size - buffer.tell():
        raise Refused("it holds an array whose shape and size differ")
    memory = np.empty(n_bytes, np.uint8)
    memory[: len(rest)] = np.frombuffer(rest, np.uint8)
    filled = len(rest)
    while filled < n_bytes and (count := stream.readinto(memory[filled : filled + CHUNK])):
        filled += count
    if filled < n_bytes:  # having read it all, the archive has compared its checksum
        raise EOFError
    return memory.view(dtype).reshape(shape, order="F" if is_fortran else "C")
