"""A checkpoint: all that determines the rest of a run, in one .npz file without pickle.

It holds every variable that the functions of a stage update, as the array `stage/name`; the model that the present
stage has kept, as `kept/stage/name`; and a JSON text of the run, its stages and its generators. If the checksum of the
text is the one beside it, the text is as a run wrote it, and its fields need no further check.
"""

import hashlib
import inspect
import json
from functools import partial

from support.files import damaged, shown
from support.files.archives import read_described, write_described
from support.start import UserError

import numpy as np

FORMAT = 4
FILE = "checkpoint.npz"
REMEDY = "--fresh (in a notebook fresh=True) starts the run over"


def write_checkpoint(path, content, variables, kept):
    """Write a checkpoint: a dict for JSON, the shared variables {key: variable}, and the arrays {key: array}."""
    values = {key: variable.get_value(borrow=True) for key, variable in variables.items()}
    generators = {key: each for key, each in values.items() if isinstance(each, np.random.Generator)}
    states = {key: generator.bit_generator.state for key, generator in generators.items()}
    arrays = {key: each for key, each in {**values, **kept}.items() if key not in generators}
    text = json.dumps({**content, "generators": states})
    write_described(path, {"state": {"format": FORMAT, "sha256": checksum(text), "text": text}}, arrays)


def read_checkpoint(path):
    """The content of a checkpoint, with the `generators` and the `arrays`; None if there is no file.

    A UserError says why the checkpoint is refused.
    """
    if not path.exists():
        return None
    state, arrays = read_described(path, "state", REMEDY)
    with damaged(path, REMEDY):
        if (version := state["format"]) != FORMAT:
            raise UserError(f"{path} has the format {shown(version)}, not {FORMAT}: {REMEDY}")
        if checksum(state["text"]) != state["sha256"]:
            raise ValueError("its text has another checksum")
        return {**json.loads(state["text"]), "arrays": arrays}


def checksum(text):
    return hashlib.sha256(text.encode()).hexdigest()


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
        first = key = f"{stage}/{variable.name or 'unnamed'}"
        n = 1
        while key in keys:
            n += 1
            key = f"{first}#{n}"
        keys[key] = variable
    return keys


def put_back(variables, checkpoint):
    """Put the values of a checkpoint into the variables {key: variable}, where they are in memory."""
    for key, variable in variables.items():
        value = variable.get_value(borrow=True)
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = checkpoint["generators"][key]
        else:
            value[...] = fitting(variable, checkpoint["arrays"][key])


def fitting(variable, array):
    """The array, if it is a finite value of this shared variable's shape and type. A ValueError says that it is not."""
    value = variable.get_value(borrow=True)
    if array.shape != value.shape or array.dtype != value.dtype or not np.isfinite(array).all():
        raise ValueError(f"{variable.name} is {array.dtype} {array.shape}, or not finite")
    return array
