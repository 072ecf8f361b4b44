"""The tables that compare published and reproduced figures. They are made from the records and the table of recipes."""

import itertools
import statistics
from pathlib import Path

from support import rewrites
from support.files import shown
from support.report.recipes import RESULTS, first_row, read_recipes, unpublished
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
    records = {path.name: record for path in Path(folder).glob("*/") if (record := read_record(path, recipes))}
    names, lessons = list(recipes), list(dict.fromkeys(recipe.lesson for recipe in recipes.values()))

    def place(item, items):
        return (items.index(item) if item in items else len(items)), item

    groups = {}
    for name in sorted(records, key=lambda name: (place(records[name]["lesson"], lessons), place(name, names))):
        groups.setdefault(records[name]["lesson"], {})[name] = records[name]
    return groups


def by_all_but_the_seed(runs):
    """{name of the first: records} of a lesson's runs, {name: record}, in groups that differ only in their seeds.

    An option that is None counts as not given.
    """
    groups, alike = {}, []
    for name, record in runs.items():
        settings = {**record["settings"], **record["dataset"], "seed": None}
        settings = {option: value for option, value in settings.items() if value is not None}
        if settings not in (known := [each for each, _ in alike]):
            alike.append((settings, name))
            known.append(settings)
        groups.setdefault(alike[known.index(settings)][1], []).append(record)
    return groups


def front_table(folder=RESULTS, recipes=None):
    """The lines of a Markdown table, and of the notes below it. Each lesson has a line that links to its file.

    The figures are those of the published recipe. If it was run with several seeds, they are the means.
    """
    recipes = read_recipes() if recipes is None else recipes
    groups = read_records(folder, recipes)
    lines = ["| lesson | figures | published | reproduced |", "|---|---|---|---|"]
    for lesson in dict.fromkeys(recipe.lesson for recipe in recipes.values()):
        first = first_row(lesson, recipes)
        runs = by_all_but_the_seed(groups.get(lesson, {})).get(first.name, [])
        runs = [run for run in runs if run["dataset"]["name"] == "MNIST"]
        columns = [
            (figure.heading, figure.spelled(figure.published), mean_of(figure, runs)) for figure in first.figures
        ]
        named, published, reproduced = (", ".join(texts) for texts in zip(*columns)) if columns else "–––"
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
    published one is marked. Lessons with the same figures share a table.
    """
    recipes = read_recipes() if recipes is None else recipes
    groups, layout = read_records(folder, recipes), columns_of(recipes)
    lines, columns = [], None
    for lesson, runs in groups.items():
        if columns is None or layout.get(lesson, columns) != columns:
            columns = layout.get(lesson, [])
            lines += ["", *head(columns)] if lines else head(columns)
        lines += [line(name, [record], columns) for name, record in runs.items()]
        for name, seeds in by_all_but_the_seed(runs).items():
            fields = [*(figure.field for figure in seeds[0]["figures"]), "epochs"]
            if len(seeds) > 1 and all(field in record for record in seeds for field in fields):
                lines.append(line(f"{name}, {len(seeds)} seeds", seeds, columns))
    records = {name: record for runs in groups.values() for name, record in runs.items()}
    notes = [recipe.note for recipe in recipes.values() if recipe.note and recipe.name in records]
    machines = [f"{name} on {recipes[name].published_on}" for name, run in records.items() if run["published_minutes"]]
    notes += [f"Published minutes: {'; '.join(machines)}."] if machines else []
    made_by = {}
    for name, record in records.items():
        made_by.setdefault(circumstances(record), []).append(name)
    return with_notes(lines or head([]), notes + [f"{', '.join(names)}: {text}." for text, names in made_by.items()])


def columns_of(recipes):
    """{lesson: headings of its table}. A lesson joins the table before it if that has all of its figures."""
    headings = {recipe.lesson: {} for recipe in recipes.values()}
    for recipe in recipes.values():
        headings[recipe.lesson] |= dict.fromkeys(figure.heading for figure in recipe.figures)
    columns, layout = [], {}
    for lesson, own in headings.items():
        columns = layout[lesson] = columns if own.keys() <= set(columns) else list(own)
    return layout


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
    cells, base = {}, runs[0]
    for figure in base["figures"]:
        values = figure.values(runs)
        text = figure.marked(statistics.mean(values), summed_up(values, figure.digits)) if values else "–"
        cells[figure.heading] = figure.spelled(figure.published), text
    minutes = [sum(run["seconds"].values()) / 60 for run in runs]
    return row(
        name,
        base["dataset"]["name"],
        *itertools.chain(*(cells.get(column, ("–", "–")) for column in columns)),
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
