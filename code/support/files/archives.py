"""Arrays from files of strangers: nothing in a file is run, and no size in it is trusted.

An .npz file is a zip archive. The archive says how large its members are, and each array says it again. The sum of the
sizes is checked against a limit, and each array's size against its member's, before anything is inflated.
"""

import json
import math
import os
import warnings
import zipfile
from contextlib import contextmanager

from support.files import damaged, replacing
from support.start import UserError

import numpy as np
from numpy.lib import format

LIMIT = 1 << 30  # bytes that a compressed file may grow to; MNIST in float64 has 440 MB
SMALL, EXPANSION = 1 << 26, 100  # and not more than this many bytes, or this many times its size; MNIST grows 30 times
MEMBERS = 1000  # arrays in a file; a checkpoint has fewer than a hundred


class Refused(Exception):
    """The file is refused for this reason."""


@contextmanager
def usable(path, kind, remedy):
    """Open a file of this kind. If the block cannot read it, one UserError names it, and ends with the remedy."""
    try:
        with open(path, "rb") as file:
            yield file
        return
    except Refused as error:
        reason = str(error)
    except EOFError:
        reason = "it ends too early"
    except Exception as error:  # a damaged file can make zipfile, gzip, NumPy and pickle raise almost anything
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        reason = f"it is damaged, or no {kind}"
    raise UserError(f"{path} cannot be used: {reason}; {remedy}")


def expansion_limit(file):
    """The bytes that an open file may hold, its compressed parts inflated."""
    size = os.fstat(file.fileno()).st_size
    return max(size, min(LIMIT, max(SMALL, EXPANSION * size)))


def write_described(path, description, arrays):
    """Write arrays and a description, {name: content}, into an .npz file. The content is written as JSON."""
    ((name, content),) = description.items()
    with replacing(path) as file:
        np.savez(file, **{name: json.dumps(content)}, **arrays)


def read_described(path, name, remedy):
    """The description of this name, unchecked, and the dict of arrays, that `write_described` wrote.

    A UserError says that the file cannot be read or is not such a file, and ends with the remedy.
    """
    arrays = read_arrays(path, remedy)
    with damaged(path, remedy):
        return json.loads(str(arrays.pop(name)[()])), arrays


def read_arrays(path, remedy):
    """The arrays in an .npz file, of any type and shape.

    An array of objects comes back empty: objects would have to be unpickled. A UserError says that the file cannot be
    read, is damaged, or holds more than the `expansion_limit`. It ends with the remedy.
    """
    with usable(path, ".npz file", remedy) as file, zipfile.ZipFile(file) as archive:
        members, limit = archive.infolist(), expansion_limit(file)
        file.seek(-12, os.SEEK_END)  # the number of members; zipfile does not notice that its list of them is cut
        if len(members) != int.from_bytes(file.read(2), "little"):
            raise zipfile.BadZipFile
        if len(members) > MEMBERS:
            raise Refused(f"it holds more than {MEMBERS} arrays")
        if sum(member.file_size for member in members) > limit:
            raise Refused(f"it holds more than {limit >> 20} MiB")
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}


def _read_array(archive, member):
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("it is compressed in a way that NumPy does not use")
    read_header = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    with archive.open(member) as stream, warnings.catch_warnings(action="ignore"):
        shape, _, dtype = read_header[format.read_magic(stream)](stream)
        if dtype.hasobject:
            return np.empty(0, object)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise Refused("it holds an array whose shape and size differ")
        stream.seek(0)
        return format.read_array(stream, allow_pickle=False)
