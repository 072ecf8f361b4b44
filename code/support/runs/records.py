"""The records that a run leaves in its folder: settings.json, curve.jsonl and result.json."""

import inspect
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from support import rewrites
from support.errors import UserError
from support.files import replacing
from support.files.forms import is_count, is_number, read_json, read_json_lines, shown
from support.settings import check_settings

FILES = "settings.json", "curve.jsonl", "checkpoint.npz", "result.json"  # every run writes these
VERSIONS = {"python": "Python", "pytensor": "PyTensor", "numpy": "NumPy", "scipy": "SciPy", "numba": "Numba"}

# The forms of the files, as far as they are read again; see `support.files.forms.check_form`.
PART = {
    "epochs": is_count,
    "rewrites": [str],
    "versions": dict.fromkeys(VERSIONS, str),
    "machine": {"processor": str, "cores": (is_count, None), "system": str, "threads": str},
}
SETTINGS = {
    "lesson": str,
    "dataset": {"name": str, "sha256": str},
    "settings": {"dataset": str},
    "floatX": str,
    "parts": [PART, ...],
    "files": [lambda name: isinstance(name, str) and name == Path(name).name != ""],
}
LINE = {
    "epoch": is_count,
    "cost": is_number,
    "iteration?": lambda value: is_count(value) and value > 0,
    "patience?": is_count,
    ...: is_number,
}
RESULT = {"seconds": {...: is_number}, "epochs?": is_count, "peak_memory_mb?": (is_number, None), ...: is_number}


def lesson_of(driver):
    """The name of a driver's lesson: the name of its file, without .py."""
    return Path(inspect.getsourcefile(inspect.unwrap(driver))).stem


def circumstances():
    """The things that a run's figures depend on beside its settings: graph rewrites, versions and machine."""
    return {"rewrites": rewrites.selected(), "versions": versions(), "machine": machine()}


def versions():
    """The versions of Python and of the packages that a run's figures depend on."""
    packages = [name for name in VERSIONS if name != "python"]
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def machine():
    """The name of the processor, if the system tells it; its cores; the number of threads that BLAS may use."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", errors="replace") as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or the file gives no name
        pass
    threads = os.environ["OMP_NUM_THREADS"]
    return {"processor": name, "cores": os.cpu_count(), "system": platform.system(), "threads": threads}


def peak_memory():
    """The most memory that the process has used, in megabytes; None if the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if platform.system() == "Darwin" else 1024) / 1e6)  # macOS counts bytes, others KiB


def write_json(path, content):
    """Write a JSON file that a person can read."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_settings(folder):
    """The content of a run's settings.json. A UserError says that it is damaged, a FileNotFoundError that it lacks."""
    return read_json(Path(folder) / "settings.json", SETTINGS)


def read_curve(folder):
    """The lines of a run's curve.jsonl. The exceptions are those of `read_settings`."""
    return read_json_lines(Path(folder) / "curve.jsonl", LINE)


def read_result(folder):
    """The content of a finished run's result.json. The exceptions are those of `read_settings`."""
    return read_json(Path(folder) / "result.json", RESULT)


def picture_name(name, dataset):
    """The file name of a picture. For the embedded digits, the name says so."""
    return f"{name}{'_digits' if dataset == 'digits' else ''}.png"


def claim(folder, record, name):
    """The path of a file that the run is going to write. Its name is added to the `files` in settings.json first.

    `record` is the content of settings.json. A UserError says that another file has this name already.
    """
    if name not in record["files"]:
        check_that_it_is_free(folder, name)
        record["files"].append(name)
        write_json(folder / "settings.json", record)
    return folder / name


def check_that_it_is_free(folder, name):
    """Raise a UserError if there is a file of this name. The caller knows that no run wrote it."""
    if (folder / name).exists():
        raise UserError(
            f"{folder} holds {name}, which no run there wrote: move it away, or choose another --output-folder"
        )


class RecordedRun:
    """The records of a run, read from its folder and checked.

    Parameters
    ----------
    folder : path-like
    driver : function
        The run must be one of this driver's lesson.

    Attributes
    ----------
    folder : Path
    lesson : str
    dataset : str, the name of the data set
    sha256 : str, the checksum of the data
    settings : dict, the driver's arguments
    curve : list of dict, one an epoch
    record : dict, the whole of settings.json
    is_finished : bool

    Raises
    ------
    UserError
        The folder holds no run, or one of another lesson; or one of the files is damaged.
    """

    def __init__(self, folder, driver):
        self.folder, self.lesson = Path(folder), lesson_of(driver)
        settings, curve = (self.folder / name for name in ("settings.json", "curve.jsonl"))
        for path in settings, curve:
            if not path.is_file():
                raise UserError(f"{folder} is not the folder of a run: it has no {path.name}")
        self.record = read_json(settings, SETTINGS)
        if self.record["lesson"] != self.lesson:
            raise UserError(
                f"{folder} holds a run of the lesson {shown(self.record['lesson'])!r}, not of {self.lesson!r}"
            )
        self.settings = check_settings(driver, self.record["settings"])
        self.dataset, self.sha256 = self.record["dataset"]["name"], self.record["dataset"]["sha256"]
        self.curve = read_json_lines(curve, LINE)
        for line in self.curve:
            is_validated = "validation_error" in line
            if is_validated != ("iteration" in line) or is_validated and line["epoch"] < 1:
                raise UserError(f"{curve} is damaged (a validation without its place): make the run again")
        self.is_finished = (self.folder / "result.json").exists()
