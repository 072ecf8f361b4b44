"""Pages for the browser, one a lesson, made from the lessons' files and from the records of their runs.

Each section of a lesson's docstring stands beside the code that it explains. Below them are the graphs of a step of
training, the recorded runs with their pictures, and the exercises with folded answers. The pages have no script, and
load nothing from elsewhere.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template

from support.console import say
from support.data.digits import make_digits
from support.files import replacing
from support.pages.markup import blocks, coloured, colours, inline, preformatted
from support.pages.source import Source
from support.report import picture_lines
from support.report.recipes import RESULTS, Lesson, read_recipes
from support.report.tables import front_table, lesson_table, read_records, row
from support.runs.records import read_curve
from support.start import ROOT

import numpy as np

ANSWERS = ROOT / "tests" / "exercises"
TEMPLATE = Path(__file__).with_name("page.html")
FEW = 600, 600, 600  # digits to train, validate and test; no lesson has larger minibatches


def write_pages(folder=ROOT / "runs" / "pages", code=ROOT / "code", results=RESULTS, with_graphs=True):
    """Write a page for each program in `code`, and an index, into a folder. The path of the index is returned.

    `results` is the folder of the recorded runs. For the graphs each lesson is run, without training. This takes about
    a minute, and is done again when some code has changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = [source for source in map(Source, sorted(code.glob("*.py"))) if source.is_program]
    sources.sort(key=lambda source: (source.number is None, source.number))
    pages = Pages(folder, results, [source.name for source in sources])
    for before, source, after in zip([None, *sources], sources, [*sources[1:], None]):
        if with_graphs and source.number is not None:
            make_graphs(source.path, folder / source.name)
        neighbours = [(rel, each) for rel, each in (("prev", before), ("next", after)) if each]
        links = [f'<a rel="{rel}" href="{each.name}.html">{inline(each.title)}</a>' for rel, each in neighbours]
        pages.write(source.name, source.title, links, pages.lesson(source))
    lines = [*(f"- [{source.title}]({source.path.name})" for source in sources), ""]
    lines += ["## Published and reproduced", "", *front_table(results, pages.lessons)]
    return pages.write("index", "The lessons", [], [pages.text(lines)])


def make_graphs(lesson, folder):
    """Write the graphs of a lesson's steps to a folder, unless those in it are newer than all code.

    The data are a few digits: where a step takes the whole training set, thousands would take minutes.
    """
    newest = max(path.stat().st_mtime for path in lesson.parent.rglob("*.py"))
    if min((path.stat().st_mtime for path in folder.glob("graphs/*.html")), default=0) < newest:
        say(f"the graphs of {lesson.stem} ...")
        shutil.rmtree(folder / "graphs", ignore_errors=True)
        x, y = map(np.concatenate, zip(*make_digits(FEW)))
        np.savez(digits := folder.with_name("a_few_digits.npz"), x=x.reshape(-1, 28, 28), y=y, split=FEW)
        command = [sys.executable, lesson, "--show-graph", "--dataset", digits, "--output-folder", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            say(f"they are left out: {' '.join(done.stderr.splitlines()[-1:])}")


class Pages:
    """The pages in a folder. `results` is that of the recorded runs, `names` are those of the lessons' files."""

    def __init__(self, folder, results, names):
        self.folder, self.results, self.names, self.lessons = folder, results, names, read_recipes()
        self.records = read_records(results, self.lessons)

    def write(self, name, title, links, parts):
        fields = {"title": inline(title), "links": "\n".join(links), "main": "\n".join(parts), "colours": colours()}
        with replacing(self.folder / f"{name}.html") as file:
            file.write(Template(TEMPLATE.read_text(encoding="utf-8")).substitute(fields).encode())
        return self.folder / f"{name}.html"

    def link(self, target):
        """The address in a page of the target of a Markdown link; None if the pages lack it. Pictures are copied."""
        path, copy = self.results / target, self.folder / target
        if path.suffix == ".py":
            return f"{path.stem}.html" if path.stem in self.names else None
        if path.suffix == ".png":
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        return target if target.startswith("https://") or copy.exists() else None

    def text(self, lines):
        return blocks("\n".join(lines), self.link)

    def lesson(self, source):
        """The parts of a page: texts beside their code, graphs and records, exercises."""
        lines = coloured(source.code)
        for text, numbers in source.rows:
            where = f"code/{source.path.name}, from line {numbers[0]}"
            code = preformatted(lines[number - 1] for number in numbers)
            if text.strip():
                yield f'<section class="row"><div>{self.text([text])}</div>'
                yield f'<div><p class="where">{where}</p>{code}</div></section>'
            else:
                yield f"<details><summary>{where}</summary>{code}</details>"
        yield self.text(self.recorded(source))
        yield from self.exercises(source)

    def recorded(self, source):
        """The Markdown of the graphs of a lesson's steps, and of its recorded runs: tables and pictures."""
        if graphs := sorted(self.folder.glob(f"{source.name}/graphs/*.html")):
            yield from ["## The graph of a step", ""]
            yield from [f"- [{path.stem.replace('_', ' ')}]({source.name}/graphs/{path.name})" for path in graphs]
        if runs := self.records.get(source.name):
            first, record = next(iter(runs.items()))
            table = lesson_table(self.lessons.get(source.name, Lesson(source.name)), runs)
            yield from ["", "## The recorded runs", "", *table, ""]
            yield from picture_lines(self.results, runs, *self.results.glob(f"{source.name}.png"))
            settings = ", ".join(f"`{name} = {value}`" for name, value in record["settings"].items())
            about = f"The run {first} with {settings}: the last epoch of each stage, and some before it."
            yield from ["", "## From epoch to epoch", "", about, "", *some_lines(read_curve(self.results / first))]

    def exercises(self, source):
        """The questions at the foot of a lesson, each with its answer folded."""
        path = ANSWERS / f"{source.name}.md"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        about, *questions = re.split(r"^(\d+)\. ", source.exercises, flags=re.MULTILINE)
        head, *answers = re.split(r"^## (\d+)\. .*\n", text, flags=re.MULTILINE)
        answers = dict(zip(answers[::2], answers[1::2]))
        if questions:
            yield from ["<h2>Exercises</h2>", self.text([about])]
            if answers:
                about = self.text(head.splitlines()[1:])
                yield from ["<details><summary>About the answers</summary>", about, "</details>"]
            yield "<ol>"
        for number, question in zip(questions[::2], questions[1::2]):
            yield f'<li value="{number}">{self.text([question])}'
            if answer := answers.get(number):
                solutions = [ANSWERS / path for path in re.findall(r"\]\((solutions/\w+\.py)\)", answer)]
                code = [preformatted(coloured(path.read_text(encoding="utf-8"))) for path in solutions]
                yield from ["<details><summary>Answer</summary>", self.text([answer]), *code, "</details>"]
            yield "</li>"
        yield "</ol>" * bool(questions)


def some_lines(curve):
    """Lines of a curve as a Markdown table: of each stage the last one, and those of the epochs 1, 2, 5, 10, 20 ..."""
    names = list(dict.fromkeys(name for line in curve for name in line))
    yield from [row(*names), "|---" * len(names) + "|"]
    for line, following in zip(curve, [*curve[1:], {"epoch": 0}]):
        if following["epoch"] <= line["epoch"] or re.fullmatch("0|[125]0*", str(line["epoch"])):
            yield row(*(f"{line[name]:.5g}" if name in line else "" for name in names))
