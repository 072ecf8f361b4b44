"""The pages of published and reproduced figures, made from the records of runs and the table of recipes."""

import itertools
import math
import statistics
import subprocess
import sys
from pathlib import Path

from support.environment import ROOT
from support.errors import UserError
from support.files.forms import check_form, is_count, is_number, read_json, shown
from support.files.pages import place, refresh
from support.runs.recipes import RESULTS, WORSE, read_recipes, unpublished

from scipy import stats

README = ROOT / "README.md"
MARKS = {WORSE[True]: "above", WORSE[False]: "below"}
VERSIONS = {"python": "Python", "pytensor": "PyTensor", "numpy": "NumPy", "scipy": "SciPy", "numba": "Numba"}

NEW_PAGE = f"""\
# Published and reproduced

{place("table")}
{place("pictures")}"""


def reproduce(folder=RESULTS):
    """Run the recipes that have no record in a folder of runs, one after the other, then write its page.

    Where it is the folder of the recorded results, README's table is written, too.

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
    """Write the table and the pictures of a folder of runs into its README.md, which keeps the text around them."""
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


# What the tables use of the records; see `support.files.forms.check_form`.
PART = {
    "epochs": is_count,
    "rewrites": [str],
    "versions": dict.fromkeys(VERSIONS, str),
    "machine": {"processor": str, "cores": (is_count, None), "system": str, "threads": str},
}
SETTINGS = {
    "lesson": str,
    "dataset": {"name": str},
    "settings": {...: object},
    "floatX": str,
    "parts": lambda parts: parts != [] and check_form(parts, [PART], "parts") is None,
}
RESULT = {"seconds": {...: is_number}, "epochs?": is_count}


def read_record(folder, recipes):
    """The settings and the result of a finished run, merged; None where the folder holds none.

    Beside them stand the `figures` to show and the `published_minutes`. A run on MNIST has those of the row that its
    folder is named after. Another run shows the figures of its lesson, without published values.

    Raises
    ------
    UserError
        Where one of the files is damaged.
    """
    try:
        settings = read_json(folder / "settings.json", SETTINGS)
        lesson, row = settings["lesson"], recipes.get(folder.name)
        is_recipe = row is not None and row.lesson == lesson and settings["dataset"]["name"] == "MNIST"
        row = row if is_recipe else first_row(lesson, recipes)
        figures = row.figures if row else []
        result = read_json(folder / "result.json", RESULT | {f"{figure.field}?": is_number for figure in figures})
    except FileNotFoundError:
        return None
    minutes = sum(row.published_minutes) if is_recipe else 0
    return {
        **settings, **result, "figures": figures if is_recipe else unpublished(figures), "published_minutes": minutes
    }  # fmt: skip


def read_records(folder, recipes):
    """{name: record} of the finished runs in a folder of runs, in the order of the recipes."""
    records = {path.name: record for path in Path(folder).glob("*/") if (record := read_record(path, recipes))}
    lessons, names = [recipe.lesson for recipe in recipes.values()], list(recipes)

    def order(name):
        lesson = records[name]["lesson"]
        first = lessons.index(lesson) if lesson in lessons else len(lessons)
        return first, lesson, names.index(name) if name in names else len(names), name

    return {name: records[name] for name in sorted(records, key=order)}


def first_row(lesson, recipes):
    """The row of a lesson's published recipe; None where the table has no row of it."""
    return next((recipe for recipe in recipes.values() if recipe.lesson == lesson), None)


def by_lesson(records):
    """{lesson: {name: record}}, from records in the order of the lessons."""
    groups = itertools.groupby(records.items(), key=lambda item: item[1]["lesson"])
    return {lesson: dict(runs) for lesson, runs in groups}


def front_table(folder=RESULTS, recipes=None):
    """A Markdown table with a line for each lesson, which links to its file, and the notes below it.

    A figure is that of the published recipe or, where there are runs of it with several seeds, their mean.

    Returns
    -------
    list of str
    """
    recipes = read_recipes() if recipes is None else recipes
    groups = by_lesson(read_records(folder, recipes))
    lines = ["| lesson | figures | published | reproduced |", "|---|---|---|---|"]
    for lesson in dict.fromkeys(recipe.lesson for recipe in recipes.values()):
        first = first_row(lesson, recipes)
        runs = [run for run in published_runs(first, groups.get(lesson, {})) if run["dataset"]["name"] == "MNIST"]
        columns = [(figure.heading, figure.target, mean_of(figure, runs)) for figure in first.figures]
        named, published, reproduced = (", ".join(texts) for texts in zip(*columns)) if columns else "–––"
        seeds = f", means of {len(runs)} seeds" if columns and len(runs) > 1 else ""
        lines.append(row(f"[{first.title or lesson}](code/{lesson}.py)", named, published, reproduced + seeds))
    return with_notes(lines, [recipe.note for recipe in recipes.values() if recipe.note])


def mean_of(figure, runs):
    """The mean of a figure over some runs, as the tables show it; a dash where one of them, or all, have none."""
    if not runs or not all(figure.field in run for run in runs):
        return "–"
    mean = statistics.mean(figure.in_unit(run[figure.field]) for run in runs)
    return figure.marked(mean, figure.spelled(mean))


def published_runs(recipe, runs):
    """Of a lesson's runs, {name: record}, that of its published recipe and those that differ by their seed alone."""
    if recipe is None or recipe.name not in runs:
        return []
    return [record for record in runs.values() if same_but_for_seed(record, runs[recipe.name])]


