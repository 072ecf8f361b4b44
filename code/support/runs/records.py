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


def lesson_of(driver):
    """The name of a driver's lesson: the name of its file, without .py."""
    driver = inspect.unwrap(driver)
    return Path(inspect.getsourcefile(driver) or driver.__code__.co_filename).stem


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
    if os.path.lexists(folder / name):
        raise UserError(
            f"{folder} holds {name}, which no run there wrote: move it away, or choose another --output-folder"
        )


def check_origin(about):
    """Check the part that a settings.json and a model's description share. `damaged` explains the exceptions."""
    dataset, code = about["dataset"], about.get("code", {})  # runs of earlier versions have no code
    texts = [about["lesson"], about["floatX"], dataset["name"], dataset["sha256"], about["settings"]["dataset"]]
    for text in (*texts, *exactly(code, dict).values()):
        exactly(text, str)


def check_record(record):
    """The content of a settings.json, if it can be used. Otherwise an exception of those that `damaged` explains."""
    check_origin(record)
    parts = exactly(record["parts"], list)
    for part in [parts[0], *parts]:
        machine = part["machine"]
        list(map(count, [part["epochs"], machine["cores"] or 0]))
        texts = [*exactly(part["rewrites"], list), *(part["versions"][name] for name in VERSIONS)]
        for text in (*texts, *(machine[name] for name in ("processor", "system", "threads"))):
            exactly(text, str)
    list(map(file_name, exactly(record["files"], list)))
    return record


def check_curve(lines):
    """The lines of a curve.jsonl, if they can be used."""
    for line in exactly(lines, list):
        list(map(number, line.values()))
        list(map(count, [line["epoch"], line.get("patience", 0)]))
        if "validation_error" in line or "iteration" in line:
            line["validation_error"]
            if not line["epoch"] * count(line["iteration"]) > 0:
                raise ValueError("a validation without its place")
    return lines


def check_result(result):
    """The content of a result.json, if it can be used."""
    figures = {**result, **result["seconds"]}
    del figures["seconds"]
    if figures.get("peak_memory_mb", 0) is None:  # a system that does not tell it
        del figures["peak_memory_mb"]
    list(map(number, figures.values()))
    count(figures.get("epochs", 0))
    return result


def read_record(name, check, folder, remedy=AGAIN):
    """The content of a file of a run, checked. A UserError says that it is damaged, a FileNotFoundError passes."""
    path = Path(folder) / name
    with damaged(path, remedy):
        return check(read_json(path, lines=path.suffix == ".jsonl"))


read_settings = partial(read_record, "settings.json", check_record)
read_curve = partial(read_record, "curve.jsonl", check_curve)
read_result = partial(read_record, "result.json", check_result)


def changed_code(lesson, record):
    """The files of a lesson, or of lessons that it imports, that have changed since a run: names, in words, or ""."""
    now, then = CODE.get(lesson, {}), record.get("code")
    if not now or then is None:
        return ""
    return " and ".join(f"{name}.py" for name in sorted(now.keys() | then) if now.get(name) != then.get(name))


def tell_other_code(path, lesson, record):
    """Print a line if a run or a model was made by other code than today's."""
    if changed := changed_code(lesson, record):
        say(f"note: {path} was made by other code: {shown(changed)} changed since then")


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
        if self.record["lesson"] != self.lesson:
            raise UserError(
                f"{folder} holds a run of the lesson {shown(self.record['lesson'])!r}, not of {self.lesson!r}"
            )
        tell_other_code(folder, self.lesson, self.record)
        self.settings = check_settings(driver, self.record["settings"])
        self.dataset, self.sha256 = self.record["dataset"]["name"], self.record["dataset"]["sha256"]
        self.is_finished = (self.folder / "result.json").exists()
