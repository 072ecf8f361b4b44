"""A stage of a run, and its epochs: one pass over the training set each."""

import math
import time

from support.console import progress, say
from support.files import exactly
from support.runs import clock
from support.runs.checkpoint import put_back
from support.runs.result import Result
from support.start import UserError

import numpy as np


class Stage:
    """Epochs that train one model by the same functions. `Run.stage` makes it, and explains the parameters.

    Attributes
    ----------
    number : int, the stages before this one
    values : list of array, the parameters that were kept last; None before
    """

    def __init__(self, run, number, model, name, rate, file, phase, title, chance_cost, place):
        self.run, self.number, self.model, self.name = run, number, model, name
        self.rate, self.file, self.chance_cost, self.place = rate, file, chance_cost, place
        self.title, self.phase = title, run.phase_in_progress or phase or name
        self.values, self.memory, self.epoch, self.has_ended = None, None, None, False
        self.saved_at = time.monotonic()

    @property
    def is_over(self):
        """Whether no epoch is left to train."""
        return not self.run.trains or self.number < self.run.state.over

    @property
    def n_done(self):
        """The number of epochs that are over."""
        return len(self.curve)

    @property
    def curve(self):
        """The lines of the curve that this stage has written."""
        starts = [*self.run.state.stages.values(), None]
        return self.run.curve[slice(*starts[self.number : self.number + 2])] if self.run.state.stages else []

    @property
    def result(self):
        """The `Result` of this stage alone."""
        return Result(self.model, self.curve, self.run.state.kept.get(self.name, {}))

    @property
    def _place(self):
        return self.epoch.place_in_run if self.epoch else f"the stage {self.name}"

    def start(self):
        """Start the clock. From here on, a signal waits until the present minibatch is trained."""
        self.counted_until = self.epoch_started = clock.now()
        self.run.request.waits = not self.is_over

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
            with self.run.fitting():
                self._check_place(n_epochs)
            for done in range(state.epochs, n_epochs):
                self.epoch = Epoch(self, first + done, done, state.epoch)
                self._say_that_it_goes_on(self.epoch.place_in_run)
                yield self.epoch
                if self.epoch.is_last or done + 1 == n_epochs:
                    break
                self._end_epoch(self.epoch.line())
        self.end()

    def _check_place(self, n_epochs):
        """Raise a ValueError if the checkpoint has another schedule. Put the memory back, if it has one."""
        state = self.run.state
        begun = state.epochs > 0 or state.epoch is not None
        if begun and state.epochs >= n_epochs:
            raise ValueError("too many epochs")
        if state.epoch is not None and not 1 <= state.epoch["trained"] <= self.run.n_minibatches:
            raise ValueError("too many minibatches")
        if begun and self.memory is not None:
            saved = {name: exactly(state.memory[name], int, float) for name in vars(self.memory)}
            vars(self.memory).update(saved)

    def _say_that_it_goes_on(self, place):
        if self.run.goes_on:
            say(f"continuing the unfinished run in {self.run.folder.path}: {place}")
            self.run.goes_on = False

    def record(self, number, cost, **figures):
        """Write the line of an epoch of a loop that is not ours, such as an optimiser's. Instead of `epochs`."""
        where = f"epoch {number}"
        self._say_that_it_goes_on(where)
        figures = {name: self.finite(name, value, where) for name, value in {"cost": cost, **figures}.items()}
        seconds = round(clock.now() - self.epoch_started, 3)
        self.epoch_started = clock.now()
        self._end_epoch({**self.place, "epoch": number, **figures, "seconds": seconds})

    def _end_epoch(self, line, is_last=False):
        """Write the line of an epoch that is over, and a checkpoint if it is time."""
        run, self.epoch = self.run, None
        run.curve.append(line)
        run.folder.append_to_curve(line)
        run.state.epochs += 1
        run.state.epoch = None
        if not is_last:
            where = {**self.place, "epoch": line["epoch"]}
            self.reach(run.seconds_between_checkpoints, ", ".join(f"{name} {value}" for name, value in where.items()))

    def reach(self, seconds, place, epoch=None):
        """Write a checkpoint if the last one is older than this, or if the run was asked to stop."""
        is_asked = self.run.request.signum is not None
        if is_asked or time.monotonic() - self.saved_at > seconds:
            self.run.state.epoch = epoch and epoch.state()
            self.run.write_checkpoint()
            self.saved_at = time.monotonic()
        if is_asked:
            self.run.interrupt(place)

    def keep(self, **figures):
        """Save the model as its file, in place of an earlier one, with the figures that it reached.

        At the end of the stage, the parameters become those that were kept last.
        """
        if not self.run.trains:
            return
        values = [param.get_value() for param in self.model.params]
        self.check_finite(values)
        self.values = values
        self.run.state.kept[self.name] = {name: plain(value) for name, value in figures.items()}
        self.run.folder.save_model(self.file, self.model.params, self.run.state.kept[self.name])

    def end(self):
        """End the stage, once. A lesson need not call it: the loop over epochs, the next stage and the run's end do."""
        if self.has_ended:
            return
        run, state, self.has_ended = self.run, self.run.state, True
        if not self.is_over:
            place = self._place
            self.check_finite([param.get_value(borrow=True) for param in self.model.params])
            if self.epoch is not None:
                self._end_epoch(self.epoch.line(), is_last=True)
            if self.values is not None:
                for param, value in zip(self.model.params, self.values):
                    put_back(param, value)
                # The model's file may be that of a better model, saved just before the run was killed: write it again.
                run.folder.save_model(self.file, self.model.params, state.kept[self.name])
            has_trained = state.epochs > 0
            state.over, state.epochs, state.epoch, self.memory = state.over + 1, 0, None, None
            if has_trained:
                run.write_checkpoint()
            run.request.waits = False
            if run.request.signum is not None:
                run.interrupt(place)
        if run.phase_in_progress is None:
            run.print_time(self.phase, self.title)

    def finite(self, name, value, where):
        """The value as a number of Python. A UserError says that it is not finite: the run has diverged."""
        value = plain(value)
        if not math.isfinite(value):
            raise self._diverged(f"the {name} became {value} in {where}")
        return value

    def check_finite(self, values):
        """Raise a UserError before a file with NaN or infinity replaces a good one.

        The cost is computed before the update, so it can look fine while the weights are ruined.
        """
        if not all(np.isfinite(value).all() for value in values):
            raise self._diverged(f"the parameters became infinite or NaN in {self._place}")

    def _diverged(self, what):
        """The error that ends a run whose numbers are no longer finite."""
        advice = "start over with other settings, and --fresh"
        if self.rate in self.run.settings:
            option, rate = self.rate.replace("_", "-"), self.run.settings[self.rate]
            advice = f"choose --{option} below {rate}, with --fresh to start over"
        largest = float(np.abs(self.run.data[0][0].get_value(borrow=True)).max())
        if largest > 1:
            advice = f"its inputs go up to {largest:g}: scale them to 0..1, or {advice}"
        return UserError(
            f"{what}: the run has diverged; {advice} (the last good checkpoint and best model, if any, are kept in "
            f"{self.run.folder.path})"
        )


