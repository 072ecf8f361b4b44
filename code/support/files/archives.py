"""Arrays from .npz files. A file may come from a stranger: nothing in it is run, and no size in it is trusted.

An .npz file is a zip archive. The archive says how large its parts are, and each array says it again. The sum of the
sizes is checked against a limit, and each array's size against its part's, before anything is inflated.
"""

import io
import json
import math
import os
import warnings
import zipfile

from support.errors import UserError
from support.files import damaged, replacing
from support.files.forms import check_form

import numpy as np
from numpy.lib import format

MEMBERS = 1000  # arrays in a file; a checkpoint has fewer than a hundred
HEADER = 4096  # bytes; an array's header must be shorter. NumPy writes 128.


def write_described(path, description, arrays):
    """Write arrays and a description into an .npz file. It replaces an earlier file.

    `description` is {name: content}. The content is written as JSON under this name.
    """
    ((name, content),) = description.items()
    with replacing(path) as file:
        np.savez(file, **{name: json.dumps(content)}, **arrays)


def read_described(path, name, *form_and_remedy):
    """The description of this name, and the dict of arrays, that `write_described` wrote.

    A UserError says that the file cannot be read or is not such a file, and ends with the remedy. What is in the
    description is not checked.
    """
    *form, remedy = form_and_remedy
    arrays = read_arrays(path, remedy)
    with damaged(path, remedy):
        content = json.loads(str(arrays.pop(name)[()]))
        for each in form:
            check_form(content, each)
    return content, arrays


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
        Of any type and shape. An array of objects comes back empty: objects would have to be unpickled.

    Raises
    ------
    UserError
        The file cannot be read, is damaged, or holds more than the limit.
    """
    try:
        with open(path, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size if limit is None else limit)
    except Refused as error:
        reason = str(error)
    except Exception as error:  # a damaged file can make zipfile and NumPy raise almost anything
        if isinstance(error, OSError) and error.filename:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        reason = "it is damaged, or no .npz file"
    raise UserError(f"{path} cannot be used: {reason}; {remedy}")


class Refused(Exception):
    """The file is not damaged, but it is refused for this reason."""


def _read(file, limit):
    file.seek(-22, os.SEEK_END)  # the end of an archive: a signature, and at its byte 10 the number of members
    end, arrays = file.read(), {}
    if not end.startswith(b"PK\5\6"):
        raise zipfile.BadZipFile
    parts = int.from_bytes(end[10:12], "little")
    if parts > MEMBERS:
        raise Refused(f"it holds more than {MEMBERS} arrays")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) != parts:
            raise zipfile.BadZipFile
        if sum(member.file_size for member in members) > limit:
            raise Refused(f"it says that it holds more than {limit:,} bytes")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused("it is compressed in a way that NumPy does not use")
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise Refused("it holds two arrays of one name")
            arrays[name] = _read_array(archive, member)
    return arrays


def _read_array(archive, member):
    with archive.open(member) as stream:
        head = io.BytesIO(stream.read(HEADER))
    read_header = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    with warnings.catch_warnings(action="ignore"):
        shape, _, dtype = read_header[format.read_magic(head)](head)
        if dtype.hasobject:
            return np.empty(0, object)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - head.tell():
            raise Refused("it holds an array whose shape and size differ")
        with archive.open(member) as stream:
            array = format.read_array(stream, allow_pickle=False)
            if stream.read(1):  # at its end, zipfile compares the checksum
                raise EOFError
    return array
