"""Arrays from files of strangers: nothing in a file is run, and no size in it is trusted.

An .npz file is a zip archive, which says how large its members are. The sum of these sizes is checked against a limit
before anything is inflated. NumPy then reads each array piece by piece, so that a false shape takes addresses, but no
memory; and nothing of a member may be left over.
"""

import json
import os
import warnings
import zipfile

from support.files import damaged, replacing
from support.start import UserError

import numpy as np
from numpy.lib.format import read_array

LIMIT = 1 << 30  # bytes that a compressed file may grow to; MNIST in float64 has 440 MB
SMALL, EXPANSION = 1 << 26, 100  # and not more than this many bytes, or this many times its size; MNIST grows 30 times


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
    if not os.path.exists(path):
        raise UserError(f"{path} cannot be read: No such file or directory; {remedy}")
    with damaged(path, remedy), open(path, "rb") as file:
        arrays = read_arrays(file)
        return json.loads(str(arrays.pop(name)[()])), arrays


def read_arrays(file):
    """The arrays in an open .npz file, {name: array}, of any type and shape but objects, which NumPy would unpickle.

    An exception that `damaged` explains says that the file is damaged, or holds more than the `expansion_limit`.
    """
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        members, limit = archive.infolist(), expansion_limit(file)
        file.seek(-12, os.SEEK_END)  # the number of members; zipfile does not notice that its list of them is cut
        if len(members) != int.from_bytes(file.read(2), "little"):
            raise ValueError("its list of arrays is cut")
        if sum(member.file_size for member in members) > limit:
            raise ValueError(f"it holds more than {limit >> 20} MiB")
        for member in members:
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("it is compressed in a way that NumPy does not use")
            with archive.open(member) as stream, warnings.catch_warnings(action="ignore"):
                arrays[member.filename.removesuffix(".npy")] = read_array(stream, allow_pickle=False)
                if stream.read(1):  # the checksum is compared at the end of a member
                    raise ValueError("it holds an array whose shape and size differ")
    return arrays
