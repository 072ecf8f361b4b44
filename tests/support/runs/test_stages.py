"""The stages of a run: their epochs, figures, kept models and clocks; and the files in a run's folder."""

import json
import math
import os
import time
from functools import partial

import logistic_sgd
from small_runs import Step, datasets_of, network, start, train_a_stage
from support.runs import records
from support.runs.stage import Epoch
from support.start import UserError

import numba
import numpy as np
import pytensor
import pytest


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def model():
    return network()


@pytest.fixture
def run(tmp_path):
    with start(tmp_path) as run:
        yield run


@pytest.fixture
def stage(run, model):
    return run.stage(model)


@pytest.mark.parametrize(
    "errors, patience, n_minibatches, n_epochs, expected",
    [
        # Validation comes once an epoch. The first one, at iteration 3, beats infinity and sets patience to
        # max(40, 2 * 3); no later one is better. The iteration 40 is the first with patience <= iteration.
        ([0.5] * 100, 40, 4, 1000, (40, [0.5], 41, [*range(3, 40, 4)])),
        # The tenth validation is that of iteration 39: patience = max(40, 2 * 39).
        ([0.5] * 9 + [0.4] + [0.5] * 100, 40, 4, 1000, (78, [0.5, 0.4], 79, [*range(3, 78, 4)])),
        # Below the threshold of 0.995: the best, but patience is not 2 * 39.
        ([0.4] * 9 + [0.4 * 0.996] * 100, 40, 4, 1000, (40, [0.4, 0.4 * 0.996], 41, [*range(3, 40, 4)])),
        # Or twice within the patience. It may end within an epoch, or with the last one. An equal error is no new best.
        ([0.5] * 100, 10, 100, 1000, (10, [0.5], 11, [4, 9])),
        ([0.5, 0.5], 4, 2, 2, (4, [0.5], 4, [1, 3])),
    ],
)
def test_the_rule_of_early_stopping(errors, patience, n_minibatches, n_epochs, expected, tmp_path, monkeypatch):
    """On a script of validation errors: patience at the end, errors of the kept models, iterations, validations."""
    trained, validated, kept, script = [], [], [], iter(errors)

    def validate():
        validated.append(len(trained) - 1)
        return [next(script)]

    functions = Step(lambda index: trained.append(index) or 0.0), validate, lambda: [0.0]
    with start(tmp_path, n_minibatches) as run:
        monkeypatch.setattr(run, "save_model", lambda name, params, figures: kept.append(figures["validation_error"]))
        result = logistic_sgd.train_with_early_stopping(run, network(), functions, n_epochs, patience)
    *kept, again = kept  # the best one is written once more at the end of the stage
    assert again == result.validation_error == kept[-1]
    assert (result.curve[-1]["patience"], kept, len(trained), validated) == expected


def test_full_minibatches_are_counted_and_the_rest_is_told_in_a_line(capsys):
    assert datasets_of(59, 19, 38).n_minibatches(19) == 3
    assert capsys.readouterr().out == "minibatches of 19 leave out the last 2 of 59 training examples\n"
    with pytest.raises(UserError, match="at most 10"):
        datasets_of(50, 20, 10).n_minibatches(11)


