"""The pages that compare published and reproduced figures. They are made from the records and the table of recipes."""

import itertools
import math
import statistics
import subprocess
import sys
from pathlib import Path

from support import rewrites
from support.environment import ROOT
from support.errors import UserError
from support.files import shown
from support.files.pages import place, refresh
from support.runs.recipes import MARKS, RESULTS, first_row, read_recipes, unpublished
from support.runs.records import VERSIONS, read_result, read_settings

from scipy import stats

README = ROOT / "README.md"

NEW_PAGE = f"""\
# Published and reproduced

{place("table")}
{place("pictures")}"""


def reproduce(folder=RESULTS):
    """Make the runs of the recipes that a folder of runs lacks, one after the other, and write the folder's page.

    If it is the folder of the recorded results, the table in README is written, too. The path of the page is returned.
    A UserError says that a run has failed. The next call goes on with that run.
    """
    folder = Path(folder)
    recipes = read_recipes()
    for name, recipe in recipes.items():
        if read_record(folder / name, recipes) is None:
            script = ROOT / "code" / f"{recipe.lesson}.py"
            command = [sys.executable, str(script), *recipe.options, "--output-folder", str(folder / name)]
            status = subprocess.run(command).returncode
            if status != 0:
                raise UserError(f"{name} ended with status {status}: the same command goes on with it")
    if folder.resolve() == RESULTS:
        write_front()
    return write_page(folder)


def write_page(folder=RESULTS):
    """Write the table and the pictures of a folder of runs into its README.md. The text around them stays."""
    folder = Path(folder)
    pictures = [
        f"![{path.parent.name}: {path.stem.replace('_', ' ')}]({path.relative_to(folder).as_posix()})"
        for name in read_records(folder, read_recipes())
        for path in sorted((folder / name).glob("*.png"))
    ]
    parts = {"table": results_table(folder), "pictures": "\n\n".join(pictures).splitlines()}
    return refresh(folder / "README.md", parts, NEW_PAGE)


def write_front(page=None):
    """Write the table of the lessons into README."""
    return refresh(README if page is None else page, {"lessons": front_table()}, place("lessons"))


def read_record(folder, recipes):
    """The settings and the result of a finished run in one dict; None if the folder holds no finished run.

    Two entries are added: the `figures` to show, and the `published_minutes`. If the run is on MNIST and its folder is
    named after a recipe of its lesson, they are those of the recipe. Any other run shows the figures of its lesson
    without published values. A UserError says that a file is damaged.
    """
    try:
        settings = read_settings(folder)
        result = read_result(folder)
    except FileNotFoundError:
        return None
    lesson, recipe = settings["lesson"], recipes.get(folder.name)
    if recipe is not None and recipe.lesson == lesson and settings["dataset"]["name"] == "MNIST":
        figures, minutes = recipe.figures, sum(recipe.published_minutes)
    else:
        first = first_row(lesson, recipes)
        figures, minutes = unpublished(first.figures) if first else [], 0
    return {**settings, **result, "figures": figures, "published_minutes": minutes}


def read_records(folder, recipes):
    """{name: record} of the finished runs in a folder of runs, in the order of the recipes."""
    records = {path.name: record for path in Path(folder).glob("*/") if (record := read_record(path, recipes))}
    lessons, names = [recipe.lesson for recipe in recipes.values()], list(recipes)

    def order(name):
        lesson = records[name]["lesson"]
        first = lessons.index(lesson) if lesson in lessons else len(lessons)
        return first, lesson, names.index(name) if name in names else len(names), name

    return {name: records[name] for name in sorted(records, key=order)}


def by_lesson(records):
    """{lesson: {name: record}}, from records in the order of the lessons."""
    groups = itertools.groupby(records.items(), key=lambda item: item[1]["lesson"])
    return {lesson: dict(runs) for lesson, runs in groups}


def front_table(folder=RESULTS, recipes=None):
    """The lines of a Markdown table, and of the notes below it. Each lesson has a line that links to its file.

    The figures are those of the published recipe. If it was run with several seeds, they are the means.
    """
    recipes = read_recipes() if recipes is None else recipes
    groups = by_lesson(read_records(folder, recipes))
    lines = ["| lesson | figures | published | reproduced |", "|---|---|---|---|"]
    for lesson in dict.fromkeys(recipe.lesson for recipe in recipes.values()):
        first = first_row(lesson, recipes)
        runs = by_all_but_the_seed(groups.get(lesson, {})).get(first.name, [])
        runs = [run for run in runs if run["dataset"]["name"] == "MNIST"]
        columns = [(figure.heading, figure.target, mean_of(figure, runs)) for figure in first.figures]
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


def by_all_but_the_seed(runs):
    """{name of the first: records} of a lesson's runs, {name: record}, in groups that differ only in their seeds."""
    groups = {}
    for name, record in runs.items():
        alike = (first for first in groups if same_but_for_seed(record, runs[first]))
        groups.setdefault(next(alike, name), []).append(record)
    return groups


