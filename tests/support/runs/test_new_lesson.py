"""A lesson that somebody adds: one file, and nothing in support knows of it."""

import importlib.util
import json
import random

import torture
from lessons import FLAGS
from support.command import command
from support.report.recipes import Figure, Lesson
from support.report.tables import results_table
from support.start import ROOT

import pytest

LESSON = '''
"""A lesson in small: an autoencoder with a penalty."""

import sys

from dA import Autoencoder
from logistic_sgd import minibatch_function, sgd_updates
from support.command import command
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked

import numpy as np
import pytensor.tensor as pt


@checked
def test_tiny(
    step_size=0.1, n_epochs=3, dataset="mnist.pkl.gz", batch_size=20, seed=1, output_folder=None, fresh=False,
    show_graph=False,
):  # fmt: skip
    """Train a tiny autoencoder.

    Parameters
    ----------
    step_size : float, at least 0
        Size of a step.
    n_epochs : int, at least 1
        Passes over the training set.
    """
    with open_run(test_tiny, locals()) as run:
        tiny = Autoencoder(np.random.RandomState(seed), n_visible=run.data.n_in, n_hidden=5)
        noise_rng = pt.random.shared_rng(seed=seed)
        next_rng, noise = noise_rng.normal(0, 0.1, size=(batch_size, run.data.n_in))
        penalty = (tiny.W**2).sum()
        z = tiny.get_reconstructed_input(tiny.get_hidden_values(tiny.x + noise.astype(tiny.x.dtype)))
        cost = tiny.get_reconstruction_cost(z).mean() + 0.001 * penalty
        updates = {**sgd_updates(cost, tiny.params, step_size), noise_rng: next_rng}
        train = minibatch_function([cost, penalty], {tiny.x: run.data.train_x}, batch_size, updates)
        stage = run.stage(tiny, train, rate="step_size")
        for epoch in stage.epochs(n_epochs):
            for minibatch_index in epoch:
                cost, penalty = train(minibatch_index)
                epoch.add(cost=cost, penalty=penalty)
            stage.keep(penalty=epoch.mean("penalty"))
        result = run.finish()
        run.draw(plot)
        return result


def plot(folder, datasets=None):
    """Draw the penalty."""
    pictures = Pictures(folder, test_tiny, datasets)
    panels = [("", "nats", {"": pictures.series("penalty")})]
    pictures.draw_curves("penalty", "Penalty", panels, "The penalty by epoch.")


SHORT = {"n_epochs": 3, "batch_size": 20}

if __name__ == "__main__":
    sys.exit(command(test_tiny, quick=SHORT, plot=plot))
'''


@pytest.fixture
def lesson(tmp_path):
    """The path of the lesson, in a folder of its own."""
    path = tmp_path / "tiny.py"
    path.write_text(LESSON)
    return path


def test_a_lesson_is_one_file(lesson, small_dataset, tmp_path, interpreted, capsys):
    specification = importlib.util.spec_from_file_location("tiny", lesson)
    specification.loader.exec_module(tiny := importlib.util.module_from_spec(specification))

    def run(*options):
        return command(tiny.test_tiny, tiny.SHORT, list(map(str, options)), plot=tiny.plot)

    folder = tmp_path / "runs" / "tiny"
    common = "--dataset", small_dataset, "--output-folder", folder
    assert run(*common, "--quick") == 0
    assert {"tiny", "dA", "logistic_sgd"} <= json.loads((folder / "settings.json").read_text())["code"].keys()
    curve = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in curve] == [1, 2, 3] and all(line["penalty"] > 0 for line in curve)
    assert json.loads((folder / "result.json").read_text())["penalty"] == curve[-1]["penalty"]

    (folder / "penalty.png").unlink()
    assert run("--plot", folder) == 0
    assert (folder / "penalty.png").read_bytes().startswith(b"\x89PNG")

    capsys.readouterr()
    assert run(*common, "--show-graph") == 0
    assert "step moves" in capsys.readouterr().out and (folder / "graphs" / "training.txt").exists()

    assert run(*common, "--step-size", "-1", "--fresh") == 2
    assert capsys.readouterr().err == "tiny.py: error: step_size must be a number of at least 0, not -1.0\n"

    assert run("--dataset", small_dataset, "--output-folder", tmp_path / "other", "--step-size", "1e38") == 2
    assert "choose --step-size below 1e+38" in capsys.readouterr().err.splitlines()[-1]

    figure = {"field": "penalty", "name": "penalty", "unit": "nats", "digits": 3, "lower_is_better": True}
    recipes = {"tiny": Lesson("tiny", (Figure(**figure),), runs={"tiny": []})}
    (line,) = [line for line in results_table(tmp_path / "runs", recipes) if line.startswith("| tiny |")]
    assert f"{curve[-1]['penalty']:.3f}" in line


def test_a_lesson_that_was_killed_goes_on_to_the_same_bits(lesson, small_dataset, tmp_path, monkeypatch):
    """Its generator and its parameters are tracked because its compiled function updates them."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "code"))
    monkeypatch.setenv("PYTENSOR_FLAGS", FLAGS)  # nothing to compile
    assert torture.torture(lesson, 1, small_dataset, tmp_path, random.Random(0)) >= 1
