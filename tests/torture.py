"""Kill each lesson at random moments until it is done, and compare it with a run that nobody disturbed.

    python tests/torture.py [--kills N]

SIGKILL cannot be caught: what is left is what lies on the disk at that moment. Parameters, curve and printed figures
must be the same, bit for bit. The embedded digits, made smaller, are the data.
"""

import argparse
import json
import pickle
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lessons import options, short_schedules

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "code"))

KILLED = -signal.SIGKILL if hasattr(signal, "SIGKILL") else 1  # the status that Windows gives to what it ends
# The lesson as its command runs it, with checkpoints in quick succession, and slow enough to be killed.
PROGRAM = """
import sys, time
from support.runs.run import Run
from support.runs.stage import Epoch, Stage
Run.seconds_between_checkpoints = 0
Run.seconds_within_an_epoch = 0.05
add, record = Epoch.add, Stage.record
Epoch.add = lambda *arguments, **figures: (time.sleep(0.001), add(*arguments, **figures))
Stage.record = lambda *arguments, **figures: (time.sleep(0.001), record(*arguments, **figures))
import runpy
sys.argv[0] = sys.argv[1]
del sys.argv[1]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make_dataset(path):
    """300 / 100 / 100 embedded digits of 7 x 7 pixels."""
    from support.data.digits import make_digits

    sets = [(x.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)), y) for x, y in make_digits((300, 100, 100))]
    path.write_bytes(pickle.dumps(tuple((x.reshape(-1, 49).astype("uint8"), y.astype("int64")) for x, y in sets)))


def start(lesson, dataset, folder):
    """A process that trains a lesson, given by its name or its path."""
    path = ROOT / "code" / f"{lesson}.py" if isinstance(lesson, str) else lesson
    schedule = short_schedules(path.parent)[path.stem]
    if "batch_size" in schedule:
        schedule["batch_size"] = 1
    arguments = [str(path), "--dataset", str(dataset), *options(schedule)]
    command = [sys.executable, "-c", PROGRAM, *arguments, "--output-folder", str(folder)]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT / "code", **output)


def outcome(folder, output):
    """What must not depend on how often a run was killed.

    An optimiser that lost what it had learnt of the curvature goes on by another way: its cost is the same, at the end.
    """
    result = json.loads((folder / "result.json").read_text())
    if "excess" in result:  # above the optimum that the lesson knows
        return abs(result["excess"]) < 1e-9
    lines = (folder / "curve.jsonl").read_text().splitlines()
    curve = [{**json.loads(line), "seconds": None} for line in lines]
    models = {path.name: path.read_bytes() for path in sorted(folder.glob("*.npz")) if path.name != "checkpoint.npz"}
    figures = re.findall(r"Optimization complete.*", output)
    return curve, models, figures


def wait_for_a_checkpoint(process, path):
    """Whether the process writes a checkpoint before it ends."""
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None:
        if path.exists() and path.stat().st_mtime_ns != before:
            return True
        time.sleep(0.005)
    return False


def torture(lesson, kills, dataset, folder, chance):
    """Kill a lesson so often, over as many runs as that takes; compare each with one undisturbed; return how many.

    A run before them fills the cache of machine code. A process that compiles can round otherwise than one that finds
    the code there.
    """
    for name in "compiling", "undisturbed":
        process = start(lesson, dataset, folder / name)
        output, _ = process.communicate()
        assert process.returncode == 0, output
    expected = outcome(folder / "undisturbed", output)

    runs, done = 0, 0
    while done < kills:
        runs += 1
        status = None
        while status != 0:
            process = start(lesson, dataset, folder / f"run-{runs}")
            if done < kills and wait_for_a_checkpoint(process, folder / f"run-{runs}" / "checkpoint.npz"):
                time.sleep(chance.uniform(0, 0.4))
                process.kill()
                done += 1
            output, _ = process.communicate()
            status = process.returncode
            assert status in (0, KILLED), output
        assert outcome(folder / f"run-{runs}", output) == expected, f"{lesson}, run {runs} ended otherwise"
    return runs


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="over all lessons (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    arguments = parser.parse_args(argv)
    chance, lessons = random.Random(arguments.seed), list(short_schedules())
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "small.pkl"
        make_dataset(dataset)
        for lesson in lessons:
            kills = -(-arguments.kills // len(lessons))
            runs = torture(lesson, kills, dataset, Path(folder) / lesson, chance)
            print(f"{lesson}: killed {kills} times in {runs} runs, each ended like the undisturbed one", flush=True)


if __name__ == "__main__":
    main()
