"""A run of training: the work of its loops that is not training, such as checkpoints, times and records."""

import sys
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
    """The result of a driver.

    Attributes
    ----------
    model : the trained model; with validation the best one, which may not be the last
    curve : list of dict, one an epoch, as in curve.jsonl
    figures : dict of float, what the model reached, as in result.json
    validation_error, test_error : float in 0..1, two of the figures; None without validation
    best_iteration : int, the number of minibatches trained when the model was found; None without validation
    """

    model: object
    curve: list
    figures: dict = field(default_factory=dict)

    validation_error = property(lambda self: self.figures.get("validation_error"))
    test_error = property(lambda self: self.figures.get("test_error"))
    best_iteration = property(lambda self: self.figures.get("iteration"))


class Run:
    """A training run, as a lesson sees it.

    If the folder holds an unfinished run of the same settings, this run goes on with it, and `epochs` yields only the
    epochs that are left to train. If that run is finished, nothing is left to train, and its figures are printed again.
    A run is a context. At the end of the block, other processes may write to the folder again.

    Parameters
    ----------
    folder : RunFolder, which is open
    settings : dict, the driver's arguments
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
        """A dict for each epoch, as in curve.jsonl."""
        return self.state.curve

    @property
    def seconds(self):
        """{phase: its seconds}."""
        return self.state.clock.seconds

    def track(self, model, *functions, name="model"):
        """Name the functions that train a model. If the run was interrupted, its values are put into their variables.

        Parameters
        ----------
        model : object with `params`
        functions : compiled functions
            All shared variables that they update are saved in checkpoints, such as the states of random generators.
        name : str
            The name of the model's file, without its ending.
        """
        self.state.track(model.params, functions)
        if not self.folder.is_finished:
            self.folder.claim(f"{name}.npz")

    def show_graph(self, name, function, **arguments):
        """Do nothing. In a run that shows its graphs, `GraphRun.show_graph` takes this place."""

    @contextmanager
    def timed(self, phase, rate, title=None):
        """Measure a phase, write a checkpoint at its end and print its time, in minutes, on standard error.

        Within the block the first Ctrl-C takes effect when the minibatch is trained.

        Parameters
        ----------
        phase : str
        rate : str
            The argument of the driver that must be lowered if the phase diverges.
        title : str, optional
            The phase in words, for the printed line.
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
        """Yield an `Epoch` for each epoch. When it is over, write its line of the curve.

        Parameters
        ----------
        n_epochs : int
        n_minibatches : int
            Minibatches an epoch.
        first : int
            The number of the first epoch.
        stopping : EarlyStopping, optional
            The state of the lesson's rule, which is saved in checkpoints.
        chance_cost : float, optional
            The cost of a model that has learnt nothing. It is printed beside the very first cost.
        place
            Further numbers that tell the place of the epochs in the run, such as `layer=0`.
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
            position = (stage + 1, 0, None, None) if is_over else (stage, done + 1, stopping, None)
            self._reach(position, self.seconds_between_checkpoints)
            if is_over:
                break

    def _after_minibatch(self, stage, done, epoch):
        self._reach((stage, done, epoch.stopping, epoch), self.seconds_within_an_epoch)

    def _reach(self, position, seconds):
        """Note the place of the run. Write a checkpoint if the last one is too old, or if the run was asked to end."""
        self.state.position = position
        self.state.write_after(seconds)
        if self.request.signum is not None:
            self.state.write()
            raise Interrupted(self.request.signum, self.state.epoch.place_in_run)

    def keep(self, model, name="model", **figures):
        """Save a model as the file `name`.npz, in place of an earlier one, with the figures that it reached."""
        self.state.keep(model.params, figures, name)
        self.folder.save_model(name, model.params, figures, self.curve)

    def keep_pretrained(self, params):
        """Save parameters as pretrained.npz, after the loops that pre-train them and before the next loop.

        A run that goes on after this place has the file already, and its parameters have changed since. So it saves
        nothing.
        """
        if self.state.is_between_loops():
            self.folder.save_model("pretrained", params, {"pretrained": True}, self.curve)

    def finish(self, model=None, closing=None, evaluate=None):
        """Put the best parameters back into the model, write and print its figures, and return the `Result`.

        Parameters
        ----------
        model : object with `params`, optional
            The model that `keep` kept last.
        closing : function, optional
            Makes the line to print from the figures, {name: number}.
        evaluate : function, optional
            Returns further figures of the model, {name: number}. It is called once, at the end of the training. If a
            finished run is shown again, its result.json has these figures.
        """
        best, is_shown_again = self.state.best, self.folder.is_finished
        if model is not None:
            self.state.restore_best(model.params)
            if not is_shown_again:
                # The model's file may be that of a better model, saved just before the run was killed: write it again.
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
        """Save grey pixels, (height, width) of uint8, as a PNG. Without Pillow, say that it is left out."""
        if not self.folder.is_finished:
            self.folder.save_picture(picture_name(name, self.datasets.name), pixels)

    def draw(self, plot):
        """Call `plot` with the folder and the data, if the run has just ended. An error there does not end the run."""
        if self.folder.is_finished:
            return
        try:
            plot(self.folder.path, self.datasets)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pictures are left out: {reason}", file=sys.stderr, flush=True)