def results_table(folder=RESULTS, recipes=None):
    """Markdown tables with a line for each finished run in a folder of runs, and what there is to say of them.

    Published figures stand only beside runs of the published recipe on MNIST, known by the name of the folder.
    Runs of that recipe with other seeds are summed up in a line of their own, as mean and sample standard deviation.
    A figure that is worse than the published one is marked. Lessons with the same figures share a table.

    Returns
    -------
    list of str
    """
    recipes = read_recipes() if recipes is None else recipes
    records = read_records(folder, recipes)
    layout = columns_of(recipes)
    lines, columns, judgements = [], None, []
    for lesson, runs in by_lesson(records).items():
        if columns is None or layout.get(lesson, columns) != columns:
            columns = layout.get(lesson, [])
            lines += ["", *head(columns)] if lines else head(columns)
        lines += [line(name, record, columns) for name, record in runs.items()]
        recipe = first_row(lesson, recipes)
        seeds = published_runs(recipe, runs)
        fields = [figure.field for figure in seeds[0]["figures"]] if seeds else []
        if len(seeds) > 1 and all(field in record for record in seeds for field in (*fields, "epochs")):
            base = runs[recipe.name]
            lines.append(spread(lesson, seeds, base, columns))
            if len(seeds) > 2:
                judgements += judgement(lesson, seeds, base["figures"])
    notes = [recipe.note for recipe in recipes.values() if recipe.note and recipe.name in records]
    lines = lines or head([])
    return with_notes(lines, [*notes, *judgements, *published_machines(records, recipes), *circumstances(records)])


def columns_of(recipes):
    """{lesson: headings of its table}: lessons share the table of the ones before them where that has their figures."""
    headings = {recipe.lesson: {} for recipe in recipes.values()}
    for recipe in recipes.values():
        headings[recipe.lesson] |= dict.fromkeys(figure.heading for figure in recipe.figures)
    columns, layout = [], {}
    for lesson, own in headings.items():
        columns = layout[lesson] = columns if own.keys() <= set(columns) else list(own)
    return layout


def with_notes(lines, notes):
    """Tables and the paragraphs below them, with the mark explained where it is used."""
    marks = [
        f"{mark} {side} the published figure." for mark, side in MARKS.items() if any(mark in text for text in lines)
    ]
    return lines + [text for note in (*marks, *notes) for text in ("", note)]


def head(columns):
    """The first two lines of a table of runs."""
    pairs = "".join(f" {column}, published | reproduced |" for column in [*columns, "minutes"])
    return [f"| run | data |{pairs} epochs | seed |", "|---" * (2 * len(columns) + 6) + "|"]


def line(name, record, columns):
    """The line of a run."""
    cells = {}
    for figure in record["figures"]:
        value = figure.in_unit(record[figure.field]) if figure.field in record else None
        text = "–" if value is None else figure.marked(value, figure.spelled(value))
        cells[figure.heading] = figure.target, text
    minutes = minutes_of(record)
    took = f"{minutes:.1f}" if minutes >= 0.05 else "< 0.1"
    return row(
        name, record["dataset"]["name"], *in_columns(cells, columns), published_minutes(record), took,
        record.get("epochs", "–"), record["settings"].get("seed", "–"),
    )  # fmt: skip


def spread(lesson, records, base, columns):
    """The line that sums up runs that differ in their seeds; `base` is that of the published seed."""
    cells = {}
    for figure in base["figures"]:
        values = [figure.in_unit(record[figure.field]) for record in records]
        text = mean_and_deviation(values, figure.digits)
        cells[figure.heading] = figure.target, figure.marked(statistics.mean(values), text)
    return row(
        f"{lesson}, {len(records)} seeds", base["dataset"]["name"], *in_columns(cells, columns),
        published_minutes(base), mean_and_deviation([minutes_of(record) for record in records], 1),
        mean_and_deviation([record["epochs"] for record in records], 0), "–",
    )  # fmt: skip


def in_columns(cells, columns):
    return itertools.chain(*(cells.get(column, ("–", "–")) for column in columns))


def row(*cells):
    return f"| {' | '.join(map(shown, cells))} |"


def judgement(lesson, records, figures):
    """How likely the published figures are, if they are one more draw from the spread of these runs."""
    for figure in figures:
        values = [figure.in_unit(record[figure.field]) for record in records]
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
    """A line for each machine and set of versions that the runs were made with."""
    groups = {}
    for name, record in records.items():
        groups.setdefault(circumstance(record), []).append(name)
    return [f"{', '.join(names)}: {text}." for text, names in groups.items()]


def circumstance(record):
    """With which arithmetic, machine and versions a run was made, part by part where it was continued elsewhere."""
    texts = [f"{record['floatX']}, {part_circumstance(record['parts'][0])}"]
    for part in record["parts"][1:]:
        texts.append(f"from its epoch {part['epochs'] + 1} on, counted over all phases, {part_circumstance(part)}")
    return "; ".join(texts)


def part_circumstance(part):
    """With which rewrites, machine and versions a part of a run was made."""
    machine, versions = part["machine"], part["versions"]
    threads = f"{machine['threads']} thread{'' if machine['threads'] == '1' else 's'}"
    return (
        f"{'with' if part['rewrites'] else 'without'} the graph rewrites, {threads} of {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}; "
        + ", ".join(f"{name} {versions[key]}" for key, name in VERSIONS.items())
    )


def same_but_for_seed(record, other):
    """Whether two runs have the same data and settings but for the seed; an option that is None is as good as none."""
    settings = [{**each["settings"], **each["dataset"], "seed": None} for each in (record, other)]
    one, other = ({name: value for name, value in each.items() if value is not None} for each in settings)
    return one == other


def minutes_of(record):
    return sum(record["seconds"].values()) / 60


def published_minutes(record):
    return f"{record['published_minutes']:.0f}" if record["published_minutes"] else "–"


def mean_and_deviation(values, digits):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"
