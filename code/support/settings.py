"""The values that a driver's arguments may have. The driver's docstring says so; they are checked before the run.

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
import math
import os
import re
from numbers import Integral, Real
from pathlib import Path

from support.start import ROOT, UserError

import numpy as np
import pytensor

CODE = {}  # {lesson: `digests` of its code when it was imported}

COMMON = """
Parameters
----------
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


class Parameter:
    """An argument of a driver, as its docstring explains it.

    Parameters
    ----------
    kind : str
        Kind and range, such as "list of float, in [0, 1)".
    description : str
    default
        If it is None, None is an allowed value.

    Attributes
    ----------
    type : float, int, bool or str
        The type of the value, or of the items of a list.
    is_list : bool
    """

    types = {"float": float, "int": int, "bool": bool, "path": str}

    def __init__(self, kind, description, default=None):
        self.description, self.default = description, default
        kind, _, self.range = kind.partition(", ")
        self.is_list = kind.startswith("list of ")
        self.type = self.types[kind.removeprefix("list of ")]
        self.low, self.high, self.with_low, self.with_high = _bounds(self.range)

    @property
    def requirement(self):
        """The kind and the range of a value, in words."""
        number = {int: "whole number", float: "number", bool: "truth value", str: "path"}[self.type]
        which = self.range.replace("at least", "of at least")
        return f"one or more {number}s {which}".strip() if self.is_list else f"a {number} {which}".strip()

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
        allowed = {float: Real, int: Integral, bool: (bool, np.bool_), str: (str, os.PathLike)}[self.type]
        if not isinstance(value, allowed) or self.type is not bool and isinstance(value, (bool, np.bool_)):
            raise ValueError
        if self.type is str:
            return os.fspath(value)
        value = self.type(value)
        is_above = value >= self.low if self.with_low else value > self.low
        is_below = value <= self.high if self.with_high else value < self.high
        if not (is_above and is_below and math.isfinite(value)):
            raise ValueError
        return value


def _bounds(text):
    """The ends of a range such as "in [0, 2**32)", and whether each end is allowed: (0, 2**32, True, False)."""
    if not text:
        return -math.inf, math.inf, True, True
    if match := re.fullmatch(r"(at least|above) (\S+)", text):
        return _number(match[2]), math.inf, match[1] == "at least", True
    match = re.fullmatch(r"in ([\[(])(\S+), (\S+)([\])])", text)
    return _number(match[2]), _number(match[3]), match[1] == "[", match[4] == "]"


def _number(text):
    base, _, exponent = text.partition("**")
    return float(base) ** float(exponent or 1)


@functools.cache
def parameters(driver):
    """{name: Parameter} for the arguments of a driver, in their order. Its docstring and `COMMON` explain them.

    A UserError says which argument is not explained, or not in a way that can be read, and shows what to write.
    """
    documented = {**_documented(COMMON), **_documented(inspect.getdoc(driver) or "")}
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


def _documented(docstring):
    """{name: (kind, description)} from the "Parameters" section of a numpydoc docstring."""
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", docstring, re.DOTALL)
    entries = re.findall(r"^(\w+) : (.*)\n((?:    .*\n?)+)", section[1], re.MULTILINE) if section else ()
    return {name: (kind, " ".join(text.split())) for name, kind, text in entries}


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
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                files = [(path.with_name(f"{name}.py"), ROOT / "code" / f"{name}.py") for name in names]
                left += [beside if beside.is_file() else lesson for beside, lesson in files]
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
    """Decorate a driver, so that it gets checked arguments in plain types: NumPy's scalars become Python's numbers.

    A UserError says which argument cannot be used, what its value is and what it must be. The names of the drivers
    begin with test_, but pytest does not collect them.
    """
    path = Path(inspect.getsourcefile(driver) or driver.__code__.co_filename)
    CODE[path.stem] = digests(path)  # now: the file may be edited while the process runs what it has imported

    @functools.wraps(driver)
    def call(*arguments, **named):
        bound = inspect.signature(driver).bind(*arguments, **named)
        bound.apply_defaults()
        if pytensor.config.floatX not in ("float32", "float64"):
            raise UserError(f"floatX must be float32 or float64, not {pytensor.config.floatX}: see PYTENSOR_FLAGS")
        return driver(**check_settings(driver, bound.arguments))

    call.__test__ = False
    return call


def check_settings(driver, arguments):
    """The checked arguments of a driver, as `checked` describes. Names that the driver does not know are left out."""
    settings = {}
    for name, parameter in parameters(driver).items():
        if name in arguments:
            try:
                settings[name] = parameter.plain(arguments[name])
            except (ValueError, OverflowError):
                raise UserError(f"{name} must be {parameter.requirement}, not {arguments[name]!r}") from None
    return settings