def results_table(folder=RESULTS, recipes=None):
    """The lines of Markdown tables, and of the notes below them. Each finished run in a folder of runs has a line.

    Published figures stand only beside a run on MNIST whose folder is named after its recipe. Runs that differ only in
    their seeds have one more line: the mean and the sample standard deviation. A figure that is worse than the
    published one is marked. Lessons with the same figures share a table.
    """
    recipes = read_recipes() if recipes is None else recipes
    records = read_records(folder, recipes)
    layout = columns_of(recipes)
    lines, columns, judgements = [], None, []
    for lesson, runs in by_lesson(records).items():
        if columns is None or layout.get(lesson, columns) != columns:
            columns = layout.get(lesson, [])
            lines += ["", *head(columns)] if lines else head(columns)
        lines += [line(name, [record], record, columns) for name, record in runs.items()]
        for name, seeds in by_all_but_the_seed(runs).items():
            base = seeds[0]
            fields = [*(figure.field for figure in base["figures"]), "epochs"]
            if len(seeds) > 1 and all(field in record for record in seeds for field in fields):
                lines.append(line(f"{name}, {len(seeds)} seeds", seeds, base, columns))
                if len(seeds) > 2:
                    judgements += judgement(lesson, seeds, base["figures"])
    notes = [recipe.note for recipe in recipes.values() if recipe.note and recipe.name in records]
    lines = lines or head([])
    return with_notes(lines, [*notes, *judgements, *published_machines(records, recipes), *circumstances(records)])


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


def line(name, runs, base, columns):
    """The line of one run, or of several that differ in their seeds. `base` is the one with the published figures."""
    cells = {}
    for figure in base["figures"]:
        values = figure.values(runs)
        text = figure.marked(statistics.mean(values), summed_up(values, figure.digits)) if values else "–"
        cells[figure.heading] = figure.target, text
    minutes = [sum(run["seconds"].values()) / 60 for run in runs]
    is_short = len(runs) == 1 and minutes[0] < 0.05
    return row(
        name,
        base["dataset"]["name"],
        *itertools.chain(*(cells.get(column, ("–", "–")) for column in columns)),
        f"{base['published_minutes']:.0f}" if base["published_minutes"] else "–",
        "< 0.1" if is_short else summed_up(minutes, 1),
        summed_up([run["epochs"] for run in runs if "epochs" in run], 0),
        base["settings"].get("seed", "–") if len(runs) == 1 else "–",
    )


def summed_up(values, digits):
    """A value; or the mean and the sample standard deviation of several; or a dash if there is none."""
    numbers = [statistics.mean(values), statistics.stdev(values)] if len(values) > 1 else values
    return " ± ".join(f"{number:.{digits}f}" for number in numbers) or "–"


def row(*cells):
    return f"| {' | '.join(shown(cell, width=300) for cell in cells)} |"


def judgement(lesson, records, figures):
    """Sentences that say how likely the published figures are as one more draw from the spread of these runs."""
    for figure in figures:
        values = figure.values(records)
        mean, deviation, n = statistics.mean(values), statistics.stdev(values), len(values)
        if figure.published is not None and deviation > 0:
            distance = abs(float(figure.target) - mean) / (deviation * math.sqrt(1 + 1 / n))
            yield (
                f"{lesson}, {figure.name}: if the published {figure.target} {figure.unit} is one more draw from the "
                f"normal distribution that these {n} seeds are drawn from, a draw at least as far from their mean, "
                f"{figure.spelled(mean)} {figure.unit}, has the probability {2 * stats.t.sf(distance, n - 1):.2f} "
                f"(Student's t, {n - 1} degrees of freedom)."
            )


def published_machines(records, recipes):
    """A line that says on which machines the published minutes were measured."""
    machines = [f"{name} on {recipes[name].published_on}" for name, run in records.items() if run["published_minutes"]]
    return [f"Published minutes: {'; '.join(machines)}."] if machines else []


def circumstances(records):
    """A line for each machine and set of versions that runs were made with."""
    groups = {}
    for name, record in records.items():
        groups.setdefault(circumstance(record), []).append(name)
    return [f"{', '.join(names)}: {text}." for text, names in groups.items()]


def circumstance(record):
    """The precision, rewrites, machine and versions of a run; for each of its parts, if it went on under others."""
    texts = []
    for part in record["parts"]:
        machine, versions = part["machine"], part["versions"]
        begin = f"from its epoch {part['epochs'] + 1} on, counted over all phases" if texts else record["floatX"]
        threads = f"{machine['threads']} thread{'' if machine['threads'] == '1' else 's'}"
        texts.append(
            f"{begin}, {in_words(part['rewrites'])}, {threads} of "
            f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
        )
        texts.append(", ".join(f"{name} {versions[key]}" for key, name in VERSIONS.items()))
    return "; ".join(texts)


def in_words(names):
    """Which of today's graph rewrites a run was made with."""
    if not names:
        return "without the graph rewrites"
    others = [name for name in rewrites.NAMES if name not in names]
    return f"with the graph rewrites{' but ' if others else ''}{', '.join(others)}"


def same_but_for_seed(record, other):
    """Whether two runs have the same data and settings, except the seed. An option that is None counts as not given."""
    settings = [{**each["settings"], **each["dataset"], "seed": None} for each in (record, other)]
    one, other = ({name: value for name, value in each.items() if value is not None} for each in settings)
    return one == other
