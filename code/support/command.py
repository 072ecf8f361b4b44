"""The command line: a driver's signature and docstring become its options, errors become one line."""

import argparse
import inspect
import sys

from support import rewrites
from support.environment import ROOT
from support.errors import UserError
from support.runs.interruption import Interrupted, handled
from support.runs.records import lesson_of
from support.settings import parameters


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, without the usage before it."""

    def error(self, message):
        raise UserError(f"{message} (--help lists the options)")


def build_parser(driver, quick, actions):
    """The parser of a lesson: every argument of the driver under its own name, `--quick`, and what else there is to do.

    The parameters are those of `command`.
    """
    parser = OneLineParser(description=summary(driver), argument_default=argparse.SUPPRESS, allow_abbrev=False)
    for name, parameter in parameters(driver).items():
        if parameter.type is bool:
            parser.add_argument(option(name), action="store_true", help=parameter.description)
            continue
        default = "" if parameter.default is None else f" (default: {spelled(parameter.default)})"
        parser.add_argument(
            option(name),
            type=parameter.type,
            nargs="+" if parameter.is_list else None,
            metavar="PATH" if parameter.type is str else parameter.type.__name__.upper(),
            help=(parameter.description + default).replace("%", "%%"),
        )
    schedule = " ".join(f"{option(name)} {spelled(value)}" for name, value in quick.items())
    parser.add_argument("--quick", action="store_true", help=f"a schedule of about a minute: {schedule}")
    parser.add_argument(
        "--rewrites",
        nargs="+",
        metavar="NAME",
        help=f"graph rewrites to compile with: all (the default), none, or some of {', '.join(rewrites.NAMES)}",
    )
    for name, action in actions.items():
        metavar = next(iter(inspect.signature(action).parameters)).upper()
        parser.add_argument(option(name), metavar=metavar, help=summary(action))
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


def command(driver, quick, argv=None, **actions):
    """Run a lesson from the command line and return its exit status.

    Parameters
    ----------
    driver : function
        Its signature and its docstring's "Parameters" give the options.
    quick : dict
        The driver's arguments that `--quick` changes; an option given explicitly wins over them.
    argv : list of str, optional
        Arguments, by default those of the process.
    actions : functions
        What else the lesson can do: `plot=plot` makes `--plot FOLDER` call plot(FOLDER). An action goes alone, but for
        options that bear the names of further arguments of its own.

    Returns
    -------
    int
        0; 2 where the input was bad, which one line on standard error explains; 130 after Ctrl-C, 143 after SIGTERM.
    """
    program = f"{lesson_of(driver)}.py"
    try:
        with handled():
            options = vars(build_parser(driver, quick, actions).parse_args(argv))
            chosen = [name for name in actions if name in options]
            if chosen:
                _act(actions[chosen[-1]], chosen[-1], options)
            else:
                if "rewrites" in options:
                    rewrites.select(options.pop("rewrites"))
                if options.pop("quick", False):
                    options = {"output_folder": str(ROOT / "runs" / f"{lesson_of(driver)}-quick"), **quick, **options}
                driver(**options)
    except (UserError, OSError, MemoryError) as error:  # the system's own complaints tell what to do as well
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"{program}: stopped ({stop}): the same command goes on from there", file=sys.stderr)
        return 128 + stop.signum
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    return 0


def _act(action, name, options):
    """Call an action with its path and those of the options that are its own."""
    first, *others = inspect.signature(action).parameters
    given = {other: options[other] for other in others if other in options}
    if options.keys() != {name, *given}:
        allowed = [option(other) for other in others if other in ("dataset", "seed")]
        raise UserError(f"{option(name)} goes {f'with {allowed[0]} only' if allowed else 'alone'}")
    action(options[name], **given)
