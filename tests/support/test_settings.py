import json
import math
from pathlib import Path

import numpy as np
import pytest

from support.errors import UserError
from support.settings import check_settings, fit_corruption_levels

GOOD = {"learning_rate": 0.1, "n_epochs": 1, "batch_size": 1, "corruption_levels": [0.0, 0.99], "seed": 0}


def test_good_arguments_come_back_as_they_are():
    arguments = {**GOOD, "dataset": "mnist", "output_folder": None, "pretraining_epochs": 0}
    assert check_settings(arguments) == arguments


def test_a_notebooks_types_become_plain_ones():
    arguments = {"n_hidden": np.int64(3), "hidden_layers_sizes": (np.int32(4), 5), "dataset": Path("my") / "set.pkl"}
    plain = {"n_hidden": 3, "hidden_layers_sizes": [4, 5], "dataset": str(Path("my") / "set.pkl")}
    assert json.loads(json.dumps(check_settings(arguments))) == plain


@pytest.mark.parametrize(
    "name, values",
    [
        ("learning_rate", [-0.1, math.nan, math.inf, "0.1", True]),
        ("L2_reg", [-1]),
        ("n_epochs", [0, -1, 1.5, "3"]),
        ("pretraining_epochs", [-1]),
        ("batch_size", [0, -20, 2.0, None]),
        ("hidden_layers_sizes", [[], [0], [10, -1], 10, [1.5]]),
        ("corruption_levels", [[], [1.0], [-0.1], [math.nan], 0.3]),
        ("seed", [-1, 2**32]),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(name, values):
    for value in values:
        with pytest.raises(UserError, match=f"^{name} must be .*, not ") as refusal:
            check_settings({**GOOD, name: value})
        assert repr(value) in str(refusal.value)


def test_corruption_levels_fit_the_layers():
    assert fit_corruption_levels(None, [0.1, 0.2], 1) == [0.1]
    assert fit_corruption_levels(None, [0.1, 0.2], 4) == [0.1, 0.2, 0.2, 0.2]
    assert fit_corruption_levels([0.5], [0.1, 0.2], 1) == [0.5]
    with pytest.raises(UserError, match="must number the 2 hidden layers, not 1"):
        fit_corruption_levels([0.5], [0.1], 2)
