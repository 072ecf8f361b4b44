"""What a run leaves behind in its folder: settings.json, curve.jsonl, result.json, and the table made from them."""

import itertools
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from support.errors import UserError
from support.files.replacing import replacing
from support.files.forms import is_count, is_number, read_json, read_json_lines, shown
from support.settings import check_settings

ERRORS = {"validation_error": "validation", "test_error": "test"}
PICTURES = "costs", "errors", "weights", "filters", "reconstructions", "confusion", "wrong"
RECORDS = (
    "checkpoint.npz", "settings.json", "curve.jsonl", "result.json", "model*.npz", "pretrained.npz",
    *(f"{name}*.png" for name in PICTURES),
)  # fmt: skip

# What is read again of settings.json, and of a line of curve.jsonl; see `support.files.forms.check_form`.
SETTINGS = {"lesson": str, "dataset": {"name": str, "sha256": str}, "settings": {"dataset": str}}
LINE = {
    "epoch": is_count,
    "cost": is_number,
    "iteration?": lambda value: is_count(value) and value > 0,
    "validation_error?": is_number,
    "test_error?": is_number,
    "layer?": is_count,
    "corruption?": is_number,
}


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


def set_aside(folder):
    """Move the files of an earlier run in this folder to a folder of their own inside it; return that, or None."""
    earlier = [path for pattern in RECORDS for path in folder.glob(pattern)]
    of_no_model = {"settings.json", "curve.jsonl", "pretrained.npz"}  # of a run that never got to a model of its own
    if {path.name for path in earlier} <= of_no_model:
        return None
    number = next(i for i in itertools.count(1) if not (folder / f"earlier.{i}").exists())
    place = folder / f"earlier.{number}"
    place.mkdir()
    for path in earlier:
        path.rename(place / path.name)
    return place


def write_json(path, content):
    """Write a JSON file that a person can read."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def picture_path(folder, name, dataset):
    """Where a picture of a run goes: those of the embedded digits say so in their names."""
    return folder / f"{name}{'_digits' if dataset == 'digits' else ''}.png"


class RecordedRun:
    """What a run left in its folder, checked.

    Parameters
    ----------
    folder : path-like
    lesson : str
        The lesson whose run it must be.

    Attributes
    ----------
    folder : Path
    lesson : str
    dataset : str, the name of the data set
    sha256 : str, of the data
    settings : dict, the driver's arguments
    curve : list of dict, one an epoch
    is_finished : bool

    Raises
    ------
    UserError
        Where the folder holds no run or another lesson's, or one of the files is damaged.
    """

    def __init__(self, folder, lesson):
        self.folder = Path(folder)
        settings, curve = (self.folder / name for name in ("settings.json", "curve.jsonl"))
        for path in settings, curve:
            if not path.is_file():
                raise UserError(f"{folder} is not the folder of a run: it has no {path.name}")
        record = read_json(settings, SETTINGS)
        if record["lesson"] != lesson:
            raise UserError(f"{folder} holds a run of the lesson {shown(record['lesson'])!r}, not of {lesson!r}")
        self.lesson, self.settings = lesson, check_settings(record["settings"])
        self.dataset, self.sha256 = record["dataset"]["name"], record["dataset"]["sha256"]
        self.curve = read_json_lines(curve, LINE)
        for line in self.curve:
            is_validated = "validation_error" in line
            if is_validated != ("iteration" in line) or is_validated and line["epoch"] < 1:
                raise UserError(f"{curve} is damaged (a validation without its place): make the run again")
        self.is_finished = (self.folder / "result.json").exists()
