"""The page of the benchmark: a section for each machine's record, and a picture of all of them."""

import json
import re
import sys
from operator import itemgetter

from contestants import NAMES, PORT
from support import rewrites
from support.report import place, refresh

MNIST_EXAMPLES = 50_000  # that an epoch trains on
PACKAGES = {  # by their keys in a record
    "python": "Python", "pytensor": "PyTensor", "numpy": "NumPy", "scipy": "SciPy", "numba": "Numba",
    "torch": "PyTorch", "jax": "JAX",
}  # fmt: skip
NEW_PAGE = f"# Microseconds a step\n\n{place('table')}\n![a step of fine-tuning](step_time.png)\n"


def processor(record):
    """The processor's name, which can be that of several kinds, and LLVM's name of its kind, if that was recorded."""
    return ", ".join(record["machine"][key] for key in ("processor", "architecture") if key in record["machine"])


def file_name(record):
    """The name of a record's file: its processor's name without what all of them have."""
    name = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b|@", " ", processor(record), flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") + ".json"


def read_records(folder):
    """The records in a folder, in the order of their names; a JSON file of another name is none."""
    found = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return [record for name, record in found.items() if name == file_name(record)]


def write_page(folder, phases):
    """Write the page of a folder's records, and its picture; `phases` are the names of those there are today."""
    records = read_records(folder)
    lines = [line for record in records for line in ["", *section(record, phases)]]
    plot([record for record in records if record["hidden_sizes"]], folder / "step_time.png")
    return refresh(folder / "README.md", {"table": lines[1:]}, NEW_PAGE)


def section(record, phases):
    """The lines of a machine: what it is, what was not measured, a table for each number of threads."""
    lines = [f"## {processor(record)}", "", circumstances(record)]
    tables = record["microseconds"]
    late = [name for name in rewrites.NAMES if name not in record["rewrites"]]
    not_measured = [name for name in phases if not any(name in table for table in tables.values())]
    remarks = [
        f"With the graph rewrites {', '.join(record['rewrites'])}.",
        late and f"Without these, which came later: {', '.join(late)}.",
        not_measured and f"Not measured: {'; '.join(not_measured)}.",
        *record.get("notes", []),
    ]
    for remark in filter(None, remarks):
        lines += ["", remark]
    for threads, table in tables.items():
        lines += ["", f"Microseconds a step, {threads} thread{'s' if threads != '1' else ''}:", "", *rows(table)]
    if record["missing"]:
        missing = ", ".join(f"{name} ({reason})" for name, reason in record["missing"].items())
        lines += ["", f"Left out: {missing}."]
    if "saving" in record:
        lines += ["", saving_line(record["saving"], tables[min(tables)])]
    return lines


def circumstances(record):
    machine, versions = record["machine"], record["versions"]
    installed = ", ".join(f"{name} {versions[key]}" for key, name in PACKAGES.items() if key in versions)
    figures = f"[{file_name(record)}]({file_name(record)})"
    return (
        f"{machine['cores']} cores, {machine['system']}; {installed}. Medians of {record['rounds']} turns. The figures "
        f"are in {figures}."
    )


def rows(table):
    """A table as Markdown."""
    names = [name for name in NAMES if any(name in row for row in table.values())]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for phase_name, row in table.items():
        cells = [cell(row.get(name), row[PORT]) for name in names]
        lines.append(f"| {phase_name} | {' | '.join(cells)} |")
    return lines


def cell(value, port):
    if value is None:
        return "–"
    return f"{value:.0f}" if value == port else f"{value:.0f} ({value / port:.2g})"


def saving_line(saving, table):
    """What saving costs, beside the shortest epoch of the published recipe."""
    name, step = min(((name, row[PORT]) for name, row in table.items() if name.endswith("batch 1")), key=itemgetter(1))
    share = 100 * sum(saving.values()) / (1e-3 * step * MNIST_EXAMPLES)
    return (
        f"Saving the published network takes {saving['checkpoint']:.0f} ms for a checkpoint and {saving['model']:.0f} "
        f"ms for a model: both after each epoch would be {share:.1f} % of an epoch of the shortest phase, {name}."
    )


def plot(records, path):
    """The time of a step of fine-tuning against the number of hidden units, a panel a machine, on logarithmic axes."""
    if not records:
        return
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("the plot is left out: matplotlib is not installed", file=sys.stderr)
        return
    figure, (panels,) = plt.subplots(
        ncols=len(records), figsize=(7 * len(records), 4.5), layout="constrained", sharey=True, squeeze=False
    )
    for axes, record in zip(panels, records):
        sweep = record["hidden_sizes"]
        for name in NAMES:
            sizes = [size for size in sweep if name in sweep[size]]
            style = {"linestyle": "--", "color": "black"} if name == "memory floor" else {"marker": "o"}
            if sizes:
                axes.plot(list(map(int, sizes)), [sweep[size][name] for size in sizes], label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel="hidden units in each of three layers", ylabel="µs a step")
        axes.set_xticks(list(map(int, sweep)), list(sweep))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.set_title(processor(record), fontsize="medium")
        axes.legend(fontsize="small")
    figure.suptitle("Fine-tuning a stack of three layers, batch 1, one thread")
    figure.savefig(path, dpi=120)
