import json
import math
from types import SimpleNamespace

import logistic_sgd
from support.data import Datasets
from support.errors import UserError
from support.runs import open_run
from support.runs.stopping import EarlyStopping

import numpy as np
import pytensor
import pytest


class ScriptedRun:
    """Runs the loop of lesson 1 on a script of validation errors."""

    def __init__(self, errors, n_epochs, n_train_batches):
        self.script, self.bests, self.validated, self.trained = iter(errors), [], [], 0
        self.datasets = SimpleNamespace(n_out=2)

    def timed(self, phase, rate, title):
        from contextlib import nullcontext

        return nullcontext()

    def epochs(self, n_epochs, n_train_batches, stopping, chance_cost):
        self.stopping = stopping
        for number in range(n_epochs):
            self.minibatches, self.is_last, self.figures = range(n_train_batches), False, {}
            self.before = number * n_train_batches
            yield self
            if self.is_last:
                return

    def __iter__(self):
        for index in self.minibatches:
            self.iteration = self.before + index
            yield index

    def add_cost(self, cost):
        self.trained += 1

    def report_validation(self, errors):
        self.validated.append(self.iteration)
        self.error = next(self.script)
        return self.error

    def report_test(self, errors):
        pass

    def keep(self, classifier):
        self.bests.append(self.error)

    def finish(self, classifier, closing):
        return self.stopping, self.bests, self.trained


def train(errors, patience, n_train_batches, n_epochs=1000):
    """Run the rule on a script of validation errors; return its state, the bests it saw, the iterations trained."""
    run = ScriptedRun(errors, n_epochs, n_train_batches)
    functions = (lambda index: 0.0), list, list
    return logistic_sgd.train_with_early_stopping(run, None, functions, n_epochs, n_train_batches, patience)


def test_validation_comes_once_an_epoch_or_twice_within_the_patience():
    assert EarlyStopping(5000, 83).validation_frequency == 83
    assert EarlyStopping(10000, 50000).validation_frequency == 5000
    run = ScriptedRun([0.5] * 9, 2, 4)
    logistic_sgd.train_with_early_stopping(run, None, ((lambda index: 0.0), list, list), 2, 4, 100)
    assert run.validated == [3, 7]  # after the 4th and the 8th minibatch


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
    stopping, bests, _ = train([0.5, 0.5], patience=4, n_train_batches=2, n_epochs=2)
    assert bests == [0.5] and stopping.best_iteration == 1


def datasets_of(*sizes):
    pairs = [(pytensor.shared(np.zeros((n, 2))), pytensor.shared(np.zeros(n, "int32"))) for n in sizes]
    return Datasets(pairs, "made up", "made up", "0")


def test_full_minibatches_are_counted_and_a_batch_larger_than_a_set_is_refused():
    assert datasets_of(50, 10, 20).n_minibatches(10) == 5
    assert datasets_of(59, 10, 20).n_minibatches(10) == 5
    with pytest.raises(UserError, match="at most 10"):
        datasets_of(50, 20, 10).n_minibatches(11)


def test_examples_beyond_full_minibatches_are_told_in_a_line(capsys):
    datasets_of(50, 10, 20).n_minibatches(10)
    assert capsys.readouterr().out == ""
    datasets_of(57, 20, 20).n_minibatches(19)
    line = "minibatches of 19 leave out the last 1 of 20 validation, 1 of 20 test examples\n"
    assert capsys.readouterr().out == line
    datasets_of(59, 19, 38).n_minibatches(19)
    assert capsys.readouterr().out == "minibatches of 19 leave out the last 2 of 59 training examples\n"


def driver(learning_rate=0.1, n_epochs=2):
    """Stands in for a lesson's."""


def start(folder, **settings):
    return open_run(
        driver, {"dataset": "made up", "learning_rate": 0.1, "output_folder": folder, **settings}, datasets_of(8, 4, 4)
    )


@pytest.fixture
def run(tmp_path):
    with start(tmp_path) as run:
        yield run


@pytest.fixture
def model():
    return SimpleNamespace(params=[pytensor.shared(np.zeros(2), name="W")])


def test_the_loop_yields_minibatches_keeps_the_best_and_writes_its_records(run, model, tmp_path, capsys):
    errors = iter([0.25, 0.5])

    def train_model(minibatch_index):
        epoch = run.state.epoch
        model.params[0].set_value(np.full(2, epoch.iteration, float))
        return epoch.number + minibatch_index

    capsys.readouterr()
    functions = train_model, lambda: [next(errors)], lambda: [0.125, 0.375]
    result = logistic_sgd.train_with_early_stopping(run, model, functions, 2, 3, 100)

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
        "first cost 1.000000, by chance 0.000000",
        "epoch 1, minibatch 3/3, validation error 25.000000 %",
        "     epoch 1, minibatch 3/3, test error of best model 25.000000 %",
        "epoch 2, minibatch 3/3, validation error 50.000000 %",
        "Optimization complete with best validation score of 25.000000 %, on iteration 3, "
        "with test performance 25.000000 %",
        "these figures are for made up: only MNIST's compare with the published ones",
    ]
    assert captured.err == "The training code for file test_run.py ran for 0.00m\n"
    assert "\r" not in captured.out + captured.err and "\x1b" not in captured.out + captured.err


