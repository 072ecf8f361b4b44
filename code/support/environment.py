"""Folders, threads and precision. They are chosen before PyTensor, BLAS and Numba are imported, which read them then.

A valid choice of the user is kept. The docstring of the package lists the choices.
"""

import os
import re
import stat
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def number_of_threads(text):
    """The first number in the value of OMP_NUM_THREADS, such as 2 in "2,1"; None if it is not a number of threads.

    OpenMP uses the other numbers for nested loops. This project has none.
    """
    match = re.fullmatch(r"0*([1-9][0-9]{0,5})", text.split(",")[0].strip())
    return match and int(match[1])


def choose_threads():
    """Let BLAS and Numba use as many threads as OMP_NUM_THREADS says, by default one. Return that number."""
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    threads = number_of_threads(text or "1")
    if threads is None:
        print(f"OMP_NUM_THREADS={text!a} is not a number of threads: one thread is used", file=sys.stderr)
    os.environ["OMP_NUM_THREADS"] = str(threads or 1)
    os.environ.setdefault("NUMBA_NUM_THREADS", str(threads or 1))
    return threads or 1


def choose_compile_folder():
    """If PyTensor's folder for machine code in the home folder cannot be written, choose a temporary folder.

    A folder that the user chose in PYTENSOR_FLAGS or in a .pytensorrc is not changed.
    """
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    files = os.environ.get("PYTENSORRC", "~/.pytensorrc").split(os.pathsep)
    if "compiledir=" in flags.replace(" ", "") or any("compiledir" in read_if_there(file) for file in files):
        return
    folder = Path(os.environ.get("HOME") or os.path.expanduser("~")) / ".pytensor"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        folder = Path(os.environ["LOCALAPPDATA"]) / "PyTensor"
    if can_be_written(folder):
        return
    temporary = private_folder()
    os.environ["PYTENSOR_FLAGS"] = f"{flags},base_compiledir={temporary}".removeprefix(",")
    os.environ.setdefault("MPLCONFIGDIR", str(temporary))  # matplotlib's folder is in the home folder, too
    print(f"{str(folder)!a} cannot be written: compiled code is kept in {str(temporary)!a}", file=sys.stderr)


def read_if_there(file):
    """The text of a file, or no text if it cannot be read."""
    try:
        return Path(os.path.expanduser(file)).read_text(errors="replace")
    except OSError:
        return ""


def can_be_written(folder):
    """Whether files can be written to a folder. If there is no such folder, it is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def private_folder():
    """A temporary folder that only this user can write to. It is the same at each run, so code is compiled once.

    Compiled code is loaded and run. So a folder that another user could have filled is not used; a new one is made.
    """
    if not hasattr(os, "getuid"):  # Windows: each user has a temporary folder already
        folder = Path(tempfile.gettempdir()) / "pytensor"
        return folder if can_be_written(folder) else Path(tempfile.mkdtemp(prefix="pytensor-"))
    folder = Path(tempfile.gettempdir()) / f"pytensor-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="pytensor-"))


THREADS = choose_threads()
choose_compile_folder()

import pytensor  # noqa: E402  it reads the choices above

if type(pytensor.config).floatX.is_default:
    pytensor.config.floatX = "float32"
if hasattr(pytensor.config, "generated_src_dir") and type(pytensor.config).generated_src_dir.is_default:
    pytensor.config.generated_src_dir = str(Path(pytensor.config.base_compiledir) / "generated_source")
