"""The values that a driver's arguments may have. The driver's docstring states them, and a run begins by a check.

The "Parameters" section of the docstring gives each argument a kind and, if it has one, a range:

    learning_rate : float, at least 0
    sparsity_target : float, in (0, 1)
    hidden_layers_sizes : list of int, at least 1

The kinds are float, int, bool, path, and lists of float or int. The ranges are "at least A", "above A" and intervals; a
square bracket includes the end. An argument whose default is None may be None. `COMMON` explains the arguments that
every lesson has, so a driver need not explain them again.
"""

import ast
import functools
import hashlib
import inspect
import json
import os
import re
from numbers import Integral, Real
from pathlib import Path

from support.start import ROOT, UserError

import numpy as np
import pytensor

CODE = {}  # {lesson: `digests` of its code when it was imported}

COMMON = """
dataset : path
    mnist.pkl.gz or mnist; digits (drawn, not downloaded); or your own: an .npz file of x and y, or a pickle of
    ((x, y), (x, y), (x, y)).
batch_size : int, at least 1
    Examples in a minibatch. If the size of a set is not a multiple of it, the last examples are left out.
seed : int, in [0, 2**32)
    Seed of the initial weights and of all other random numbers.
output_folder : path
    The folder for the run's files (default: runs/ at the top of the repository, and in it the lesson's name).
fresh : bool
    Start over, even if the folder holds a run. The files of that run are kept in a folder inside.
show_graph : bool
    Train nothing. Write the graph of a training step, as built and as it runs, to graphs/ in the run's folder.
"""
KINDS = {  # the type, the types of Python that may be given, and the kind in words
    "float": (float, Real, "number"),
    "int": (int, Integral, "whole number"),
    "bool": (bool, (bool, np.bool_), "truth value"),
    "path": (str, (str, os.PathLike), "path"),
}


class Parameter:
    """An argument of a driver, as its docstring explains it.

    `kind` is the kind and the range, such as "list of float, in [0, 1)". If `default` is None, it is an allowed value.
    """

    def __init__(self, kind, description, default=None):
        self.description, self.default = description, default
        kind, _, self.range = kind.partition(", ")
        self.is_list = kind.startswith("list of ")
        self.type, self.allowed, self.word = KINDS[kind.removeprefix("list of ")]
        interval = re.sub("^at least (.*)", r"in [\1, inf)", re.sub("^above (.*)", r"in (\1, inf)", self.range))
        parts = re.fullmatch(r"in ([\[(])(\S+), (\S+)([\])])", interval or "in (-inf, inf)")
        self.opening, self.low, self.high, self.closing = parts[1], _number(parts[2]), _number(parts[3]), parts[4]

    @property
    def requirement(self):
        """The kind and the range of a value, in words."""
        kind = f"one or more {self.word}s" if self.is_list else f"a {self.word}"
        return f"{kind} {self.range.replace('at least', 'of at least')}".strip()

    def plain(self, value):
        """The value in the plain types that JSON can hold. A ValueError says that it is not allowed."""
        if value is None and self.default is None:
            return None
        if not self.is_list:
            return self._plain_item(value)
        if not isinstance(value, (list, tuple, np.ndarray)) or len(value) == 0:
            raise ValueError
        return [self._plain_item(item) for item in value]

    def _plain_item(self, value):
        is_truth = isinstance(value, (bool, np.bool_))
        if not isinstance(value, self.allowed) or is_truth and self.type is not bool:
            raise ValueError
        if self.type is str:
            return os.fspath(value)
        value = self.type(value)
        is_above = value >= self.low if self.opening == "[" else value > self.low
        is_below = value <= self.high if self.closing == "]" else value < self.high
        if not (is_above and is_below):  # so NaN is refused, and infinity
            raise ValueError
        return value


def _number(text):
    base, _, exponent = text.partition("**")
    return float(base) ** float(exponent or 1)


@functools.cache
def parameters(driver):
    """{name: Parameter} for the arguments of a driver, in their order. Its docstring and `COMMON` explain them.

    A UserError says which argument is not explained, or not in a way that can be read, and shows what to write.
    """
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", inspect.getdoc(driver) or "", re.DOTALL)
    text = COMMON + (section[1] if section else "")
    entries = re.findall(r"^(\w+) : (.*)\n((?:    .*\n?)+)", text, re.MULTILINE)
    documented = {name: (kind, " ".join(lines.split())) for name, kind, lines in entries}
    found = {}
    for name, parameter in inspect.signature(driver).parameters.items():
        default = None if parameter.default is parameter.empty else parameter.default
        try:
            found[name] = Parameter(*documented[name], default)
        except (KeyError, TypeError, ValueError):
            kind = {bool: "bool", int: "int, at least 0", float: "float, at least 0", list: "list of int, at least 1"}
            wanted = f"'{name} : {kind.get(type(default), 'path')}', and below it a line that explains it"
            fault = f"has {documented[name][0]!r} as its kind" if name in documented else "is not in its docstring"
            raise UserError(
                f"the argument {name} of {driver.__name__} {fault}: write, below Parameters there, {wanted}"
            ) from None
    return found


def digests(path):
    """{name: digest} of a lesson's code, and of the lessons that it imports, directly or not.

    Comments, docstrings and layout do not count, and the version of Python does not either.
    """
    found, left = {}, [Path(path)]
    while left:
        path = left.pop()
        if path.stem not in found and path.is_file():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found[path.stem] = hashlib.sha256(json.dumps(_plain(tree)).encode()).hexdigest()[:16]
            for node in ast.walk(tree):
                names = [node.module] if isinstance(node, ast.ImportFrom) else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                left += [folder / f"{name}.py" for name in names for folder in (ROOT / "code", path.parent)]
    return dict(sorted(found.items()))


def _plain(node):
    """A syntax tree as lists and texts, without statements that are only a text, such as docstrings."""
    if isinstance(node, list):
        is_text = [isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in node]
        return [_plain(each) for each, left_out in zip(node, is_text) if not left_out]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    return [type(node).__name__, *([name, _plain(value)] for name, value in fields if name != "kind")]


def checked(driver):
    """Decorate a driver, so that it gets checked arguments in plain types: NumPy's scalars become Python's numbers."""
    path = Path(inspect.getsourcefile(driver) or driver.__code__.co_filename)
    CODE[path.stem] = digests(path)  # now: the file may be edited while the process runs what it has imported

    @functools.wraps(driver)
    def call(*arguments, **named):
        bound = inspect.signature(driver).bind(*arguments, **named)
        bound.apply_defaults()
        if pytensor.config.floatX not in ("float32", "float64"):
            raise UserError(f"floatX must be float32 or float64, not {pytensor.config.floatX}: see PYTENSOR_FLAGS")
        return driver(**check_settings(driver, bound.arguments))

    call.__test__ = False  # the names of the drivers begin with test_, but pytest does not collect them
    return call


def check_settings(driver, arguments):
    """The arguments of a driver in plain types. Names that it does not know are left out.

    A UserError says which argument cannot be used, what its value is and what it must be.
    """
    settings = {}
    for name, parameter in parameters(driver).items():
        if name in arguments:
            try:
                settings[name] = parameter.plain(arguments[name])
            except (ValueError, OverflowError):
                raise UserError(f"{name} must be {parameter.requirement}, not {arguments[name]!r}") from None
    return settings
