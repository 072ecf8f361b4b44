"""Checkpoints, and runs that go on from them."""

import os
from types import SimpleNamespace

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from support import checkpoints, interruption
from support.checkpoints import FILE, pack, read_checkpoint, unpack, write_checkpoint
from support.errors import UserError
from support.interruption import Interrupted
from support.training import EarlyStopping, Run


class Datasets(list):
    name, sha256, source = "made up", "0", "made up"


@pytest.fixture(autouse=True)
def every_minibatch(monkeypatch):
    """A checkpoint after each minibatch, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(Run, "seconds_between_checkpoints", -1)
    monkeypatch.setattr(Run, "seconds_within_an_epoch", -1)


def train(folder, stop_after=None, n_epochs=4, learning_rate=0.5):
    """A lesson in small, two stages of a random walk; stopped after so many minibatches as by Ctrl-C, or let end.

    Returns
    -------
    result, generator, steps trained
    """
    run = Run("mlp", {"dataset": "made up", "learning_rate": learning_rate, "output_folder": folder}, Datasets())
    W, rng = pytensor.shared(np.zeros(2), name="W"), pt.random.shared_rng(seed=3)
    model = SimpleNamespace(params=[W])
    run.track(W, rng)
    trained = 0

    def step(epoch):
        nonlocal trained
        draw = rng.get_value(borrow=True).random()
        W.set_value(W.get_value() * 0.9 + draw)
        epoch.add_cost(draw)
        trained += 1
        if trained == stop_after:
            interruption.requested = 2

    with run.timed("pretraining"):
        for epoch in run.epochs(2, 3, 0, layer=0):
            for _ in epoch:
                step(epoch)
            run.keep(model)
    stopping = EarlyStopping(5, 3)
    with run.timed("training"):
        for epoch in run.epochs(n_epochs, 3, stopping=stopping):
            for _ in epoch:
                step(epoch)
                if stopping.validation_is_due(epoch.iteration):
                    error = epoch.report_validation([abs(np.sin(W.get_value()[0]))])
                    if stopping.is_new_best(error, epoch.iteration):
                        epoch.report_test([error])
                        run.keep(model, **epoch.figures)
    return run.finish(model), rng.get_value().bit_generator.state, trained


def without_times(curve):
    return [{name: value for name, value in line.items() if name != "seconds"} for line in curve]


@pytest.mark.parametrize("stop_after", range(1, 18))
def test_a_run_that_was_stopped_anywhere_ends_as_if_it_had_not_been(stop_after, tmp_path, capsys):
    undisturbed, state, n_steps = train(tmp_path / "a")
    printed = capsys.readouterr().out
    if stop_after >= n_steps:
        pytest.skip("it was over")
    with pytest.raises(Interrupted):
        train(tmp_path / "b", stop_after)
    again, state_again, steps_again = train(tmp_path / "b")
    assert steps_again == n_steps - stop_after and state_again == state
    assert without_times(again.curve) == without_times(undisturbed.curve)
    assert (tmp_path / "a" / "model.npz").read_bytes() == (tmp_path / "b" / "model.npz").read_bytes()
    np.testing.assert_array_equal(again.model.params[0].get_value(), undisturbed.model.params[0].get_value())
    assert "continuing the unfinished run" in (out := capsys.readouterr().out)
    best = "Optimization complete with best validation score"
    assert [line for line in out.splitlines() if best in line] == [
        line for line in printed.splitlines() if best in line
    ]


def test_a_finished_run_is_shown_again_and_trains_nothing(tmp_path, capsys):
    first, _, _ = train(tmp_path)
    record = (tmp_path / "result.json").read_text()
    out = capsys.readouterr().out
    again, _, steps = train(tmp_path)
    assert steps == 0 and again.curve == first.curve and again.test_error == first.test_error
    assert (tmp_path / "result.json").read_text() == record
    assert out.splitlines()[-3] in capsys.readouterr().out  # the best validation score, to the digit


def test_other_settings_and_other_data_are_refused_by_name(tmp_path, monkeypatch):
    train(tmp_path)
    with pytest.raises(UserError, match="with learning_rate = 0.5, not 0.25: --fresh starts over"):
        train(tmp_path, learning_rate=0.25)
    monkeypatch.setattr(Datasets, "sha256", "1")
    with pytest.raises(UserError, match="with the data = 0, not 1"):
        train(tmp_path)


def test_fresh_starts_over_and_keeps_the_old_run_beside(tmp_path, monkeypatch):
    first, _, n_steps = train(tmp_path)
    monkeypatch.setattr(checkpoints, "fresh", True)
    _, _, steps = train(tmp_path, learning_rate=0.25)
    assert steps == n_steps
    assert {FILE, "model.npz", "result.json"} <= {path.name for path in (tmp_path / "earlier.1").iterdir()}


def test_another_process_on_the_same_folder_is_refused(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock", is_singleton=False):
        with pytest.raises(UserError, match="another process is training"):
            train(tmp_path)


@pytest.mark.parametrize("fault", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before_whole(fault, tmp_path, monkeypatch):
    path = tmp_path / FILE
    write_checkpoint(path, {"epoch": 1}, {"W": np.ones(3)})

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"write": (np, "savez"), "fsync": (os, "fsync"), "replace": (os, "replace")}[fault], fail)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, {"epoch": 2}, {"W": np.zeros(3)})
    state, arrays = read_checkpoint(path, {})
    assert state["epoch"] == 1 and arrays["W"].tolist() == [1, 1, 1]
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE]


def test_damage_at_any_place_is_told_in_one_line(tmp_path):
    path = tmp_path / FILE
    write_checkpoint(path, {"epoch": 1}, {"W": np.ones(3)})
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match="damaged.*--fresh"):
            read_checkpoint(path, {})


def test_another_version_of_the_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 0)
    write_checkpoint(tmp_path / FILE, {}, {})
    monkeypatch.undo()
    with pytest.raises(UserError, match="has the format 0, not 1"):
        read_checkpoint(tmp_path / FILE, {})


def test_values_go_back_where_they_were():
    W, rng = pytensor.shared(np.arange(3.0), name="W"), pt.random.shared_rng(seed=1)
    memory = W.get_value(borrow=True)
    generators, arrays = pack([W, rng])
    generators, arrays = [dict(state) for state in generators], {name: array.copy() for name, array in arrays.items()}
    expected = rng.get_value().random(5)
    memory += 1
    rng.get_value(borrow=True).random(7)
    unpack([W, rng], generators, arrays)
    assert memory.tolist() == [0, 1, 2] and W.get_value(borrow=True) is memory
    np.testing.assert_array_equal(rng.get_value().random(5), expected)
    with pytest.raises((KeyError, ValueError)):
        unpack([pytensor.shared(np.zeros(4), name="W"), rng], generators, arrays)
