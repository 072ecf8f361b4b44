"""A stage of a run, and its epochs: one pass over the training set each."""

import json
import math
import time

from support.console import progress, say
from support.files import damaged, exactly
from support.runs import clock
from support.runs.checkpoint import FILE, REMEDY
from support.runs.folder import writing
from support.runs.interruption import Interrupted
from support.runs.result import Result
from support.start import UserError

import numpy as np


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
        The cost of a model that has learnt nothing. It is printed beside the first cost.
    n_minibatches : int, optional
        Steps in an epoch; by default the minibatches of the training set.
    place
        Numbers that tell the place of the stage in the run, such as layer=0. Each line of the curve has them.
    """

    def __init__(
        self, run, model, name="training", rate="learning_rate", file="model", phase=None, title=None,
        chance_cost=None, n_minibatches=None, **place,
    ):  # fmt: skip
        self.run, self.model, self.name, self.rate, self.file = run, model, name, rate, file
        self.title, self.phase = title, run.phase_in_progress or phase or name
        self.chance_cost, self.place, self.number = chance_cost, place, len(run.stages)
        self.n_minibatches = n_minibatches or run.n_minibatches
        self.values = None  # of the parameters, as they were kept last
        self.memory, self.epoch, self.has_ended, self.saved_at = None, None, False, time.monotonic()

    @property
    def is_over(self):
        """Whether no epoch is left to train."""
        return not self.run.trains or self.number < self.run.state.over

    @property
    def curve(self):
        """The lines of the curve that this stage has written."""
        starts = [*self.run.state.stages.values(), None, None][self.number :]
        return [] if starts[0] is None else self.run.curve[starts[0] : starts[1]]

    n_done = property(lambda self: len(self.curve))

    @property
    def result(self):
        """The `Result` of this stage alone."""
        return Result(self.model, self.curve, self.run.state.kept.get(self.name, {}))

    def label(self, number):
        """The place of an epoch in the run, such as "layer 0, epoch 3"."""
        where = {**self.place, "epoch": number}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in where.items())

    def _where(self):
        """The place that the stage has reached."""
        if self.epoch is not None:
            return f"{self.epoch.label}, after minibatch {self.epoch.trained}/{self.n_minibatches}"
        return self.label(self.curve[-1]["epoch"]) if self.curve else f"the stage {self.name}"

    def start(self):
        """Start the clock. From here on, a signal waits until the present minibatch is trained."""
        self.counted_until = self.epoch_started = clock.now()
        self.run.signals.waits = not self.is_over

    def count_seconds(self):
        now = clock.now()
        self.run.seconds[self.phase] = self.run.seconds.get(self.phase, 0) + now - self.counted_until
        self.counted_until = now

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
        state = self.run.state
        if self.has_ended:
            raise ValueError(f"the stage {self.name!r} is over: begin another one for further epochs")
        if not self.is_over:
            self.start()
            self.memory = memory
            with damaged(self.run.folder / FILE, REMEDY):
                self._check_place(n_epochs)
            for done in range(state.epochs, n_epochs):
                self.epoch = Epoch(self, first + done, done * self.n_minibatches, state.epoch)
                self._say_that_it_goes_on()
                yield self.epoch
                if self.epoch.is_last or done + 1 == n_epochs:
                    break
                self._end_epoch(self.epoch)
                self.reach(self.run.seconds_between_checkpoints)
        self.end()

    def _check_place(self, n_epochs):
        """Raise a ValueError if the checkpoint has another schedule. Put the memory back, if it has one."""
        state = self.run.state
        if state.epochs == 0 and state.epoch is None:
            return
        if state.epochs >= n_epochs or state.epoch and not 1 <= state.epoch["trained"] <= self.n_minibatches:
            raise ValueError("it is one of a longer schedule")
        if self.memory is not None:
            vars(self.memory).update({name: exactly(state.memory[name], int, float) for name in vars(self.memory)})

    def _say_that_it_goes_on(self):
        if self.run.goes_on:
            say(f"continuing the unfinished run in {self.run.folder}: {self._where()}")
            self.run.goes_on = False

    def record(self, number, cost, **figures):
        """Write the line of an epoch of a loop that is not ours, such as an optimiser's. Instead of `epochs`."""
        self._say_that_it_goes_on()
        epoch = Epoch(self, number, n_before=0, begun=None)
        epoch.started, self.epoch_started = self.epoch_started, clock.now()
        epoch.note(cost=cost, **figures)
        self._end_epoch(epoch)
        self.reach(self.run.seconds_between_checkpoints)

    def _end_epoch(self, epoch):
        """Write the line of an epoch that is over."""
        run, line, self.epoch = self.run, epoch.line(), None
        run.curve.append(line)
        with writing(run.folder), open(run.folder / "curve.jsonl", "a") as file:  # `find_run` made it: it is no link
            file.write(json.dumps(line) + "\n")
        run.state.epochs, run.state.epoch = run.state.epochs + 1, None

    def reach(self, seconds):
        """Write a checkpoint if the last one is older than this, or if the run was asked to stop."""
        signum = self.run.signals.signum
        if signum is not None or time.monotonic() - self.saved_at > seconds:
            self.run.state.epoch = self.epoch and self.epoch.state()
            self.run.write_checkpoint()
            self.saved_at = time.monotonic()
        if signum is not None:
            raise Interrupted(signum, self._where())

    def keep(self, **figures):
        """Save the model as its file, in place of an earlier one, with the figures that it reached.

        At the end of the stage, the parameters become those that were kept last.
        """
        if self.run.trains:
            self.check_finite([param.get_value(borrow=True) for param in self.model.params])
            self.values = [param.get_value() for param in self.model.params]
            kept = self.run.state.kept[self.name] = {name: plain(value) for name, value in figures.items()}
            self.run.save_model(self.file, self.model.params, kept)

    def end(self):
        """End the stage, once. A lesson need not call it: the loop over epochs, the next stage and the run's end do."""
        if self.has_ended:
            return
        run, state, self.has_ended = self.run, self.run.state, True
        if not self.is_over:
            self.check_finite([param.get_value(borrow=True) for param in self.model.params])
            if self.epoch is not None:
                self._end_epoch(self.epoch)
            if self.values is not None:
                for param, value in zip(self.model.params, self.values):
                    param.get_value(borrow=True)[...] = value
                # The file may be that of a better model, saved just before the run was killed.
                run.save_model(self.file, self.model.params, state.kept[self.name])
            has_trained = state.epochs > 0
            state.over, state.epochs, self.memory = state.over + 1, 0, None
            self.reach(-1 if has_trained else math.inf)
            run.signals.waits = False
        if run.phase_in_progress is None:
            run.print_time(self.phase, self.title)

    def finite(self, name, value, where):
        """The value as a number of Python. A UserError says that it is not finite: the run has diverged."""
        value = plain(value)
        if not math.isfinite(value):
            raise self._diverged(f"the {name} became {value} in {where}")
        return value

    def check_finite(self, values):
        """Raise a UserError before a file with NaN or infinity replaces a good one."""
        # The cost is computed before the update, so it can look fine while the weights are ruined.
        if not all(np.isfinite(value).all() for value in values):
            raise self._diverged(f"the parameters became infinite or NaN in {self._where()}")

    def _diverged(self, what):
        """The error that ends a run whose numbers are no longer finite."""
        advice = "start over with other settings, and --fresh"
        if rate := self.run.state.about["settings"].get(self.rate):
            advice = f"choose --{self.rate.replace('_', '-')} below {rate}, with --fresh to start over"
        largest = float(np.abs(self.run.data[0][0].get_value(borrow=True)).max())
        if largest > 1:
            advice = f"its inputs go up to {largest:g}: scale them to 0..1, or {advice}"
        return UserError(
            f"{what}: the run has diverged; {advice} (the last good checkpoint and best model, if any, are kept in "
            f"{self.run.folder})"
        )


