"""The state of a run: everything that a checkpoint holds."""

import time

from support.errors import UserError
from support.files.forms import check_form, is_count, is_number
from support.runs.checkpoints import FILE, REMEDY, Tracked, pack
from support.runs.clock import Clock

import numpy as np

VALIDATED = {"validation_error": is_number, "test_error": is_number, "iteration": is_count}  # figures of a best model


class BestModel:
    """The best parameters of a run so far.

    Attributes
    ----------
    figures : dict of float, what these parameters reached
    values : list of array, empty until a model is kept
    name : str, the model's file without its ending
    """

    def __init__(self, figures, values):
        self.figures, self.values, self.name = figures, values, "model"

    def check(self, params):
        """Raise a ValueError if the kept values do not fit these parameters."""
        if self.figures and not self.values:
            raise ValueError("there is no best model")
        if "validation_error" in self.figures:
            check_form(self.figures, VALIDATED)
        for saved, param in zip(self.values, params if self.values else [], strict=True):
            value = param.get_value(borrow=True)
            if saved.shape != value.shape or saved.dtype != value.dtype:
                raise ValueError(f"{param.name} is {saved.dtype} {saved.shape}")


class State:
    """The state of a run, which its checkpoints hold.

    Parameters
    ----------
    folder : RunFolder
        It is open. If it holds a checkpoint, the run goes on from there.

    Attributes
    ----------
    resumed : dict, the state in the checkpoint until the run goes on; None if there is no checkpoint
    curve : list of dict, one an epoch
    clock : Clock
    best : BestModel
    tracked : Tracked
    stage : int, the number of loops over epochs that the lesson has begun
    position : (stage, epochs of it that are over, EarlyStopping or None, the Epoch that has begun or None)
    epoch : Epoch, the one that is trained
    rate : str, the argument of the driver that must be lowered if the run diverges
    saved_at : float, the time of the last checkpoint
    """

    def __init__(self, folder):
        self.folder = folder
        self.resumed, self.arrays = folder.resumed, folder.arrays
        at = self.resumed or {"curve": [], "seconds": {}, "best_figures": {}}
        self.curve, self.clock = at["curve"], Clock(at["seconds"])
        best = [value for name, value in self.arrays.items() if name.startswith("best.")]
        self.best = BestModel(at["best_figures"], best)
        self.tracked = Tracked()
        self.stage, self.position = 0, (0, 0, None, None)
        self.epoch, self.rate = None, None
        self.saved_at = time.monotonic()

    def track(self, params, functions):
        """Track what the functions update. A UserError says that the checkpoint belongs to another network."""
        try:
            if self.tracked.add(params, functions, self.resumed, self.arrays):
                self.best.check(params)
        except (KeyError, ValueError, TypeError) as error:
            raise self.misfit() from error

    def begin(self, n_epochs, n_minibatches, stopping):
        """Begin the next loop over epochs.

        Returns
        -------
        stage : int, the number of the loop
        start : int, the number of its epochs that are over
        epoch : dict, the state of the epoch in which the checkpoint was written, or None
        """
        stage, self.stage = self.stage, self.stage + 1
        if self.resumed is None or stage > self.resumed["stage"]:
            return stage, 0, None
        if stage < self.resumed["stage"]:
            return stage, n_epochs, None
        start, epoch = self.resumed["epochs_done"], self.resumed["epoch"]
        begun = start > 0 or epoch is not None
        is_tracked = self.resumed["tracked"] == self.tracked.counts[: None if begun else len(self.resumed["tracked"])]
        if start >= n_epochs or not is_tracked or epoch is not None and not 1 <= epoch["trained"] <= n_minibatches:
            raise self.misfit()
        if stopping is not None and self.resumed["stopping"] is not None:
            try:
                stopping.resume(self.resumed["stopping"])
            except ValueError as error:
                raise self.misfit() from error
        return stage, start, epoch

    def is_between_loops(self):
        """Whether the run is after the loops over epochs that have begun, and before the first epoch of the next."""
        at = self.resumed
        return at is None or (at["stage"], at["epochs_done"], at["epoch"]) == (self.stage, 0, None)

    def go_on(self):
        """Forget the checkpoint: the run trains again from here."""
        self.resumed, self.arrays = None, {}

    def misfit(self):
        return UserError(f"{self.folder.path / FILE} fits another network or schedule: {REMEDY}")

    def diverged(self, what):
        """The error that ends a run whose numbers are no longer finite."""
        option, rate = "--" + self.rate.replace("_", "-"), self.folder.about["settings"].get(self.rate)
        return UserError(
            f"{what}: the run has diverged; choose {option} below {rate}, with --fresh to start over (the last good "
            f"checkpoint and best model, if any, are kept in {self.folder.path})"
        )

    def check_finite(self, values):
        """Raise an error before a file with NaN or infinity replaces a good one.

        The cost is computed before the update, so it can look fine while the weights are ruined.
        """
        if not all(np.isfinite(value).all() for value in values):
            raise self.diverged(f"the parameters became infinite or NaN in {self.epoch.place_in_run}")

    def keep(self, params, figures, name):
        """Keep a copy of the parameters as the best ones."""
        values = [param.get_value() for param in params]
        self.check_finite(values)
        self.best.figures, self.best.values, self.best.name = figures, values, name

    def restore_best(self, params):
        """Put the best values back into the parameters."""
        try:
            self.best.check(params)
        except ValueError as error:  # nothing was left to train, so `track` did not check these
            raise self.misfit() from error
        for param, value in zip(params, self.best.values, strict=True):
            param.set_value(value, borrow=True)

    def write(self):
        """Write a checkpoint."""
        stage, epochs_done, stopping, epoch = self.position
        generators, arrays = pack(self.tracked.shared)
        self.check_finite(arrays.values())
        best = {f"best.{place}": value for place, value in enumerate(self.best.values)}
        state = {
            "tracked": self.tracked.counts,
            "generators": generators,
            "curve": self.curve,
            "seconds": self.clock.read(),
            "best_figures": self.best.figures,
            "stage": stage,
            "epochs_done": epochs_done,
            "stopping": None if stopping is None else vars(stopping),
            "epoch": None if epoch is None else epoch.state(),
        }
        self.folder.write_checkpoint(state, {**arrays, **best})
        self.saved_at = time.monotonic()

    def write_after(self, seconds):
        """Write a checkpoint if the last one is older than this."""
        if time.monotonic() - self.saved_at > seconds:
            self.write()
