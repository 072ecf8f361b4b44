"""What is chosen before anything else of this project is imported: folders, threads, precision.

Each is a choice only where the user has made none that can be used; see the package's docstring. PyTensor, BLAS and
Numba read these choices when they are imported, so this module comes before them.
"""

import os
import re
import stat
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def number_of_threads(text):
    """The first number of a text such as "2,1", which OMP_NUM_THREADS may be; None where that is no number of threads.

    OpenMP takes the further numbers for nested loops, of which this project has none.
    """
    match = re.fullmatch(r"0*([1-9][0-9]{0,5})", text.split(",")[0].strip())
    return match and int(match[1])


def choose_threads():
    """Let BLAS and Numba use as many threads as OMP_NUM_THREADS says, or one; return their number."""
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    threads = number_of_threads(text or "1")
    if threads is None:
        print(f"OMP_NUM_THREADS={text!a} is no number of threads: one thread is used", file=sys.stderr)
    os.environ["OMP_NUM_THREADS"] = str(threads or 1)
    os.environ.setdefault("NUMBA_NUM_THREADS", str(threads or 1))
    return threads or 1


def choose_compile_folder():
    """Let PyTensor keep machine code in a temporary folder, where its own in the home folder cannot be written.

    A folder that the user chose, by PYTENSOR_FLAGS or a .pytensorrc, is left alone.
    """
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    files = os.environ.get("PYTENSORRC", "~/.pytensorrc").split(os.pathsep)
    if "compiledir=" in flags.replace(" ", "") or any("compiledir" in read_if_there(file) for file in files):
        return
    local = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None
    folder = (
        Path(local) / "PyTensor" if local else Path(os.environ.get("HOME") or os.path.expanduser("~")) / ".pytensor"
    )
    if can_be_written(folder):
        return
    temporary = private_folder()
    os.environ["PYTENSOR_FLAGS"] = f"{flags},base_compiledir={temporary}".removeprefix(",")
    os.environ.setdefault("MPLCONFIGDIR", str(temporary))  # matplotlib's is in the home folder, too
    print(f"{str(folder)!a} cannot be written: compiled code is kept in {str(temporary)!a}", file=sys.stderr)


def read_if_there(file):
    try:
        return Path(os.path.expanduser(file)).read_text(errors="replace")
    except OSError:
        return ""


def can_be_written(folder):
    """Whether files can be written to a folder, which is made where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def private_folder():
    """A temporary folder that is this user's alone, the same one at each run, so that code need not be compiled anew.

    Compiled code is loaded and run: a folder of that name that others could have filled is passed over.
    """
    if not hasattr(os, "getuid"):  # Windows, where each user has temporary folders of their own
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

import pytensor  # noqa: E402  after the choices that it reads

if type(pytensor.config).floatX.is_default:
    pytensor.config.floatX = "float32"
if hasattr(pytensor.config, "generated_src_dir") and type(pytensor.config).generated_src_dir.is_default:
    pytensor.config.generated_src_dir = str(Path(pytensor.config.base_compiledir) / "generated_source")
