"""Which rewrites run: all by default, some, or none."""

from graphs import nodes, parameter, row_or_batch
from support import rewrites
from support.errors import UserError
from support.rewrites.linker import PositionalNumbaLinker
from support.rewrites.products import SparseProduct
from support.rewrites.updates import RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest


@pytest.fixture(autouse=True)
def restored():
    yield
    rewrites.select(["all"])


def step():
    W = parameter(np.ones((5, 4)))
    x, d = row_or_batch("x", 1, 5, "float64"), row_or_batch("d", 1, 4, "float64")
    return pytensor.function([x, d], pt.dot(x, W), updates={W: W - pt.dot(x.T, d)})


@pytest.mark.parametrize("names, expected", [(["all"], [1, 1]), (["none"], [0, 0]), (["rank_update"], [1, 0])])
def test_selection(names, expected):
    rewrites.select(names)
    fn = step()
    assert [len(nodes(fn, op)) for op in (RankUpdate, SparseProduct)] == expected
    assert rewrites.selected() == {"all": rewrites.NAMES, "none": []}.get(names[0], names)


@pytest.mark.parametrize("name", ["all", "none", "positional_arguments", "rank_update"])
def test_the_linker_is_pytensors_own_where_it_is_not_selected(name):
    rewrites.select([name])
    linker = step().maker.linker
    assert isinstance(linker, PositionalNumbaLinker) == (name in ("all", "positional_arguments"))


def test_all_is_the_default_and_comes_back():
    assert rewrites.selected() == rewrites.NAMES
    rewrites.select(["none"])
    rewrites.select(["all"])
    assert nodes(step(), RankUpdate)


def test_an_unknown_name_is_refused():
    with pytest.raises(UserError, match="no rewrite rank: choose all, none, or some of .*rank_update"):
        rewrites.select(["rank"])


def test_the_documentation_names_each():
    for name in rewrites.NAMES:
        assert f"| {name} " in rewrites.__doc__ or f"`{name}`" in rewrites.__doc__
