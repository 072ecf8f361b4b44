"""Time a step of each phase of the lessons, in this port and in other frameworks, side by side.

    python tests/benchmark.py [--threads 1 2] [--rounds N] [--output-folder FOLDER]

Every contestant (`contestants.py`) does the same work on data of MNIST's shape and sparsity, compiled and warm. They
take turns for a number of rounds, phase by phase, so that a disturbance hits all of them alike; the table shows medians
and, in brackets, ratios to this port. Machines are noisy: compare figures of one run only.
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
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "code"))

from support.files.pages import place, refresh  # noqa: E402
from support.runs.records import machine, versions, write_json  # noqa: E402

PORT = "PyTensor, rewrites"
OWN = [PORT, "PyTensor, plain", "memory floor", "NumPy"]
PEERS = ["PyTorch eager", "PyTorch compiled", "JAX jit+scan"]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
HIDDEN_SIZES = [250, 500, 1000, 2000, 4000]
MNIST_EXAMPLES = 50_000  # that an epoch trains on
NEW_PAGE = f"# Microseconds a step\n\n{place('table')}\n![a step of fine-tuning](step_time.png)\n"


def phase(kind, sizes, batch, activation="sigmoid", l2=0.0):
    return {"kind": kind, "sizes": sizes, "batch": batch, "activation": activation, "l2": l2}


def sda_phases(batch, hidden=1000):
    """The published network, or one as deep with another number of hidden units."""
    sizes = [784, hidden, hidden, hidden]
    return {
        **{f"SdA, pre-train {i}": phase("autoencoder", sizes[: i + 1], batch) for i in (1, 2, 3)},
        "SdA, fine-tune": phase("classifier", [*sizes, 10], batch),
    }


def all_phases():
    """{(name, batch): phase} of every lesson, as it is run by default; the SdA with minibatches of 20, too."""
    phases = {
        "logistic_sgd": phase("classifier", [784, 10], 600),
        "mlp": phase("classifier", [784, 500, 10], 20, "tanh", 0.0001),
        "dA": phase("autoencoder", [784, 500], 20),
    }
    named = [*sda_phases(1).items(), *phases.items(), *sda_phases(20).items()]
    return {f"{name}, batch {phase['batch']}": phase for name, phase in named}


class Contestants:
    """The processes of the contestants, all on the same cores.

    Attributes
    ----------
    missing : dict
        {name: reason} of those that could not run.
    """

    def __init__(self, names, threads):
        self.processes = {}
        self.missing = {}
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "NUMBA_NUM_THREADS": str(threads),
            "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
        }
        for name in names:
            python = PEERS_PYTHON if name in PEERS else sys.executable
            if not Path(python).exists():
                self.missing[name] = "`make bench-peers` installs it"
                continue
            self.processes[name] = subprocess.Popen(
                [python, str(ROOT / "tests" / "contestants.py"), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                preexec_fn=(lambda: bind_to_cores(threads)) if os.name == "posix" else None,
            )

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
    datasets = SimpleNamespace(name="digits", sha256="", source="none")
    milliseconds = {"model": [], "checkpoint": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        with open_run(test_SdA, {"dataset": "digits", "output_folder": folder}, datasets) as run:
            run.track(SimpleNamespace(params=[*sda.params, *(layer.b_prime for layer in sda.dA_layers)]))
            for _ in range(rounds):
                for name, save in ("model", lambda: run.keep(sda)), ("checkpoint", run.state.write):
                    started = time.perf_counter()
                    save()
                    milliseconds[name].append(1000 * (time.perf_counter() - started))
    return {name: round(statistics.median(times), 1) for name, times in milliseconds.items()}


def saving_line(saving, table):
    """What saving costs, beside the shortest epoch of the published recipe."""
    name, step = min(((name, row[PORT]) for name, row in table.items() if name.endswith("batch 1")), key=itemgetter(1))
    share = 100 * sum(saving.values()) / (1e-3 * step * MNIST_EXAMPLES)
    return (
        f"Saving the published network takes {saving['checkpoint']:.0f} ms for a checkpoint and {saving['model']:.0f} "
        f"ms for a model: both after each epoch would be {share:.1f} % of an epoch of the shortest phase, {name}."
    )


def bind_to_cores(count):
    """Run on the first of the cores that this process may use, where the system knows how."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def measure(contestants, phases, rounds, budget):
    """{phase: {contestant: microseconds a step}}, medians of the rounds.

    A turn has as many steps as this port does in `budget` seconds, one at least.
    """
    table = {}
    for phase_name, phase in phases.items():
        rounds_of = {}
        steps = 10
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


