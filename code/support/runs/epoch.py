"""One pass over the training set."""

import math
import time

from support.console import progress, say
from support.files.forms import is_count, is_number

import numpy as np

# The form of an epoch's state in a checkpoint; see `support.files.forms.check_form`.
FORM = {
    "trained": is_count,
    "cost_sum": is_number,
    "sums": {...: is_number},
    "figures": {...: is_number},
    "seconds": is_number,
}


class Epoch:
    """One pass over the minibatches. Iterating gives their indices, and shows the progress on a terminal.

    Parameters
    ----------
    number : int
    n_minibatches : int
    minibatches_before : int
        Minibatches in the epochs before.
    place : dict
        Further numbers that tell the place of the epoch in the run, such as {"layer": 0}.
    stopping : EarlyStopping, or None
    after_minibatch : function of the epoch, called after each minibatch
    diverged : function that makes an exception from a text; it is raised if a cost is not finite
    chance_cost : float, optional
        The cost of a model that has learnt nothing. It is printed beside the cost of the first minibatch.

    Attributes
    ----------
    iteration : int
        Minibatches before the present one, over all epochs.
    mean_cost : float
        Mean over the minibatches so far.
    means : dict of float
        The mean of each further figure that `add_cost` got.
    figures : dict of float
        Further numbers for the epoch's line of the curve, such as those of a validation.
    is_last : bool
        Whether the run ends with this epoch. A lesson sets it when its rule of early stopping says so.
    """

    def __init__(
        self, number, n_minibatches, minibatches_before, place, stopping, after_minibatch, diverged, chance_cost=None
    ):
        self.number, self.n_minibatches, self.minibatches_before = number, n_minibatches, minibatches_before
        self.place, self.stopping, self.chance_cost = place, stopping, chance_cost
        self.after_minibatch, self.diverged = after_minibatch, diverged
        self.minibatch_index = self.trained = 0
        self.cost_sum, self.sums, self.figures = 0.0, {}, {}
        self.is_last = False
        self.seconds, self.started = 0.0, time.perf_counter()

    def __iter__(self):
        for index in progress(range(self.trained, self.n_minibatches), self.label):
            self.minibatch_index = index
            yield index
            self.trained = index + 1
            self.after_minibatch(self)

    def state(self):
        """The numbers that determine the rest of the epoch, for a checkpoint."""
        state = {name: getattr(self, name) for name in FORM}
        return {**state, "seconds": self.seconds + time.perf_counter() - self.started}

    def resume(self, state):
        """Go on from this state."""
        vars(self).update({name: state[name] for name in FORM})
        self.minibatch_index = self.trained - 1

    @property
    def iteration(self):
        return self.minibatches_before + self.minibatch_index

    @property
    def mean_cost(self):
        return self.cost_sum / (self.minibatch_index + 1)

    @property
    def means(self):
        return {name: total / (self.minibatch_index + 1) for name, total in self.sums.items()}

    @property
    def label(self):
        """The place of the epoch in the run, such as "layer 0, epoch 3"."""
        where = {**self.place, "epoch": self.number}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in where.items())

    @property
    def place_in_run(self):
        return f"{self.label}, after minibatch {self.trained}/{self.n_minibatches}"

    def add_cost(self, cost, **figures):
        """Add the cost of a minibatch, and further figures. The curve will hold the mean of each over the epoch.

        A UserError says that one of them is not finite: the run has diverged.
        """
        for name, value in {"cost": cost, **figures}.items():
            if not math.isfinite(value):
                where = f"{self.label}, minibatch {self.minibatch_index + 1}/{self.n_minibatches}"
                raise self.diverged(f"the {name} became {value} in {where}")
        if self.chance_cost is not None and self.minibatch_index == 0:
            say(f"first cost {cost:f}, by chance {self.chance_cost:f}")
        self.cost_sum += float(cost)
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def report_validation(self, errors):
        """Print and return the mean of the validation errors of the minibatches."""
        error = float(np.mean(errors))
        self.figures = {"iteration": self.iteration + 1, "validation_error": error}
        say(f"{self._position}, validation error {100 * error:f} %")
        return error

    def report_test(self, errors):
        """Print and return the mean of the best model's test errors of the minibatches."""
        error = self.figures["test_error"] = float(np.mean(errors))
        say(f"     {self._position}, test error of best model {100 * error:f} %")
        return error

    @property
    def _position(self):
        return f"epoch {self.number}, minibatch {self.minibatch_index + 1}/{self.n_minibatches}"

    def line(self):
        """The epoch's line of the curve."""
        patience = {} if self.stopping is None else {"patience": self.stopping.patience}
        figures = {"cost": self.mean_cost, **self.means, **self.figures, **patience}
        return {**self.place, "epoch": self.number, **figures, "seconds": round(self.state()["seconds"], 3)}