def test_the_loop_yields_minibatches_keeps_the_best_and_writes_its_records(run, model, tmp_path, capsys):
    errors, trained = iter([0.25, 0.5]), []

    def train_model(minibatch_index):
        trained.append(minibatch_index)
        model.params[0].set_value(np.full(2, len(trained) - 1.0))
        return (len(trained) + 2) // 3 + minibatch_index  # the epoch's number and the minibatch's

    capsys.readouterr()
    functions = Step(train_model), lambda: [next(errors)], lambda: [0.125, 0.375]
    result = logistic_sgd.train_with_early_stopping(run, model, functions, 2, 100)

    assert trained == [0, 1, 2] * 2
    assert (result.validation_error, result.test_error, result.best_iteration) == (0.25, 0.25, 3)
    np.testing.assert_array_equal(model.params[0].get_value(), [2, 2])  # the best, of iteration 2, not the last
    with np.load(tmp_path / "model.npz") as saved:
        np.testing.assert_array_equal(saved["0.W"], [2, 2])
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert lines == result.curve
    assert [(line["epoch"], line["cost"], line["validation_error"]) for line in lines] == [(1, 2, 0.25), (2, 3, 0.5)]
    assert "test_error" in lines[0] and "test_error" not in lines[1]
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["validation_error"] == 0.25 and record["epochs"] == 2
    assert record["seconds"]["training"] == round(sum(line["seconds"] for line in lines), 3)

    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "first cost 1.000000, by chance 0.000000",
        "epoch 1, minibatch 3/3, validation error 25.000000 %",
        "     epoch 1, minibatch 3/3, test error of best model 25.000000 %",
        "epoch 2, minibatch 3/3, validation error 50.000000 %",
        "Optimization complete with best validation score of 25.000000 %, on iteration 3, "
        "with test performance 25.000000 %",
        "these figures are for made up: only MNIST's compare with the published ones",
    ]
    assert captured.err == "The training code for file small_runs.py ran for 0.00m\n"
    assert "\r" not in captured.out + captured.err and "\x1b" not in captured.out + captured.err


@pytest.mark.parametrize("sign", [1, -1])
def test_an_epoch_that_is_far_worse_than_chance_names_its_rate(run, model, sign, capsys):
    stage = run.stage(model, n_minibatches=1, chance_cost=sign * 0.5, layer=1)
    for epoch in stage.epochs(2):
        for _ in epoch:
            epoch.add(cost=sign * (1.4, 1.6)[epoch.number - 1])
    warning = "warning: layer 1, epoch 2 costs over three times as much as chance; choose --learning-rate below 0.5"
    assert [line for line in capsys.readouterr().out.splitlines() if "warning" in line] == [
        f"{warning}, with --fresh to start over"
    ]


def test_figures_are_averaged_and_those_of_a_lesson_stay(run, model, tmp_path, capsys):
    stage = run.stage(model, n_minibatches=2, chance_cost=0.5, chance_of="penalty")
    for epoch in stage.epochs(2):
        for minibatch_index in epoch:
            epoch.add(cost=1.0, penalty=epoch.number + minibatch_index)
        epoch.note(spread=np.float32(0.5), gone=1)
        epoch.note(gone=None)
        assert epoch.mean("penalty") == epoch.number + 0.5
        stage.keep()
    assert "first cost 1.000000, of which penalty 1.000000, by chance 0.500000\n" in capsys.readouterr().out
    run.finish(evaluate=lambda: {"size": 2})
    lines = [{name: value for name, value in line.items() if name != "seconds"} for line in run.curve]
    assert lines == [{"epoch": n, "cost": 1.0, "penalty": n + 0.5, "spread": 0.5} for n in (1, 2)]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["epochs"] == 2 and result["size"] == 2  # though `keep` got no figures
    begun = {"trained": 1, "sums": {}, "figures": {}, "seconds": 5.0}
    assert 5 <= Epoch(stage, 1, begun).line()["seconds"] < 6  # of an epoch that was interrupted


def test_the_epochs_of_a_stage_may_have_steps_of_their_own(run, model):
    stage, seen = run.stage(model, n_minibatches=5), []
    for epoch in stage.epochs(2):
        for step in epoch:
            seen.append((step, epoch.iteration))
        epoch.note(figure=epoch.number)  # no cost
    assert seen == [(step % 5, step) for step in range(10)]
    assert [line["figure"] for line in run.curve] == [1, 2] and run.n_minibatches == 3
    assert records.check_curve(run.curve) == run.curve


@pytest.mark.parametrize("leave", ["break", "is_last"])
def test_a_lesson_may_leave_its_loops_when_it_likes(leave, run, stage, model):
    for epoch in stage.epochs(10, first=0):
        for minibatch_index in epoch:
            epoch.add(cost=minibatch_index)
            if epoch.number == 2:
                break
        if epoch.number == 2:
            epoch.is_last = True
            if leave == "break":
                break
    second = run.stage(model, name="second", level=1)
    assert not second.curve and not second.is_over and stage.is_over
    assert [line["cost"] for line in stage.curve] == [1, 1, 0]
    with pytest.raises(ValueError, match="'training' is over"):
        next(stage.epochs(3))


