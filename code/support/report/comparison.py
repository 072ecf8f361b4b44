"""A picture that compares the recorded runs of a lesson: their validation errors by epoch."""

import itertools
import re
from pathlib import Path

from support.files import replacing
from support.pictures import described
from support.pictures.figures import COLOURS, DPI, logarithmic_percent, new_figure
from support.report.recipes import RESULTS, read_recipes
from support.runs.records import read_curve

CAPTION = "Validation errors by epoch in all recorded runs: a line for each seed, a colour for each choice of options."


def draw_comparisons(folder=RESULTS):
    """Draw <lesson>.png in a folder of runs for each lesson whose recorded runs differ in more than their seeds."""
    for lesson in read_recipes().values():
        groups = {}
        for name, options in lesson.runs.items():
            run = Path(folder) / name
            curve = read_curve(run) if (run / "curve.jsonl").exists() else []
            points = [(line["epoch"], 100 * line["validation_error"]) for line in curve if "validation_error" in line]
            if points:
                groups.setdefault(re.sub(r" ?--seed \S+", "", " ".join(options)).strip(), []).append(points)
        if len(groups) > 1:
            with replacing(Path(folder) / f"{lesson.name}.png") as file:
                comparison_figure(lesson.name, groups).savefig(
                    file, format="png", dpi=DPI, pil_kwargs={"pnginfo": described(CAPTION)}
                )


def comparison_figure(lesson, groups):
    """Validation errors by epoch. `groups` is {options: runs}; each run is a list of (epoch, error in percent)."""
    figure, (axes,) = new_figure(4, f"{lesson}: validation error by epoch")
    for colour, (options, runs) in zip(itertools.cycle(COLOURS), groups.items()):
        label = f"{options or 'the published recipe'}, {len(runs)} seed{'s' * (len(runs) > 1)}"
        for number, run in enumerate(runs):
            axes.plot(*zip(*run), color=colour, linewidth=1.2 if options else 0.8, label="_" * (number > 0) + label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    logarithmic_percent(axes)
    axes.set(xlabel="epoch", ylabel="validation error (%)")
    axes.legend(frameon=False)
    return figure
