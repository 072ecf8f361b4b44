"""A checkpoint: all that determines the rest of a run, in one .npz file without pickle.

It holds every variable that the functions of a stage update, as the array `stage/name`; the model that the present
stage has kept, as `kept/stage/name`; and a JSON of the place in the run, the curve and the seconds.
"""

import inspect
from dataclasses import dataclass, field, fields
from functools import partial

from support.files import count, damaged, exactly, number, shown
from support.files.archives import read_described
from support.runs.records import check_curve, check_record
from support.start import UserError

import numpy as np

FORMAT = 3
FILE = "checkpoint.npz"
REMEDY = "--fresh (in a notebook fresh=True) starts the run over"


@dataclass
class State:
    """The state of a run, apart from its arrays."""

    about: dict  # the content of settings.json
    stages: dict = field(default_factory=dict)  # {name of a stage that has begun: the number of epochs before it}
    over: int = 0  # stages
    epochs: int = 0  # of the present stage that are over
    epoch: dict | None = None  # the state of the epoch that has begun; None between epochs
    memory: dict | None = None  # the attributes of the lesson's `memory` in the present stage
    kept: dict = field(default_factory=dict)  # {stage: figures of the model that it kept last}
    saved: list = field(default_factory=list)  # names of the models that were saved between stages
    generators: dict = field(default_factory=dict)  # {stage/name: state}
    curve: list = field(default_factory=list)  # one dict an epoch, as in curve.jsonl
    seconds: dict = field(default_factory=dict)  # {phase: its seconds}

    def check(self):
        """Raise an exception of those that `damaged` explains, if a field cannot be used.

        The generators, and the memory, are checked where they are put back.
        """
        check_record(self.about)
        check_curve(self.curve)
        for name in exactly(self.saved, list):
            exactly(name, str)
        starts, epoch = list(self.stages.values()), self.epoch
        counts = [*starts, self.over, self.epochs]
        numbers = [*self.seconds.values(), *(line["seconds"] for line in self.curve)]
        for figures in self.kept.values():
            numbers += figures.values()
        if epoch is not None:
            numbers += [epoch["seconds"], *epoch["figures"].values(), *(total for total, _ in epoch["sums"].values())]
            counts += [epoch["trained"], *(n - 1 for _, n in epoch["sums"].values())]
        list(map(number, numbers))
        list(map(count, counts))
        if starts != sorted(starts) or self.over > len(starts) or self.epochs and self.over == len(starts):
            raise ValueError("its place in the run")


def read_checkpoint(path):
    """The state and the arrays of a checkpoint; (None, {}) if there is no file. A UserError says why it is refused."""
    if not path.exists():
        return None, {}
    content, arrays = read_described(path, "state", REMEDY)
    with damaged(path, REMEDY):
        if (version := content.pop("format")) != FORMAT:
            raise UserError(f"{path} has the format {shown(version)}, not {FORMAT}: {REMEDY}")
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
        first, n = f"{stage}/{variable.name or 'unnamed'}", 1
        key = first
        while key in keys:
            n += 1
            key = f"{first}#{n}"
        keys[key] = variable
    return keys


def pack(variables):
    """({key: state of a generator}, {key: array}) of the variables {key: variable}."""
    values = {key: variable.get_value(borrow=True) for key, variable in variables.items()}
    generators = {key: each for key, each in values.items() if isinstance(each, np.random.Generator)}
    arrays = {key: each for key, each in values.items() if key not in generators}
    return {key: generator.bit_generator.state for key, generator in generators.items()}, arrays


def unpack(variables, generators, arrays):
    """Put the values that `pack` returned back, where they are in memory. An exception says that they do not fit."""
    for key, variable in variables.items():
        value = variable.get_value(borrow=True)
        if isinstance(value, np.random.Generator):
            bits = value.bit_generator
            bits.state = generators[key]
            if bits.state != generators[key]:  # NumPy makes an integer of 0.5
                raise ValueError(f"the state of {key}")
        else:
            value[...] = fitting(variable, arrays.pop(key))


def fitting(variable, array):
    """The array, if it is a finite value of this shared variable's shape and type. A ValueError says that it is not."""
    value = variable.get_value(borrow=True)
    if array.shape != value.shape or array.dtype != value.dtype or not np.isfinite(array).all():
        raise ValueError(f"{variable.name} is {array.dtype} {array.shape}, or not finite")
    return array
