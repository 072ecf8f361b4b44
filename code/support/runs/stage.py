"""A stage of a run, and its epochs: one pass over the training set each."""

import json
import math

from support.console import progress, say
from support.runs import clock
from support.runs.checkpoint import fitting, put_back
from support.runs.models import Result, by_name
from support.start import UserError

import numpy as np

SAVED = "curve", "is_over", "kept", "begun", "memory"  # the attributes of a stage that a checkpoint holds


class Stage:
    """Epochs that train one model by the same functions. `Run.stage` makes it.

    Parameters
    ----------
    name : str
        Tells the stages of the run apart.
    rate : str
        The argument of the driver that must be lowered if the stage diverges.
    file : str
        The name of the file that `keep` writes, without its ending.
    phase : str, optional
        The name for the seconds of the stage in result.json; by default the stage's.
    title : str, optional
        The phase in words, for the line that is printed at its end.
    chance_cost : float, optional
        The cost of a model that has learnt nothing. It is printed beside the first cost, and a warning follows each
        epoch whose mean is over three times as large.
    chance_of : str, optional
        The figure that it compares with, such as reconstruction, if the cost holds a penalty, too.
    n_minibatches : int, optional
        Steps in an epoch; by default the minibatches of the training set.
    place
        Numbers that tell the place of the stage in the run, such as layer=0. Each line of the curve has them.

    Attributes
    ----------
    curve : list of dict, the lines of the curve that the stage has written
    is_over : bool, whether no epoch is left to train
    """

    def __init__(
        self, run, model, name="training", rate="learning_rate", file="model", phase=None, title=None,
        chance_cost=None, chance_of=None, n_minibatches=None, **place,
    ):  # fmt: skip
        self.run, self.model, self.name, self.rate, self.file = run, model, name, rate, file
        self.phase, self.title = run.phase_in_progress or phase or name, title
        self.chance_cost, self.chance_of, self.place = chance_cost, chance_of, place
        self.n_minibatches, self.epoch_started = n_minibatches or run.n_minibatches, clock.now()
        self.curve, self.is_over, self.has_ended = [], not run.trains, False
        self.kept, self.values = None, None  # the figures and the parameters of the model that was kept last
        self.epoch, self.begun, self.memory = None, None, None

    def snapshot(self):
        """What a checkpoint holds of the stage, apart from arrays."""
        self.begun = self.epoch and self.epoch.state()
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, checkpoint, variables):
        """Go on where a checkpoint was written. An exception says that it does not fit."""
        put_back(variables, checkpoint)
        vars(self).update(checkpoint["stages"][self.name])
        if not (self.is_over or self.run.trains):
            raise ValueError("it is of an unfinished run")  # though there is a result.json
        if self.kept is not None and not self.is_over:
            keys = self.kept_arrays(self.model.params)
            self.values = [fitting(param, checkpoint["arrays"][key]) for key, param in keys.items()]

    def kept_arrays(self, values):
        """{key in a checkpoint: value} of the parameters that were kept last."""
        return {f"kept/{self.name}/{name}": value for name, value in by_name(self.model.params, values).items()}

    @property
    def result(self):
        """The `Result` of this stage alone."""
        return Result(self.model, self.curve, self.kept or {})

    def label(self, number):
        """The place of an epoch in the run, such as "layer 0, epoch 3"."""
        where = {**self.place, "epoch": number}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in where.items())

    def where(self):
        """The place that the stage has reached."""
        if self.epoch is not None:
            return f"{self.epoch.label}, after minibatch {self.epoch.trained}/{self.n_minibatches}"
        return self.label(self.curve[-1]["epoch"]) if self.curve else f"the stage {self.name}"

    def epochs(self, n_epochs, first=1, memory=None):
        """Yield an `Epoch` for each epoch that is left to train. When it is over, write its line of the curve.

        Parameters
        ----------
        n_epochs : int
        first : int
            The number of the first epoch.
        memory : object, optional
            Its attributes are numbers that the lesson carries from minibatch to minibatch, such as the best error so
            far. They are saved in checkpoints, and put back.
        """
        if self.has_ended:
            raise ValueError(f"the stage {self.name!r} is over: begin another one for further epochs")
        if not self.is_over:
            if memory is not None:
                vars(memory).update(self.memory or {})
                self.memory = vars(memory)
            for done in range(len(self.curve), n_epochs):
                self.epoch = Epoch(self, first + done, self.begun)
                yield self.epoch
                if self.epoch.is_last:
                    break
                self._end_epoch()
        self.end()

    def record(self, number, cost, **figures):
        """Write the line of an epoch of a loop that is not ours, such as an optimiser's. Instead of `epochs`."""
        self.epoch = Epoch(self, number)
        self.epoch.note(cost=cost, **figures)
        self._end_epoch()

    def _end_epoch(self):
        """Write the line of an epoch that is over, and a checkpoint if the last one is old."""
        self.check_finite()
        if self.chance_cost and abs(self.epoch.mean(self.chance_of or "cost")) > 3 * abs(self.chance_cost):
            say(f"warning: {self.epoch.label} costs over three times as much as chance; {self.advice()}")
        self.curve.append(line := self.epoch.line())
        self.epoch, self.begun, self.epoch_started = None, None, clock.now()
        with open(self.run.folder / "curve.jsonl", "a") as file:  # `find_run` made it: it is no link
            file.write(json.dumps(line) + "\n")
        self.run.reach(self.run.seconds_between_checkpoints)

    def keep(self, **figures):
        """Save the model as its file, in place of an earlier one, with the figures that it reached.

        At the end of the stage, the parameters become those that were kept last.
        """
        if not self.is_over:
            self.check_finite()
            self.values = [param.get_value() for param in self.model.params]
            self.kept = {name: plain(value) for name, value in figures.items()}
            self.run.save_model(self.file, self.model.params, self.kept)

    def end(self):
        """End the stage, once. A lesson need not call it: the loop over epochs, the next stage and the run's end do."""
        if self.has_ended:
            return
        self.has_ended = True
        if not self.is_over:
            if self.epoch is not None:
                self._end_epoch()
            if self.values is not None:
                for param, value in zip(self.model.params, self.values):
                    param.get_value(borrow=True)[...] = value
                # The file may be that of a better model, saved just before the run was killed.
                self.run.save_model(self.file, self.model.params, self.kept)
            self.is_over, self.values = True, None
            self.run.reach(seconds=-1)
            self.run.signals.waits = False
        if self.run.phase_in_progress is None:
            self.run.print_time(self.phase, self.title)

    def check_finite(self):
        """Raise a UserError if a variable is not finite, before a file with NaN or infinity replaces a good one."""
        # The cost is computed before the update, so it can look fine while the weights are ruined.
        values = [each.get_value(borrow=True) for each in self.run.variables.values()]
        if not all(isinstance(value, np.random.Generator) or np.isfinite(value).all() for value in values):
            raise self.diverged(f"the parameters became infinite or NaN in {self.where()}")

    def advice(self):
        """What helps against numbers that become too large."""
        advice = "start over with other settings, and --fresh"
        if rate := self.run.about["settings"].get(self.rate):
            advice = f"choose --{self.rate.replace('_', '-')} below {rate}, with --fresh to start over"
        largest = float(np.abs(self.run.data.train_x.get_value(borrow=True)).max())
        if largest > 1:
            advice = f"its inputs go up to {largest:g}: scale them to 0..1, or {advice}"
        return advice

    def diverged(self, what):
        """The error that ends a run whose numbers are no longer finite."""
        kept = f"the last good checkpoint and best model, if any, are kept in {self.run.folder}"
        return UserError(f"{what}: the run has diverged; {self.advice()} ({kept})")


