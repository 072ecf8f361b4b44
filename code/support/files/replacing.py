"""Files that are written whole or not at all."""

import os
import time
from contextlib import contextmanager, suppress


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
        _replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary, path, pauses=(0.05, 0.2, 0.8)):
    """Rename a file over another one, which on Windows a virus scanner, say, may hold open for a moment."""
    for pause in pauses:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


def _sync_folder(folder):
    """Let the new name outlive a power cut, too; Windows opens no folder, and some file systems sync none."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
