"""The table of published and reproduced figures, made from the records of runs."""

import itertools
import json
import statistics
from pathlib import Path

from support import ROOT

LESSONS = ["logistic_sgd", "mlp", "dA", "SdA"]

# Validation and test error in percent, and minutes, as the tutorial gives them for its machine.
PUBLISHED = {"logistic_sgd": ("7.50", "7.49", "–"), "mlp": ("1.69", "1.65", "–"), "SdA": ("1.39", "1.30", "1029")}
NOTHING = "–", "–", "–"
ERRORS = "validation_error", "test_error"


def read_record(folder):
    """The settings and the result of a finished run, merged; None where the folder holds none."""
    try:
        settings, result = (json.loads((folder / f"{name}.json").read_text()) for name in ("settings", "result"))
    except FileNotFoundError:
        return None
    return {**settings, **result}


def results_table(folder=ROOT / "data" / "results"):
    """A Markdown table with a line for each finished run in a folder of runs.

    Published figures stand only beside runs of the published recipe on MNIST: a folder that has the lesson's own name.
    Runs of that recipe with other seeds are summed up in a line of their own, as mean and sample standard deviation.

    Returns
    -------
    list of str
    """
    lines = [
        "| run | data | validation %, published | reproduced | test %, published | reproduced "
        "| minutes, published | reproduced | epochs | seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    records = {path.name: record for path in Path(folder).glob("*/") if (record := read_record(path))}
    ordered = sorted(records.items(), key=lambda item: (LESSONS.index(item[1]["lesson"]), item[0]))
    for lesson, runs in itertools.groupby(ordered, key=lambda item: item[1]["lesson"]):
        runs = dict(runs)
        lines += [line(name, record, name == lesson) for name, record in runs.items()]
        recipe = [record for record in runs.values() if lesson in runs and same_but_for_seed(record, runs[lesson])]
        if len(recipe) > 1 and all(error in record for record in recipe for error in ERRORS):
            lines.append(spread(lesson, recipe))
    return lines


def line(name, record, is_published):
    """The line of a run."""
    valid, test, minutes = published(record) if is_published else NOTHING
    errors = [f"{100 * record[error]:.2f}" if error in record else "–" for error in ERRORS]
    cells = [name, record["dataset"]["name"], valid, errors[0], test, errors[1], minutes]
    cells += [f"{minutes_of(record):.1f}", record.get("epochs", "–"), record["settings"].get("seed", "–")]
    return f"| {' | '.join(map(str, cells))} |"


def spread(lesson, records):
    """The line that sums up runs that differ in their seeds."""
    valid, test, minutes = published(records[0])
    means = [mean_and_deviation([100 * record[error] for record in records], 2) for error in ERRORS]
    cells = [f"{lesson}, {len(records)} seeds", records[0]["dataset"]["name"], valid, means[0], test, means[1], minutes]
    cells += [mean_and_deviation([minutes_of(record) for record in records], 1)]
    cells += [mean_and_deviation([record["epochs"] for record in records], 0), "–"]
    return f"| {' | '.join(cells)} |"


def published(record):
    """The published validation error, test error and minutes of a run's lesson, if it was on MNIST."""
    return PUBLISHED.get(record["lesson"], NOTHING) if record["dataset"]["name"] == "MNIST" else NOTHING


def same_but_for_seed(record, other):
    """Whether two runs have the same data and settings but for the seed."""
    settings = [{**each["settings"], **each["dataset"], "seed": None} for each in (record, other)]
    return settings[0] == settings[1]


def minutes_of(record):
    return sum(record["seconds"].values()) / 60


def mean_and_deviation(values, digits):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"
