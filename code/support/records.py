"""What a run leaves behind in its folder: settings.json, curve.jsonl, result.json, and the table made from them."""

import itertools
import json
import os
import platform
from importlib.metadata import version

from support.files import replacing

RECORDS = (
    "checkpoint.npz",
    "settings.json",
    "curve.jsonl",
    "result.json",
    "model*.npz",
    "pretrained.npz",
    "filters*.png",
)


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
