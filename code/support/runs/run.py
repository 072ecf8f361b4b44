"""A run of training: what its loops over epochs and minibatches do beside training."""

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from support.console import say
from support.runs.epoch import Epoch
from support.runs.interruption import Interrupted, Request, deferred
from support.runs.records import picture_name
from support.runs.state import State


@dataclass
class Result:
    """What a driver returns.

    Attributes
    ----------
    model : the trained model; with validation, the best one and not the last one
    curve : list of dict, one an epoch, as in curve.jsonl
    figures : dict of float
        What that model reached, as in result.json.
    validation_error, test_error : float in 0..1, among the figures; None without validation
    best_iteration : int, minibatches trained when it was found; None without validation
    """

    model: object
    curve: list
    figures: dict = field(default_factory=dict)

    validation_error = property(lambda self: self.figures.get("validation_error"))
    test_error = property(lambda self: self.figures.get("test_error"))
    best_iteration = property(lambda self: self.figures.get("iteration"))


class Run:
    """A training run, as a lesson sees it.

    A run of the same settings that was not finished is continued, one that was is shown again: `epochs` then yields
    only what is left to train. A run is a context: its end, whichever it is, lets other processes into the folder.

    Parameters
    ----------
    folder : RunFolder, opened
    settings : dict
        The driver's arguments.
    datasets : support.data.Datasets
    """

    seconds_between_checkpoints = 30
    seconds_within_an_epoch = 180

    def __init__(self, folder, settings, datasets):
        self.folder, self.settings, self.datasets = folder, settings, datasets
        self.state = State(folder)
        self.request = Request()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.folder.close()

    @property
    def curve(self):
        """A dict an epoch, as in curve.jsonl."""
        return self.state.curve

    @property
    def seconds(self):
        """{phase: its seconds}."""
        return self.state.clock.seconds

    def track(self, model, *functions, name="model"):
        """Say what training changes, and put an interrupted run's values into it.

        Parameters
        ----------
        model : object with `params`
        functions : compiled functions
            All shared variables that these update are tracked, such as the states of generators.
        name : str
            Of the model's file, without its ending.
        """
        self.state.track(model.params, functions)
        if not self.folder.is_finished:
            self.folder.claim(f"{name}.npz")

    def show_graph(self, name, function, **arguments):
        """Nothing, but where a run shows its graphs: see `GraphRun`."""

    @contextmanager
    def timed(self, phase, rate, title=None):
        """Measure a phase and print its time, in minutes, on standard error; a checkpoint marks its end.

        Within it the first Ctrl-C lets the minibatch that is being trained be finished.

        Parameters
        ----------
        phase : str
        rate : str
            The argument of the driver that is to be lowered where the phase diverges.
        title : str, optional
            What the printed line calls the phase.
        """
        self.state.rate = rate
        epochs_before = len(self.curve)
        self.state.clock.start(phase)
        try:
            with deferred() as self.request:
                yield
                if len(self.curve) > epochs_before:
                    self.state.clock.stop()
                    self.state.write()
        finally:
            self.state.clock.phase = None
        minutes = self.seconds.get(phase, 0) / 60
        what = f"{title or f'The {phase} code'} for file {self.folder.about['lesson']}.py"
        print(f"{what} ran for {minutes:.2f}m", file=sys.stderr, flush=True)

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
            What the lesson's rule remembers, to be kept in the checkpoints, too.
        chance_cost : float, optional
            What a model that has learnt nothing pays; printed beside the very first cost.
        place
            What else tells where in the run the epochs are, such as `layer=0`.
        """
        stage, start, begun = self.state.begin(n_epochs, n_minibatches, stopping)
        for done in range(start, n_epochs):
            self.state.epoch = epoch = Epoch(
                first + done, n_minibatches, done * n_minibatches, place, stopping,
                partial(self._after_minibatch, stage, done), self.state.diverged, chance_cost if done == 0 else None,
            )  # fmt: skip
            if begun is not None:
                epoch.resume(begun)
            if self.state.resumed is not None:
                say(f"continuing the unfinished run in {self.folder.path}: {epoch.place_in_run}")
                begun = None
                self.state.go_on()
            yield epoch
            line = epoch.line()
            self.curve.append(line)
            self.folder.append_to_curve(line)
            is_over = epoch.is_last or done + 1 == n_epochs
            self.state.position = (stage + 1, 0, None, None) if is_over else (stage, done + 1, stopping, None)
            if time.monotonic() - self.state.saved_at > self.seconds_between_checkpoints:
                self.state.write()
            self._end_if_asked_to()
            if is_over:
                break

    def _after_minibatch(self, stage, done, epoch):
        """Write a checkpoint where it is time to, and end the run where that was asked for."""
        self.state.position = stage, done, epoch.stopping, epoch
        if time.monotonic() - self.state.saved_at > self.seconds_within_an_epoch:
            self.state.write()
        self._end_if_asked_to()

    def _end_if_asked_to(self):
        if self.request.signum is not None:
            self.state.write()
            raise Interrupted(self.request.signum, self.state.epoch.place_in_run)

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
        self.state.keep(model.params, figures, name)
        self.folder.save_model(name, model.params, figures, self.curve)

    def keep_pretrained(self, params):
        """Save parameters as pretrained.npz between the loops over epochs that pre-train them and the next one.

        A run that goes on after that has the file already, and other parameters by now.
        """
        if self.state.is_at_start_of(self.state.stage):
            self.folder.save_model("pretrained", params, {"pretrained": True}, self.curve)

    def finish(self, model=None, closing=None, evaluate=None):
        """Put the best parameters back into the model, write and print what it reached, and return the `Result`.

        Parameters
        ----------
        model : object with `params`, optional
            That `keep` kept last.
        closing : function, optional
            Makes a line to print of the figures, {name: number}.
        evaluate : function, optional
            Gives further figures of the model, {name: number}. It is called once, at the end of the training; a
            finished run that is shown again has them in its result.json.
        """
        best, is_shown_again = self.state.best, self.folder.is_finished
        if model is not None:
            try:
                best.restore(model.params)
            except ValueError as error:  # a checkpoint from which nothing was left to train
                raise self.state.misfit() from error
            if not is_shown_again:
                # A run that was killed after it had saved a model may have found another best since.
                self.folder.save_model(best.name, model.params, best.figures, self.curve)
        if is_shown_again:
            result = self.folder.read_result()
            figures = {name: value for name, value in result.items() if name not in ("seconds", "peak_memory_mb")}
        else:
            figures = {**best.figures, "epochs": self.curve[-1]["epoch"]} if best.figures else {}
            figures |= evaluate() if evaluate is not None else {}
            self.folder.write_result({**figures, "seconds": self.seconds})
        if closing is not None:
            say(closing(figures))
        if self.datasets.name != "MNIST":
            say(f"these figures are for {self.datasets.name}: only MNIST's compare with the published ones")
        if is_shown_again:
            say("the run was finished before: these are its figures, and --fresh (fresh=True) starts it over")
        return Result(model, self.curve, figures)

    def save_picture(self, name, pixels):
        """Save grey pixels, (height, width) of uint8, as a PNG; without Pillow, say that it is left out."""
        if not self.folder.is_finished:
            self.folder.save_picture(picture_name(name, self.datasets.name), pixels)

    def draw(self, plot):
        """Draw the pictures of the run, if it has just ended: whatever becomes of them, its results stand.

        Parameters
        ----------
        plot : function of the run's folder and its data sets
        """
        if self.folder.is_finished:
            return
        try:
            plot(self.folder.path, self.datasets)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pictures are left out: {reason}", file=sys.stderr, flush=True)
