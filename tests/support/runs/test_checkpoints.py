"""Checkpoints, and runs that go on from them."""

import errno
import json
import os
import shutil
from contextlib import nullcontext, suppress

from small_runs import Step, network, start, train, train_levels
from support.files.archives import read_described, write_described
from support.runs import records
from support.runs.checkpoint import FILE, named, put_back, read_checkpoint, write_checkpoint
from support.runs.interruption import Interrupted
from support.runs.models import SavedModel
from support.runs.run import Run
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from filelock import FileLock, Timeout

OTHER_MACHINE = {"processor": "Abacus", "cores": 4, "system": "Desk", "threads": "2"}


@pytest.fixture(autouse=True)
def every_minibatch(monkeypatch):
    """A checkpoint after each minibatch, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(Run, "seconds_between_checkpoints", -1)
    monkeypatch.setattr(Run, "seconds_within_an_epoch", -1)


def without_times(curve):
    return [{name: value for name, value in line.items() if name != "seconds"} for line in curve]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run that nobody stops, and what `train` returns."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, *train(folder)


@pytest.mark.parametrize("stop_after", range(1, 18))
def test_a_run_that_was_stopped_anywhere_ends_as_if_it_had_not_been(stop_after, undisturbed, tmp_path, capsys):
    folder, result, state, n_steps = undisturbed
    if stop_after > n_steps:
        pytest.skip("it was over")
    with pytest.raises(Interrupted):
        train(tmp_path, stop_after)
    again, state_again, steps_again = train(tmp_path)
    assert steps_again == n_steps - stop_after and state_again == state
    assert without_times(again.curve) == without_times(result.curve) and again.figures == result.figures
    for name in "model.npz", "pretrained.npz":
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    np.testing.assert_array_equal(again.model.params[0].get_value(), result.model.params[0].get_value())
    out = capsys.readouterr().out
    assert "continuing the unfinished run" in out
    assert f"{100 * result.validation_error:f} %, on iteration {result.best_iteration}, with" in out


def test_a_run_killed_between_its_stages_keeps_what_was_pretrained_when_it_goes_on(undisturbed, tmp_path):
    train(tmp_path, killed_after_pretraining=True)
    assert not (tmp_path / "pretrained.npz").exists()
    train(tmp_path)
    assert (tmp_path / "pretrained.npz").read_bytes() == (undisturbed[0] / "pretrained.npz").read_bytes()


def test_a_finished_run_is_shown_again_trains_nothing_and_keeps_every_file(tmp_path, capsys, monkeypatch):
    first, _, _ = train(tmp_path)
    out = capsys.readouterr().out
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    monkeypatch.setattr(records, "machine", lambda: OTHER_MACHINE)
    again, _, steps = train(tmp_path)
    assert steps == 0 and again.curve == first.curve and again.figures == first.figures
    np.testing.assert_array_equal(again.model.params[0].get_value(), first.model.params[0].get_value())
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before
    assert out.splitlines()[-2].startswith("Optimization complete")
    assert out.splitlines()[-2] in capsys.readouterr().out  # the best validation score, to the digit


@pytest.mark.parametrize("content", ['{"seconds": {}}', "{"])
def test_a_finished_run_with_a_damaged_result_is_told_in_one_line(content, tmp_path):
    train(tmp_path)
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match="result.json is damaged") as refusal:
        train(tmp_path)
    assert str(refusal.value).isprintable()


def test_other_settings_and_other_data_are_refused_by_name_and_fresh_starts_over(tmp_path):
    _, _, n_steps = train(tmp_path)
    with pytest.raises(UserError, match=r"with learning_rate = 0.5, not 0.25: --fresh \(.*\) starts over"):
        train(tmp_path, learning_rate=0.25)
    with pytest.raises(UserError, match="with the data = 0, not 1"):
        train(tmp_path, sha256="1")
    _, _, steps = train(tmp_path, learning_rate=0.25, fresh=True)
    assert steps == n_steps
    assert {FILE, "model.npz", "result.json"} <= {path.name for path in (tmp_path / "earlier.1").iterdir()}


def test_a_run_that_goes_on_elsewhere_lists_each_part(tmp_path, monkeypatch):
    here = records.machine()
    for machine, stop_after in (here, 4), (here, 4), (OTHER_MACHINE, None):
        monkeypatch.setattr(records, "machine", lambda machine=machine: machine)
        with pytest.raises(Interrupted) if stop_after else nullcontext():
            train(tmp_path, stop_after)
    parts = json.loads((tmp_path / "settings.json").read_text())["parts"]
    assert [(part["epochs"], part["machine"]) for part in parts] == [(0, here), (2, OTHER_MACHINE)]
    assert SavedModel(tmp_path / "model.npz", "small_runs").about["parts"] == parts


def test_the_model_is_the_one_that_the_result_names_whatever_was_saved_in_between(tmp_path, monkeypatch):
    """Killed after a model was saved and before the next checkpoint, then continued with other rounding."""
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    lost = (tmp_path / "model.npz").read_bytes()
    with pytest.raises(Interrupted):
        train(tmp_path / "other", stop_after=6)
    for name in "checkpoint.npz", "curve.jsonl":
        shutil.copy(tmp_path / "other" / name, tmp_path / name)
    result, _, _ = train(tmp_path, wobble=1e-3)
    with np.load(tmp_path / "model.npz") as saved:
        np.testing.assert_array_equal(saved["0.W"], result.model.params[0].get_value())
    assert (tmp_path / "model.npz").read_bytes() != lost


def is_free(folder):
    with suppress(Timeout), FileLock(folder / ".lock", is_singleton=False, timeout=0):
        return True
    return False


def test_a_folder_is_one_process_s_until_any_end_of_its_run(tmp_path):
    with FileLock(tmp_path / ".lock", is_singleton=False):
        with pytest.raises(UserError, match="another process is training"):
            train(tmp_path)
    kept = []  # in a notebook the exception keeps the frames of the run alive
    for attempt, error in (
        (lambda: train(tmp_path), None),
        (lambda: train(tmp_path, learning_rate=0.25), UserError),
        (lambda: train(tmp_path / "b", stop_after=4), Interrupted),
        (lambda: diverge(tmp_path / "c"), UserError),
    ):
        try:
            attempt()
        except BaseException as caught:
            assert isinstance(caught, error)
            kept.append(caught)
        for folder in tmp_path, tmp_path / "b", tmp_path / "c":
            assert not folder.exists() or is_free(folder)
    assert len(kept) == 3


@pytest.mark.parametrize("tried", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_full_disk_ends_a_run_with_a_line_and_the_same_command_goes_on(tried, undisturbed, tmp_path, monkeypatch):
    """The checkpoint before stays whole: the run goes on from it."""
    written, limits = [], [np.inf]

    def fsync(descriptor):
        written.append(descriptor)
        if len(written) > limits[-1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    train(tmp_path / "counted")
    # The last write of all is that of the folder's new name for a whole file: an error there changes nothing.
    for limit in range(15, len(written) - 1, len(written) // tried):
        folder = tmp_path / f"full after {limit}"
        written.clear()
        limits.append(limit)
        with pytest.raises(UserError) as refusal:
            train(folder)
        limits.append(np.inf)
        text = str(refusal.value)
        assert (
            text.startswith(f"cannot write to {folder} (No space left on device): make room there")
            and text.isprintable()
        )
        again, _, steps = train(folder)
        assert without_times(again.curve) == without_times(undisturbed[1].curve) and steps < undisturbed[3]
        assert not [path for path in folder.iterdir() if path.name.startswith(".model")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The state and the arrays of a checkpoint in the middle of the second stage."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as often, pytest.raises(Interrupted):
        often.setattr(Run, "seconds_within_an_epoch", -1)
        train(folder, stop_after=11)  # past a validation, in its second epoch
    return read_described(folder / FILE, "state", "")


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"text": lambda text: text.replace('"epoch": 0', '"epoch": 3')}, "its text has another checksum"),
        ({"text": lambda text: 1}, "its form is different"),
        ({"sha256": lambda text: None}, "its text has another checksum"),
        ({"format": lambda version: 3}, "has the format 3, not 4"),
        ({"pretraining/W": lambda W: np.zeros(3)}, r"W is float64 \(3,\), or not finite"),
        ({"pretraining/W": lambda W: W.astype("f4")}, "W is float32"),
        ({"pretraining/W": lambda W: W * np.nan}, "or not finite"),
        ({"kept/training/0.W": lambda W: np.array("text")}, "W is <U4"),
        ({"kept/training/0.W": None}, "it lacks 'kept/training/0.W'"),
        ({"format": None}, "it lacks 'format'"),
    ],
)
def test_a_checkpoint_that_was_changed_is_told_in_one_line(changed, told, whole, tmp_path):
    parts = [dict(each) for each in whole]
    assert changed.keys() <= parts[0].keys() | parts[1].keys()
    for part in parts:
        for name in part.keys() & changed:
            value = part.pop(name)
            if changed[name]:
                part[name] = changed[name](value)
    write_described(tmp_path / FILE, {"state": parts[0]}, parts[1])
    with pytest.raises(UserError, match=f"{FILE}.*{told}.*: --fresh") as refusal:
        train(tmp_path)
    assert str(refusal.value).isprintable()


def test_a_checkpoint_of_other_stages_is_told_in_one_line(whole, tmp_path):
    """As of a driver without a file, whose code nothing compares."""
    write_described(tmp_path / FILE, {"state": whole[0]}, whole[1])
    with pytest.raises(UserError, match="it is one of other stages.*: --fresh"):
        with start(tmp_path) as run:
            run.stage(network(), name="training")
    with pytest.raises(UserError, match="it is one of more stages.*: --fresh"):
        with start(tmp_path) as run:
            rng = pt.random.shared_rng(seed=3, name="rng")
            run.stage(model := network(), Step(None, *model.params, rng), name="pretraining")
            run.finish()
    train(tmp_path)  # as it is, it is used


def diverge(folder, after=3, of_cost=False, fresh=False):
    """A run whose parameters become infinite in the step after so many, or its cost in the one after that."""
    model = network()
    (W,) = model.params
    with start(folder, n_minibatches=2, fresh=fresh) as run:
        stage = run.stage(model, Step(None, W), rate="learning_rate")
        for epoch in stage.epochs(3):
            for _ in epoch:
                if epoch.iteration == after and not of_cost:
                    W.set_value(np.array([1, np.inf]))
                epoch.add(cost=np.nan if epoch.iteration > after else 1.0)
            stage.keep()


@pytest.mark.parametrize(
    "of_cost, what",
    [
        (True, "the cost became nan in epoch 3, minibatch 1/2: the run has diverged"),
        (False, "the parameters became infinite or NaN in epoch 2, after minibatch 2/2: the run has diverged"),
    ],
)
def test_divergence_names_its_place_and_the_rate_and_keeps_what_was_good(of_cost, what, tmp_path):
    for _attempt in range(2):  # the same command goes on from the last good checkpoint, and ends in the same way
        with pytest.raises(UserError) as refusal:
            diverge(tmp_path, of_cost=of_cost)
        text = str(refusal.value)
        assert text.startswith(what) and text.isprintable()
        assert "choose --learning-rate below 0.5, with --fresh to start over" in text and str(tmp_path) in text
        checkpoint = read_checkpoint(tmp_path / FILE)
        stage = checkpoint["stages"]["training"]
        assert 2 * len(stage["curve"]) + (stage["begun"] or {"trained": 0})["trained"] == (4 if of_cost else 3)
        for values in checkpoint["arrays"], np.load(tmp_path / "model.npz"):
            assert all(np.isfinite(values[name]).all() for name in values if name != "about")
    diverge(tmp_path, after=99, fresh=True)


def test_a_model_that_is_not_finite_takes_no_good_ones_place(tmp_path, monkeypatch):
    """Where no checkpoint came in between to find it out."""
    for name in "seconds_between_checkpoints", "seconds_within_an_epoch":
        monkeypatch.setattr(Run, name, 1e9)
    with pytest.raises(UserError, match="became infinite or NaN in epoch 2"):
        diverge(tmp_path)
    with np.load(tmp_path / "model.npz") as saved:
        assert saved["0.W"].tolist() == [0, 0]


def test_another_runs_model_is_not_taken_for_a_finished_level(tmp_path):
    """The values of a level that is over come from the checkpoint, whatever lies in its model's place."""
    for name in "whole", "other":
        with pytest.raises(KeyboardInterrupt):
            train_levels(tmp_path / name, stop_after=(1, 0))
    model = tmp_path / "whole" / "model_0.npz"
    about, arrays = read_described(model, "about", "")
    write_described(model, {"about": about}, {**arrays, "0.W": np.full(2, 9.0)})
    for name in "whole", "whole", "other":  # the second time it is shown again
        assert train_levels(tmp_path / name) == [[4, 4], [8, 8]]