def plain(value):
    """A number of NumPy as one of Python."""
    return value.item() if hasattr(value, "item") else value


class Epoch:
    """One pass over the minibatches. Iterating gives their indices, and shows the progress on a terminal.

    `begun` is the `state` of an interrupted epoch that goes on.
    """

    def __init__(self, stage, number, begun=None):
        begun = begun or {"trained": 0, "sums": {}, "figures": {}, "seconds": 0}
        self.stage, self.number, self.label = stage, number, stage.label(number)
        self.is_last = False  # set by a lesson whose rule of early stopping says that the stage ends with this epoch
        self.trained, self.sums, self.figures = begun["trained"], begun["sums"], begun["figures"]
        self.started = stage.epoch_started - begun["seconds"]

    def __iter__(self):
        run = self.stage.run
        for index in progress(range(self.trained, self.stage.n_minibatches), self.label):
            yield index
            self.trained = index + 1
            run.reach(run.seconds_within_an_epoch)

    @property
    def seconds(self):
        return clock.now() - self.started

    def state(self):
        """The numbers that determine the rest of the epoch, for a checkpoint."""
        return {"trained": self.trained, "sums": self.sums, "figures": self.figures, "seconds": self.seconds}

    @property
    def iteration(self):
        """The number of minibatches before the present one, over all epochs of the stage."""
        return len(self.stage.curve) * self.stage.n_minibatches + self.trained

    def add(self, cost, **figures):
        """Add the cost of a minibatch, and further figures. The curve will hold the mean of each over the epoch.

        A UserError says that one of them is not finite: the run has diverged.
        """
        for name, value in {"cost": cost, **figures}.items():
            value = float(value)
            if not math.isfinite(value):
                place = f"{self.label}, minibatch {self.trained + 1}/{self.stage.n_minibatches}"
                raise self.stage.diverged(f"the {name} became {value} in {place}")
            total, n = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, n + 1
        if self.iteration == 0 and self.sums["cost"][1] == 1 and self.stage.chance_cost is not None:
            part = self.stage.chance_of
            of_which = f", of which {part} {figures[part]:f}" if part else ""
            say(f"first cost {cost:f}{of_which}, by chance {self.stage.chance_cost:f}")

    def mean(self, name):
        """The mean of a figure that `add` got, over the minibatches so far."""
        total, n = self.sums[name]
        return total / n

    def note(self, **figures):
        """Add figures to the epoch's line of the curve, such as those of a validation. None takes one out again."""
        for name, value in figures.items():
            self.figures[name] = value = plain(value)
            if value is not None and not math.isfinite(value):
                raise self.stage.diverged(f"the {name} became {value} in {self.label}")

    def line(self):
        """The epoch's line of the curve."""
        means = {name: self.mean(name) for name in self.sums}
        figures = {name: value for name, value in self.figures.items() if value is not None}
        return {**self.stage.place, "epoch": self.number, **means, **figures, "seconds": round(self.seconds, 3)}
