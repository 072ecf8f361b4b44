import json
import math
from types import SimpleNamespace

import numpy as np
import pytensor
import pytest

from support.errors import UserError
from support.runs.run import EarlyStopping, Run, count_minibatches


def train(errors, patience, n_train_batches, n_epochs=1000):
    """Run the rule on a script of validation errors; return it, the bests it saw and the iterations trained."""
    stopping = EarlyStopping(patience, n_train_batches)
    script, bests = iter(errors), []
    for iteration in range(n_epochs * n_train_batches):
        if stopping.validation_is_due(iteration):
            error = next(script)
            if stopping.is_new_best(error, iteration):
                bests.append(error)
        if stopping.is_over(iteration):
            break
    return stopping, bests, iteration + 1


def test_validation_comes_once_an_epoch_or_twice_within_the_patience():
    assert EarlyStopping(5000, 83).validation_frequency == 83
    assert EarlyStopping(10000, 50000).validation_frequency == 5000
    due = [i for i in range(10) if EarlyStopping(100, 4).validation_is_due(i)]
    assert due == [3, 7]  # after the 4th and the 8th minibatch


def test_without_improvement_the_run_ends_at_the_patience():
    stopping, bests, trained = train([0.5] * 100, patience=40, n_train_batches=4)
    # The first validation, at iteration 3, beats infinity and sets patience to max(40, 2 * 3); no later one is better.
    assert bests == [0.5] and stopping.patience == 40 and stopping.best_iteration == 3
    assert trained == 41  # the iteration 40 is the first with patience <= iteration


def test_a_clear_improvement_doubles_the_iterations():
    errors = [0.5] * 9 + [0.4] + [0.5] * 100
    stopping, bests, trained = train(errors, patience=40, n_train_batches=4)
    # The tenth validation is that of iteration 39: patience = max(40, 2 * 39).
    assert bests == [0.5, 0.4] and stopping.patience == 78 and stopping.best_iteration == 39
    assert trained == 79


def test_an_improvement_below_the_threshold_is_the_best_but_buys_no_patience():
    errors = [0.4] * 9 + [0.4 * 0.996] * 100
    stopping, bests, trained = train(errors, patience=40, n_train_batches=4)
    assert bests == [0.4, 0.4 * 0.996] and stopping.best_iteration == 39
    assert stopping.patience == 40 and trained == 41  # and not 2 * 39


def test_a_run_may_end_within_an_epoch():
    _, _, trained = train([0.5] * 100, patience=10, n_train_batches=100)
    assert trained == 11


def test_a_run_ends_with_its_epochs_where_patience_lasts():
    stopping, bests, trained = train([0.5 / (i + 1) for i in range(10)], patience=40, n_train_batches=4, n_epochs=10)
    assert trained == 40 and stopping.patience == 78 and len(bests) == 10


def test_an_equal_error_is_no_new_best():
    stopping = EarlyStopping(10, 2)
    assert stopping.is_new_best(0.5, 1) and not stopping.is_new_best(0.5, 3) and stopping.best_iteration == 1


def datasets_of(*sizes):
    class Datasets(list):
        name, sha256, source = "made up", "0", "made up"

    return Datasets((pytensor.shared(np.zeros((n, 2))), pytensor.shared(np.zeros(n, "int32"))) for n in sizes)


def test_full_minibatches_are_counted_and_a_batch_larger_than_a_set_is_refused():
    assert count_minibatches(datasets_of(50, 10, 20), 10) == 5
    assert count_minibatches(datasets_of(59, 10, 20), 10) == 5
    with pytest.raises(UserError, match="at most 10"):
        count_minibatches(datasets_of(50, 20, 10), 11)


@pytest.fixture
def run(tmp_path):
    return Run("mlp", {"n_epochs": 2, "output_folder": tmp_path}, datasets_of(8, 4, 4))


@pytest.fixture
def model():
    return SimpleNamespace(params=[pytensor.shared(np.zeros(2), name="W")])