def test_weights_that_the_last_step_ruined_end_the_run_though_an_earlier_model_was_kept(stage, model):
    with pytest.raises(UserError, match="infinite or NaN in epoch 2, after minibatch 3/3"):
        for epoch in stage.epochs(2):
            for _ in epoch:
                epoch.add(cost=1.0)
            if epoch.number == 1:
                stage.keep()
            model.params[0].set_value(np.full(2, [0, np.nan][epoch.number - 1]))


def test_stages_of_a_phase_are_timed_together(run, model, capsys):
    with run.phase("pretraining"):
        for layer in range(2):
            train_a_stage(run.stage(model, name=f"layer {layer}", layer=layer))
    train_a_stage(run.stage(model, name="without an epoch"), n_epochs=0)
    assert list(run.seconds) == ["pretraining"]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"The {phase} code for file small_runs.py ran for 0.00m" for phase in ("pretraining", "without an epoch")
    ]
    with pytest.raises(ValueError, match="has a stage 'layer 0' already"):
        run.stage(model, name="layer 0")


def test_the_clock_stands_still_while_machine_code_is_compiled(run, stage):
    started = time.perf_counter()
    for epoch in stage.epochs(1):
        for minibatch_index in epoch:
            if minibatch_index == 0:
                for n in range(5):
                    numba.njit(lambda x: x + n)(1)
            time.sleep(0.01)
            epoch.add(cost=1.0)
    assert 0.03 <= run.seconds["training"] < 0.5 * (time.perf_counter() - started)


@pytest.mark.parametrize("cost", [math.nan, -math.inf])
def test_a_cost_that_is_not_finite_is_refused_with_its_place(run, model, cost):
    stage = run.stage(model, rate="learning_rate", layer=2)
    epoch = next(iter(stage.epochs(1, first=4)))
    next(iter(epoch))
    with pytest.raises(UserError, match=r"layer 2, epoch 4, minibatch 1/3.*; choose --learning-rate below 0.5"):
        epoch.add(cost=cost)
    with pytest.raises(UserError, match="the bound became"):
        epoch.note(bound=cost)
    run.data.train_x.get_value(borrow=True)[0, 0] = 255
    with pytest.raises(UserError, match="its inputs go up to 255: scale them to 0..1, or choose"):
        epoch.add(cost=cost)


def test_an_earlier_runs_files_are_moved_aside_where_it_cannot_be_continued(tmp_path, capsys):
    (tmp_path / "costs.png").write_text("not a run's")
    with start(tmp_path) as run:
        run.stage(network()).keep()
        with pytest.raises(UserError, match="costs.png, which no run there wrote"):
            records.claim(tmp_path, run.about, "costs.png")
    (tmp_path / "earlier.1").symlink_to(tmp_path / "nowhere")
    for _ in range(2):  # there is no checkpoint of the run before; of the second one, there is nothing to keep, either
        with start(tmp_path) as run:
            run.save("pretrained", network().params)
    assert f"moved to {tmp_path / 'earlier.2'}" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "earlier.2").iterdir()} == {"settings.json", "curve.jsonl", "model.npz"}
    assert (tmp_path / "costs.png").exists() and not (tmp_path / "model.npz").exists()
    assert not (tmp_path / "earlier.3").exists()