def test_variables_of_one_name_are_told_apart():
    variables = [pytensor.shared(0.0, name=name) for name in ("W", "v", "v", None, "v", None)]
    keys = ["training/W", "training/v", "training/v#2", "training/unnamed", "training/v#3", "training/unnamed#2"]
    assert named("training", variables) == dict(zip(keys, variables))


def test_values_go_back_where_they_were(tmp_path):
    W, rng = pytensor.shared(np.arange(3.0), name="W"), pt.random.shared_rng(seed=1)
    variables, memory = {"W": W, "rng": rng}, W.get_value(borrow=True)
    write_checkpoint(tmp_path / FILE, {}, variables, {})
    expected = rng.get_value().random(5)
    memory += 1
    rng.get_value(borrow=True).random(7)
    put_back(variables, read_checkpoint(tmp_path / FILE))
    assert memory.tolist() == [0, 1, 2] and W.get_value(borrow=True) is memory
    np.testing.assert_array_equal(rng.get_value().random(5), expected)


def test_a_result_beside_the_checkpoint_of_an_unfinished_run_is_told(whole, tmp_path):
    train(tmp_path)
    write_described(tmp_path / FILE, {"state": whole[0]}, whole[1])
    with pytest.raises(UserError, match="it is of an unfinished run.*: --fresh"):
        train(tmp_path)