def plain(value):
    """A number of NumPy as one of Python."""
    return value.item() if hasattr(value, "item") else value


class Epoch:
    """One pass over the minibatches. Iterating gives their indices, and shows the progress on a terminal.

    Parameters
    ----------
    stage : Stage
    number : int
    done : int, the epochs of the stage before this one
    begun : dict, the state of an epoch that was interrupted, from which this one goes on; or None

    Attributes
    ----------
    minibatch_index : int, the present minibatch
    figures : dict of float, further numbers for the epoch's line of the curve
    is_last : bool
        Whether the stage ends with this epoch. A lesson sets it when its rule of early stopping says so.
    """

    def __init__(self, stage, number, done, begun=None):
        self.stage, self.number, self.n_minibatches = stage, number, stage.run.n_minibatches
        self.minibatches_before = done * self.n_minibatches
        self.trained, self.sums, self.figures, self.seconds, self.is_last = 0, {}, {}, 0.0, False
        self.chance_cost = stage.chance_cost if done == 0 and begun is None else None
        self.started = clock.now()
        if begun is not None:
            self.trained, self.sums, self.figures = begun["trained"], begun["sums"], begun["figures"]
            self.seconds = begun["seconds"]
        self.minibatch_index = max(0, self.trained - 1)

    def __iter__(self):
        for index in progress(range(self.trained, self.n_minibatches), self.label):
            self.minibatch_index = index
            yield index
            self.trained = index + 1
            self.stage.reach(self.stage.run.seconds_within_an_epoch, self.place_in_run, self)

    def state(self):
        """The numbers that determine the rest of the epoch, for a checkpoint."""
        return {name: getattr(self, name) for name in ("trained", "sums", "figures")} | {"seconds": self._seconds()}

    def _seconds(self):
        return self.seconds + clock.now() - self.started

    @property
    def iteration(self):
        """The number of minibatches before the present one, over all epochs of the stage."""
        return self.minibatches_before + self.minibatch_index

    @property
    def label(self):
        """The place of the epoch in the run, such as "layer 0, epoch 3"."""
        where = {**self.stage.place, "epoch": self.number}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in where.items())

    @property
    def place_in_run(self):
        return f"{self.label}, after minibatch {self.trained}/{self.n_minibatches}"

    def add(self, cost, **figures):
        """Add the cost of a minibatch, and further figures. The curve will hold the mean of each over the epoch.

        A UserError says that one of them is not finite: the run has diverged.
        """
        for name, value in {"cost": cost, **figures}.items():
            value = float(value)
            if not math.isfinite(value):
                where = f"{self.label}, minibatch {self.minibatch_index + 1}/{self.n_minibatches}"
                self.stage.finite(name, value, where)
            total, n = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, n + 1
        if self.chance_cost is not None:
            say(f"first cost {cost:f}, by chance {self.chance_cost:f}")
            self.chance_cost = None

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
        means = {name: self.mean(name) for name in self.sums}
        return {
            **self.stage.place, "epoch": self.number, **means, **self.figures, "seconds": round(self._seconds(), 3),
        }  # fmt: skip
