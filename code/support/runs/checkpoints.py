"""All that determines the rest of a run, in one file without pickle, written whole or not at all."""

import numpy as np

from support.files.archives import read_described, write_described
from support.errors import UserError
from support.files.forms import check_form, shown

FORMAT = 1
FILE = "checkpoint.npz"
REMEDY = "--fresh starts the run over"

fresh = False  # whether runs start over where there is a checkpoint, as --fresh asks for


def write_checkpoint(path, state, arrays):
    """Put a checkpoint in place of the one before.

    Parameters
    ----------
    path : Path
    state : dict
        What JSON can hold.
    arrays : dict of array
    """
    write_described(path, {"state": {"format": FORMAT, **state}}, arrays)


def read_checkpoint(path, form):
    """The state and the arrays of a checkpoint; (None, {}) where there is none.

    Parameters
    ----------
    path : Path
    form
        That the state must have, as for `support.files.forms.check_form`.

    Raises
    ------
    UserError
        Where the file is damaged, or of another version.
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


def pack(shared):
    """The values of shared variables: those of generators, which JSON can hold, and arrays by name."""
    generators, arrays = [], {}
    for place, variable in enumerate(shared):
        value = variable.get_value(borrow=True)
        if isinstance(value, np.random.Generator):
            generators.append(value.bit_generator.state)
        else:
            arrays[f"{place}.{variable.name}"] = value
    return generators, arrays


def unpack(shared, generators, arrays):
    """Put packed values back into shared variables, arrays into the memory that they have.

    Raises
    ------
    ValueError, KeyError, TypeError
        Where they are values of other variables.
    """
    is_generator = [isinstance(variable.get_value(borrow=True), np.random.Generator) for variable in shared]
    if sum(is_generator) != len(generators):
        raise ValueError(f"{len(generators)} generators")
    generators = iter(generators)
    for place, variable in enumerate(shared):
        value = variable.get_value(borrow=True)
        if is_generator[place]:
            value.bit_generator.state = next(generators)
        else:
            saved = arrays[f"{place}.{variable.name}"]
            if saved.shape != value.shape or saved.dtype != value.dtype or not np.isfinite(saved).all():
                raise ValueError(f"{variable.name} is {saved.dtype} {saved.shape}")
            value[...] = saved
