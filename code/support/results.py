"""The table of published and reproduced figures, made from the records of runs."""

import json
from pathlib import Path

from support import ROOT

# Validation and test error in percent, and minutes, as the tutorial gives them for its machine.
PUBLISHED = {"logistic_sgd": ("7.50", "7.49", ""), "mlp": ("1.69", "1.65", ""), "SdA": ("1.39", "1.30", "1029")}


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
        "| run | data | published: valid % | test % | min | reproduced: valid % | test % | min | epochs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(Path(folder).glob("*/")):
        record = read_record(path)
        if record is None:
            continue
        is_published = path.name == record["lesson"] and record["dataset"]["name"] == "MNIST"
        published = PUBLISHED.get(path.name, ("", "", "")) if is_published else ("", "", "")
        errors = [f"{100 * record[name]:.2f}" if name in record else "–" for name in ("validation_error", "test_error")]
        minutes = f"{sum(record['seconds'].values()) / 60:.1f}"
        cells = [path.name, record["dataset"]["name"], *published, *errors, minutes, str(record.get("epochs", "–"))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
