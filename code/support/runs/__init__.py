"""A run of training: its folder, stages, epochs, checkpoints, models, records."""

import inspect

from support.console import say
from support.data import load_data
from support.runs.folder import RunFolder
from support.runs.records import lesson_of
from support.runs.run import Run
from support.settings import CODE
from support.start import ROOT

import pytensor

NOT_OF_THE_RUN = "output_folder", "fresh", "show_graph"  # arguments that do not change the figures of a run


def open_run(driver, values, check=None, **further):
    """Load the data, and begin a run, go on with an unfinished one, or show a finished one again.

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

    Returns
    -------
    Run

    Raises
    ------
    UserError
        The data cannot be used; or the output folder cannot be written, another process writes to it, or it holds
        another run.
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
    folder = RunFolder(values.get("output_folder") or ROOT / "runs" / lesson, about)
    shows_graphs = bool(values.get("show_graph"))
    if shows_graphs:
        folder.open_for_graphs()
        note = "nothing is trained: the graphs of the training steps are written there"
    else:
        if moved := folder.open(values.get("fresh", False)):
            say(moved)
        note = "functions are compiled at their first call: about a minute the first time, a few seconds later"
    say(f"dataset: {data.source}")
    say("settings: " + ", ".join(f"{name} = {value}" for name, value in settings.items()))
    say(f"output folder: {folder.path / 'graphs' if shows_graphs else folder.path}")
    say(note)
    return Run(folder, data, settings, n_minibatches, shows_graphs)
