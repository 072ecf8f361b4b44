"""The command line: a driver's signature and docstring become its options, errors become one line."""

import argparse
import inspect
import re
import sys
from contextlib import nullcontext
from pathlib import Path

from support import graphs, rewrites
from support.environment import ROOT
from support.errors import UserError
from support.runs import checkpoints, interruption


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, without the usage before it."""

    def error(self, message):
        raise UserError(f"{message} (--help lists the options)")


def documented_parameters(driver):
    """{name: (type, description)} from the "Parameters" section of a driver's numpydoc docstring."""
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", inspect.getdoc(driver), re.DOTALL)
    entries = re.findall(r"^(\w+) : (.*)\n((?:    .*\n?)+)", section[1], re.MULTILINE)
    return {name: (kind, " ".join(text.split())) for name, kind, text in entries}


def build_parser(driver, quick, predict=None, plot=None):
    """The parser of a lesson: every argument of the driver under its own name, and --quick, --fresh and the like."""
    parser = OneLineParser(description=summary(driver), argument_default=argparse.SUPPRESS, allow_abbrev=False)
    documented = documented_parameters(driver)
    for name, parameter in inspect.signature(driver).parameters.items():
        kind, description = documented[name]
        default = parameter.default
        if default is not None:
            description += f" (default: {spelled(default)})"
        kind, is_list = kind.removeprefix("list of "), kind.startswith("list of ")
        parser.add_argument(
            option(name),
            type={"int": int, "float": float}.get(kind, str),
            nargs="+" if is_list else None,
            metavar=kind.upper(),
            help=description.replace("%", "%%"),
        )
    schedule = " ".join(f"{option(name)} {spelled(value)}" for name, value in quick.items())
    parser.add_argument("--quick", action="store_true", help=f"a schedule of about a minute: {schedule}")
    parser.add_argument(
        "--fresh", action="store_true", help="start over where there is a run already, and keep that one's files beside"
    )
    parser.add_argument(
        "--rewrites",
        nargs="+",
        metavar="NAME",
        help=f"graph rewrites to compile with: all (the default), none, or some of {', '.join(rewrites.NAMES)}",
    )
    parser.add_argument(
        "--show-graph",
        action="store_true",
        help="train nothing: write the graph of a step, as built and as it runs, to graphs/ in the run's folder",
    )
    if predict is not None:
        parser.add_argument("--predict", metavar="MODEL.npz", help=summary(predict))
    if plot is not None:
        parser.add_argument("--plot", metavar="FOLDER", help=summary(plot))
    return parser


def option(name):
    """The command line's spelling of an argument."""
    return "--" + name.replace("_", "-")


def spelled(value):
    """The command line's spelling of a value."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def summary(function):
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.getdoc(function).split("\n\n")[0].split())


def command(driver, quick, predict=None, argv=None, plot=None):
    """Run a lesson from the command line and return its exit status.

    Parameters
    ----------
    driver : function
        Its annotated signature and its docstring's "Parameters" give the options.
    quick : dict
        The driver's arguments that `--quick` changes; an option given explicitly wins over them.
    predict : function, optional
        Called with the path and, where given, the dataset, for `--predict`.
    argv : list of str, optional
        Arguments, by default those of the process.
    plot : function, optional
        Called with the folder of a run, for `--plot`.

    Returns
    -------
    int
        0; 2 where the input was bad, which one line on standard error explains; 130 after Ctrl-C, 143 after SIGTERM.
    """
    program = Path(inspect.getsourcefile(driver))
    try:
        options = vars(build_parser(driver, quick, predict, plot).parse_args(argv))
        if "plot" in options and len(options) > 1:
            raise UserError("--plot goes alone: the rest is in the run's files")
        if "rewrites" in options:
            rewrites.select(options.pop("rewrites"))
        checkpoints.fresh = options.pop("fresh", False)
        if "predict" in options:
            if not options.keys() <= {"predict", "dataset"}:
                raise UserError("--predict goes with --dataset only: the rest is in the model")
            predict(options["predict"], options.get("dataset"))
        elif "plot" in options:
            plot(options["plot"])
        else:
            if options.pop("quick", False):
                options = {"output_folder": str(ROOT / "runs" / f"{program.stem}-quick"), **quick, **options}
            show_graph = options.pop("show_graph", False)
            with interruption.handled(), graphs.shown() if show_graph else nullcontext():
                driver(**options)
    except (UserError, OSError, MemoryError) as error:  # the system's own complaints tell what to do as well
        print(f"{program.name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except interruption.Interrupted as stop:
        print(f"{program.name}: stopped ({stop}): the same command goes on from there", file=sys.stderr)
        return 128 + stop.signum
    except KeyboardInterrupt:
        print(f"{program.name}: interrupted", file=sys.stderr)
        return 130
    return 0
