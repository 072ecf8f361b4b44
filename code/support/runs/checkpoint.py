"""A checkpoint: all that determines the rest of a run, in one .npz file without pickle.

It holds every variable that the functions of a stage update, as the array `stage/name`; the model that the present
stage has kept, as `kept/stage/name`; and a JSON of the place in the run, the curve and the seconds.
"""

import inspect
import itertools
from dataclasses import asdict, dataclass, field, fields
from functools import partial

from support.files import count, damaged, exactly, number, shown
from support.files.archives import read_described, write_described
from support.runs.records import check_line, check_record
from support.start import UserError

import numpy as np

FORMAT = 3
FILE = "checkpoint.npz"
REMEDY = "--fresh (in a notebook fresh=True) starts the run over"


@dataclass
class State:
    """The state of a run, apart from its arrays.

    Attributes
    ----------
    about : dict, the content of settings.json
    stages : dict of int, {name of a stage that has begun: the lines of the curve before it}
    over : int, the number of stages that are over
    epochs : int, the epochs of the present stage that are over
    epoch : dict, the state of the epoch that has begun; None between epochs
    memory : dict, the attributes of the lesson's `memory` in the present stage, or None
    kept : dict, {stage: figures of the model that it kept last}
    saved : list of str, the names of the models that were saved between stages
    generators : dict, {stage/name: state}
    curve : list of dict, one an epoch, as in curve.jsonl
    seconds : dict of float, {phase: its seconds}
    """

    about: dict
    stages: dict = field(default_factory=dict)
    over: int = 0
    epochs: int = 0
    epoch: dict | None = None
    memory: dict | None = None
    kept: dict = field(default_factory=dict)
    saved: list = field(default_factory=list)
    generators: dict = field(default_factory=dict)
    curve: list = field(default_factory=list)
    seconds: dict = field(default_factory=dict)

    def check(self):
        """Raise an exception of those that `damaged` explains, if a field cannot be used."""
        check_record(self.about)
        for name in exactly(self.saved, list):
            exactly(name, str)
        if sorted(map(count, self.stages.values())) != list(self.stages.values()):
            raise ValueError("its stages")
        if count(self.over) > len(self.stages) or count(self.epochs) and self.over == len(self.stages):
            raise ValueError("its place in the run")
        for line in exactly(self.curve, list):
            check_line(line)
            number(line["seconds"])
        for figures in self.seconds, *self.kept.values():
            list(map(number, figures.values()))
        if self.epoch is not None:
            count(self.epoch["trained"])
            list(map(number, [self.epoch["seconds"], *self.epoch["figures"].values()]))
            for total, n in self.epoch["sums"].values():
                number(total)
                if count(n) == 0:
                    raise ValueError("the mean of nothing")
        for state in self.generators.values():
            bits = state["state"]
            limits = (bits["state"], 128), (bits["inc"], 128), (state["has_uint32"], 1), (state["uinteger"], 32)
            if state["bit_generator"] != "PCG64" or not all(0 <= exactly(each, int) < 1 << n for each, n in limits):
                raise ValueError("the state of a generator")


def write_checkpoint(path, state, arrays):
    """Write a checkpoint in place of the one before, whole or not at all."""
    write_described(path, {"state": {"format": FORMAT, **asdict(state)}}, arrays)


def read_checkpoint(path):
    """The state and the arrays of a checkpoint; (None, {}) if there is no file. A UserError says why it is refused."""
    if not path.exists():
        return None, {}
    content, arrays = read_described(path, "state", REMEDY)
    with damaged(path, REMEDY):
        version = content.pop("format")
    if version != FORMAT:
        raise UserError(f"{path} has the format {shown(version)}, not {FORMAT}: {REMEDY}")
    with damaged(path, REMEDY):
        state = State(**{each.name: content.pop(each.name) for each in fields(State)})
        if content:
            raise ValueError(f"nothing reads its {shown(min(content))!r}")
        state.check()
    return state, arrays


def compiled(function):
    """The compiled function inside a `functools.partial` or a wrapper."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function)


def updated(functions):
    """The shared variables that compiled functions update."""
    inputs = [each for function in functions for each in compiled(function).maker.inputs]
    return [each.variable for each in inputs if each.update is not None]


def named(stage, variables):
    """{stage/name: variable}. If several variables have one name, a number tells the further ones apart."""
    keys = {}
    for variable in variables:
        key = first = f"{stage}/{variable.name or 'unnamed'}"
        for n in itertools.count(2):
            if key not in keys:
                break
            key = f"{first}#{n}"
        keys[key] = variable
    return keys


def is_generator(variable):
    return isinstance(variable.get_value(borrow=True), np.random.Generator)


def pack(variables):
    """({key: state of a generator}, {key: array}) of the variables {key: variable}."""
    generators = {key: each.get_value(borrow=True) for key, each in variables.items() if is_generator(each)}
    arrays = {key: each.get_value(borrow=True) for key, each in variables.items() if not is_generator(each)}
    return {key: generator.bit_generator.state for key, generator in generators.items()}, arrays


def unpack(variables, generators, arrays):
    """Put the values that `pack` returned back, where they are in memory. A KeyError or ValueError: they do not fit."""
    for key, variable in variables.items():
        if is_generator(variable):
            variable.get_value(borrow=True).bit_generator.state = generators[key]
        else:
            put_back(variable, arrays.pop(key))


def put_back(variable, array):
    """Put an array into a shared variable, which keeps its place in memory."""
    value = variable.get_value(borrow=True)
    fits(variable, array)
    value[...] = array


def fits(variable, array):
    """Raise a ValueError if an array is not a finite value of this shared variable's shape and type."""
    value = variable.get_value(borrow=True)
    if array.shape != value.shape or array.dtype != value.dtype or not np.isfinite(array).all():
        raise ValueError(f"{variable.name} is {array.dtype} {array.shape}")
