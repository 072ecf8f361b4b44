"""Which rewrites run: all by default, some, or none."""

import re

from graphs import nodes, parameter, printed, row_or_batch
from lessons import short_schedules
from support import rewrites
from support.rewrites import SUPPORTING
from support.rewrites.internals import InterpretingLinker, PositionalLinker
from support.rewrites.products import SparseProduct
from support.rewrites.updates import RankUpdate
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode, get_default_mode
from pytensor.link.numba.linker import NumbaLinker


@pytest.fixture(autouse=True)
def restored():
    yield
    rewrites.select(["all"])


def step():
    W = parameter(np.ones((5, 4)))
    x, d = row_or_batch("x", 1, 5, "float64"), row_or_batch("d", 1, 4, "float64")
    return pytensor.function([x, d], pt.dot(x, W), updates={W: W - pt.dot(x.T, d)}, mode=rewrites.mode())


@pytest.mark.parametrize("name", ["all", "none", "rank_update", "positional_arguments"])
def test_selection(name):
    assert rewrites.selected() == rewrites.NAMES
    rewrites.select([name])
    fn = step()
    assert len(nodes(fn, RankUpdate)) == (name in ("all", "rank_update"))
    assert len(nodes(fn, SparseProduct)) == (name == "all")
    assert isinstance(fn.maker.linker, PositionalLinker) == (name in ("all", "positional_arguments"))
    assert rewrites.selected() == {"all": rewrites.NAMES, "none": []}.get(name, [name])
    assert (rewrites.mode() is get_default_mode()) == (name == "none")


STRANGER = """
import json, os
import numpy as np, pytensor, pytensor.tensor as pt
if os.environ["IMPORTED"]:
    from support import rewrites
    from importlib import import_module
    for lesson in os.environ["IMPORTED"].split():
        import_module(lesson)
    for names in ["none"], ["rank_update"], ["all"]:
        rewrites.select(names)
        rewrites.mode()
from pytensor.compile.mode import get_mode, predefined_linkers
from pytensor.graph.fg import FunctionGraph
W = pytensor.shared(np.ones((5, 4), "float32"), shape=(5, 4))
x, d = pt.fmatrix("x"), pt.fmatrix("d")
x, d = pt.specify_shape(x, (1, 5)), pt.specify_shape(d, (1, 4))
z = pt.sigmoid(pt.dot(pt.sigmoid(pt.dot(x, W)), W.T))
mask = pt.random.shared_rng(seed=1).binomial(n=1, p=0.5, size=(3,))[1]
likelihood = pt.sum(x * pt.log(z) + (1 - x) * pt.log(1 - z), axis=1)
outputs = [W - pt.dot(x.T, d), pt.dot(d, W.T), likelihood, pt.tanh(d), mask, pt.sum((d[:, None] * W) ** 2)]
for name in None, "NUMBA", "FAST_RUN", "FAST_COMPILE":
    mode, fgraph = get_mode(name), FunctionGraph(outputs=outputs)
    mode.optimizer.rewrite(fgraph)
    print(json.dumps([type(mode.linker).__name__, pytensor.dprint(fgraph, file="str", id_type="int")]))
step = pytensor.function([], [], updates={W: W - pt.dot(pt.ones((5, 1), "float32"), pt.ones((1, 4), "float32"))})
print(type(step.maker.linker), {name: type(linker) for name, linker in predefined_linkers.items()})
"""


def compiled_by_a_stranger(imported, monkeypatch):
    """The linkers and graphs of functions that are compiled without `mode()`, in a process of their own."""
    text = printed(STRANGER, monkeypatch, IMPORTED=" ".join(imported), PYTENSOR_FLAGS="floatX=float32,cxx=")
    return re.sub(r"id \d+|0x[0-9A-Fa-f]+", "", text).splitlines()


def test_after_the_import_of_every_lesson_others_compile_as_if_we_were_not_there(monkeypatch):
    with_us = compiled_by_a_stranger(short_schedules(), monkeypatch)
    assert with_us == compiled_by_a_stranger([], monkeypatch) and len(with_us) == 5
    assert "PositionalLinker" not in str(with_us) and "RankUpdate" not in str(with_us)


def own(**flags):
    """The default mode with these flags, and what `mode()` makes of it."""
    with pytensor.config.change_flags(**flags):
        return get_default_mode(), rewrites.mode()


@pytest.mark.parametrize(
    "flags",
    [
        {"mode": "FAST_COMPILE"},
        {"mode": "NanGuardMode"},
        {"mode": "DebugMode"},
        {"linker": "vm"},
        {"mode": Mode("numba", "None")},  # as by PYTENSOR_FLAGS=optimizer=None
        {"mode": Mode("py", None)},
    ],
)
def test_another_mode_that_the_user_chose_is_used_as_it_is(flags):
    chosen, ours = own(**flags)
    assert ours is chosen


@pytest.mark.parametrize("flags", [{}, {"mode": "NUMBA"}, {"mode": "FAST_RUN"}, {"linker": "numba"}])
def test_the_mode_of_numba_is_joined(flags):
    chosen, ours = own(**flags)
    assert type(chosen.linker) is NumbaLinker and type(ours.linker) is PositionalLinker
    assert set(names_of(ours)) - set(names_of(chosen)) == {*rewrites.NAMES, *SUPPORTING} - {"positional_arguments"}


def names_of(mode):
    return [rewriter.name for rewriter in mode.optimizer.data]


def test_graphs_that_numpy_runs_are_rewritten_too_with_what_the_flags_leave():
    """As by PYTENSOR_FLAGS=linker=py,optimizer_excluding=fusion."""
    chosen = Mode("py", "fast_run").excluding("fusion", "rank_update")
    _, ours = own(mode=chosen)
    assert type(ours.linker) is InterpretingLinker
    assert "rank_update" not in names_of(ours) and {"tied_decoder", "update_inplace"} < set(names_of(ours))
    assert not any("fusion" in name for name in names_of(ours) if "elemwise" in name)


def test_an_unknown_name_is_refused():
    with pytest.raises(UserError, match="no rewrite rank: choose all, none, or some of .*rank_update"):
        rewrites.select(["rank"])


def test_the_table_of_the_documentation_is_the_list_in_its_order():
    *names, linker = rewrites.NAMES
    assert re.findall(r"^\| (\w+) ", rewrites.__doc__, re.MULTILINE) == ["name", *names]
    assert all(f"`{name}`" in rewrites.__doc__ for name in (linker, *SUPPORTING))
