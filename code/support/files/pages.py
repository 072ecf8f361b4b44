"""Markdown pages in which a person writes the text, and a program the tables."""

import re

from support.errors import UserError
from support.files.replacing import replacing

BEGIN, END = "<!-- {}: made by a program, up to its end -->", "<!-- end of {} -->"


def place(name):
    """Where a part of a page belongs: two lines, between which a program writes."""
    return f"{BEGIN.format(name)}\n{END.format(name)}\n"


def refresh(page, parts, new_page):
    """Write parts of a page, each into its place; the text around them stays.

    Parameters
    ----------
    page : Path
    parts : dict
        {name: list of lines}.
    new_page : str
        What the page is, with its places, where there is none yet.

    Returns
    -------
    Path
        The page's.

    Raises
    ------
    UserError
        Where the page has no place for one of the parts.
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
