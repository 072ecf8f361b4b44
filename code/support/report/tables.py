"""The tables that compare published and reproduced figures. They are made from the records and the table of recipes."""

import itertools
import json
import statistics
from pathlib import Path

from support import rewrites
from support.files import shown
from support.report.recipes import RESULTS, first_row, lessons_of, read_recipes, unpublished
from support.runs.records import VERSIONS, read_result, read_settings

MARKS = {"▲": "above", "▼": "below"}  # signs for a figure that is worse than the published one


def read_record(folder, recipes):
    """The settings and the result of a finished run in one dict; None if the folder holds no finished run.

    Two entries are added: the `figures` to show, and the `published_minutes`. If the run is on MNIST and its folder is
    named after a recipe of its lesson, they are those of the recipe. Any other run shows the figures of its lesson
    without published values. A UserError says that a file is damaged.
    """
    try:
        record = {**read_settings(folder), **read_result(folder)}
    except FileNotFoundError:
        return None
    lesson, recipe = record["lesson"], recipes.get(folder.name)
    if recipe is not None and recipe.lesson == lesson and record["dataset"]["name"] == "MNIST":
        return {**record, "figures": recipe.figures, "published_minutes": sum(recipe.published_minutes)}
    return {**record, "figures": unpublished(first_row(lesson, recipes)), "published_minutes": 0}


def read_records(folder, recipes):
    """{lesson: {name: record}} of the finished runs in a folder of runs, in the order of the recipes."""
    places = {name: place for place, name in enumerate(recipes)}
    lessons = {lesson: {} for lesson in lessons_of(recipes)}
    paths = sorted(Path(folder).glob("*/"), key=lambda path: (places.get(path.name, len(places)), path.name))
    for path in paths:
        if record := read_record(path, recipes):
            lessons.setdefault(record["lesson"], {})[path.name] = record
    return {lesson: runs for lesson, runs in lessons.items() if runs}


def by_all_but_the_seed(runs):
    """{name of the first: records} of a lesson's runs, {name: record}, in groups that differ only in their seeds.

    An option that is None counts as not given.
    """
    groups = {}
    for name, record in runs.items():
        settings = {**record["settings"], **record["dataset"], "seed": None}
        key = json.dumps({option: value for option, value in settings.items() if value is not None}, sort_keys=True)
        groups.setdefault(key, (name, []))[1].append(record)
    return dict(groups.values())


def front_table(folder=RESULTS, recipes=None):
    """The lines of a Markdown table, and of the notes below it. Each lesson has a line that links to its file.

    The figures are those of the published recipe. If it was run with several seeds, they are the means.
    """
    recipes = read_recipes() if recipes is None else recipes
    groups = read_records(folder, recipes)
    lines = ["| lesson | figures | published | reproduced |", "|---|---|---|---|"]
    for lesson in lessons_of(recipes):
        first = first_row(lesson, recipes)
        runs = by_all_but_the_seed(groups.get(lesson, {})).get(first.name, [])
        runs = [run for run in runs if run["dataset"]["name"] == "MNIST"]
        columns = [(each.heading, each.spelled(each.published), mean_of(each, runs)) for each in first.figures]
        named, published, reproduced = map(", ".join, zip(*columns)) if columns else "–––"
        seeds = f", means of {len(runs)} seeds" if columns and len(runs) > 1 else ""
        lines.append(row(f"[{first.title or lesson}](code/{lesson}.py)", named, published, reproduced + seeds))
    return with_notes(lines, [recipe.note for recipe in recipes.values() if recipe.note])


def mean_of(figure, runs):
    """The mean of a figure over some runs, as the tables show it; a dash if there is no run or one lacks it."""
    values = figure.values(runs)
    if not runs or len(values) < len(runs):
        return "–"
    mean = statistics.mean(values)
    return figure.marked(mean, figure.spelled(mean))


