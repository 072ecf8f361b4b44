"""The pages that compare published and reproduced figures. A person writes their text, a program their tables."""

import re
import subprocess
import sys
from pathlib import Path

from support.files import replacing
from support.report.recipes import RESULTS, read_recipes
from support.report.tables import front_table, read_record, read_records, results_table
from support.start import ROOT, UserError

README = ROOT / "README.md"
BEGIN, END = "<!-- {}: made by a program, up to its end -->", "<!-- end of {} -->"


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
        for runs in read_records(folder, read_recipes()).values()
        for name in runs
        for path in sorted((folder / name).glob("*.png"))
    ]
    parts = {"table": results_table(folder), "pictures": "\n\n".join(pictures).splitlines()}
    new_page = f"# Published and reproduced\n\n{place('table')}\n{place('pictures')}"
    return refresh(folder / "README.md", parts, new_page)


def write_front(page=None):
    """Write the table of the lessons into README."""
    return refresh(page or README, {"lessons": front_table()}, place("lessons"))


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
        begin, end = BEGIN.format(name), END.format(name)
        found = re.compile(f"^{re.escape(begin)}\n(.*\n)??{re.escape(end)}$", re.DOTALL | re.MULTILINE)
        part = "\n".join([begin, "", *lines, "", end])
        text, times = found.subn(lambda _, part=part: part, text)
        if not times:
            raise UserError(f"{page} has no place for its {name}: move the page away, or add the lines {begin} {end}")
    with replacing(page) as file:
        file.write(text.encode())
    return page
