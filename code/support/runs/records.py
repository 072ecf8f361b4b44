"""The records that a run leaves in its folder: settings.json, curve.jsonl and result.json."""

import inspect
import os
import platform
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
    if os.path.lexists(folder / name):
        raise UserError(
            f"{folder} holds {name}, which no run there wrote: move it away, or choose another --output-folder"
        )


def check_record(record):
    """The content of a settings.json, if it can be used. Otherwise an exception of those that `damaged` explains."""
    dataset, parts = record["dataset"], exactly(record["parts"], list)
    texts = [record["lesson"], record["floatX"], dataset["name"], dataset["sha256"], record["settings"]["dataset"]]
    texts += exactly(record.get("code", {}), dict).values()  # runs of earlier versions have none
    for part in [parts[0], *parts]:
        machine = part["machine"]
        list(map(count, [part["epochs"], machine["cores"] or 0]))
        texts += [*exactly(part["rewrites"], list), *(part["versions"][name] for name in VERSIONS)]
        texts += [machine[name] for name in ("processor", "system", "threads")]
    for text in texts:
        exactly(text, str)
    for name in exactly(record["files"], list):
        file_name(name)
    return record


def check_line(line):
    """A line of curve.jsonl, if it can be used."""
    line["cost"]
    for value in line.values():
        number(value)
    count(line["epoch"])
    count(line.get("patience", 0))
    if "validation_error" in line or "iteration" in line:
        line["validation_error"]
        if not line["epoch"] * count(line["iteration"]) > 0:
            raise ValueError("a validation without its place")
    return line


def check_result(result):
    """The content of a result.json, if it can be used."""
    for value in result["seconds"].values():
        number(value)
    for name, value in result.items():
        if name != "seconds" and not (name == "peak_memory_mb" and value is None):
            number(value)
    count(result.get("epochs", 0))
    return result


def read_settings(folder):
    """The content of a run's settings.json. A UserError says that it is damaged, a FileNotFoundError that it lacks."""
    path = Path(folder) / "settings.json"
    with damaged(path, AGAIN):
        return check_record(read_json(path))


def read_curve(folder):
    """The lines of a run's curve.jsonl. The exceptions are those of `read_settings`."""
    path = Path(folder) / "curve.jsonl"
    with damaged(path, AGAIN):
        return [check_line(line) for line in read_json(path, lines=True)]


def read_result(folder):
    """The content of a finished run's result.json. The exceptions are those of `read_settings`."""
    path = Path(folder) / "result.json"
    with damaged(path, AGAIN):
        return check_result(read_json(path))


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

    Attributes
    ----------
    folder : Path
    lesson, dataset, sha256 : str, the names of the lesson and of the data set, and the checksum of the data
    settings : dict, the driver's arguments
    curve : list of dict, one an epoch
    record : dict, the whole of settings.json
    is_finished : bool
    """

    def __init__(self, folder, driver):
        self.folder, self.lesson = Path(folder), lesson_of(driver)
        for name in "settings.json", "curve.jsonl":
            if not (self.folder / name).is_file():
                raise UserError(f"{folder} is not the folder of a run: it has no {name}")
        self.record = read_settings(folder)
        if self.record["lesson"] != self.lesson:
            raise UserError(
                f"{folder} holds a run of the lesson {shown(self.record['lesson'])!r}, not of {self.lesson!r}"
            )
        tell_other_code(folder, self.lesson, self.record)
        self.settings = check_settings(driver, self.record["settings"])
        self.dataset, self.sha256 = self.record["dataset"]["name"], self.record["dataset"]["sha256"]
        self.curve = read_curve(folder)
        self.is_finished = (self.folder / "result.json").exists()
