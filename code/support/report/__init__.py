"""The pages that compare published and reproduced figures. A person writes their text, a program their tables."""

import re
import subprocess
import sys
from pathlib import Path

from support.files import replacing
from support.pictures import caption_of
from support.report.recipes import RESULTS, read_recipes
from support.report.tables import front_table, read_records, results_table
from support.start import ROOT, UserError

README = ROOT / "README.md"
BEGIN, END = "<!-- {}: made by a program, up to its end -->", "<!-- end of {} -->"


def reproduce(folder=RESULTS):
    """Make the runs of the recipes that a folder of runs lacks, one after the other, and write the folder's page.

    If it is the folder of the recorded results, the table in README is written, too. The path of the page is returned.
    A UserError says that a run has failed. The next call goes on with that run.
    """
    folder, lessons = Path(folder), read_recipes()
    finished = {name for runs in read_records(folder, lessons).values() for name in runs}
    for lesson in lessons.values():
        for name, options in lesson.runs.items():
            if name not in finished:
                script = ROOT / "code" / f"{lesson.name}.py"
                command = [sys.executable, str(script), *options, "--output-folder", str(folder / name)]
                if (status := subprocess.run(command).returncode) != 0:
                    raise UserError(f"{name} ended with status {status}: the same command goes on with it")
    if folder.resolve() == RESULTS:
        refresh(README, {"lessons": front_table()}, place("lessons"))
    return write_page(folder)


def write_page(folder=RESULTS):
    """Write the tables and the pictures of a folder of runs into its README.md. The text around them stays."""
    folder, lessons, pictures = Path(folder), read_recipes(), []
    for name, runs in read_records(folder, lessons).items():
        title = lessons[name].title if name in lessons else name
        pictures += [f"### {title}", "", *picture_lines(folder, runs), ""]
    parts = {"table": results_table(folder), "pictures": pictures[:-1]}
    return refresh(folder / "README.md", parts, f"# Published and reproduced\n\n{place('table')}\n{place('pictures')}")


def picture_lines(folder, runs, *others):
    """The Markdown of other pictures and those of some runs: each figure once, and links to it in further runs."""
    figures, lines = {}, []
    for path in [*others, *(path for name in runs for path in sorted((folder / name).glob("*.png")))]:
        figures.setdefault(path.name, []).append(path)
    for paths in figures.values():
        first, *further = [path.relative_to(folder).as_posix() for path in paths]
        words = first.removesuffix(".png").replace("/", ": ").replace("_", " ")
        caption = re.sub(r"([\\`*_<\[\]])", r"\\\1", caption_of(paths[0]) or f"{words}.")
        links = ", ".join(f"[{path.partition('/')[0]}]({path})" for path in further)
        lines += ["", f"![{words}]({first})<br>", caption + f" Other runs: {links}." * bool(further)]
    return lines[1:]


def place(name):
    """The place of a part in a page: two lines. A program writes between them."""
    return f"{BEGIN.format(name)}\n{END.format(name)}\n"


def refresh(page, parts, new_page):
    """Write parts of a page, {name: list of lines}, into their places. The text around the places stays as it is.

    `new_page` is the text to begin with, if the page does not exist yet. The path of the page is returned. A UserError
    says that the page has no place for one of the parts.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else new_page
    for name, lines in parts.items():
        begin, end = place(name).splitlines()
        found = re.compile(f"^{re.escape(begin)}\n(.*\n)??{re.escape(end)}$", re.DOTALL | re.MULTILINE)
        part = "\n".join([begin, "", *lines, "", end])
        text, times = found.subn(lambda _, part=part: part, text)
        if not times:
            raise UserError(f"{page} has no place for its {name}: move the page away, or add the lines {begin} {end}")
    with replacing(page) as file:
        file.write(text.encode())
    return page
