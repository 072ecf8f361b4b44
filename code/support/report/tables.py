"""The tables that compare published and reproduced figures. They are made from the records and the table of recipes."""

import json
from contextlib import suppress
from pathlib import Path

from support import rewrites
from support.files import shown
from support.report.recipes import RESULTS, Lesson, read_recipes, spelled
from support.runs.records import VERSIONS, read_result, read_settings

MARKS = {"▲": "above", "▼": "below"}  # signs for a figure that is worse than the published one


def read_records(folder, lessons):
    """{lesson: {name: record}} of the finished runs in a folder of runs, in the order of the recipes.

    A record has the contents of settings.json and result.json. A UserError says that one of them is damaged.
    """
    order = {name: place for place, name in enumerate(name for each in lessons.values() for name in each.runs)}
    records = {lesson: {} for lesson in lessons}
    for path in sorted(Path(folder).glob("*/"), key=lambda path: (order.get(path.name, len(order)), path.name)):
        with suppress(FileNotFoundError):  # a run that has not finished, or another folder
            record = {**read_settings(path), **read_result(path)}
            records.setdefault(record["lesson"], {})[path.name] = record
    return {lesson: runs for lesson, runs in records.items() if runs}


def by_all_but_the_seed(runs):
    """The runs of a lesson, {name: record}, in groups that differ only in their seeds: a list of such dicts.

    An option that is None counts as not given.
    """
    groups = {}
    for name, record in runs.items():
        settings = {**record["settings"], **record["dataset"], "seed": None}
        key = json.dumps({option: value for option, value in settings.items() if value is not None}, sort_keys=True)
        groups.setdefault(key, {})[name] = record
    return list(groups.values())


def front_table(folder=RESULTS, lessons=None):
    """The lines of a Markdown table, and of the notes below it. Each lesson has a line that links to its file.

    The figures are those of the published recipe. If it was run with several seeds, they are the means.
    """
    lessons = lessons or read_recipes()
    records = read_records(folder, lessons)
    lines = ["| lesson | figures | published | reproduced |", "|---|---|---|---|"]
    for name, lesson in lessons.items():
        groups = by_all_but_the_seed(records.get(name, {}))
        runs = next((list(group.values()) for group in groups if lesson.is_published(group)), [])
        columns = [(figure.heading, *figure.cells(runs, spread=False)) for figure in lesson.figures]
        named, published, reproduced = map(", ".join, zip(*columns)) if columns else "–––"
        seeds = f", means of {len(runs)} seeds" if columns and len(runs) > 1 else ""
        lines.append(row(f"[{lesson.title or name}](code/{name}.py)", named, published, reproduced + seeds))
    return with_notes(lines, *(lesson.note for lesson in lessons.values()))


def results_table(folder=RESULTS, lessons=None):
    """The lines of Markdown tables, one for each lesson with a finished run in a folder of runs, and of their notes."""
    lessons, lines = lessons or read_recipes(), []
    for name, runs in read_records(folder, lessons).items():
        lines += [""] * bool(lines) + lesson_table(lessons.get(name, Lesson(name)), runs)
    return lines or ["There is no finished run."]


def lesson_table(lesson, runs):
    """The table of a lesson's runs, {name: record}, and its notes. Each run has a line.

    Published figures stand only beside a run on MNIST whose folder is named after the lesson's first recipe. Runs that
    differ only in their seeds have one more line: the mean and the sample standard deviation. A figure that is worse
    than the published one is marked.
    """
    columns = [*(figure.heading for figure in lesson.figures), "minutes"]
    heads = [head for column in columns for head in (f"{column}, published", "reproduced")]
    lines = [row("run", "data", *heads, "epochs", "seed"), "|---" * (len(heads) + 4) + "|"]
    lines += [line(lesson, name, {name: record}) for name, record in runs.items()]
    seeds = [group for group in by_all_but_the_seed(runs) if len(group) > 1]
    lines += [line(lesson, f"{next(iter(group))}, {len(group)} seeds", group) for group in seeds]
    made_by = {}
    for name, record in runs.items():
        made_by.setdefault(circumstances(record), []).append(name)
    notes = [f"{', '.join(names)}: {how}." for how, names in made_by.items()]
    if lesson.published_on and lesson.is_published(runs):
        notes.insert(0, f"Published minutes: on {lesson.published_on}.")
    return with_notes(lines, lesson.note, *notes)


def with_notes(lines, *notes):
    """The lines of a table and the paragraphs below it. The marks that the table uses are explained first."""
    marks = [f"{mark} {side} the published figure." for mark, side in MARKS.items() if mark in "".join(lines)]
    return lines + [text for note in (*marks, *notes) if note for text in ("", note)]


def line(lesson, label, group):
    """The line of one run, or of several that differ in their seeds: {name: record}."""
    runs, is_published = list(group.values()), lesson.is_published(group)
    minutes = [sum(run["seconds"].values()) / 60 for run in runs]
    return row(
        label,
        runs[0]["dataset"]["name"],
        *(cell for figure in lesson.figures for cell in figure.cells(runs, is_published)),
        f"{sum(lesson.published_minutes):.0f}" if is_published and lesson.published_minutes else "–",
        "< 0.1" if len(runs) == 1 and minutes[0] < 0.05 else spelled(minutes, 1),
        spelled([run["epochs"] for run in runs if "epochs" in run], 0),
        runs[0]["settings"].get("seed", "–") if len(runs) == 1 else "–",
    )


def row(*cells):
    return f"| {' | '.join(shown(cell, width=300) for cell in cells)} |"


def circumstances(record):
    """The precision, rewrites, machine and versions that a run was made with, and those with which it went on."""
    texts = []
    for part in record["parts"]:
        machine, names = part["machine"], part["rewrites"]
        others = ", ".join(name for name in rewrites.NAMES if name not in names)
        texts.append(
            f"with{'' if names else 'out'} the graph rewrites{f' but {others}' if names and others else ''}, "
            f"{machine['threads']} thread{'s' * (machine['threads'] != '1')} of {machine['processor']}, "
            f"{machine['cores']} cores, {machine['system']}; "
            + ", ".join(f"{name} {part['versions'][key]}" for key, name in VERSIONS.items())
        )
    return f"{record['floatX']}, {'; later '.join(dict.fromkeys(texts))}"