@pytest.mark.parametrize("name", ["settings.json", "curve.jsonl", "model.npz"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_that_no_run_wrote_is_neither_overwritten_nor_moved(name, fresh, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name}.*another --output-folder"):
        start(tmp_path, fresh=fresh).__enter__()
    assert (tmp_path / name).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} <= {name, ".lock"}


@pytest.mark.parametrize("target", ["outside.txt", "missing.txt"])
@pytest.mark.parametrize("others", [(), ("result.json", "model.npz")])  # without these, nothing is moved aside
def test_no_file_of_a_run_is_written_through_a_link(others, target, tmp_path):
    """The links are in a folder whose settings.json claims them as files of its run."""
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "outside.txt").write_text("mine")
    with start(folder):
        pass
    record = json.loads((folder / "settings.json").read_text())
    names = ".lock", "settings.json", "curve.jsonl", *others
    (outside / "settings.json").write_text(json.dumps({**record, "files": names[1:]}))
    before = {path: path.read_bytes() for path in outside.iterdir()}
    for name in names:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(outside / ("settings.json" if name == "settings.json" else target))
    with start(folder) as run:
        train_a_stage(run.stage(network()))
        run.finish()
        assert all((folder / name).is_file() and not (folder / name).is_symlink() for name in names)
    assert {path: path.read_bytes() for path in outside.iterdir()} == before


def no_folder(folder):
    (folder.parent / "file").write_text("")
    start(folder.parent / "file" / "runs").__enter__()


def vanishing(folder):
    with start(folder) as run:
        run.stage(network())
        folder.rename(folder.parent / "moved")
        run.stages[0].record(1, cost=1.0)


def link_to_graphs(folder):
    folder.mkdir()
    (folder / "graphs").symlink_to(folder)
    start(folder, show_graph=True).__enter__()


def other_settings(folder, **changed):
    with start(folder):
        pass
    record = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**record, **changed}))
    start(folder).__enter__()


@pytest.mark.parametrize(
    "spoil, told",
    [
        (no_folder, "cannot write to .*runs .Not a directory.: choose another --output-folder"),
        (vanishing, "cannot write to .*run .No such file or directory.: make room there"),
        (link_to_graphs, "cannot write to .*run .its folder graphs is a link.: choose another"),
        (partial(other_settings, files=["../notes.txt"]), "settings.json is damaged .*move it away, or choose another"),
        (partial(other_settings, files=[""]), "settings.json is damaged"),
        (partial(other_settings, parts=[]), "settings.json is damaged"),
        (partial(other_settings, parts=[{}]), "settings.json is damaged"),
        (partial(other_settings, code={"mlp": 1}), "settings.json is damaged"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_in_one_line(spoil, told, tmp_path):
    with pytest.raises(UserError, match=told):
        spoil(tmp_path / "run")


def test_a_reader_that_closes_the_pipe_during_a_run_is_no_error_of_the_folder(tmp_path):
    with pytest.raises(BrokenPipeError), start(tmp_path):
        raise BrokenPipeError


def test_the_first_picture_of_a_run_is_its_result_s(tmp_path, capsys):
    def plot(folder, data):
        for name in "errors.png", "others.png":
            records.claim(folder, records.read_settings(folder), name).write_bytes(name.encode())
        raise RuntimeError("no\nmore")

    for drawn in True, False:  # the second time, the finished run is shown again
        with start(tmp_path) as run:
            train_a_stage(run.stage(network()))
            run.finish()
            result = run.draw(plot)
        assert ("pictures are left out: no more" in capsys.readouterr().err) == drawn
    assert result.picture == b"errors.png" and "base64,ZXJyb3JzLnBuZw==" in result._repr_html_()


def test_a_shown_graph_is_a_stage_that_yields_no_epochs(tmp_path, capsys, interpreted):
    with start(tmp_path, show_graph=True) as run:
        W = pytensor.shared(1.0, name="W")
        index, rate = pytensor.tensor.lscalar("index"), pytensor.tensor.scalar("rate")
        step = pytensor.function([index, rate], index * W, updates={W: W - rate})
        stage = run.stage(network("W"), partial(step, rate=0.5), name="first step")
        run.say("... training")
        assert list(stage.epochs(3)) == []
        run.save("pretrained", [W])
        run.finish(closing="{cost}".format_map)
        assert run.draw(None).curve == []
    assert W.get_value() == 1 and "... training" not in capsys.readouterr().out
    assert {path.name for path in tmp_path.rglob("*")} >= {"graphs", "first_step.txt"}
    assert {path.name for path in tmp_path.iterdir()} == {"graphs"}
