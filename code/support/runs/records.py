"""What a run leaves behind in its folder: settings.json, curve.jsonl, result.json, and the table made from them."""

import inspect
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from support import rewrites
from support.errors import UserError
from support.files.replacing import replacing
from support.files.forms import is_count, is_number, read_json, read_json_lines, shown
from support.settings import check_settings

FILES = "settings.json", "curve.jsonl", "checkpoint.npz", "result.json"  # that every run writes

# What is read again of settings.json, and of a line of curve.jsonl; see `support.files.forms.check_form`.
PART = {
    "epochs": is_count,
    "rewrites": [str],
    "versions": {...: str},
    "machine": {"processor": str, "cores": (is_count, None), "system": str, "threads": str},
}
SETTINGS = {
    "lesson": str,
    "dataset": {"name": str, "sha256": str},
    "settings": {"dataset": str},
    "floatX": str,
    "parts": [PART],
    "files": [lambda name: isinstance(name, str) and name == Path(name).name != ""],
}
LINE = {
    "epoch": is_count,
    "cost": is_number,
    "iteration?": lambda value: is_count(value) and value > 0,
    "patience?": is_count,
    ...: is_number,
}


def lesson_of(driver):
    """The name of a driver's lesson, which is that of its file."""
    return Path(inspect.getsourcefile(inspect.unwrap(driver))).stem


def circumstances():
    """What a run's figures depend on beside its settings: the graph rewrites, the versions and the machine."""
    return {"rewrites": rewrites.selected(), "versions": versions(), "machine": machine()}


def versions():
    """The versions that a run's figures depend on."""
    packages = ("pytensor", "numpy", "scipy", "numba")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def machine():
    """The processor's name, as far as the system tells, its cores, and the threads that BLAS may use."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", errors="replace") as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor without a name there
        pass
    threads = os.environ["OMP_NUM_THREADS"]
    return {"processor": name, "cores": os.cpu_count(), "system": platform.system(), "threads": threads}


def peak_memory():
    """Megabytes that the process has needed at most; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if platform.system() == "Darwin" else 1024) / 1e6)  # bytes there, KiB elsewhere


def write_json(path, content):
    """Write a JSON file that a person can read."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def picture_name(name, dataset):
    """The file of a picture of a run: those of the embedded digits say so."""
    return f"{name}{'_digits' if dataset == 'digits' else ''}.png"


def claim(folder, record, name):
    """The path of a file that a run is going to write, after its name was noted in the run's settings.json.

    Parameters
    ----------
    folder : Path
    record : dict
        What settings.json says, of which `files` are the names of all files that the run has written.
    name : str

    Raises
    ------
    UserError
        Where a file of that name is there that the run did not write.
    """
    if name not in record["files"]:
        check_that_it_is_free(folder, name)
        record["files"].append(name)
        write_json(folder / "settings.json", record)
    return folder / name


def check_that_it_is_free(folder, name):
    """A UserError where a file that no run wrote has this name."""
    if (folder / name).exists():
        raise UserError(f"{folder} holds {name}, which no run there wrote: move it away, or choose another --output-folder")


class RecordedRun:
    """What a run left in its folder, checked.

    Parameters
    ----------
    folder : path-like
    driver : function
        The driver of the lesson whose run it must be.

    Attributes
    ----------
    folder : Path
    lesson : str
    dataset : str, the name of the data set
    sha256 : str, of the data
    settings : dict, the driver's arguments
    curve : list of dict, one an epoch
    record : dict, the whole of settings.json
    is_finished : bool

    Raises
    ------
    UserError
        Where the folder holds no run or another lesson's, or one of the files is damaged.
    """

    def __init__(self, folder, driver):
        self.folder, self.lesson = Path(folder), lesson_of(driver)
        settings, curve = (self.folder / name for name in ("settings.json", "curve.jsonl"))
        for path in settings, curve:
            if not path.is_file():
                raise UserError(f"{folder} is not the folder of a run: it has no {path.name}")
        self.record = read_json(settings, SETTINGS)
        if self.record["lesson"] != self.lesson:
            raise UserError(f"{folder} holds a run of the lesson {shown(self.record['lesson'])!r}, not of {self.lesson!r}")
        self.settings = check_settings(driver, self.record["settings"])
        self.dataset, self.sha256 = self.record["dataset"]["name"], self.record["dataset"]["sha256"]
        self.curve = read_json_lines(curve, LINE)
        for line in self.curve:
            is_validated = "validation_error" in line
            if is_validated != ("iteration" in line) or is_validated and line["epoch"] < 1:
                raise UserError(f"{curve} is damaged (a validation without its place): make the run again")
        self.is_finished = (self.folder / "result.json").exists()