def plain(value):
    """A number of NumPy as one of Python."""
    return value.item() if hasattr(value, "item") else value


class Epoch:
    """One pass over the minibatches. Iterating gives their indices, and shows the progress on a terminal.

    `n_before` minibatches of the stage are before it. `begun` is the `state` of an interrupted epoch that goes on.
    """

    def __init__(self, stage, number, n_before, begun):
        begun = begun or {"trained": 0, "sums": {}, "figures": {}, "seconds": 0}
        self.stage, self.number, self.label = stage, number, stage.label(number)
        self.is_last = False  # set by a lesson whose rule of early stopping says that the stage ends with this epoch
        self.trained, self.sums, self.figures = begun["trained"], begun["sums"], begun["figures"]
        self.started = clock.now() - begun["seconds"]
        self.minibatch_index = max(0, self.trained - 1)
        self.n_before = n_before

    def __iter__(self):
        for index in progress(range(self.trained, self.stage.n_minibatches), self.label):
            self.minibatch_index = index
            yield index
            self.trained = index + 1
            self.stage.reach(self.stage.run.seconds_within_an_epoch)

    def state(self):
        """The numbers that determine the rest of the epoch, for a checkpoint."""
        return {
            "trained": self.trained, "sums": self.sums, "figures": self.figures, "seconds": clock.now() - self.started
        }  # fmt: skip

    @property
    def iteration(self):
        """The number of minibatches before the present one, over all epochs of the stage."""
        return self.n_before + self.minibatch_index

    def add(self, cost, **figures):
        """Add the cost of a minibatch, and further figures. The curve will hold the mean of each over the epoch.

        A UserError says that one of them is not finite: the run has diverged.
        """
        is_first = self.iteration == 0 and not self.sums
        for name, value in {"cost": cost, **figures}.items():
            value = float(value)
            if not math.isfinite(value):
                where = f"{self.label}, minibatch {self.minibatch_index + 1}/{self.stage.n_minibatches}"
                self.stage.finite(name, value, where)
            total, n = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, n + 1
        if is_first and self.stage.chance_cost is not None:
            say(f"first cost {cost:f}, by chance {self.stage.chance_cost:f}")

    def mean(self, name):
        """The mean of a figure that `add` got, over the minibatches so far."""
        total, n = self.sums[name]
        return total / n

    def note(self, **figures):
        """Add figures to the epoch's line of the curve, such as those of a validation. None takes one out again."""
        for name, value in figures.items():
            self.figures.pop(name, None)
            if value is not None:
                self.figures[name] = self.stage.finite(name, value, self.label)

    def line(self):
        """The epoch's line of the curve."""
        means, seconds = {name: self.mean(name) for name in self.sums}, round(clock.now() - self.started, 3)
        return {**self.stage.place, "epoch": self.number, **means, **self.figures, "seconds": seconds}
