"""Checkpoints: all that determines the rest of a run, in one file without pickle. It is written whole or not at all."""

import inspect

from support.errors import UserError
from support.files.archives import read_described, write_described
from support.files.forms import check_form, is_count, is_number, shown
from support.runs import epoch
from support.runs.records import SETTINGS
from support.runs.stopping import EarlyStopping

import numpy as np

FORMAT = 2
FILE = "checkpoint.npz"
REMEDY = "--fresh (in a notebook fresh=True) starts the run over"

# The form of a state, as `State.write` writes it; see `support.files.forms.check_form`.
STATE = {
    "about": SETTINGS,
    "tracked": [is_count],
    "generators": [
        {
            "bit_generator": lambda name: name == "PCG64",
            "state": {name: lambda value: type(value) is int and 0 <= value < 1 << 128 for name in ("state", "inc")},
            "has_uint32": lambda value: is_count(value) and value < 2,
            "uinteger": lambda value: is_count(value) and value < 1 << 32,
        }
    ],
    "curve": [{"epoch": is_count, "cost": is_number, "seconds": is_number}],
    "seconds": {...: is_number},
    "best_figures": {...: is_number},
    "stage": is_count,
    "epochs_done": is_count,
    "stopping": (EarlyStopping.FORM, None),
    "epoch": (epoch.FORM, None),
}


def write_checkpoint(path, state, arrays):
    """Write a checkpoint in place of the one before. The state is a dict that JSON can hold."""
    write_described(path, {"state": {"format": FORMAT, **state}}, arrays)


def read_checkpoint(path, form=STATE):
    """The state and the arrays of a checkpoint; (None, {}) if there is no file.

    A UserError says that the file is damaged, has another version, or that its state does not have the form.
    """
    if not path.exists():
        return None, {}
    state, arrays = read_described(path, "state", {"format": object}, REMEDY)
    if state["format"] != FORMAT:
        raise UserError(f"{path} has the format {shown(state['format'])}, not {FORMAT}: {REMEDY}")
    try:
        check_form(state, form, "state")
    except ValueError as error:
        raise UserError(f"{path} cannot be used: {error}; {REMEDY}") from error
    return state, arrays


class Tracked:
    """The shared variables that determine the rest of a run.

    Attributes
    ----------
    shared : list of shared variable
    counts : list of int, the number of variables that each call of `add` brought
    """

    def __init__(self):
        self.shared, self.counts = [], []

    def add(self, params, functions, resumed, arrays):
        """Track parameters and the variables that compiled functions update. Put a checkpoint's values into them.

        Parameters
        ----------
        params : list of shared variable
        functions : list of compiled function, or of functions that wrap one
        resumed : dict, the state in the checkpoint; None if there is no checkpoint
        arrays : dict of array, those in the checkpoint

        Returns
        -------
        bool
            Whether the checkpoint has no further variables. A ValueError, KeyError or TypeError says that it belongs to
            another network.
        """
        start, call = len(self.shared), len(self.counts)
        inputs = [each for function in functions for each in inspect.unwrap(function).maker.inputs]
        updated = [each.variable for each in inputs if each.update is not None]
        self.shared += [each for each in dict.fromkeys([*params, *updated]) if each not in self.shared]
        self.counts.append(len(self.shared) - start)
        if resumed is None or call >= len(resumed["tracked"]):
            return False
        if resumed["tracked"][call] != self.counts[call]:
            raise ValueError("another number of variables")
        unpack(self.shared, resumed["generators"], arrays, start)
        return call + 1 == len(resumed["tracked"])


def pack(shared):
    """The values of shared variables: a list of the states of generators, for JSON, and the arrays by name."""
    generators, arrays = [], {}
    for place, variable in enumerate(shared):
        value = variable.get_value(borrow=True)
        if isinstance(value, np.random.Generator):
            generators.append(value.bit_generator.state)
        else:
            arrays[f"{place}.{variable.name}"] = value
    return generators, arrays


def unpack(shared, generators, arrays, start=0):
    """Put the values that `pack` returned back into shared variables. Arrays keep their place in memory.

    The variables before `start` are not changed. A ValueError, KeyError or TypeError says that the values belong to
    other variables.
    """
    is_generator = [isinstance(variable.get_value(borrow=True), np.random.Generator) for variable in shared]
    generators = generators[sum(is_generator[:start]) : sum(is_generator)]
    if sum(is_generator[start:]) != len(generators):
        raise ValueError(f"{len(generators)} generators")
    generators = iter(generators)
    for place in range(start, len(shared)):
        variable = shared[place]
        value = variable.get_value(borrow=True)
        if is_generator[place]:
            value.bit_generator.state = next(generators)
        else:
            saved = arrays[f"{place}.{variable.name}"]
            if saved.shape != value.shape or saved.dtype != value.dtype or not np.isfinite(saved).all():
                raise ValueError(f"{variable.name} is {saved.dtype} {saved.shape}")
            value[...] = saved
