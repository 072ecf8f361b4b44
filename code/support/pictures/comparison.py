"""A picture that compares the recorded runs of a lesson: their validation errors by epoch."""

from pathlib import Path

from support.files import replacing
from support.pictures.figures import COLOURS, DPI, logarithmic_percent, new_figure
from support.runs.recipes import RESULTS, read_recipes
from support.runs.records import read_curve


def draw_comparisons(folder=RESULTS):
    """Draw a picture for each lesson whose runs in a folder differ in more than their seeds.

    The picture is named after the lesson, and stands in the same folder.
    """
    recipes = read_recipes()
    for lesson in dict.fromkeys(recipe.lesson for recipe in recipes.values()):
        groups = {}
        for recipe in recipes.values():
            curve = Path(folder) / recipe.name / "curve.jsonl"
            if recipe.lesson == lesson and curve.exists():
                points = [(line["epoch"], 100 * line["validation_error"]) for line in validated(curve)]
                if points:
                    groups.setdefault(options_but_the_seed(recipe), []).append(points)
        if len(groups) > 1:
            with replacing(Path(folder) / f"{lesson}.png") as file:
                comparison_figure(lesson, groups).savefig(file, format="png", dpi=DPI)


def validated(curve):
    return [line for line in read_curve(curve.parent) if "validation_error" in line]


def options_but_the_seed(recipe):
    """The options of a recipe as they are typed, without --seed and its value."""
    options = list(recipe.options)
    if "--seed" in options:
        place = options.index("--seed")
        del options[place : place + 2]
    return " ".join(options)


def comparison_figure(lesson, groups):
    """Validation errors by epoch.

    `groups` is {options: runs}. Each run is a list of (epoch, error in percent).
    """
    figure, (axes,) = new_figure(4)
    for place, (options, runs) in enumerate(groups.items()):
        label = f"{options or 'the published recipe'}, {len(runs)} seed{'s' * (len(runs) > 1)}"
        for run in runs:
            axes.plot(*zip(*run), color=COLOURS[place % len(COLOURS)], linewidth=1.2 if place else 0.8, label=label)
            label = None
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    logarithmic_percent(axes, [error for runs in groups.values() for run in runs for _, error in run])
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation error (%)")
    axes.legend(frameon=False)
    figure.suptitle(f"{lesson}: validation error by epoch")
    return figure
