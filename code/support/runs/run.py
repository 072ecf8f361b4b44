"""A run of training, as a lesson sees it. Its stages train; the run keeps what they need to go on, and its records."""

import re
import sys
import time
from contextlib import contextmanager

from support import graphs, rewrites
from support.console import say
from support.files import damaged, write_json
from support.runs import records
from support.runs.checkpoint import FILE, REMEDY, compiled, named, updated, write_checkpoint
from support.runs.interruption import Interrupted
from support.runs.models import Result, save_model
from support.runs.stage import Stage


class Run:
    """A run of training, which `open_run` makes.

    Attributes
    ----------
    folder : Path
    data : support.data.Datasets
    n_minibatches : int, in an epoch
    about : dict, the content of settings.json
    trains : bool, whether there is anything to train; not if the run is finished, or only `shows_graphs`
    """

    seconds_between_checkpoints = 30
    seconds_within_an_epoch = 180

    def __init__(self, folder, data, n_minibatches, signals, shows_graphs, about, checkpoint):
        self.folder, self.data, self.n_minibatches, self.signals = folder, data, n_minibatches, signals
        self.about, self.checkpoint, self.unread = about, checkpoint, [*checkpoint["stages"]]  # their names
        self.shows_graphs, self.trains = shows_graphs, not (shows_graphs or (folder / "result.json").exists())
        self.stages, self.variables, self.phase_in_progress, self.result = [], {}, None, None
        self.saved_at = time.monotonic()

    @property
    def curve(self):
        """A list of dict, one an epoch, as in curve.jsonl."""
        return [line for stage in self.stages for line in stage.curve]

    @property
    def seconds(self):
        """{phase: the seconds of its epochs}."""
        seconds = {}
        for stage in self.stages:
            for line in stage.curve:
                seconds[stage.phase] = round(seconds.get(stage.phase, 0) + line["seconds"], 3)
        return seconds

    def say(self, line):
        """Print a line, if there is anything to train."""
        if self.trains:
            say(line)

    @contextmanager
    def phase(self, name):
        """Count the seconds of the stages in the block together. Otherwise each stage is a phase of its own."""
        self.phase_in_progress = name
        yield
        self._end_stage()
        self.phase_in_progress = None
        self.print_time(name)

    def print_time(self, phase, title=None):
        if not self.shows_graphs:
            what = f"{title or f'The {phase} code'} for file {self.about['lesson']}.py"
            print(f"{what} ran for {self.seconds.get(phase, 0) / 60:.2f}m", file=sys.stderr, flush=True)

    def stage(self, model, *functions, **options):
        """Begin a stage: epochs that train one model by the same functions.

        `model` is an object with `params`, and the functions are compiled. All shared variables that they update are
        saved in checkpoints, such as the states of random generators. If the run goes on, their values are put back
        here. If it shows its graphs, that of the first function is written; a `functools.partial` fixes its arguments.
        `options` are the parameters of `Stage`, which is returned.
        """
        self._end_stage()
        stage = Stage(self, model, **options)
        if any(each.name == stage.name for each in self.stages):
            raise ValueError(f"the run has a stage {stage.name!r} already: give this one another name")
        self.stages.append(stage)
        if self.shows_graphs:
            self._show_graph(stage.name, functions[0])
            return stage
        known, variables = set(self.variables.values()), dict.fromkeys([*model.params, *updated(functions)])
        variables = named(stage.name, [each for each in variables if each not in known])
        self.variables |= variables
        with damaged(self.folder / FILE, REMEDY):
            if self.unread and self.unread.pop(0) != stage.name:
                raise ValueError("it is one of other stages")
            if stage.name in self.checkpoint["stages"]:
                stage.restore(self.checkpoint, variables)
        if not stage.is_over:
            self._claim(stage.file)
        self.signals.waits = not stage.is_over  # from here on, until the present minibatch is trained
        return stage

    def _show_graph(self, name, function):
        chosen = "all" if rewrites.selected() == rewrites.NAMES else " ".join(rewrites.selected()) or "none"
        settings = {**self.about["settings"], "dataset": self.data.name, "rewrites": chosen}
        arguments = {"index": 0, **getattr(function, "keywords", {})}
        path = self.folder / "graphs" / re.sub("[^-.\\w]+", "_", name)
        say(graphs.write(path, f"{self.about['lesson']}: {name}", settings, compiled(function), arguments))

    def _end_stage(self):
        """End the last stage, if its loop did not: a lesson may leave it by `break`, or has a loop of its own."""
        if self.stages:
            self.stages[-1].end()

    def reach(self, seconds):
        """Write a checkpoint if the last one is older than this, or if the run was asked to stop: then it stops."""
        signum = self.signals.signum
        if signum is not None or time.monotonic() - self.saved_at > seconds:
            self.write_checkpoint()
        if signum is not None:
            raise Interrupted(signum, self.stages[-1].where())

    def write_checkpoint(self):
        """Write a checkpoint. A UserError says that a number in it is not finite."""
        last, stages = self.stages[-1], {stage.name: stage.snapshot() for stage in self.stages}
        last.check_finite()
        content = {"about": self.about, "where": last.where(), "stages": stages}
        kept = {} if last.values is None else last.kept_arrays(last.values)
        write_checkpoint(self.folder / FILE, content, self.variables, kept)
        self.saved_at = time.monotonic()

    def _claim(self, name):
        return records.claim(self.folder, self.about, f"{name}.npz")

    def save_model(self, name, params, figures):
        """Save parameters as `name`.npz, with the figures that they reached and the curve until then."""
        path, about = self._claim(name), {**self.about, **figures}
        del about["files"]
        about["curve"] = [{name: each for name, each in line.items() if name != "seconds"} for line in self.curve]
        save_model(path, params, about)

    def save(self, name, params, **figures):
        """Save parameters between two stages as `name`.npz. A run that goes on after this place saves nothing."""
        self._end_stage()
        if self.trains and not self.unread:
            self.save_model(name, params, figures)

    def finish(self, closing=lambda figures: None, evaluate=dict):
        """End the run: write and print its figures, and return its `Result`, with the model of the last stage.

        `evaluate` returns further figures, {name: number}. It is called once, at the end of the training: if a finished
        run is shown again, its result.json has them. `closing` makes the line to print from all figures.
        """
        self._end_stage()
        stage, path = self.stages[-1], self.folder / "result.json"
        self.result = Result(stage.model, [])
        if self.shows_graphs:
            return self.result
        with damaged(self.folder / FILE, REMEDY):
            if self.unread:
                raise ValueError("it is one of more stages")
        if self.trains:
            figures = {**stage.result.figures, "epochs": len(stage.curve), **evaluate()}
            write_json(path, {**figures, "seconds": self.seconds, "peak_memory_mb": records.peak_memory()})
            line = closing(figures)
        else:
            figures = records.read_result(self.folder)
            figures = {name: each for name, each in figures.items() if name not in ("seconds", "peak_memory_mb")}
            with damaged(path, REMEDY):
                line = closing(figures)
        if line is not None:
            say(line)
        if self.data.name != "MNIST":
            say(f"these figures are for {self.data.name}: only MNIST's compare with the published ones")
        if not self.trains:
            say("the run was finished before: these are its figures, and --fresh (fresh=True) starts it over")
        self.result = Result(stage.model, self.curve, figures)
        return self.result

    def draw(self, plot):
        """Call `plot` with the folder and the data, if the run has just ended. An error there does not end the run.

        Return the result, which gets the first picture.
        """
        try:
            if self.trains:
                plot(self.folder, self.data)
            if not self.shows_graphs:
                pictures = [name for name in records.read_settings(self.folder)["files"] if name.endswith(".png")]
                self.result.picture = (self.folder / pictures[0]).read_bytes() if pictures else b""
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pictures are left out: {reason}", file=sys.stderr, flush=True)
        return self.result
