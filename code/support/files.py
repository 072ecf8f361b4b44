"""Files that are written whole or not at all."""

import os
import struct
import zipfile
import zlib
from contextlib import contextmanager

# What reading a damaged .npz file, or what was made to look like one, may raise.
DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, MemoryError, OverflowError, RuntimeError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@contextmanager
def replacing(path):
    """A file to write that takes the place of `path`, whole and on the disk, when the block ends without an exception.

    Until then it has a name of its own, which is gone afterwards in any case.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