def results_table(folder=RESULTS, recipes=None):
    """The lines of Markdown tables, and of the notes below them. Each finished run in a folder of runs has a line.

    Published figures stand only beside a run on MNIST whose folder is named after its recipe. Runs that differ only in
    their seeds have one more line: the mean and the sample standard deviation. A figure that is worse than the
    published one is marked. A lesson has a table of its own if the table before it lacks one of its figures.
    """
    recipes = read_recipes() if recipes is None else recipes
    groups, columns = read_records(folder, recipes), None
    lines, notes, machines, made_by = [], [], [], {}
    for lesson, runs in groups.items():
        own = dict.fromkeys(f.heading for each in recipes.values() if each.lesson == lesson for f in each.figures)
        if columns is None or not own.keys() <= columns.keys():
            columns = own
            lines += [""] * bool(lines) + head(columns)
        lines += [line(name, [record], columns) for name, record in runs.items()]
        for name, seeds in by_all_but_the_seed(runs).items():
            fields = [*(figure.field for figure in seeds[0]["figures"]), "epochs"]
            if len(seeds) > 1 and all(field in record for record in seeds for field in fields):
                lines.append(line(f"{name}, {len(seeds)} seeds", seeds, columns))
        for name, record in runs.items():
            notes += [recipes[name].note] if name in recipes and recipes[name].note else []
            machines += [f"{name} on {recipes[name].published_on}"] if record["published_minutes"] else []
            made_by.setdefault(circumstances(record), []).append(name)
    notes += [f"Published minutes: {'; '.join(machines)}."] if machines else []
    return with_notes(lines or head([]), notes + [f"{', '.join(names)}: {text}." for text, names in made_by.items()])


def with_notes(lines, notes):
    """The lines of tables and the paragraphs below them. The marks that the tables use are explained first."""
    marks = [f"{mark} {side} the published figure." for mark, side in MARKS.items() if mark in "".join(lines)]
    return lines + [text for note in (*marks, *notes) for text in ("", note)]


def head(columns):
    """The first two lines of a table of runs."""
    pairs = "".join(f" {column}, published | reproduced |" for column in [*columns, "minutes"])
    return [f"| run | data |{pairs} epochs | seed |", "|---" * (2 * len(columns) + 6) + "|"]


def line(name, runs, columns):
    """The line of one run, or of several that differ in their seeds. The first one has the published figures."""
    cells, base = dict.fromkeys(columns, ("–", "–")), runs[0]
    for figure in base["figures"]:
        values = figure.values(runs)
        text = figure.marked(statistics.mean(values), summed_up(values, figure.digits)) if values else "–"
        cells[figure.heading] = figure.spelled(figure.published), text
    minutes = [sum(run["seconds"].values()) / 60 for run in runs]
    return row(
        name,
        base["dataset"]["name"],
        *itertools.chain(*cells.values()),
        f"{base['published_minutes']:.0f}" if base["published_minutes"] else "–",
        "< 0.1" if len(runs) == 1 and minutes[0] < 0.05 else summed_up(minutes, 1),
        summed_up([run["epochs"] for run in runs if "epochs" in run], 0),
        base["settings"].get("seed", "–") if len(runs) == 1 else "–",
    )


def summed_up(values, digits):
    """A value; or the mean and the sample standard deviation of several; or a dash if there is none."""
    numbers = [statistics.mean(values), statistics.stdev(values)] if len(values) > 1 else values
    return " ± ".join(f"{number:.{digits}f}" for number in numbers) or "–"


def row(*cells):
    return f"| {' | '.join(shown(cell, width=300) for cell in cells)} |"


def circumstances(record):
    """The precision, rewrites, machine and versions that a run was made with, and those with which it went on."""
    texts = []
    for part in record["parts"]:
        machine, names = part["machine"], part["rewrites"]
        others = ", ".join(name for name in rewrites.NAMES if name not in names)
        but = f" but {others}" if names and others else ""
        texts.append(
            f"with{'' if names else 'out'} the graph rewrites{but}, "
            f"{machine['threads']} thread{'s' * (machine['threads'] != '1')} of {machine['processor']}, "
            f"{machine['cores']} cores, {machine['system']}; "
            + ", ".join(f"{name} {part['versions'][key]}" for key, name in VERSIONS.items())
        )
    return f"{record['floatX']}, {'; later '.join(dict.fromkeys(texts))}"
