"""The table of recorded runs, data/results/recipes.toml: lesson, options, and what is published of each."""

import re
from dataclasses import dataclass, replace

from support.environment import ROOT
from support.errors import UserError
from support.files.forms import is_count, is_number, read_toml, shown

RESULTS = ROOT / "data" / "results"
RECIPES = RESULTS / "recipes.toml"
WORSE = {True: "▲", False: "▼"}  # where lower is better, and where it is not


@dataclass(frozen=True)
class Figure:
    """One number of a run's result.json that the tables show.

    Attributes
    ----------
    field : str, its name in result.json
    name : str, its name in words
    unit : str, where % shows 100 times the number
    digits : int, after the point
    lower_is_better : bool
    published : float, in the unit; None where nothing is published
    """

    field: str
    name: str
    unit: str
    digits: int
    lower_is_better: bool
    published: float | None = None

    def in_unit(self, number):
        return 100 * number if self.unit == "%" else number

    def spelled(self, value):
        """A value in the unit, at the digits that are shown."""
        return f"{value:.{self.digits}f}"

    @property
    def target(self):
        """The published value as it is shown."""
        return "–" if self.published is None else self.spelled(self.published)

    @property
    def heading(self):
        return f"{self.name} {self.unit}".strip()

    def marked(self, value, text):
        """The text that shows a value, with a mark where that is worse than the published one at the digits shown."""
        above = 0 if self.published is None else float(self.spelled(value)) - float(self.target)
        is_worse = above > 0 if self.lower_is_better else above < 0
        return f"{text} {WORSE[self.lower_is_better]}" if is_worse else text


@dataclass(frozen=True)
class Recipe:
    """A run that is recorded, or is to be: a row of the table, which explains the fields at its top."""

    name: str
    lesson: str
    options: tuple = ()
    title: str = ""
    figures: tuple = ()
    published_minutes: tuple = ()
    published_on: str = ""
    note: str = ""


def is_plain_name(value):
    """Whether a value can name a file without leaving its folder."""
    return isinstance(value, str) and re.fullmatch(r"\w[\w.-]*", value) is not None


FIGURE = {
    "field": str,
    "name": str,
    "unit": str,
    "digits": lambda value: is_count(value) and value <= 12,
    "lower_is_better": bool,
    "published?": is_number,
}
ROW = {
    "name": is_plain_name,
    "lesson": is_plain_name,
    "options?": [str],
    "title?": str,
    "figures?": [FIGURE],
    "published_minutes?": [is_number],
    "published_on?": str,
    "note?": str,
}


def read_recipes(path=None):
    """{name: Recipe} of the table's rows, in its order.

    Parameters
    ----------
    path : path-like, optional
        By default the table in data/results.

    Raises
    ------
    UserError
        Where the table is missing or wrong.
    """
    path = RECIPES if path is None else path
    recipes, first_rows = {}, {}
    try:
        for number, row in enumerate(read_toml(path, {"run": [ROW]})["run"], 1):
            check_names(row, ROW, number)
            for figure in row.get("figures", ()):
                check_names(figure, FIGURE, number)
            recipe = Recipe(**{**row, "figures": [Figure(**figure) for figure in row.get("figures", ())]})
            if recipe.name in recipes:
                raise ValueError(f"two rows are named {recipe.name!r}")
            first = first_rows.setdefault(recipe.lesson, recipe)
            if recipe is not first and not recipe.figures:
                recipe = replace(recipe, figures=unpublished(first.figures))
            recipes[recipe.name] = recipe
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is wrong: {shown(error)}") from error
    return recipes


def check_names(row, form, number):
    """See to it that no field of a row is misspelled: an optional one would be lost without a sign."""
    unknown = row.keys() - {name.removesuffix("?") for name in form}
    if unknown:
        raise ValueError(f"row {number} has a field {shown(min(unknown))!r}, which nothing reads")


def unpublished(figures):
    """The same figures without their published values."""
    return [replace(figure, published=None) for figure in figures]
