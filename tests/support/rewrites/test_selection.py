"""Which rewrites run: all by default, some, or none."""

import subprocess
import sys

from graphs import nodes, parameter, row_or_batch
from support import rewrites
from support.environment import ROOT
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


REWRITTEN = """
import json
import numpy as np, pytensor, pytensor.tensor as pt
from pytensor.compile.mode import get_mode
from pytensor.graph.fg import FunctionGraph
{first}
W = pytensor.shared(np.ones((5, 4), "float32"), shape=(5, 4))
x, d = pt.fmatrix("x"), pt.fmatrix("d")
x, d = pt.specify_shape(x, (1, 5)), pt.specify_shape(d, (1, 4))
z = pt.sigmoid(pt.dot(pt.sigmoid(pt.dot(x, W)), W.T))
outputs = [W - pt.dot(x.T, d), pt.sum(x * pt.log(z) + (1 - x) * pt.log(1 - z), axis=1), pt.tanh(d)]
for mode in None, "NUMBA":
    mode, fgraph = get_mode(mode), FunctionGraph(outputs=outputs)
    mode.optimizer.rewrite(fgraph)
    print(json.dumps([type(mode.linker).__name__, pytensor.dprint(fgraph, file="str", id_type="int")]))
"""


def rewritten(first, monkeypatch):
    """The class of the linker and the rewritten graph, in the default mode and in that of Numba."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "code"))
    done = subprocess.run([sys.executable, "-c", REWRITTEN.format(first=first)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_rewrites_functions_are_compiled_as_by_pytensor_alone(monkeypatch):
    """Although the lesson was imported, in a mode that is named, too, and where all were on in between."""
    alone = rewritten("", monkeypatch)
    switched_off = "from support.rewrites import select; select(['none']); select(['all']); select(['none'])"
    assert rewritten(switched_off, monkeypatch) == alone
    with_all = rewritten("from support.rewrites import select; select(['none']); select(['all'])", monkeypatch)
    assert with_all == rewritten("import support", monkeypatch)
    assert all(len({first, second}) == 2 for first, second in zip(alone, with_all))


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
