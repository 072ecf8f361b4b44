"""A run of training: its folder, epochs, checkpoints, models, records."""

import pytensor

from support.console import say
from support.environment import ROOT
from support.runs.folder import RunFolder
from support.runs.graph_run import GraphRun
from support.runs.records import lesson_of
from support.runs.run import Run

NOT_OF_THE_RUN = "output_folder", "fresh", "show_graph"  # arguments that say what becomes of it, not what it is


def open_run(driver, settings, datasets):
    """Begin the run of a driver, go on with an unfinished one, or show a finished one again.

    Parameters
    ----------
    driver : function
        Its lesson names the folder runs/<lesson>/, where the settings give no other.
    settings : dict
        The driver's arguments, and whatever else makes this run another one.
    datasets : support.data.Datasets

    Returns
    -------
    Run, or a GraphRun where `show_graph` is among the settings

    Raises
    ------
    UserError
        Where the output folder cannot be written, another process writes to it, or it holds another run.
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
        run, note = GraphRun(folder, plain, datasets), "nothing is trained: the graphs of the training steps come there"
    else:
        if moved := folder.open(settings.get("fresh", False)):
            say(moved)
        run, note = Run(folder, plain, datasets), (
            "functions are compiled at their first call: a minute in all the first time, a few seconds later on"
        )  # fmt: skip
    say(f"dataset: {datasets.source}")
    say("settings: " + ", ".join(f"{name} = {value}" for name, value in plain.items()))
    say(f"output folder: {run.folder.path if isinstance(run, Run) else run.folder}")
    say(note)
    return run
