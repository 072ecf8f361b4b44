"""Lessons in small, to be stopped, killed and continued: nothing in them is compiled."""

import signal
from contextlib import contextmanager
from types import SimpleNamespace

import logistic_sgd
from support import runs
from support.data import Datasets

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest


class Step:
    """Stands in for a compiled function that updates these shared variables."""

    def __init__(self, function, *variables):
        self.function = function
        self.maker = SimpleNamespace(inputs=[SimpleNamespace(variable=each, update=each) for each in variables])

    def __call__(self, *arguments):
        return self.function(*arguments)


def datasets_of(*sizes, sha256="0"):
    pairs = [(pytensor.shared(np.zeros((n, 2))), pytensor.shared(np.zeros(n, "int32"))) for n in sizes]
    return Datasets(pairs, "made up", "made up", sha256)


def driver(dataset="made up", batch_size=2, learning_rate=0.5, output_folder=None, fresh=False):
    """Stands in for a lesson's."""


@contextmanager
def start(folder, n_minibatches=3, lesson=driver, sha256="0", **settings):
    """A run of epochs of so many minibatches."""
    values = {"dataset": "made up", "batch_size": 2, "learning_rate": 0.5, "output_folder": folder, **settings}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load_data", lambda dataset: datasets_of(2 * n_minibatches, 2, 2, sha256=sha256))
        with runs.open_run(lesson, values) as run:
            yield run


def network(*names):
    """A model whose parameters are zeros."""
    return SimpleNamespace(params=[pytensor.shared(np.zeros(2), name=name) for name in names or ["W"]])


def train_a_stage(stage, n_epochs=1, **figures):
    """Go through epochs at a constant cost, and keep the model."""
    for epoch in stage.epochs(n_epochs):
        for _ in epoch:
            epoch.add(cost=1.0, **figures)
        stage.keep()


def train(folder, stop_after=None, n_epochs=4, killed_after_pretraining=False, wobble=0, **settings):
    """A lesson in small, two stages of a random walk; stopped after so many minibatches as by Ctrl-C, or let end.

    Returns
    -------
    result, generator, steps trained
    """
    model, rng = network(), pt.random.shared_rng(seed=3, name="rng")
    (W,), trained = model.params, 0

    def step(_):
        nonlocal trained
        draw = rng.get_value(borrow=True).random()
        W.set_value(W.get_value() * 0.9 + draw + wobble)
        trained += 1
        if trained == stop_after:
            signal.raise_signal(signal.SIGINT)
        return draw

    def score():
        return [abs(np.sin(W.get_value()[0]))]

    with start(folder, **settings) as run:
        stage = run.stage(model, Step(step, W), Step(step, rng), name="pretraining", layer=0)  # as of two players
        for epoch in stage.epochs(2, first=0):
            for minibatch_index in epoch:
                epoch.add(cost=step(minibatch_index))
        if killed_after_pretraining:
            return
        run.save("pretrained", [W], pretrained=True)
        functions = Step(step, W, rng), score, score
        result = logistic_sgd.train_with_early_stopping(run, model, functions, n_epochs, 5)
    return result, rng.get_value().bit_generator.state, trained


def train_levels(folder, stop_after=None):
    """The dA's loop in small: a model for each of two levels."""
    outcome = []
    with start(folder, n_minibatches=2) as run:
        for level in range(2):
            model = network()
            (W,) = model.params
            stage = run.stage(model, Step(None, W), name=f"level {level}", file=f"model_{level}", level=level)
            for epoch in stage.epochs(2, first=0):
                for _ in epoch:
                    W.set_value(W.get_value() + 1 + level)
                    epoch.add(cost=1.0)
                stage.keep()
                if (level, epoch.number) == stop_after:
                    raise KeyboardInterrupt
            outcome.append(W.get_value().tolist())
        run.finish()
    return outcome
