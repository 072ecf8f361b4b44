"""A run of training: its folder, epochs, checkpoints, models, records."""

from support.console import say
from support.environment import ROOT
from support.runs.folder import RunFolder
from support.runs.graph_run import GraphRun
from support.runs.records import lesson_of
from support.runs.run import Run

import pytensor

NOT_OF_THE_RUN = "output_folder", "fresh", "show_graph"  # arguments that do not change the figures of a run


def open_run(driver, settings, datasets):
    """Begin a run, go on with an unfinished one, or show a finished one again.

    Parameters
    ----------
    driver : function
        If the settings name no output folder, the run's folder is runs/<lesson>/, after the driver's lesson.
    settings : dict
        The driver's arguments, and any other values in which this run can differ from others.
    datasets : support.data.Datasets

    Returns
    -------
    Run; or a GraphRun, if the setting `show_graph` is true

    Raises
    ------
    UserError
        The output folder cannot be written, another process writes to it, or it holds another run.
    """
    lesson = lesson_of(driver)
    plain = {name: value for name, value in settings.items() if name not in NOT_OF_THE_RUN}
    folder = RunFolder(
        settings.get("output_folder") or ROOT / "runs" / lesson,
        {
            "lesson": lesson,
            "dataset": {"name": datasets.name, "sha256": datasets.sha256},
            "settings": plain,
            "floatX": pytensor.config.floatX,
        },
    )
    if settings.get("show_graph"):
        run = GraphRun(folder, plain, datasets)
        note = "nothing is trained: the graphs of the training steps are written there"
    else:
        if moved := folder.open(settings.get("fresh", False)):
            say(moved)
        run = Run(folder, plain, datasets)
        note = "functions are compiled at their first call: about a minute the first time, a few seconds later"
    say(f"dataset: {datasets.source}")
    say("settings: " + ", ".join(f"{name} = {value}" for name, value in plain.items()))
    say(f"output folder: {run.folder.path if isinstance(run, Run) else run.folder}")
    say(note)
    return run