def table_lines(record):
    """The record as Markdown, a table for each number of threads."""
    lines = []
    for threads, table in record["microseconds"].items():
        names = [name for name in [*OWN, *PEERS] if any(name in row for row in table.values())]
        lines += ["", f"Microseconds a step, {threads} thread{'s' if threads != '1' else ''}:", ""]
        lines += [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for phase_name, row in table.items():
            cells = [cell(row.get(name), row[PORT]) for name in names]
            lines.append(f"| {phase_name} | {' | '.join(cells)} |")
    if record["missing"]:
        lines += [
            "",
            "Left out: " + ", ".join(f"{name} ({reason})" for name, reason in record["missing"].items()) + ".",
        ]
    lines += ["", saving_line(record["saving"], record["microseconds"][min(record["microseconds"])])]
    return lines[1:]


def cell(value, port):
    if value is None:
        return "–"
    return f"{value:.0f}" if value == port else f"{value:.0f} ({value / port:.2g})"


def plot(record, path):
    """The time of a step of fine-tuning against the number of hidden units, on logarithmic axes."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("the plot is left out: matplotlib is not installed", file=sys.stderr)
        return
    sweep = record["hidden_sizes"]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    names = [name for name in [*OWN, *PEERS] if any(name in row for row in sweep.values())]
    for name in names:
        sizes = [int(size) for size in sweep if name in sweep[size]]
        style = {"linestyle": "--", "color": "black"} if name == "memory floor" else {"marker": "o"}
        axes.plot(sizes, [sweep[str(size)][name] for size in sizes], label=name, **style)
    axes.set(xscale="log", yscale="log", xlabel="hidden units in each of three layers", ylabel="µs a step")
    axes.set_xticks(HIDDEN_SIZES, [str(size) for size in HIDDEN_SIZES])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.set_title("Fine-tuning a stack of three layers, batch 1, one thread")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each contestant (default: %(default)s)")
    parser.add_argument("--budget", type=float, default=0.03, help="seconds a turn of this port (default: %(default)s)")
    parser.add_argument("--hidden-sizes", type=int, nargs="*", default=HIDDEN_SIZES, help="for the plot (default: all)")
    parser.add_argument(
        "--output-folder", type=Path, default=ROOT / "runs" / "benchmark", help="(default: %(default)s)"
    )
    options = parser.parse_args()

    record = {"versions": versions(), "machine": machine(), "rounds": options.rounds, "missing": {}}
    record["microseconds"] = {}
    for threads in options.threads:
        with Contestants([*OWN, *PEERS], threads) as contestants:
            print(f"{threads} threads", file=sys.stderr, flush=True)
            record["microseconds"][str(threads)] = measure(contestants, all_phases(), options.rounds, options.budget)
            record["missing"].update({k: v for k, v in contestants.missing.items() if k != "memory floor"})
    record["saving"] = measure_saving(options.rounds)
    with Contestants([name for name in [*OWN, *PEERS] if name != "PyTorch compiled"], 1) as contestants:
        phases = {str(size): sda_phases(1, size)["SdA, fine-tune"] for size in options.hidden_sizes}
        record["hidden_sizes"] = measure(contestants, phases, options.rounds, options.budget)

    options.output_folder.mkdir(parents=True, exist_ok=True)
    write_json(options.output_folder / "benchmark.json", record)
    lines = table_lines(record)
    refresh(options.output_folder / "README.md", {"table": lines}, NEW_PAGE)
    if options.hidden_sizes:
        plot(record, options.output_folder / "step_time.png")
    print(f"versions: {record['versions']}\nmachine: {record['machine']}\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
