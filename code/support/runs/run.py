"""A run of training, as a lesson sees it. Its stages train; the run keeps what they need to go on, and its records."""

import re
import sys
from contextlib import ExitStack, contextmanager, nullcontext

from support import graphs, rewrites
from support.console import say
from support.files import damaged
from support.runs.checkpoint import FILE, REMEDY, compiled, fits, named, pack, unpack, updated
from support.runs.interruption import Interrupted, Request, handled_by
from support.runs.models import parameter_names
from support.runs.records import read_result
from support.runs.result import Result
from support.runs.stage import Stage
from support.start import UserError


class Run:
    """A run of training: a new one, one that goes on, one that is shown again, or one that shows its graphs.

    It is a context. At the end of the block, other processes may write to the folder again.

    Parameters
    ----------
    folder : RunFolder
    data : support.data.Datasets
    settings : dict, the driver's arguments
    n_minibatches : int, in an epoch
    shows_graphs : bool
        Train nothing, and write the graphs of the stages' functions. The folder is not open then.

    Attributes
    ----------
    trains : bool, whether there is anything to train
    curve : list of dict, one an epoch, as in curve.jsonl
    seconds : dict of float, {phase: its seconds}
    """

    seconds_between_checkpoints = 30
    seconds_within_an_epoch = 180

    def __init__(self, folder, data, settings, n_minibatches, shows_graphs):
        self.folder, self.data, self.settings, self.n_minibatches = folder, data, settings, n_minibatches
        self.shows_graphs = shows_graphs
        self.trains = not shows_graphs and not folder.is_finished
        self.state = folder.state
        self.goes_on = self.trains and bool(self.state.stages)
        self.curve, self.seconds = self.state.curve, self.state.seconds
        self.stages, self.variables, self.phase_in_progress = [], {}, None
        self.request, self.context = Request(), ExitStack()

    def __enter__(self):
        self.context.callback(self.folder.close)
        self.context.enter_context(graphs.shown() if self.shows_graphs else handled_by(self.request.note))
        return self

    def __exit__(self, *exception):
        self.context.close()

    def say(self, line):
        """Print a line, if there is anything to train."""
        if self.trains:
            say(line)

    @contextmanager
    def phase(self, name, title=None):
        """Count the seconds of the stages in the block together, and print them at its end, on standard error.

        A stage outside such a block is a phase of its own. `title` is the phase in words, for the printed line.
        """
        self.phase_in_progress = name
        yield
        self._end_stage()
        self.phase_in_progress = None
        self.print_time(name, title)

    def print_time(self, phase, title=None):
        if not self.shows_graphs:
            what = f"{title or f'The {phase} code'} for file {self.folder.about['lesson']}.py"
            print(f"{what} ran for {self.seconds.get(phase, 0) / 60:.2f}m", file=sys.stderr, flush=True)

    def stage(
        self, model, *functions, name="training", rate="learning_rate", file="model", phase=None, title=None,
        chance_cost=None, **place,
    ):  # fmt: skip
        """Begin a stage: epochs that train one model by the same functions.

        If the run goes on, the values of its variables are put back here.

        Parameters
        ----------
        model : object with `params`
        functions : compiled functions
            All shared variables that they update are saved in checkpoints, such as the states of random generators.
            If the run shows its graphs, that of the first one is written. A `functools.partial` fixes its arguments.
        name : str
            Tells the stages of the run apart.
        rate : str
            The argument of the driver that must be lowered if the stage diverges.
        file : str
            The name of the file that `Stage.keep` writes, without its ending.
        phase : str, optional
            The name for the seconds of the stage in result.json; by default the stage's.
        title : str, optional
            The phase in words, for the printed line.
        chance_cost : float, optional
            The cost of a model that has learnt nothing. It is printed beside the first cost.
        place
            Numbers that tell the place of the stage in the run, such as layer=0. Each line of the curve has them.

        Returns
        -------
        Stage
        """
        self._end_stage()
        if any(stage.name == name for stage in self.stages):
            raise ValueError(f"the run has a stage {name!r} already: give this one another name")
        stage = Stage(self, len(self.stages), model, name, rate, file, phase, title, chance_cost, place)
        self.stages.append(stage)
        if self.shows_graphs:
            self._show_graph(name, functions[0])
            return stage
        known = set(self.variables.values())
        variables = dict.fromkeys([*model.params, *updated(functions)])
        variables = named(name, [each for each in variables if each not in known])
        self.variables |= variables
        state, arrays = self.state, self.folder.arrays
        if stage.number < len(state.stages):
            with self.fitting():
                if list(state.stages)[stage.number] != name:
                    raise ValueError("another stage")
                unpack(variables, state.generators, arrays)
                if stage.number == state.over and name in state.kept:
                    stage.values = [arrays.pop(f"kept/{name}/{each}") for each in parameter_names(model.params)]
                    for param, value in zip(model.params, stage.values, strict=True):
                        fits(param, value)
        elif self.trains:
            state.stages[name] = len(self.curve)
        if self.trains:
            self.folder.claim(f"{file}.npz")
        stage.start()
        return stage

    def _show_graph(self, name, function):
        lesson = self.folder.about["lesson"]
        chosen = "all" if rewrites.selected() == rewrites.NAMES else " ".join(rewrites.selected()) or "none"
        settings = {**self.settings, "dataset": self.data.name, "rewrites": chosen}
        arguments = {"index": 0, **getattr(function, "keywords", {})}
        path = self.folder.path / "graphs" / re.sub("[^-.\\w]+", "_", name)
        say(graphs.write(path, f"{lesson}: {name}", settings, compiled(function), arguments))

    @contextmanager
    def fitting(self):
        """Within the block an exception says that the checkpoint belongs to another network or schedule."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self.folder.path / FILE} fits another network or schedule: {REMEDY}") from error

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
        state.memory = None if stage.memory is None else vars(stage.memory)
        self.folder.write_checkpoint(arrays)

    def interrupt(self, place):
        raise Interrupted(self.request.signum, place)

    def save(self, name, params, **figures):
        """Save parameters between two stages as `name`.npz. A run that goes on after this place saves nothing."""
        self._end_stage()
        if self.trains and name not in self.state.saved:
            self.folder.save_model(name, params, figures)
            self.state.saved.append(name)

    def finish(self, closing=None, evaluate=None):
        """End the run: write and print its figures, and return its `Result`, with the model of the last stage.

        Parameters
        ----------
        closing : function, optional
            Makes the line to print from the figures, {name: number}.
        evaluate : function, optional
            Returns further figures, {name: number}. It is called once, at the end of the training. If a finished run is
            shown again, its result.json has these figures.
        """
        self._end_stage()
        stage = self.stages[-1]
        if self.shows_graphs:
            return Result(stage.model, [])
        with self.fitting():
            if self.state.over != len(self.stages):
                raise ValueError("another number of stages")
        if self.trains:
            figures = {**self.state.kept.get(stage.name, {}), "epochs": len(stage.curve)}
            figures |= evaluate() if evaluate is not None else {}
            seconds = {phase: round(seconds, 3) for phase, seconds in self.seconds.items()}
            self.folder.write_result({**figures, "seconds": seconds})
        else:
            result = read_result(self.folder.path)
            figures = {name: value for name, value in result.items() if name not in ("seconds", "peak_memory_mb")}
        if closing is not None:
            with nullcontext() if self.trains else damaged(self.folder.path / "result.json", REMEDY):
                say(closing(figures))
        if self.data.name != "MNIST":
            say(f"these figures are for {self.data.name}: only MNIST's compare with the published ones")
        if not self.trains:
            say("the run was finished before: these are its figures, and --fresh (fresh=True) starts it over")
        return Result(stage.model, self.curve, figures)

    def draw(self, plot):
        """Call `plot` with the folder and the data, if the run has just ended. An error there does not end the run."""
        if not self.trains:
            return
        try:
            plot(self.folder.path, self.data)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"pictures are left out: {reason}", file=sys.stderr, flush=True)
