"""The table data/results/recipes.toml: for each lesson its recorded runs, their options and the published figures."""

import statistics
import tomllib
from dataclasses import dataclass, field

from support.files import LIMIT, damaged, file_name
from support.start import ROOT

RESULTS = ROOT / "data" / "results"
RECIPES = RESULTS / "recipes.toml"


@dataclass(frozen=True)
class Figure:
    """One number of a run's result.json that the tables show. The top of the table of recipes explains the fields."""

    field: str
    name: str
    unit: str
    digits: int
    lower_is_better: bool
    published: float | None = None

    def __post_init__(self):
        spelled([self.published or 0.0], self.digits)  # raises an exception if the value or the digits are no numbers

    @property
    def heading(self):
        return f"{self.name} {self.unit}".strip()

    def cells(self, runs, is_published=True, spread=True):
        """The published value of this figure and that of some runs, in the unit, as the tables show them.

        Several runs have their mean, and with `spread` the standard deviation, too. A mark is added if the value is
        worse than the published one, at the digits shown. A dash stands for a value that a run lacks, or nobody has
        published.
        """
        values = [run[self.field] * (100 if self.unit == "%" else 1) for run in runs if self.field in run]
        known = [self.published] if is_published and self.published is not None else []
        if not runs or len(values) < len(runs):
            return spelled(known, self.digits), "–"
        mean = statistics.mean(values)
        above = round(mean, self.digits) - round(known[0], self.digits) if known else 0
        mark = " ▲" if above > 0 and self.lower_is_better else " ▼" if above < 0 and not self.lower_is_better else ""
        return spelled(known, self.digits), spelled(values if spread else [mean], self.digits) + mark


def spelled(values, digits):
    """A value; or the mean and the sample standard deviation of several; or a dash if there is none."""
    numbers = [statistics.mean(values), statistics.stdev(values)] if len(values) > 1 else values
    return " ± ".join(f"{number:.{digits}f}" for number in numbers) or "–"


@dataclass(frozen=True)
class Lesson:
    """A lesson in the table. `runs` is {folder: options} of its rows; the first one is the published recipe."""

    name: str
    figures: tuple = ()
    title: str = ""
    published_minutes: tuple = ()
    published_on: str = ""
    note: str = ""
    runs: dict = field(default_factory=dict)

    def __post_init__(self):
        sum(self.published_minutes), "".join((self.title, self.published_on, self.note))  # raise a TypeError

    def is_published(self, runs):
        """Whether the first of some runs, {name: record}, is one of the published recipe on MNIST."""
        name, record = next(iter(runs.items()))
        return [name] == list(self.runs)[:1] and record["dataset"]["name"] == "MNIST"


def read_recipes(path=None):
    """{name: Lesson} from the table, in its order; by default that in data/results. A UserError says what is wrong."""
    path, lessons = path or RECIPES, {}
    with damaged(path, "the top of the table explains its fields"):
        with open(path, "rb") as file:
            rows = tomllib.loads(file.read(LIMIT).decode())["run"]
        for place, row in enumerate(rows, 1):
            try:
                add_row(lessons, **row)
            except (TypeError, ValueError) as error:  # such as: an unexpected argument 'publshed'
                raise ValueError(f"row {place}: {error}") from error
    return lessons


def add_row(lessons, name, lesson, options=(), figures=(), **about):
    if any(name in each.runs for each in lessons.values()):
        raise ValueError(f"another row is named {name!r}, too")
    if lesson in lessons and (figures or about):
        raise ValueError(f"only the first row of {lesson} has figures, title, published minutes and note")
    "".join(options)  # raises a TypeError if one of them is no text
    new = Lesson(file_name(lesson), tuple(Figure(**figure) for figure in figures), **about)
    lessons.setdefault(lesson, new).runs[file_name(name)] = options
