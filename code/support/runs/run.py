"""What makes a training loop robust: early stopping, progress, the curve, the best model.

A lesson's loop over epochs and minibatches calls these objects; none of them trains anything.
"""

import json
import math
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytensor
from filelock import FileLock, Timeout

from support import graphs, rewrites
from support.environment import ROOT
from support.runs import checkpoints, interruption
from support.runs.checkpoints import FILE, REMEDY, pack, read_checkpoint, unpack, write_checkpoint
from support.command import option
from support.console import progress, say
from support.errors import UserError
from support.files.forms import check_form, is_count, is_number, shown
from support.runs.interruption import Interrupted, deferred
from support.runs.models import ABOUT, SavedModel, save_model
from support.runs.records import machine, peak_memory, picture_path, set_aside, versions, write_json


# What a checkpoint says, as `Run.checkpoint` writes it; see `support.files.forms.check_form`.
STATE = {
    "about": ABOUT,
    "tracked_since": is_count,
    "generators": [
        {
            "bit_generator": lambda name: name == "PCG64",
            "state": {name: lambda value: type(value) is int and 0 <= value < 1 << 128 for name in ("state", "inc")},
            "has_uint32": lambda value: is_count(value) and value < 2,
            "uinteger": lambda value: is_count(value) and value < 1 << 32,
        }
    ],
    "curve": [{"epoch": is_count, "cost": is_number, "seconds": is_number}],
    "seconds": {...: is_number},
    "best_figures": {...: is_number},
    "stage": is_count,
    "epochs_done": is_count,
    "stopping": (
        {
            "patience": is_count,
            "validation_frequency": is_count,
            "best_validation_error": lambda value: value == math.inf or is_number(value),
            "best_iteration": (is_count, None),
        },
        None,
    ),
    "epoch": (
        {"trained": is_count, "cost_sum": is_number, "figures": {...: is_number}, "seconds": is_number},
        None,
    ),
}  # fmt: skip
FIGURES = {"validation_error": is_number, "test_error": is_number, "iteration": is_count}  # of a best model


