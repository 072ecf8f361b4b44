import math
from fractions import Fraction
from pathlib import Path

from support.settings import check_settings, checked, parameters
from support.start import UserError

import numpy as np
import pytensor
import pytest


def driver(
    learning_rate=0.1, L2_reg=0.0, n_epochs=1, batch_size=20, hidden_layers_sizes=[4], corruption_levels=None,
    target=0.5, step_size=1.0, seed=0, dataset="mnist", output_folder=None, fresh=False,
):  # fmt: skip
    """A driver.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    L2_reg : float, at least 0
        A weight,
        told in two lines.
    n_epochs, target
        This is no entry.
    n_epochs : int, at least 1
        Passes.
    hidden_layers_sizes : list of int, at least 1
        Units of each layer.
    corruption_levels : list of float, in [0, 1)
        Levels.
    target : float, in (0, 1)
        A share.
    step_size : float, above 0
        Size of a step.

    Returns
    -------
    dict
        The arguments.
    """
    return locals()


@pytest.mark.parametrize(
    "name, value, plain",
    [
        ("learning_rate", 0.1, 0.1),
        ("learning_rate", np.float32(0.5), 0.5),
        ("learning_rate", 100000, 100000.0),
        ("learning_rate", Fraction(1, 4), 0.25),
        ("batch_size", np.int64(10), 10),
        ("hidden_layers_sizes", np.array([5, 6]), [5, 6]),
        ("dataset", Path("my") / "set.pkl", str(Path("my") / "set.pkl")),
        ("output_folder", None, None),
        ("corruption_levels", None, None),
        ("corruption_levels", [0, np.float32(0.5), 0.99], [0.0, 0.5, 0.99]),
        ("fresh", np.bool_(True), True),
    ],
)
def test_a_driver_goes_on_with_plain_numbers(name, value, plain):
    value = checked(driver)(**{name: value})[name]
    assert value == plain and type(value) is type(plain)
    if isinstance(plain, list):
        assert [type(item) for item in value] == [type(item) for item in plain]


@pytest.mark.parametrize(
    "name, values",
    [
        ("learning_rate", [-0.1, math.nan, math.inf, "0.1", True, 10**400]),
        ("n_epochs", [0, 1.5, "3"]),
        ("batch_size", [0, 2.0, None]),
        ("hidden_layers_sizes", [[], [0], [10, -1], 10, [1.5]]),
        ("corruption_levels", [[], [1.0], [-0.1], [math.nan], 0.3]),
        ("target", [0, 1.0]),
        ("step_size", [0, -1e-9, math.inf]),
        ("seed", [-1, 2**32]),
        ("fresh", [1, "yes", None]),
        ("dataset", [3, None]),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(name, values):
    for value in values:
        with pytest.raises(UserError, match=f"^{name} must be .*, not ") as refusal:
            check_settings(driver, {"n_epochs": 1, name: value})
        assert repr(value) in str(refusal.value)


@pytest.mark.parametrize("kind", ["floot, at least 0", "float, more than 0", "list of bool, in (0; 1)"])
def test_a_kind_that_cannot_be_read_is_told_in_one_line(kind):
    def other(rate=0.5):
        pass

    other.__doc__ = f"Train.\n\nParameters\n----------\nrate : {kind}\n    A rate.\n"
    wanted = "argument rate of other has '.*' as its kind: write, .*'rate : float, at least"
    with pytest.raises(UserError, match=wanted):
        parameters(other)


def test_what_every_lesson_has_is_explained_once_and_requirements_are_told_in_words():
    explained = parameters(driver)
    assert explained["batch_size"].description.startswith("Examples in a minibatch")
    assert explained["L2_reg"].description == "A weight, told in two lines."
    assert explained["n_epochs"].requirement == "a whole number of at least 1"
    assert explained["corruption_levels"].requirement == "one or more numbers in [0, 1)"


def test_half_precision_is_refused_before_anything_else():
    with pytensor.config.change_flags(floatX="float16"), pytest.raises(UserError, match="floatX must be float32 or"):
        checked(driver)()
