"""Time a step of each phase of the lessons, in this port and in other frameworks, side by side.

    python tests/benchmark.py [--threads 1 2] [--phases PATTERN ...] [--rounds N] [--output-folder FOLDER]

Every contestant (`contestants/`) does the same work on data of MNIST's shape and sparsity, compiled and warm. They take
turns for a number of rounds, phase by phase, so that a disturbance hits all of them alike; the table shows medians and,
in brackets, ratios to this port. Machines are noisy: compare figures of one run only.

The figures go into a file named after the processor. The page beside it has a section for each such file in the folder.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "code"))

from benchmark_page import file_name, write_page  # noqa: E402
from contestants import NAMES, PEERS, PORT  # noqa: E402
from contestants.common import EXAMPLES  # noqa: E402
from support import rewrites  # noqa: E402
from support.runs.records import machine, versions, write_json  # noqa: E402

from llvmlite.binding import get_host_cpu_name  # noqa: E402

PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEERS_PACKAGES = "torch", "jax"
HIDDEN_SIZES = [250, 500, 1000, 2000, 4000]


def phase(kind, sizes, batch, activation="sigmoid", l2=0.0, dtype="float32"):
    """A phase, as `contestants` explains it."""
    return {"kind": kind, "sizes": sizes, "batch": batch, "activation": activation, "l2": l2, "dtype": dtype}


def sda_phases(batch, hidden=1000):
    """The published network, or one as deep with another number of hidden units."""
    sizes = [784, hidden, hidden, hidden]
    return {
        **{f"SdA, pre-train {i}": phase("autoencoder", sizes[: i + 1], batch) for i in (1, 2, 3)},
        "SdA, fine-tune": phase("classifier", [*sizes, 10], batch),
    }


def all_phases():
    """{name with the batch: phase} of every lesson, as it is run by default; the SdA with minibatches of 20, too.

    A step of the linear autoencoder takes the whole training set, which has EXAMPLES images here.
    """
    phases = {
        "logistic_sgd": phase("classifier", [784, 10], 600),
        "mlp": phase("classifier", [784, 500, 10], 20, "tanh", 0.0001),
        "dA": phase("autoencoder", [784, 500], 20),
        "pca": phase("linear", [784, 50], EXAMPLES, dtype="float64"),
        "sA": phase("sparse", [784, 196], 100),
        "cA": phase("contractive", [784, 500], 10),
        "vae": phase("variational", [784, 500, 20, 500, 784], 100),
        "rbm": phase("boltzmann", [784, 500], 20),
        "DBN, pre-train 1": phase("contrastive", [784, 1000], 10),
        "DBN, fine-tune": phase("classifier", [784, 1000, 1000, 1000, 10], 10),
        "gan": phase("adversarial", [784, 240, 1200, 100], 100),
    }
    named = [*sda_phases(1).items(), *phases.items(), *sda_phases(20).items()]
    return {f"{name}, {size_of(phase)}": phase for name, phase in named}


def size_of(phase):
    """The examples of a step, in words."""
    return f"{EXAMPLES:,} images" if phase["batch"] == EXAMPLES else f"batch {phase['batch']}"


class Contestants:
    """The processes of the contestants, all on the same cores.

    `missing` is {name: reason} of those that could not run.
    """

    def __init__(self, names, threads):
        self.processes, self.missing = {}, {}
        environment = {
            **os.environ,
            **{f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "NUMBA")},
            "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("tests", "code")),
            "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
        }
        bind = None
        if hasattr(os, "sched_setaffinity"):  # the system knows how to bind a process to the first of its cores
            bind = partial(os.sched_setaffinity, 0, sorted(os.sched_getaffinity(0))[:threads])
        for name in names:
            python = PEERS_PYTHON if name in PEERS else sys.executable
            if not Path(python).exists():
                self.missing[name] = "`make bench-peers` installs it"
                continue
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            command = [python, "-m", "contestants", name]
            self.processes[name] = subprocess.Popen(command, env=environment, preexec_fn=bind, **pipes)

    def time(self, name, phase, steps):
        """Microseconds a step, or None where it cannot run this phase."""
        process = self.processes[name]
        print(json.dumps({"phase": phase, "steps": steps}), file=process.stdin, flush=True)
        reply = json.loads(process.stdout.readline() or '{"missing": "the process has ended"}')
        if isinstance(reply, dict):
            self.missing.setdefault(name, reply["missing"])
            return None
        return reply

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self.processes.values():
            process.kill()
            process.wait()


def measure_saving(rounds):
    """Milliseconds, medians, that a checkpoint of the published network takes, and its saved model."""
    from SdA import SdA, test_SdA
    from support.runs import open_run

    import numpy as np

    sda = SdA(np.random.RandomState(0), hidden_layers_sizes=[1000, 1000, 1000])
    milliseconds = {"model": [], "checkpoint": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        with open_run(test_SdA, {"dataset": "digits", "output_folder": folder}) as run:
            run.stage(SimpleNamespace(params=[layer.b_prime for layer in sda.dA_layers]), name="biases")
            stage = run.stage(sda)
            for _ in range(rounds):
                for name, save in ("model", stage.keep), ("checkpoint", run.write_checkpoint):
                    started = time.perf_counter()
                    save()
                    milliseconds[name].append(1000 * (time.perf_counter() - started))
    return {name: round(statistics.median(times), 1) for name, times in milliseconds.items()}


def measure(contestants, phases, rounds, budget):
    """{phase: {contestant: microseconds a step}}, medians of the rounds.

    A turn has as many steps as this port does in `budget` seconds, one at least.
    """
    table = {}
    for phase_name, phase in phases.items():
        rounds_of = {}
        steps = 1 if phase["batch"] == EXAMPLES else 10
        for turn in range(rounds + 1):
            for name in contestants.processes:
                if turn and name not in rounds_of:
                    continue  # it cannot run this phase
                duration = contestants.time(name, phase, steps)
                if duration is not None:
                    rounds_of.setdefault(name, []).append(duration)
            if turn == 0:  # to warm up, and to see how long a step is
                steps = max(1, round(1e6 * budget / rounds_of[PORT][0]))
                rounds_of = {name: [] for name in rounds_of}
        table[phase_name] = {name: round(statistics.median(times), 1) for name, times in rounds_of.items()}
        print(f"{phase_name}: {table[phase_name]}", file=sys.stderr, flush=True)
    return table


def all_versions():
    """The versions of this Python and its packages, and of the peers, where they are installed."""
    found = versions()
    if PEERS_PYTHON.exists():
        program = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
        command = [PEERS_PYTHON, "-c", program, *PEERS_PACKAGES]
        asked = subprocess.run(command, capture_output=True, text=True)
        found |= dict(zip(PEERS_PACKAGES, asked.stdout.split()))
    return found


def measure_all(phases, options):
    """The record of a run on this machine, as `file_name(record)` is to hold it."""
    record = {
        "versions": all_versions(),
        "machine": machine() | {"architecture": get_host_cpu_name()},
        "rewrites": rewrites.NAMES,
        "rounds": options.rounds,
        "missing": {},
        "microseconds": {},
    }
    for threads in options.threads:
        with Contestants(NAMES, threads) as contestants:
            print(f"{threads} threads", file=sys.stderr, flush=True)
            record["microseconds"][str(threads)] = measure(contestants, phases, options.rounds, options.budget)
            record["missing"].update({k: v for k, v in contestants.missing.items() if k != "memory floor"})
    if any(phase["batch"] == 1 for phase in phases.values()):
        record["saving"] = measure_saving(options.rounds)
    with Contestants([name for name in NAMES if name != "PyTorch compiled"], 1) as contestants:
        sweep = {str(size): sda_phases(1, size)["SdA, fine-tune"] for size in options.hidden_sizes}
        record["hidden_sizes"] = measure(contestants, sweep, options.rounds, options.budget)
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument(
        "--phases", nargs="+", default=[""], metavar="PATTERN",
        help="only phases whose name contains one of these, a record that replaces this machine's (default: all)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=11, help="turns of each contestant (default: %(default)s)")
    parser.add_argument("--budget", type=float, default=0.03, help="seconds a turn of this port (default: %(default)s)")
    parser.add_argument("--hidden-sizes", type=int, nargs="*", default=HIDDEN_SIZES, help="for the plot (default: all)")
    parser.add_argument(
        "--output-folder", type=Path, default=ROOT / "runs" / "benchmark", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="measure nothing: write the page of the folder's records anew"
    )
    options = parser.parse_args()
    phases = {name: phase for name, phase in all_phases().items() if any(each in name for each in options.phases)}
    if not phases:
        parser.error(f"no phase has such a name; there are {'; '.join(all_phases())}")

    options.output_folder.mkdir(parents=True, exist_ok=True)
    if not options.page_only:
        record = measure_all(phases, options)
        write_json(options.output_folder / file_name(record), record)
    print(write_page(options.output_folder, list(all_phases())).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