class EarlyStopping:
    """The tutorial's patience rule: when to validate, what counts as a new best, when to stop.

    An iteration is one minibatch, counted from 0 over all epochs.

    Parameters
    ----------
    patience : int
        Minibatches to train in any case.
    n_train_batches : int
        Minibatches an epoch.

    Attributes
    ----------
    validation_frequency : int
        Minibatches from one validation to the next.
    best_validation_error : float
        In 0..1; infinite until the first validation.
    best_iteration : int
        Where that was; None until the first validation.

    References
    ----------
    Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, on early stopping.
    """

    patience_increase = 2  # a better model at iteration i lets the run go on to iteration 2 i,
    improvement_threshold = 0.995  # where it is better by this factor at least

    def __init__(self, patience, n_train_batches):
        self.patience = patience
        self.validation_frequency = min(n_train_batches, patience // 2)
        self.best_validation_error = math.inf
        self.best_iteration = None

    def validation_is_due(self, iteration):
        """Whether to validate after the step of this iteration."""
        return (iteration + 1) % self.validation_frequency == 0

    def is_new_best(self, validation_error, iteration):
        """Take note of a validation error; say whether it is the lowest so far."""
        if validation_error >= self.best_validation_error:
            return False
        if validation_error < self.best_validation_error * self.improvement_threshold:
            self.patience = max(self.patience, iteration * self.patience_increase)
        self.best_validation_error = validation_error
        self.best_iteration = iteration
        return True

    def is_over(self, iteration):
        """Whether patience ends the run after this iteration."""
        return self.patience <= iteration


def count_minibatches(datasets, batch_size):
    """The full minibatches in the training set; a UserError where any of the three sets has none."""
    sizes = [x.get_value(borrow=True).shape[0] for x, _ in datasets]
    if batch_size > min(sizes):
        raise UserError(f"batch_size must be at most {min(sizes)}, the size of the smallest set, not {batch_size}")
    return sizes[0] // batch_size


@dataclass
class Result:
    """What a driver returns.

    Attributes
    ----------
    model : the trained model; with validation, the best one and not the last one
    curve : list of dict, one an epoch, as in curve.jsonl
    validation_error, test_error : float in 0..1, that model's; None without validation
    best_iteration : int, minibatches trained when it was found; None without validation
    """

    model: object
    curve: list
    validation_error: float | None = None
    test_error: float | None = None
    best_iteration: int | None = None


class Epoch:
    """One pass over the minibatches: iterating gives their indices and shows the progress on a terminal.

    Attributes
    ----------
    number : int
    trained : int
        Minibatches of this epoch that are over.
    iteration : int
        Minibatches before the current one, over all epochs.
    mean_cost : float
        Over the minibatches so far.
    figures : dict
        `iteration` (minibatches trained), `validation_error` and `test_error`, as reported last.
    """

    def __init__(
        self, number, n_minibatches, minibatches_before, stopping, place, chance_cost, after_minibatch, diverged
    ):
        self.number = number
        self.n_minibatches = n_minibatches
        self.minibatches_before = minibatches_before
        self.stopping = stopping
        self.place = place
        self.chance_cost = chance_cost
        self.after_minibatch = after_minibatch
        self.diverged = diverged
        self.minibatch_index = 0
        self.trained = 0
        self.cost_sum = 0.0
        self.figures = {}
        self.seconds = 0.0
        self.started = time.perf_counter()

    def __iter__(self):
        for index in progress(range(self.trained, self.n_minibatches), self.label):
            if self.is_over:
                break
            self.minibatch_index = index
            yield index
            self.trained = index + 1
            self.after_minibatch(self)

    @property
    def is_over(self):
        """Whether patience ends the run after the minibatches trained so far."""
        return self.trained > 0 and self.stopping is not None and self.stopping.is_over(self.iteration)

    def state(self):
        """What determines the rest of the epoch, as JSON can hold it."""
        return {
            "trained": self.trained,
            "cost_sum": self.cost_sum,
            "figures": self.figures,
            "seconds": self.seconds + time.perf_counter() - self.started,
        }

    def resume(self, state):
        """Go on where this state was taken."""
        vars(self).update({name: state[name] for name in self.state()})
        self.minibatch_index = self.trained - 1

    @property
    def place_in_run(self):
        return f"{self.label}, after minibatch {self.trained}/{self.n_minibatches}"

    @property
    def iteration(self):
        return self.minibatches_before + self.minibatch_index

    @property
    def mean_cost(self):
        return self.cost_sum / (self.minibatch_index + 1)

    @property
    def label(self):
        """Where in the run this is, such as "layer 0, epoch 3"."""
        where = {**self.place, "epoch": self.number}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in where.items())

    def add_cost(self, cost):
        """Take note of a minibatch's cost.

        Raises
        ------
        UserError
            Where it is not finite: the run has diverged.
        """
        if not math.isfinite(cost):
            where = f"{self.label}, minibatch {self.minibatch_index + 1}/{self.n_minibatches}"
            raise self.diverged(f"the cost became {cost} in {where}")
        if self.chance_cost is not None and self.minibatch_index == 0:
            say(f"first cost {cost:f}, by chance {self.chance_cost:f}")
        self.cost_sum += float(cost)

    def report_validation(self, errors):
        """Print and return the mean of the validation errors, one a minibatch."""
        error = float(np.mean(errors))
        self.figures = {"iteration": self.iteration + 1, "validation_error": error}
        say(f"{self._position}, validation error {100 * error:f} %")
        return error

    def report_test(self, errors):
        """Print and return the mean of the test errors, one a minibatch, of the best model so far."""
        error = self.figures["test_error"] = float(np.mean(errors))
        say(f"     {self._position}, test error of best model {100 * error:f} %")
        return error

    @property
    def _position(self):
        return f"epoch {self.number}, minibatch {self.minibatch_index + 1}/{self.n_minibatches}"

    def summary(self):
        """The epoch's line of the curve."""
        return {**self.place, "epoch": self.number, "cost": self.mean_cost, **self.figures}


