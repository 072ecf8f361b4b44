"""The table of published and reproduced figures, made from the records of runs."""

import json
from pathlib import Path

from support import ROOT

LESSONS = ["logistic_sgd", "mlp", "dA", "SdA"]

# Validation and test error in percent, and minutes, as the tutorial gives them for its machine.
PUBLISHED = {"logistic_sgd": ("7.50", "7.49", "–"), "mlp": ("1.69", "1.65", "–"), "SdA": ("1.39", "1.30", "1029")}
NOTHING = "–", "–", "–"


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

    Returns
    -------
    list of str
    """
    lines = [
        "| run | data | validation %, published | reproduced | test %, published | reproduced "
        "| minutes, published | reproduced | epochs | seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    records = [(path.name, record) for path in Path(folder).glob("*/") if (record := read_record(path))]
    for name, record in sorted(records, key=lambda item: (LESSONS.index(item[1]["lesson"]), item[0])):
        is_published = name == record["lesson"] and record["dataset"]["name"] == "MNIST"
        valid, test, minutes = PUBLISHED.get(name, NOTHING) if is_published else NOTHING
        reproduced = [
            f"{100 * record[error]:.2f}" if error in record else "–" for error in ("validation_error", "test_error")
        ]
        cells = [name, record["dataset"]["name"], valid, reproduced[0], test, reproduced[1], minutes]
        cells += [f"{sum(record['seconds'].values()) / 60:.1f}", record.get("epochs", "–")]
        cells += [record["settings"].get("seed", "–")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines
