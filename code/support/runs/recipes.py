"""The table data/results/recipes.toml: for each recorded run its lesson, its options and the published figures."""

import re
from dataclasses import dataclass, replace

from support.environment import ROOT
from support.errors import UserError
from support.files.forms import is_count, is_number, read_toml, shown

RESULTS = ROOT / "data" / "results"
RECIPES = RESULTS / "recipes.toml"
MARKS = {"▲": "above", "▼": "below"}  # signs for a figure that is worse than the published one


@dataclass(frozen=True)
class Figure:
    """One number of a run's result.json that the tables show.

    Attributes
    ----------
    field : str, its name in result.json
    name : str, its name in words
    unit : str; with % the tables show 100 times the number
    digits : int, after the decimal point
    lower_is_better : bool
    published : float, in the unit; None if no value is published
    """

    field: str
    name: str
    unit: str
    digits: int
    lower_is_better: bool
    published: float | None = None

    def values(self, runs):
        """The numbers, in the unit, of those runs that have this figure."""
        return [run[self.field] * (100 if self.unit == "%" else 1) for run in runs if self.field in run]

    def spelled(self, value):
        """A value in the unit, with the digits that are shown."""
        return f"{value:.{self.digits}f}"

    @property
    def target(self):
        """The published value as the tables show it."""
        return "–" if self.published is None else self.spelled(self.published)

    @property
    def heading(self):
        return f"{self.name} {self.unit}".strip()

    def marked(self, value, text):
        """The text for a value. A mark is added if the value is worse than the published one, at the digits shown."""
        above = 0 if self.published is None else float(self.spelled(value)) - float(self.target)
        mark = "▲" if above > 0 and self.lower_is_better else "▼" if above < 0 and not self.lower_is_better else ""
        return f"{text} {mark}".rstrip()


@dataclass(frozen=True)
class Recipe:
    """A run that is recorded, or will be: a row of the table. The top of the table explains the fields."""

    name: str
    lesson: str
    options: tuple = ()
    title: str = ""
    figures: tuple = ()
    published_minutes: tuple = ()
    published_on: str = ""
    note: str = ""


def is_plain_name(value):
    """Whether a value can be the name of a file in a folder, and not a path to another place."""
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
    """{name: Recipe} for the rows of the table, in their order; by default those of the table in data/results.

    A row without figures has those of its lesson's first row, without published values. A UserError says that the
    table is missing or wrong.
    """
    path = RECIPES if path is None else path
    recipes = {}
    try:
        for number, row in enumerate(read_toml(path, {"run": [ROW]})["run"], 1):
            check_names(row, ROW, number)
            for figure in row.get("figures", ()):
                check_names(figure, FIGURE, number)
            recipe = Recipe(**{**row, "figures": [Figure(**figure) for figure in row.get("figures", ())]})
            if recipe.name in recipes:
                raise ValueError(f"two rows are named {recipe.name!r}")
            first = first_row(recipe.lesson, recipes)
            if first and not recipe.figures:
                recipe = replace(recipe, figures=unpublished(first.figures))
            recipes[recipe.name] = recipe
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is wrong: {shown(error)}") from error
    return recipes


def first_row(lesson, recipes):
    """The first row of a lesson, which is its published recipe; None if the table has no row of the lesson."""
    return next((recipe for recipe in recipes.values() if recipe.lesson == lesson), None)


def check_names(row, form, number):
    """Raise a ValueError if a row has an unknown field. A misspelled optional field would be ignored otherwise."""
    unknown = row.keys() - {name.removesuffix("?") for name in form}
    if unknown:
        raise ValueError(f"row {number} has a field {shown(min(unknown))!r}, which nothing reads")


def unpublished(figures):
    """The same figures without their published values."""
    return [replace(figure, published=None) for figure in figures]