def test_patience_ends_the_epochs_within_one(run, model):
    trained = []

    def train_model(minibatch_index):
        trained.append((run.state.epoch.number, minibatch_index))
        return 1.0

    errors = iter([0.5, 0.5, 0.5])
    logistic_sgd.train_with_early_stopping(run, model, (train_model, lambda: [next(errors)], lambda: [0.5]), 10, 3, 4)
    assert trained == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]  # iteration 4 is the last
    assert [line["patience"] for line in run.curve] == [4, 4]


def test_a_named_figure_is_averaged_into_the_curve(run):
    with run.timed("training", "learning_rate"):
        for epoch in run.epochs(2, 3):
            for minibatch_index in epoch:
                epoch.add_cost(1.0, penalty=epoch.number + minibatch_index)
            epoch.figures["spread"] = 0.5
    assert [(line["penalty"], line["spread"]) for line in run.curve] == [(2.0, 0.5), (3.0, 0.5)]
    assert epoch.means == {"penalty": 3.0}


@pytest.mark.parametrize("cost", [math.nan, math.inf, -math.inf])
def test_a_cost_that_is_not_finite_is_refused_with_its_place(run, cost):
    run.state.rate = "learning_rate"
    epoch = next(iter(run.epochs(1, 3, first=4, layer=2)))
    next(iter(epoch))
    with pytest.raises(UserError, match=r"layer 2, epoch 4, minibatch 1/3.*choose --learning-rate below"):
        epoch.add_cost(cost)


def test_an_earlier_runs_files_are_moved_aside_where_it_cannot_be_continued(model, tmp_path, capsys):
    with start(tmp_path) as run:
        run.keep(model)
    (tmp_path / "notes.txt").write_text("not a run's")
    with start(tmp_path):
        pass
    assert f"moved to {tmp_path / 'earlier.1'}" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "earlier.1").iterdir()} == {"settings.json", "curve.jsonl", "model.npz"}
    assert (tmp_path / "notes.txt").exists() and not (tmp_path / "model.npz").exists()
    with start(tmp_path):  # of the one before there is nothing to keep
        pass
    assert not (tmp_path / "earlier.2").exists()


@pytest.mark.parametrize("name", ["settings.json", "curve.jsonl", "result.json", "checkpoint.npz", "model.npz"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_that_no_run_wrote_is_neither_overwritten_nor_moved(name, fresh, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name}.*another --output-folder|cannot be used: .*--fresh"):
        start(tmp_path, fresh=fresh)
    assert (tmp_path / name).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} <= {name, ".lock"}


def test_of_the_files_in_the_folder_only_a_runs_own_are_touched(model, tmp_path):
    own = {"model_of_my_own.npz": "data", "filters_mine.png": "a picture", "costs.png": "another"}
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    with start(tmp_path) as run:
        run.keep(model)
        with pytest.raises(UserError, match="costs.png, which no run there wrote"):
            run.save_picture("costs", np.zeros((2, 2), np.uint8))
    with start(tmp_path, fresh=True):
        pass
    assert (tmp_path / "earlier.1" / "model.npz").exists()
    assert {name: (tmp_path / name).read_text() for name in own} == own


@pytest.mark.parametrize("name", ["../notes.txt", "/etc/hosts", "a/b", ""])
def test_settings_that_name_files_elsewhere_are_no_runs(name, tmp_path):
    folder = tmp_path / "run"
    with start(folder):
        pass
    record = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**record, "files": [name]}))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a file of a run, or is damaged"):
        start(folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the output folder .*another --output-folder"):
        start(tmp_path / "file" / "runs")


def test_without_pillow_a_picture_is_left_out_in_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    run.save_picture("filters", np.zeros((2, 2), np.uint8))
    assert "filters.png is left out: Pillow is not installed" in capsys.readouterr().out
    assert not (tmp_path / "filters.png").exists()


def test_a_picture_of_the_embedded_digits_says_so_in_its_name(run, tmp_path):
    run.datasets.name = "digits"
    run.save_picture("filters", np.zeros((2, 2), np.uint8))
    assert (tmp_path / "filters_digits.png").exists()
