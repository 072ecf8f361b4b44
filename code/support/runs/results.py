"""The published recipes, and the page of their published and reproduced figures, made from the records of runs."""

import itertools
import math
import statistics
import subprocess
import sys
from pathlib import Path

from scipy import stats

from support.environment import ROOT
from support.errors import UserError
from support.files.forms import is_count, is_number, read_json, shown
from support.runs.records import ERRORS

RESULTS = ROOT / "data" / "results"
LESSONS = ["logistic_sgd", "mlp", "dA", "SdA"]

# The lesson and the options of each run that is recorded. One without options is the published recipe.
RECIPES = {
    **{lesson: (lesson,) for lesson in LESSONS},
    **{f"SdA-seed-{seed}": ("SdA", "--seed", str(seed)) for seed in (1, 2, 3, 4)},
    "SdA-no-pretraining": ("SdA", "--pretraining-epochs", "0"),
}

# Validation and test error in percent, and minutes, as the tutorial gives them for its machine.
PUBLISHED = {"logistic_sgd": ("7.50", "7.49", "–"), "mlp": ("1.69", "1.65", "–"), "SdA": ("1.39", "1.30", "1029")}
NOTHING = "–", "–", "–"
MISS = "▲"
VERSIONS = {"python": "Python", "pytensor": "PyTensor", "numpy": "NumPy", "scipy": "SciPy", "numba": "Numba"}

INTRODUCTION = """\
# Published and reproduced

Made by `make reproduce` from the records beside this page: it runs what has no record yet, then writes the page.
`make reproduce RESULTS=runs` runs all of it anew, on the machine at hand, and writes `runs/README.md`.
"""


def reproduce(folder=RESULTS):
    """Run the recipes that have no record in a folder of runs, one after the other, then write its page.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    UserError
        Where a run does not get to its end; the next call goes on with it.
    """
    folder = Path(folder)
    for name, (lesson, *options) in RECIPES.items():
        if read_record(folder / name) is None:
            script = str(ROOT / "code" / f"{lesson}.py")
            status = subprocess.run([sys.executable, script, *options, "--output-folder", folder / name]).returncode
            if status != 0:
                raise UserError(f"{name} ended with status {status}: the same command goes on with it")
    return write_page(folder)


def write_page(folder=RESULTS):
    """Write README.md in a folder of runs: the table, and the pictures that the runs left there."""
    folder = Path(folder)
    pictures = [
        f"![{path.parent.name}: {path.stem.replace('_', ' ')}]({path.relative_to(folder).as_posix()})\n"
        for name in read_records(folder)
        for path in sorted((folder / name).glob("*.png"))
    ]
    lines = [INTRODUCTION, *results_table(folder), *(["", "## Pictures", "", *pictures] if pictures else [])]
    page = folder / "README.md"
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return page


# What the table uses of the records; see `support.files.forms.check_form`.
SETTINGS = {
    "lesson": lambda name: name in LESSONS,
    "dataset": {"name": str},
    "settings": {...: object},
    "floatX": str,
    "rewrites?": [str],
    "machine": {"processor": str, "cores": (is_count, None), "system": str, "threads": str},
    "versions": dict.fromkeys(VERSIONS, str),
}
RESULT = {"seconds": {...: is_number}, "validation_error?": is_number, "test_error?": is_number, "epochs?": is_count}


def read_record(folder):
    """The settings and the result of a finished run, merged; None where the folder holds none.

    Raises
    ------
    UserError
        Where one of the files is damaged.
    """
    try:
        settings, result = read_json(folder / "settings.json", SETTINGS), read_json(folder / "result.json", RESULT)
    except FileNotFoundError:
        return None
    return {**settings, **result}


def read_records(folder):
    """{name: record} of the finished runs in a folder of runs, in the order of the lessons."""
    records = {path.name: record for path in Path(folder).glob("*/") if (record := read_record(path))}
    return dict(sorted(records.items(), key=lambda item: (LESSONS.index(item[1]["lesson"]), item[0])))


