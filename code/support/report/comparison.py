"""A picture that compares the recorded runs of a lesson: their validation errors by epoch."""

import re
from pathlib import Path

from support.files import replacing
from support.pictures.figures import COLOURS, DPI, logarithmic_percent, new_figure
from support.report.recipes import RESULTS, read_recipes
from support.runs.records import read_curve


def draw_comparisons(folder=RESULTS):
    """Draw a picture for each lesson whose runs in a folder differ in more than their seeds.

    The picture is named after the lesson, and stands in the same folder.
    """
    lessons = {}
    for recipe in read_recipes().values():
        run = Path(folder) / recipe.name
        curve = read_curve(run) if (run / "curve.jsonl").exists() else []
        points = [(line["epoch"], 100 * line["validation_error"]) for line in curve if "validation_error" in line]
        if points:
            options = re.sub(r" ?--seed \S+", "", " ".join(recipe.options)).strip()
            lessons.setdefault(recipe.lesson, {}).setdefault(options, []).append(points)
    for lesson, groups in lessons.items():
        if len(groups) > 1:
            with replacing(Path(folder) / f"{lesson}.png") as file:
                comparison_figure(lesson, groups).savefig(file, format="png", dpi=DPI)


def comparison_figure(lesson, groups):
    """Validation errors by epoch.

    `groups` is {options: runs}. Each run is a list of (epoch, error in percent).
    """
    figure, (axes,) = new_figure(4, f"{lesson}: validation error by epoch")
    for place, (options, runs) in enumerate(groups.items()):
        label = f"{options or 'the published recipe'}, {len(runs)} seed{'s' * (len(runs) > 1)}"
        for run in runs:
            axes.plot(*zip(*run), color=COLOURS[place % len(COLOURS)], linewidth=1.2 if place else 0.8, label=label)
            label = None
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    logarithmic_percent(axes)
    axes.set(xlabel="epoch", ylabel="validation error (%)")
    axes.legend(frameon=False)
    return figure