def test_the_loop_yields_minibatches_keeps_the_best_and_writes_its_records(run, model, tmp_path, capsys):
    errors = iter([0.25, 0.5])
    stopping = EarlyStopping(100, 3)
    with run.timed("training"):
        for epoch in run.epochs(2, 3, stopping=stopping, chance_cost=9.0):
            for minibatch_index in epoch:
                model.params[0].set_value(np.full(2, epoch.iteration, float))
                epoch.add_cost(epoch.number + minibatch_index)
                if stopping.validation_is_due(epoch.iteration):
                    if stopping.is_new_best(epoch.report_validation([next(errors)]), epoch.iteration):
                        epoch.report_test([0.125, 0.375])
                        run.keep(model, **epoch.figures)
    result = run.finish(model)

    assert (result.validation_error, result.test_error, result.best_iteration) == (0.25, 0.25, 3)
    np.testing.assert_array_equal(model.params[0].get_value(), [2, 2])  # the best, of iteration 2, not the last
    with np.load(tmp_path / "model.npz") as saved:
        np.testing.assert_array_equal(saved["0.W"], [2, 2])
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert lines == result.curve
    assert [(line["epoch"], line["cost"], line["validation_error"]) for line in lines] == [(1, 2, 0.25), (2, 3, 0.5)]
    assert "test_error" in lines[0] and "test_error" not in lines[1]
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["validation_error"] == 0.25 and record["epochs"] == 2 and record["seconds"]["training"] >= 0

    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "first cost 1.000000, by chance 9.000000",
        "epoch 1, minibatch 3/3, validation error 25.000000 %",
        "     epoch 1, minibatch 3/3, test error of best model 25.000000 %",
        "epoch 2, minibatch 3/3, validation error 50.000000 %",
        "Optimization complete with best validation score of 25.000000 %, on iteration 3, "
        "with test performance 25.000000 %",
        captured.out.splitlines()[-2],  # with the epochs a second, which no test can know
        "these figures are for made up: only MNIST's compare with the published ones",
    ]
    assert captured.err == "The training code for file mlp.py ran for 0.00m\n"
    assert "\r" not in captured.out + captured.err and "\x1b" not in captured.out + captured.err


def test_patience_ends_the_epochs_within_one(run):
    stopping = EarlyStopping(4, 3)
    trained = [(epoch.number, i) for epoch in run.epochs(10, 3, stopping=stopping) for i in epoch]
    assert trained == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]  # iteration 4 is the last


@pytest.mark.parametrize("cost", [math.nan, math.inf, -math.inf])
def test_a_cost_that_is_not_finite_is_refused_with_its_place(run, cost):
    (epoch,) = run.epochs(1, 3, first=4, layer=2)
    next(iter(epoch))
    with pytest.raises(UserError, match=r"layer 2, epoch 4, minibatch 1/3.*choose --learning-rate below"):
        epoch.add_cost(cost)


def test_an_earlier_runs_files_are_moved_aside_where_it_cannot_be_continued(run, model, tmp_path, capsys):
    run.keep(model)
    (tmp_path / "notes.txt").write_text("not a run's")
    Run("mlp", {"output_folder": tmp_path}, datasets_of(8, 4, 4))
    assert f"moved to {tmp_path / 'earlier.1'}" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "earlier.1").iterdir()} == {"settings.json", "curve.jsonl", "model.npz"}
    assert (tmp_path / "notes.txt").exists() and not (tmp_path / "model.npz").exists()
    Run("mlp", {"output_folder": tmp_path}, datasets_of(8, 4, 4))  # of the one before there is nothing to keep
    assert not (tmp_path / "earlier.2").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the output folder .*another --output-folder"):
        Run("mlp", {"output_folder": tmp_path / "file" / "runs"}, datasets_of(8, 4, 4))


def test_without_pillow_a_picture_is_left_out_in_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    run.save_picture("filters", np.zeros((2, 2), np.uint8))
    assert "filters.png is left out: Pillow is not installed" in capsys.readouterr().out
    assert not (tmp_path / "filters.png").exists()


def test_a_picture_of_the_embedded_digits_says_so_in_its_name(run, tmp_path):
    run.datasets.name = "digits"
    run.save_picture("filters", np.zeros((2, 2), np.uint8))
    assert (tmp_path / "filters_digits.png").exists()