class Run:
    """A training run: its folder, settings, clock, curve, best model, and the checkpoint from which it goes on.

    A run of the same settings that was not finished is continued, one that was is shown again: `epochs` then yields
    only what is left to train.

    Parameters
    ----------
    lesson : str
        Names the folder runs/<lesson>/, where the settings give no other.
    settings : dict
        The driver's arguments.
    datasets : support.data.Datasets

    Raises
    ------
    UserError
        Where the output folder cannot be written, another process writes to it, or it holds another run.
    """

    seconds_between_checkpoints = 30
    seconds_within_an_epoch = 180
    note = "functions are compiled at their first call: a minute in all the first time, a few seconds later on"

    def __new__(cls, *arguments, **named):
        return super().__new__(GraphRun if graphs.requested else cls)

    def __init__(self, lesson, settings, datasets):
        self.lesson = lesson
        self.datasets = datasets
        self.settings = {name: value for name, value in settings.items() if name != "output_folder"}
        self.folder = Path(settings["output_folder"] or ROOT / "runs" / lesson)
        self.about = {
            "lesson": lesson,
            "dataset": {"name": datasets.name, "sha256": datasets.sha256},
            "settings": self.settings,
            "floatX": pytensor.config.floatX,
            "versions": versions(),
        }
        self.curve = []
        self.seconds = {}
        self.best_figures, self.best_values = {}, []
        self.stage = 0  # of the loops over epochs, in the order of the lesson
        self.tracked, self.tracked_since = [], 0
        self.phase, self.epoch = None, None
        self.position = 0, 0, None, None  # stage, epochs done, early stopping, epoch
        self.saved_at = time.monotonic()
        self._open_folder()
        say(f"dataset: {datasets.source}")
        say("settings: " + ", ".join(f"{name} = {value}" for name, value in self.settings.items()))
        say(f"output folder: {self.folder}")
        say(self.note)

    def _open_folder(self):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.folder / ".lock", is_singleton=True)  # a notebook may begin a run anew
            self.lock.acquire(timeout=0)
            self.resumed, self.arrays = (None, {}) if checkpoints.fresh else read_checkpoint(self.folder / FILE, STATE)
            if self.resumed is not None:
                self._check_that_it_is_the_same(self.resumed["about"])
                self.curve, self.seconds = self.resumed["curve"], self.resumed["seconds"]
                self.best_figures = self.resumed["best_figures"]
                self.best_values = [self.arrays[name] for name in self.arrays if name.startswith("best.")]
            elif earlier := set_aside(self.folder):
                say(f"an earlier run's files were moved to {earlier}")
            write_json(
                self.folder / "settings.json", {**self.about, "rewrites": rewrites.selected(), "machine": machine()}
            )
            (self.folder / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.curve))
        except Timeout as error:
            raise UserError(
                f"another process is training in {self.folder}: wait for it, or choose another --output-folder"
            ) from error
        except OSError as error:
            raise UserError(
                f"cannot write to the output folder {self.folder} ({error.strerror}): choose another --output-folder"
            ) from error

    def _check_that_it_is_the_same(self, about):
        there, here = (
            {
                "the lesson": run["lesson"],
                "the data": run["dataset"]["sha256"],
                "floatX": run["floatX"],
                **run["settings"],
            }
            for run in (about, self.about)
        )
        for name in here:
            if there.get(name) != here[name]:
                raise UserError(
                    f"{self.folder} holds a run with {name} = {shown(there.get(name))}, not {here[name]}: "
                    "--fresh starts over and keeps that one beside; or choose another --output-folder"
                )

    def track(self, *shared, name="model"):
        """Say which shared variables determine the rest of the run, and put an interrupted run's values into them.

        Parameters
        ----------
        shared
            Parameters, and generators of random numbers.
        name : str
            Of the model, as in `keep`, that `shared` begins with: where its training was over, it is read from there.
        """
        self.tracked, self.tracked_since = list(shared), self.stage
        if self.resumed is None or self.tracked_since > self.resumed["tracked_since"]:
            return
        if self.tracked_since < self.resumed["tracked_since"]:
            saved = SavedModel(self.folder / f"{name}.npz", self.lesson)
            self._check_that_it_is_the_same(saved.about)
            if len(saved.arrays) != len(self.best_values):
                raise UserError(f"{saved.path} is another network's: {REMEDY}")
            saved.restore(self.tracked[: len(saved.arrays)])
            return
        try:
            unpack(self.tracked, self.resumed["generators"], self.arrays)
            self._check_best_values(self.tracked[: len(self.best_values)])
        except (KeyError, ValueError, TypeError) as error:
            raise self._misfit() from error

    def _check_best_values(self, params):
        """Raise a ValueError where the best model is not one of these parameters."""
        if self.best_figures and not self.best_values:
            raise ValueError("there is no best model")
        for saved, param in zip(self.best_values, params, strict=True):
            value = param.get_value(borrow=True)  # which has no shape where it is a generator
            if saved.shape != getattr(value, "shape", None) or saved.dtype != value.dtype:
                raise ValueError(f"{param.name} is {saved.dtype} {saved.shape}")

    def _misfit(self):
        return UserError(f"{self.folder / FILE} fits another network or schedule: {REMEDY}")

    def show_graph(self, name, function, **arguments):
        """Nothing, but where --show-graph asks for it: see `GraphRun`."""

    def epochs(self, n_epochs, n_minibatches, first=1, stopping=None, chance_cost=None, **place):
        """Yield an `Epoch` for each epoch, and write its line of the curve when it is over.

        Parameters
        ----------
        n_epochs : int
        n_minibatches : int
            Minibatches an epoch.
        first : int
            The number of the first epoch.
        stopping : EarlyStopping, optional
            Ends the epochs, and the minibatches of the last one, when patience is used up.
        chance_cost : float, optional
            What a model that has learnt nothing pays; printed beside the very first cost.
        place
            What else tells where in the run the epochs are, such as `layer=0`.
        """
        stage, start, state = self.stage, 0, None
        self.stage += 1
        if self.resumed is not None and stage <= self.resumed["stage"]:
            if stage < self.resumed["stage"]:
                return
            start, state = self.resumed["epochs_done"], self.resumed["epoch"]
            if start >= n_epochs or state is not None and not 1 <= state["trained"] <= n_minibatches:
                raise self._misfit()
            if stopping is not None and (saved := self.resumed["stopping"]) is not None:
                if saved["validation_frequency"] != stopping.validation_frequency:
                    raise self._misfit()
                vars(stopping).update({name: saved[name] for name in vars(stopping)})
        with deferred():
            for done in range(start, n_epochs):
                epoch = Epoch(
                    first + done, n_minibatches, done * n_minibatches, stopping, place,
                    chance_cost if done == 0 else None, partial(self._after_minibatch, stage, done), self._diverged,
                )  # fmt: skip
                self.epoch = epoch
                if state is not None:
                    epoch.resume(state)
                if self.resumed is not None:
                    say(f"continuing the unfinished run in {self.folder}: {epoch.place_in_run}")
                    self.resumed, self.arrays, state = None, {}, None
                yield epoch
                self._append_to_curve({**epoch.summary(), "seconds": round(epoch.state()["seconds"], 3)})
                is_over = epoch.is_over or done + 1 == n_epochs
                self._stand_at(*((stage + 1, 0, None) if is_over else (stage, done + 1, stopping)))
                if time.monotonic() - self.saved_at > self.seconds_between_checkpoints:
                    self.checkpoint()
                self._end_if_asked_to(epoch)
                if is_over:
                    break

    def _after_minibatch(self, stage, done, epoch):
        """Write a checkpoint where it is time to, and end the run where that was asked for."""
        self._stand_at(stage, done, epoch.stopping, epoch)
        if time.monotonic() - self.saved_at > self.seconds_within_an_epoch:
            self.checkpoint()
        self._end_if_asked_to(epoch)

    def _stand_at(self, stage, epochs_done, stopping, epoch=None):
        """Take note of where in the run the next checkpoint is."""
        self.position = stage, epochs_done, stopping, epoch

    def _end_if_asked_to(self, epoch):
        if interruption.requested is not None:
            self.checkpoint()
            raise Interrupted(interruption.requested, epoch.place_in_run)

    def checkpoint(self):
        """Write all that determines the rest of the run."""
        stage, epochs_done, stopping, epoch = self.position
        generators, arrays = pack(self.tracked)
        self._check_that_they_are_finite(arrays.values())
        best = {f"best.{place}": value for place, value in enumerate(self.best_values)}
        state = {
            "about": self.about,
            "tracked_since": self.tracked_since,
            "generators": generators,
            "curve": self.curve,
            "seconds": {**self.seconds, **({self.phase: self._phase_seconds()} if self.phase else {})},
            "best_figures": self.best_figures,
            "stage": stage,
            "epochs_done": epochs_done,
            "stopping": None if stopping is None else vars(stopping),
            "epoch": None if epoch is None else epoch.state(),
        }
        with self._writing():
            write_checkpoint(self.folder / FILE, state, {**arrays, **best})
        self.saved_at = time.monotonic()

    @contextmanager
    def _writing(self):
        """Within the block, a disk that is full or gone ends the run with a line that says how it goes on."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder} ({error.strerror or error}): make room; the last checkpoint there is "
                "whole, and the same command goes on from it"
            ) from error

    def _check_that_they_are_finite(self, values):
        """See to it that no file with NaN replaces a good one: a step may spoil the weights, but not its own cost."""
        if not all(np.isfinite(value).all() for value in values):
            raise self._diverged(f"the parameters became infinite or NaN in {self.epoch.place_in_run}")

    def _diverged(self, what):
        """The end of a run whose numbers overflow."""
        rate = {"pretraining": "pretrain_lr", "training": "finetune_lr"}.get(self.phase)
        rate = rate if rate in self.settings else "learning_rate"
        return UserError(
            f"{what}: the run has diverged; choose {option(rate)} below {self.settings.get(rate)}, with --fresh to start "
            f"over (the last good checkpoint and best model, where there were any, are kept in {self.folder})"
        )

    def _append_to_curve(self, line):
        self.curve.append(line)
        with self._writing(), open(self.folder / "curve.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")

    def _phase_seconds(self):
        return round(self.seconds.get(self.phase, 0) + time.perf_counter() - self.phase_started, 3)

    @contextmanager
    def timed(self, phase):
        """Measure a phase and print its time, in minutes, on standard error; a checkpoint marks its end."""
        self.phase, self.phase_started = phase, time.perf_counter()
        epochs_before = len(self.curve)
        yield
        if len(self.curve) > epochs_before:
            self.seconds[phase] = self._phase_seconds()
            self.phase = None
            self.checkpoint()
        self.phase = None
        minutes = self.seconds.get(phase, 0) / 60
        print(f"The {phase} code for file {self.lesson}.py ran for {minutes:.2f}m", file=sys.stderr, flush=True)

    def keep(self, model, name="model", **figures):
        """Save a model in place of the one that was kept before under this name.

        Parameters
        ----------
        model : object with `params`
        name : str
            Of the file, without its ending.
        figures
            What the model reached, as in `Epoch.figures`.
        """
        values = [param.get_value() for param in model.params]
        self._check_that_they_are_finite(values)
        self.best_figures, self.best_values = figures, values
        self._save(model.params, name, **figures)

    def keep_pretrained(self, params):
        """Save parameters as pretrained.npz between the loops over epochs that pre-train them and the next one.

        A run that goes on after that has the file already, and other parameters by now.
        """
        at = self.resumed
        if at is None or (at["stage"], at["epochs_done"], at["epoch"]) == (self.stage, 0, None):
            self._save(params, "pretrained", pretrained=True)

    def _save(self, params, name, **about):
        curve = [{name: value for name, value in line.items() if name != "seconds"} for line in self.curve]
        with self._writing():
            save_model(self.folder / f"{name}.npz", params, {**self.about, **about, "curve": curve})

    def save_picture(self, name, pixels):
        """Save grey pixels, (height, width) of uint8, as a PNG; without Pillow, say that it is left out."""
        path = picture_path(self.folder, name, self.datasets.name)
        try:
            from PIL import Image
        except ImportError:
            say(f"the picture {path.name} is left out: Pillow is not installed")
            return
        with self._writing():
            Image.fromarray(pixels).save(path)

    def draw(self, plot):
        """Draw the pictures of the run, once it is over: whatever becomes of them, its results stand.

        Parameters
        ----------
        plot : function of the run's folder and its data sets
        """
        try:
            plot(self.folder, self.datasets)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pictures are left out: {reason}", file=sys.stderr, flush=True)

    def write_result(self, **figures):
        """Write result.json: the figures, the seconds of each phase, the memory that was needed."""
        if self.resumed is None or not (self.folder / "result.json").exists():
            result = {**figures, "seconds": self.seconds, "peak_memory_mb": peak_memory()}
            with self._writing():
                write_json(self.folder / "result.json", result)
        self.lock.release()

    def finish(self, classifier):
        """Put the best parameters back into the classifier, print and write its figures, return the `Result`."""
        try:
            check_form(self.best_figures, FIGURES)
            check_form(self.seconds, {"training": is_number})
            self._check_best_values(classifier.params)
            best, epochs = self.best_figures, self.curve[-1]["epoch"]
        except (ValueError, IndexError) as error:  # of a checkpoint from which nothing was left to train
            raise self._misfit() from error
        for param, value in zip(classifier.params, self.best_values, strict=True):
            param.set_value(value, borrow=True)
        say(
            f"Optimization complete with best validation score of {100 * best['validation_error']:f} %, "
            f"on iteration {best['iteration']}, with test performance {100 * best['test_error']:f} %"
        )
        speed = epochs / max(self.seconds["training"], 0.001)
        say(f"The code run for {epochs} epochs, with {speed:f} epochs/sec")
        if self.datasets.name != "MNIST":
            say(f"these figures are for {self.datasets.name}: only MNIST's compare with the published ones")
        if self.resumed is not None:
            say("the run was finished before: these are its figures, and --fresh starts it over")
        self.write_result(**best, epochs=epochs)
        return Result(classifier, self.curve, best["validation_error"], best["test_error"], best["iteration"])


class GraphRun(Run):
    """What a run is where --show-graph asks for it: it trains nothing, and touches no file of a run.

    It writes the graphs of the lesson's functions to the folder graphs/ inside the run's.
    """

    note = "nothing is trained: the graphs of the training steps are written there"

    def _open_folder(self):
        self.folder /= "graphs"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder} ({error.strerror}): choose another --output-folder"
            ) from error

    def track(self, *shared, name="model"):
        """Tell variables of one name apart, by numbers from the bottom up: W_0, W_1, ..."""
        names = [variable.name or "rng" for variable in shared]
        for place, variable in enumerate(shared):
            variable.name = names[place]
            if names.count(names[place]) > 1:
                variable.name += f"_{names[:place].count(names[place])}"

    def show_graph(self, name, function, **arguments):
        """Write the graphs of one step of training, as text and as a page.

        Parameters
        ----------
        name : str
            What the function trains, and the files' name.
        function : compiled function
            Its first argument is the index of the minibatch.
        arguments
            The values of its other arguments in training.
        """
        title = f"{self.lesson}: {name.replace('_', ' ')}"
        chosen = "all" if rewrites.selected() == rewrites.NAMES else " ".join(rewrites.selected()) or "none"
        settings = {**self.settings, "dataset": self.datasets.name, "rewrites": chosen}
        say(graphs.write(self.folder / name, title, settings, function, {"index": 0, **arguments}))

    def timed(self, phase):
        return nullcontext()

    def epochs(self, *arguments, **named):
        return ()

    def keep_pretrained(self, params):
        pass

    def save_picture(self, name, pixels):
        pass

    def draw(self, plot):
        pass

    def write_result(self, **figures):
        pass

    def finish(self, classifier):
        return Result(classifier, [])
