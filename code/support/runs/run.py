"""A run of training, as a lesson sees it. Its stages train; the run keeps what they need to go on, and its records."""

import re
import sys
from contextlib import contextmanager
from dataclasses import asdict

from support import graphs, rewrites
from support.console import say
from support.files import damaged, write_json
from support.files.archives import write_described
from support.runs import records
from support.runs.checkpoint import FILE, FORMAT, REMEDY, compiled, fitting, named, pack, unpack, updated
from support.runs.folder import writing
from support.runs.models import parameter_names, save_model
from support.runs.result import Result
from support.runs.stage import Stage


class Run:
    """A run of training, which `open_run` makes. `state`, `arrays` and `is_finished` are what `find_run` found.

    Attributes
    ----------
    folder : Path
    data : support.data.Datasets
    n_minibatches : int, in an epoch
    trains : bool, whether there is anything to train; not where the run is finished, or only `shows_graphs`
    curve : list of dict, one an epoch, as in curve.jsonl
    seconds : dict of float, {phase: its seconds}
    """

    seconds_between_checkpoints = 30
    seconds_within_an_epoch = 180

    def __init__(self, folder, data, n_minibatches, signals, shows_graphs, state, arrays, is_finished):
        self.folder, self.data, self.n_minibatches, self.signals = folder, data, n_minibatches, signals
        self.shows_graphs, self.state, self.arrays = shows_graphs, state, arrays
        self.trains = not (shows_graphs or is_finished)
        self.goes_on = self.trains and bool(state.stages)
        self.curve, self.seconds = state.curve, state.seconds
        self.stages, self.variables, self.phase_in_progress, self.result = [], {}, None, None

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
            what = f"{title or f'The {phase} code'} for file {self.state.about['lesson']}.py"
            print(f"{what} ran for {self.seconds.get(phase, 0) / 60:.2f}m", file=sys.stderr, flush=True)

    def stage(self, model, *functions, **options):
        """Begin a stage: epochs that train one model by the same functions.

        `model` is an object with `params`, and the functions are compiled. All shared variables that they update are
        saved in checkpoints, such as the states of random generators. If the run goes on, their values are put back
        here. If it shows its graphs, that of the first function is written; a `functools.partial` fixes its arguments.
        `options` are the parameters of `Stage`, which is returned.
        """
        self._end_stage()
        stage, state = Stage(self, model, **options), self.state
        if any(each.name == stage.name for each in self.stages):
            raise ValueError(f"the run has a stage {stage.name!r} already: give this one another name")
        self.stages.append(stage)
        if self.shows_graphs:
            self._show_graph(stage.name, functions[0])
            return stage
        known, variables = set(self.variables.values()), dict.fromkeys([*model.params, *updated(functions)])
        variables = named(stage.name, [each for each in variables if each not in known])
        self.variables |= variables
        if stage.number < len(state.stages):
            with damaged(self.folder / FILE, REMEDY):
                if list(state.stages)[stage.number] != stage.name:
                    raise ValueError("it is one of other stages")
                unpack(variables, state.generators, self.arrays)
                if stage.number == state.over and stage.name in state.kept:
                    keys = [f"kept/{stage.name}/{each}" for each in parameter_names(model.params)]
                    stage.values = [fitting(param, self.arrays[key]) for param, key in zip(model.params, keys)]
        elif self.trains:
            state.stages[stage.name] = len(self.curve)
        if self.trains:
            self._claim(stage.file)
        stage.start()
        return stage

    def _show_graph(self, name, function):
        chosen = "all" if rewrites.selected() == rewrites.NAMES else " ".join(rewrites.selected()) or "none"
        settings = {**self.state.about["settings"], "dataset": self.data.name, "rewrites": chosen}
        arguments = {"index": 0, **getattr(function, "keywords", {})}
        path = self.folder / "graphs" / re.sub("[^-.\\w]+", "_", name)
        say(graphs.write(path, f"{self.state.about['lesson']}: {name}", settings, compiled(function), arguments))

    def _end_stage(self):
        """End the last stage, if its loop did not: a lesson may leave it by `break`, or has a loop of its own."""
        if self.stages:
            self.stages[-1].end()

    def write_checkpoint(self):
        """Write a checkpoint, unless a number in it is not finite."""
        stage, state = self.stages[-1], self.state
        stage.count_seconds()
        state.generators, arrays = pack(self.variables)
        stage.check_finite(arrays.values())
        if stage.values is not None and stage.number == state.over:
            names = parameter_names(stage.model.params)
            arrays |= {f"kept/{stage.name}/{each}": value for each, value in zip(names, stage.values)}
        state.memory = stage.memory and vars(stage.memory)
        with writing(self.folder):
            write_described(self.folder / FILE, {"state": {"format": FORMAT, **asdict(state)}}, arrays)

    def _claim(self, name):
        with writing(self.folder):
            return records.claim(self.folder, self.state.about, f"{name}.npz")

    def save_model(self, name, params, figures):
        """Save parameters as `name`.npz, with the figures that they reached and the curve until then."""
        path, about = self._claim(name), {**self.state.about, **figures}
        del about["files"]
        about["curve"] = [{name: each for name, each in line.items() if name != "seconds"} for line in self.curve]
        with writing(self.folder):
            save_model(path, params, about)

    def save(self, name, params, **figures):
        """Save parameters as `name`.npz, in an epoch or between stages. A run that goes on after it saves nothing."""
        if self.stages[-1].epoch is None:
            self._end_stage()
        if self.trains and name not in self.state.saved:
            self.save_model(name, params, figures)
            self.state.saved.append(name)

    def finish(self, closing=lambda figures: None, evaluate=dict):
        """End the run: write and print its figures, and return its `Result`, with the model of the last stage.

        `evaluate` returns further figures, {name: number}. It is called once, at the end of the training: if a finished
        run is shown again, its result.json has them. `closing` makes the line to print from all figures.
        """
        self._end_stage()
        stage = self.stages[-1]
        if self.shows_graphs:
            return Result(stage.model, [])
        with damaged(self.folder / FILE, REMEDY):
            if self.state.over != len(self.stages):
                raise ValueError("it is one of more stages")
        if self.trains:
            figures = {**self.state.kept.get(stage.name, {}), "epochs": len(stage.curve), **evaluate()}
            seconds = {phase: round(seconds, 3) for phase, seconds in self.seconds.items()}
            with writing(self.folder):
                result = {**figures, "seconds": seconds, "peak_memory_mb": records.peak_memory()}
                write_json(self.folder / "result.json", result)
            line = closing(figures)
        else:
            result = records.read_result(self.folder)
            figures = {name: value for name, value in result.items() if name not in ("seconds", "peak_memory_mb")}
            with damaged(self.folder / "result.json", REMEDY):
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
        """Call `plot` with the folder and the data, if the run has just ended. The result gets the first picture.

        An error there does not end the run.
        """
        try:
            if self.trains:
                plot(self.folder, self.data)
            if self.result is not None:
                pictures = [name for name in records.read_settings(self.folder)["files"] if name.endswith(".png")]
                self.result.picture = (self.folder / pictures[0]).read_bytes() if pictures else b""
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pictures are left out: {reason}", file=sys.stderr, flush=True)