def results_table(folder=RESULTS):
    """A Markdown table with a line for each finished run in a folder of runs, and what there is to say of it.

    Published figures stand only beside runs of the published recipe on MNIST: a folder that has the lesson's own name.
    Runs of that recipe with other seeds are summed up in a line of their own, as mean and sample standard deviation.
    An error above the published one is marked.

    Returns
    -------
    list of str
    """
    lines = [
        "| run | data | validation %, published | reproduced | test %, published | reproduced "
        "| minutes, published | reproduced | epochs | seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    records = read_records(folder)
    judgements = []
    for lesson, runs in itertools.groupby(records.items(), key=lambda item: item[1]["lesson"]):
        runs = dict(runs)
        lines += [line(name, record, name == lesson) for name, record in runs.items()]
        recipe = [record for record in runs.values() if lesson in runs and same_but_for_seed(record, runs[lesson])]
        if len(recipe) > 1 and all(figure in record for record in recipe for figure in (*ERRORS, "epochs")):
            lines.append(spread(lesson, recipe))
            if len(recipe) > 2 and published(recipe[0]) is not NOTHING:
                judgements += judgement(lesson, recipe)
    if any(MISS in line for line in lines):
        judgements.append(f"{MISS} above the published figure.")
    notes = [*judgements, *circumstances(records)]
    return lines + [text for note in notes for text in ("", note)]


def line(name, record, is_published):
    """The line of a run."""
    *targets, minutes = published(record) if is_published else NOTHING
    errors = [
        marked(f"{100 * record[error]:.2f}", target) if error in record else "–"
        for error, target in zip(ERRORS, targets)
    ]
    took = f"{minutes_of(record):.1f}" if minutes_of(record) >= 0.05 else "< 0.1"
    return row(
        name, record["dataset"]["name"], targets[0], errors[0], targets[1], errors[1], minutes,
        took, record.get("epochs", "–"), record["settings"].get("seed", "–"),
    )  # fmt: skip


def spread(lesson, records):
    """The line that sums up runs that differ in their seeds."""
    *targets, minutes = published(records[0])
    means = [
        marked(mean_and_deviation([100 * record[error] for record in records], 2), target)
        for error, target in zip(ERRORS, targets)
    ]
    return row(
        f"{lesson}, {len(records)} seeds", records[0]["dataset"]["name"], targets[0], means[0], targets[1], means[1],
        minutes, mean_and_deviation([minutes_of(record) for record in records], 1),
        mean_and_deviation([record["epochs"] for record in records], 0), "–",
    )  # fmt: skip


def row(*cells):
    return f"| {' | '.join(map(shown, cells))} |"


def marked(error, target):
    """An error in percent, with a mark where it is above the published one at the digits that both show."""
    return f"{error} {MISS}" if target != "–" and float(error.split()[0]) > float(target) else error


def judgement(lesson, records):
    """How likely the published errors are, if they are one more draw from the spread of these runs."""
    for (error, name), target in zip(ERRORS.items(), published(records[0])):
        values = [100 * record[error] for record in records]
        mean, deviation, n = statistics.mean(values), statistics.stdev(values), len(values)
        if deviation > 0:
            distance = abs(float(target) - mean) / (deviation * math.sqrt(1 + 1 / n))
            yield (
                f"{lesson}, {name} error: if the published {target} % is one more draw from the normal distribution "
                f"that these {n} seeds are drawn from, a draw at least as far from their mean, {mean:.2f} %, has the "
                f"probability {2 * stats.t.sf(distance, n - 1):.2f} (Student's t, {n - 1} degrees of freedom)."
            )


def circumstances(records):
    """A line for each machine and set of versions that the runs were made with."""
    groups = {}
    for name, record in records.items():
        groups.setdefault(circumstance(record), []).append(name)
    return [f"{', '.join(names)}: {text}." for text, names in groups.items()]


def circumstance(record):
    """With which arithmetic, machine and versions a run was made."""
    machine, versions = record["machine"], record["versions"]
    threads = f"{machine['threads']} thread{'' if machine['threads'] == '1' else 's'}"
    rewrites = "with" if record.get("rewrites") else "without"
    return (
        f"{record['floatX']}, {rewrites} the graph rewrites, {threads} of {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}; "
        + ", ".join(f"{name} {versions[key]}" for key, name in VERSIONS.items())
    )


def published(record):
    """The published validation error, test error and minutes of a run's lesson, if it was on MNIST."""
    return PUBLISHED.get(record["lesson"], NOTHING) if record["dataset"]["name"] == "MNIST" else NOTHING


def same_but_for_seed(record, other):
    """Whether two runs have the same data and settings but for the seed; an option that is None is as good as none."""
    settings = [{**each["settings"], **each["dataset"], "seed": None} for each in (record, other)]
    one, other = ({name: value for name, value in each.items() if value is not None} for each in settings)
    return one == other


def minutes_of(record):
    return sum(record["seconds"].values()) / 60


def mean_and_deviation(values, digits):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"
