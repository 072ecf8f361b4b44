"""Files that are written whole or not at all."""

import os
import time
from contextlib import contextmanager, suppress


@contextmanager
def replacing(path):
    """Open a file for writing. If the block ends without an exception, the file replaces `path` and is on the disk.

    Until then the file has another name. A file of that name never remains.
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
    """Rename a file over another one. On Windows a virus scanner may hold the other one open: try again."""
    for pause in pauses:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


def _sync_folder(folder):
    """Make the new name survive a power cut. Windows and some file systems cannot do this for a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
