"""Lessons in small, to be stopped, killed and continued: nothing in them is compiled."""

import signal
from types import SimpleNamespace

import logistic_sgd
from support.runs import open_run

import numpy as np
import pytensor
import pytensor.tensor as pt


class Datasets(list):
    name, sha256, source, n_out = "made up", "0", "made up", 10


def updating(*variables):
    """What a compiled function that updates these shared variables tells of itself."""
    return SimpleNamespace(maker=SimpleNamespace(inputs=[SimpleNamespace(variable=v, update=v) for v in variables]))


def train(
    folder, stop_after=None, n_epochs=4, learning_rate=0.5, killed_after_pretraining=False, fresh=False, wobble=0
):
    """A lesson in small, two stages of a random walk; stopped after so many minibatches as by Ctrl-C, or let end.

    Returns
    -------
    result, generator, steps trained
    """
    settings = {"dataset": "made up", "learning_rate": learning_rate, "output_folder": folder, "fresh": fresh}
    W, rng = pytensor.shared(np.zeros(2), name="W"), pt.random.shared_rng(seed=3)
    model = SimpleNamespace(params=[W])
    trained = 0

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

    with open_run(train, settings, Datasets()) as run:
        run.track(model, updating(W, rng))
        with run.timed("pretraining", "learning_rate"):
            for epoch in run.epochs(2, 3, 0, layer=0):
                for minibatch_index in epoch:
                    epoch.add_cost(step(minibatch_index))
        if killed_after_pretraining:
            return
        run.keep_pretrained([W])
        run.track(model, updating(W))
        result = logistic_sgd.train_with_early_stopping(run, model, (step, score, score), n_epochs, 3, 5)
    return result, rng.get_value().bit_generator.state, trained


def train_levels(folder, stop_after=None):
    """The dA's loop in small: a model for each of two levels."""
    outcome = []
    with open_run(train_levels, {"dataset": "made up", "output_folder": folder}, Datasets()) as run:
        for level in range(2):
            W = pytensor.shared(np.zeros(2), name="W")
            model = SimpleNamespace(params=[W])
            run.track(model, updating(W), name=f"model_{level}")
            with run.timed(f"level {level}", "learning_rate"):
                for epoch in run.epochs(2, 2, 0, corruption=level):
                    for _ in epoch:
                        W.set_value(W.get_value() + 1 + level)
                        epoch.add_cost(1.0)
                    run.keep(model, f"model_{level}")
                    if (level, epoch.number) == stop_after:
                        raise KeyboardInterrupt
            outcome.append(W.get_value().tolist())
        run.finish()
    return outcome
