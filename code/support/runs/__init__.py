"""A run of training: its folder, stages, epochs, checkpoints, models, records."""

import inspect
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support import graphs
from support.console import say
from support.data import load_data
from support.runs.folder import ELSEWHERE, GOES_ON, NOTHING, find_run, locked, writing
from support.runs.interruption import Signals
from support.runs.records import lesson_of
from support.runs.run import Run
from support.settings import CODE
from support.start import ROOT

import pytensor

NOT_OF_THE_RUN = "output_folder", "fresh", "show_graph"  # arguments that do not change the figures of a run


@contextmanager
def open_run(driver, values, check=None, **further):
    """Begin a run, go on with an unfinished one, show a finished one again, or show the graphs of one. It is a context.

    Parameters
    ----------
    driver : function
        The run's folder is by default runs/<lesson>/, after the driver's lesson.
    values : dict
        The values of the driver's arguments, as `locals()` gives them; other names in it are ignored.
    check : function of the data, optional
        Raises a UserError if the lesson cannot use them. Nothing is written before.
    further
        Other values in which this run can differ from others.

    Yields a `Run`. A UserError says that the data cannot be used; or that the output folder cannot be written, that
    another process writes to it, or that it holds another run.
    """
    say("... loading data")
    data = load_data(values["dataset"])
    if check is not None:
        check(data)
    n_minibatches = data.n_minibatches(values["batch_size"]) if "batch_size" in values else 1
    names = [name for name in inspect.signature(driver).parameters if name not in NOT_OF_THE_RUN]
    settings = {name: values[name] for name in names if name in values} | further
    lesson = lesson_of(driver)
    about = {
        "lesson": lesson,
        "dataset": {"name": data.name, "sha256": data.sha256},
        "settings": settings,
        "floatX": pytensor.config.floatX,
        "code": CODE.get(lesson, {}),
    }
    folder = place = Path(values.get("output_folder") or ROOT / "runs" / lesson)
    shows_graphs, checkpoint = bool(values.get("show_graph")), NOTHING
    note = "functions are compiled at their first call: about a minute the first time, a few seconds later"
    if shows_graphs:
        place, note = folder / "graphs", "nothing is trained: the graphs of the training steps are written there"
    with ExitStack() as stack:
        with writing(folder, ELSEWHERE):
            stack.enter_context(graphs.shown() if shows_graphs else locked(folder))
            signals = stack.enter_context(Signals())
            if not shows_graphs:
                about, checkpoint = find_run(folder, about, values.get("fresh", False))
            elif place.is_symlink():
                raise OSError(0, "its folder graphs is a link")
            place.mkdir(parents=True, exist_ok=True)
        say(f"dataset: {data.source}")
        say("settings: " + ", ".join(f"{name} = {value}" for name, value in settings.items()))
        say(f"output folder: {place}")
        say(note)
        stack.enter_context(writing(folder, GOES_ON))
        run = Run(folder, data, n_minibatches, signals, shows_graphs, about, checkpoint)
        if checkpoint["stages"]:
            run.say(f"continuing the unfinished run in {folder}: {checkpoint['where']}")
        yield run
