"""Markdown pages in which a person writes the text, and a program the tables."""

import re

from support.errors import UserError
from support.files import replacing

BEGIN, END = "<!-- {}: made by a program, up to its end -->", "<!-- end of {} -->"


def place(name):
    """The place of a part in a page: two lines. A program writes between them."""
    return f"{BEGIN.format(name)}\n{END.format(name)}\n"


def refresh(page, parts, new_page):
    """Write parts of a page into their places. The text around the places stays as it is.

    Parameters
    ----------
    page : Path
    parts : dict
        {name: list of lines}.
    new_page : str
        The text to begin with, with its places, if the page does not exist yet.

    Returns
    -------
    Path
        The path of the page. A UserError says that the page has no place for one of the parts.
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
