"""The table data/results/recipes.toml: for each recorded run its lesson, its options and the published figures."""

import tomllib
from dataclasses import dataclass, replace

from support.files import LIMIT, count, damaged, exactly, file_name, number
from support.start import ROOT

RESULTS = ROOT / "data" / "results"
RECIPES = RESULTS / "recipes.toml"


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

    def __post_init__(self):
        exactly(self.field, str), exactly(self.name, str), exactly(self.unit, str), exactly(self.lower_is_better, bool)
        if count(self.digits) > 12:
            raise ValueError(f"{self.digits} digits are too many")
        if self.published is not None:
            number(self.published)

    def values(self, runs):
        """The numbers, in the unit, of those runs that have this figure."""
        return [run[self.field] * (100 if self.unit == "%" else 1) for run in runs if self.field in run]

    def spelled(self, value):
        """A value in the unit, with the digits that are shown; None as a dash."""
        return "–" if value is None else f"{value:.{self.digits}f}"

    @property
    def heading(self):
        return f"{self.name} {self.unit}".strip()

    def marked(self, value, text):
        """The text for a value. A mark is added if the value is worse than the published one, at the digits shown."""
        above = 0 if self.published is None else float(self.spelled(value)) - float(self.spelled(self.published))
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

    def __post_init__(self):
        file_name(self.name), file_name(self.lesson)
        for text in (self.title, self.published_on, self.note, *self.options):
            exactly(text, str)
        for minutes in self.published_minutes:
            number(minutes)


def read_recipes(path=None):
    """{name: Recipe} for the rows of the table, in their order; by default those of the table in data/results.

    A row without figures has those of its lesson's first row, without published values. A UserError says that the
    table is wrong.
    """
    path, recipes = path or RECIPES, {}
    with damaged(path, "the top of the table explains its fields"):
        with open(path, "rb") as file:
            rows = tomllib.loads(file.read(LIMIT).decode())["run"]
        for place, row in enumerate(rows, 1):
            try:
                figures = [Figure(**figure) for figure in row.get("figures", ())]
                recipe = Recipe(**{**row, "figures": figures})
            except (TypeError, ValueError) as error:  # such as: an unexpected argument 'publshed'
                raise ValueError(f"row {place}: {error}") from error
            if recipe.name in recipes:
                raise ValueError(f"two rows are named {recipe.name!r}")
            first = first_row(recipe.lesson, recipes)
            recipes[recipe.name] = recipe if figures or not first else replace(recipe, figures=unpublished(first))
    return recipes


def first_row(lesson, recipes):
    """The first row of a lesson, which is its published recipe; None if the table has no row of the lesson."""
    return next((recipe for recipe in recipes.values() if recipe.lesson == lesson), None)


def unpublished(recipe):
    """The figures of a recipe without their published values; none without a recipe."""
    return [replace(figure, published=None) for figure in (recipe.figures if recipe else ())]
