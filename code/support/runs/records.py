"""The records that a run leaves in its folder: settings.json, curve.jsonl and result.json."""

import inspect
import os
import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path

from support import rewrites
from support.console import say
from support.files import count, damaged, exactly, file_name, number, read_json, shown, write_json
from support.settings import CODE, check_settings
from support.start import UserError

FILES = "settings.json", "curve.jsonl", "checkpoint.npz", "result.json"  # every run writes these
VERSIONS = {"python": "Python", "pytensor": "PyTensor", "numpy": "NumPy", "scipy": "SciPy", "numba": "Numba"}
AGAIN = "make the run again, or remove its folder"

# The forms of records, for `check`. A settings.json and a saved model's description begin alike.
ORIGIN = {"lesson": str, "floatX": str, "dataset": {"name": str, "sha256": str}, "settings": {"dataset": str}}
MACHINE = {"processor": str, "system": str, "threads": str, "cores": lambda cores: count(cores or 0)}
PART = {"epochs": count, "rewrites": [str], "versions": dict.fromkeys(VERSIONS, str), "machine": MACHINE}
SETTINGS = {**ORIGIN, "files": [file_name], "parts": [PART]}


def lesson_of(driver):
    """The name of a driver's lesson: the name of its file, without .py."""
    driver = inspect.unwrap(driver)
    return Path(inspect.getsourcefile(driver) or driver.__code__.co_filename).stem


def circumstances():
    """The things that a run's figures depend on beside its settings: graph rewrites, versions and machine."""
    return {"rewrites": rewrites.selected(), "versions": versions(), "machine": machine()}


def versions():
    """The versions of Python and of the packages that a run's figures depend on."""
    return {name: platform.python_version() if name == "python" else version(name) for name in VERSIONS}


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


def claim(folder, record, name):
    """The path of a file that the run is going to write. Its name is added to the `files` in settings.json first.

    `record` is the content of settings.json. A UserError says that another file has this name already.
    """
    check_that_it_is_free(folder, name, record["files"])
    if name not in record["files"]:
        record["files"].append(name)
        write_json(folder / "settings.json", record)
    return folder / name


def check_that_it_is_free(folder, name, files):
    """Raise a UserError if there is a file of this name that is not among the `files` of runs."""
    if name not in files and os.path.lexists(folder / name):
        raise UserError(
            f"{folder} holds {name}, which no run there wrote: move it away, or choose another --output-folder"
        )


def check(value, form):
    """Check a value from a JSON file. An exception of those that `damaged` explains says that it has another form.

    A form is a type, a function that raises a ValueError, [the form of each item], or {name: the form of its value}.
    """
    if isinstance(form, dict):
        for name, each in form.items():
            check(value[name], each)
    elif isinstance(form, list):
        for item in exactly(value, list):
            check(item, form[0])
    else:
        exactly(value, form) if isinstance(form, type) else form(value)


def check_origin(about, form=ORIGIN):
    """The content of a settings.json or of a model's description, if it can be used."""
    check(about, form)
    check(list(about.get("code", {}).values()), [str])  # runs of earlier versions have no code
    return about


def check_settings_file(record):
    """The content of a settings.json, if it can be used: it has at least one part."""
    record["parts"][0]
    return check_origin(record, SETTINGS)


def check_curve(lines):
    """The lines of a curve.jsonl, if they can be used."""
    for line in lines:
        check(list(line.values()), [number])
        check([line["epoch"], line.get("patience", 0)], [count])
        if "validation_error" in line or "iteration" in line:
            line["validation_error"]
            if not line["epoch"] * count(line["iteration"]) > 0:
                raise ValueError("a validation without its place")
    return lines


def check_result(result):
    """The content of a result.json, if it can be used."""
    peak = result.get("peak_memory_mb")
    figures = {**result, **result["seconds"], "seconds": 0, "peak_memory_mb": 0 if peak is None else peak}
    check(list(figures.values()), [number])
    count(figures.get("epochs", 0))
    return result


def read_record(name, check, folder, remedy=AGAIN):
    """The content of a file of a run, checked. A UserError says that it is damaged, a FileNotFoundError passes."""
    path = Path(folder) / name
    with damaged(path, remedy):
        return check(read_json(path, lines=path.suffix == ".jsonl"))


read_settings = partial(read_record, "settings.json", check_settings_file)
read_curve = partial(read_record, "curve.jsonl", check_curve)
read_result = partial(read_record, "result.json", check_result)


def changed_code(record):
    """The files of a run's lesson, or of lessons that it imports, that have changed since: names in words, or ""."""
    now, then = CODE.get(record["lesson"], {}), record.get("code")
    if not now or then is None:
        return ""
    return shown(" and ".join(f"{name}.py" for name in sorted(now.keys() | then) if now.get(name) != then.get(name)))


def check_lesson(path, record, lesson, what):
    """Raise a UserError if what lies at a path is of another lesson. Print a line if it was made by other code."""
    if record["lesson"] != lesson:
        raise UserError(f"{path} {what} of the lesson {shown(record['lesson'])!r}, not of {lesson!r}")
    if changed := changed_code(record):
        say(f"note: {path} was made by other code: {changed} changed since then")


class RecordedRun:
    """The records of a run of a driver's lesson, read from its folder and checked. A UserError refuses anything else.

    `record` is the content of settings.json, `curve` that of curve.jsonl, and `settings` are the driver's arguments.
    """

    def __init__(self, folder, driver):
        self.folder, self.lesson = Path(folder), lesson_of(driver)
        try:
            self.record, self.curve = read_settings(folder), read_curve(folder)
        except FileNotFoundError as error:
            raise UserError(f"{folder} is not the folder of a run: it has no {Path(error.filename).name}") from error
        check_lesson(folder, self.record, self.lesson, "holds a run")
        self.settings = check_settings(driver, self.record["settings"])
        self.dataset, self.sha256 = self.record["dataset"]["name"], self.record["dataset"]["sha256"]
        self.is_finished = (self.folder / "result.json").exists()
