"""Files are written whole or not at all. When a file is read, nothing in it is trusted before it is checked."""

import json
import math
import os
import time
from contextlib import contextmanager, suppress
from pathlib import PurePath

from support.start import UserError

LIMIT = 1 << 24  # bytes that are read of a file; the curve of a thousand epochs has about 150 kB


@contextmanager
def replacing(path):
    """Open a file for writing. If the block ends without an exception, the file replaces `path` and is on the disk.

    Until then the file has another name. A file of that name never remains. If `path` is a link, the link is replaced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # a file or a link that somebody else put there
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
        with suppress(OSError):  # the new name survives a power cut; Windows and some file systems cannot do this
            descriptor = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary, path):
    """Rename a file over another one. On Windows a virus scanner may hold the other one open: try again."""
    for pause in 0.05, 0.2, 0.8:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


def write_json(path, content):
    """Write a JSON file that a person can read. An earlier file is replaced whole or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_json(path, lines=False):
    """The value in a JSON file; with `lines`, the list of the values in a file that has one JSON text a line.

    It is read inside `with damaged(path, remedy)`, which makes a UserError of all but a FileNotFoundError.
    """
    with open(path, "rb") as file:
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise ValueError(f"it has more than {LIMIT >> 20} MiB")
    text = content.decode()
    return [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)


@contextmanager
def damaged(path, remedy):
    """If the block cannot use the content of a file, raise one UserError that names the file and ends with the remedy.

    The block reads the file and checks the values, such as by `number`. A UserError and a FileNotFoundError pass.
    """
    try:
        yield
    except (UserError, FileNotFoundError):
        raise
    except Exception as error:  # a damaged file can make json, zipfile, gzip, NumPy and pickle raise almost anything
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"{path} cannot be read: {error.strerror}; {remedy}") from error
        reason = shown(error, 200)
        if isinstance(error, KeyError):
            reason = f"it lacks {reason}"
        elif isinstance(error, (LookupError, AttributeError, TypeError, ArithmeticError, RuntimeError)) or not reason:
            reason = "its form is different"
        raise UserError(f"{path} is damaged or of another kind ({reason}): {remedy}") from error


def exactly(value, *types):
    """The value, if it is of one of these types and no subclass: True is no int. Else this raises a ValueError."""
    if type(value) not in types:
        raise ValueError(f"{shown(value)!r} is not {' or '.join(each.__name__ for each in types)}")
    return value


def number(value):
    """The value, if it is a finite number of double precision. Else this raises a ValueError."""
    if not abs(exactly(value, int, float)) <= math.nextafter(math.inf, 0):
        raise ValueError(f"{shown(value)} is not a finite number")
    return value


def count(value):
    """The value, if it is a whole number from 0 up that fits into 8 bytes. Else this raises a ValueError."""
    if not 0 <= exactly(value, int) < 1 << 63:
        raise ValueError(f"{shown(value)} is not a count")
    return value


def file_name(value):
    """The value, if it is the name of a file in a folder, and no path to another place. Else a ValueError."""
    if PurePath(exactly(value, str)).name != value or value in ("", "..") or not value.isprintable():
        raise ValueError(f"{shown(value)!r} is not the name of a file")
    return value


def shown(value, width=80):
    """A value from a file, cut to one short line that is safe to print."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists that are nested too deeply
        text = "a giant value"
    return "".join(filter(str.isprintable, text[: 4 * width]))[:width]
