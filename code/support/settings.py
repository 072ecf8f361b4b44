"""Which values a driver's arguments may have, checked before anything is loaded or written."""

import math
from numbers import Integral, Real
from pathlib import PurePath

import numpy as np

from support.errors import UserError


def is_count(value, least=1):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def is_rate(value):
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < math.inf


def is_list_of(test, value):
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(test, value))


def is_level(value):
    return is_rate(value) and value < 1


RATE = is_rate, "a number that is not negative"
COUNT = is_count, "a whole number of at least 1"
RULES = {
    "learning_rate": RATE,
    "finetune_lr": RATE,
    "pretrain_lr": RATE,
    "L1_reg": RATE,
    "L2_reg": RATE,
    "n_epochs": COUNT,
    "training_epochs": COUNT,
    "pretraining_epochs": (lambda value: is_count(value, least=0), "a whole number of at least 0"),
    "batch_size": COUNT,
    "n_hidden": COUNT,
    "hidden_layers_sizes": (lambda value: is_list_of(is_count, value), "one or more whole numbers of at least 1"),
    "corruption_levels": (lambda value: is_list_of(is_level, value), "one or more numbers in [0, 1)"),
    "seed": (lambda value: is_count(value, least=0) and value < 2**32, "a whole number in [0, 2**32)"),
}

OPTIONAL = {"corruption_levels", "hidden_layers_sizes"}  # None means default ones, fitted to what else is given


def check_settings(arguments):
    """The arguments of a driver, as `locals()` gives them at its start, in the plain types that JSON can hold.

    Raises
    ------
    UserError
        Where one of them cannot be used; it names the argument, its value and what it must be.
    """
    for name, value in arguments.items():
        is_valid, requirement = RULES.get(name, (lambda value: True, ""))
        if not is_valid(value) and not (value is None and name in OPTIONAL):
            raise UserError(f"{name} must be {requirement}, not {value!r}")
    return {name: plain(value) for name, value in arguments.items()}


def plain(value):
    """A value without NumPy's scalar types, tuples and paths."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def fit_corruption_levels(levels, default, n_layers):
    """One corruption level a layer.

    Levels given explicitly must number the layers; where there are none (None), the default ones are cut, or
    continued with the last value, to fit.
    """
    if levels is None:
        return [default[min(layer, len(default) - 1)] for layer in range(n_layers)]
    if len(levels) != n_layers:
        raise UserError(f"corruption_levels must number the {n_layers} hidden layers, not {len(levels)}")
    return list(levels)
