"""The first choices of a process: threads, precision, folders. Also aligned arrays, and exceptions that a person reads.

Threads and folders are chosen before PyTensor, BLAS and Numba are imported, which read them then. A valid choice of the
user is kept. The docstring of the package lists the choices.
"""

import math
import os
import re
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE_LINE = 64  # bytes, on common processors


class UserError(ValueError):
    """Bad input. The message is one line that says what is wrong and what to do.

    A notebook sees a ValueError, as it would expect. A command prints the line and exits with status 2.
    """


class UnavailableError(UserError):
    """MNIST is not on this machine and cannot be downloaded."""


def choose_threads():
    """Let BLAS and Numba use as many threads as OMP_NUM_THREADS says, by default one. Return that number.

    The first number counts, such as 2 in "2,1". OpenMP uses the others for nested loops, which this project lacks.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    match = re.fullmatch(r"0*([1-9][0-9]{0,5})", text.split(",")[0].strip())
    if text and not match:
        print(f"OMP_NUM_THREADS={text!a} is not a number of threads: one thread is used", file=sys.stderr)
    threads = int(match[1]) if match else 1
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))
    return threads


def choose_compile_folder():
    """If PyTensor's folder for machine code in the home folder cannot be written, choose a temporary folder.

    A folder that the user chose in PYTENSOR_FLAGS or in a .pytensorrc is not changed.
    """
    flags = chosen = os.environ.get("PYTENSOR_FLAGS", "")
    for file in os.environ.get("PYTENSORRC", "~/.pytensorrc").split(os.pathsep):
        with suppress(OSError):
            chosen += Path(os.path.expanduser(file)).read_text(errors="replace")
    if re.search(r"compiledir\s*[=:]", chosen):
        return
    folder = Path(os.environ.get("HOME") or os.path.expanduser("~")) / ".pytensor"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        folder = Path(os.environ["LOCALAPPDATA"]) / "PyTensor"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return
    temporary = private_folder()
    os.environ["PYTENSOR_FLAGS"] = f"{flags},base_compiledir={temporary}".removeprefix(",")
    os.environ.setdefault("MPLCONFIGDIR", str(temporary))  # matplotlib's folder is in the home folder, too
    print(f"{str(folder)!a} cannot be written: compiled code is kept in {str(temporary)!a}", file=sys.stderr)


def private_folder():
    """A temporary folder that only this user can write to. It is the same at each run, so code is compiled once.

    Compiled code is loaded and run. So a folder that another user could have filled is not used; a new one is made. On
    Windows each user has a temporary folder already.
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    folder = Path(tempfile.gettempdir()) / ("pytensor" if user is None else f"pytensor-{user}")
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        is_own = user is None or status.st_uid == user and not status.st_mode & 0o077
        if stat.S_ISDIR(status.st_mode) and is_own:
            return folder
    return Path(tempfile.mkdtemp(prefix="pytensor-"))


THREADS = choose_threads()
choose_compile_folder()

import numpy as np  # noqa: E402  these two read the choices above
import pytensor  # noqa: E402

if type(pytensor.config).floatX.is_default:
    pytensor.config.floatX = "float32"
if hasattr(pytensor.config, "generated_src_dir") and type(pytensor.config).generated_src_dir.is_default:
    pytensor.config.generated_src_dir = str(Path(pytensor.config.base_compiledir) / "generated_source")


def aligned_empty(shape, dtype):
    """A new array in C order that begins at the start of a cache line. Its values are not set yet.

    NumPy starts an array at any multiple of 16 bytes. A processor that reads 32 bytes at a time may then need two
    cache lines for every second read. This can cost up to half of the speed of a loop over a weight matrix.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + n_bytes].view(dtype).reshape(shape)


def aligned(value, dtype):
    """A copy of an array that begins at the start of a cache line."""
    value = np.asarray(value)
    copy = aligned_empty(value.shape, dtype)
    copy[...] = value
    return copy
