"""All that determines the rest of a run, in one file without pickle, written whole or not at all."""

import json

import numpy as np

from support.errors import UserError
from support.files import DAMAGE, replacing

FORMAT = 1
FILE = "checkpoint.npz"

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
    with replacing(path) as file:
        np.savez(file, state=json.dumps({"format": FORMAT, **state}), **arrays)


def read_checkpoint(path):
    """The state and the arrays of a checkpoint; (None, {}) where there is none.

    Raises
    ------
    UserError
        Where the file is damaged, or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            arrays = {name: file[name] for name in file.files if name != "state"}
        found = state["format"]
    except FileNotFoundError:
        return None, {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except DAMAGE as error:
        raise UserError(f"{path} is damaged: --fresh starts the run over") from error
    if found != FORMAT:
        raise UserError(f"{path} has the format {found}, not {FORMAT}: --fresh starts the run over")
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
    KeyError, ValueError
        Where they are values of other variables.
    """
    generators = iter(generators)
    for place, variable in enumerate(shared):
        value = variable.get_value(borrow=True)
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = next(generators)
        else:
            saved = arrays[f"{place}.{variable.name}"]
            if saved.shape != value.shape or saved.dtype != value.dtype or not np.isfinite(saved).all():
                raise ValueError(f"{variable.name} is {saved.dtype} {saved.shape}")
            value[...] = saved
