"""The command line. Options are made from a driver's signature and docstring. An error is told in one line."""

import argparse
import inspect
import sys

from support import rewrites
from support.console import check_docstrings, for_any_reader
from support.runs.interruption import Interrupted, handled
from support.runs.records import lesson_of
from support.settings import parameters
from support.start import ROOT, UserError


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that tells an error in one line, without the usage before it."""

    def error(self, message):
        raise UserError(f"{message} (--help lists the options)")


def build_parser(driver, quick, actions):
    """The parser of a lesson: an option for each argument of the driver and for each action, `--quick`, `--rewrites`.

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
    """The name of an argument on the command line."""
    return "--" + name.replace("_", "-")


def spelled(value):
    """A value as it is typed on the command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def summary(function):
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.getdoc(function).split("\n\n")[0].split())


@for_any_reader
def command(driver, quick, argv=None, **actions):
    """Run a lesson from the command line and return its exit status.

    Parameters
    ----------
    driver : function
        Its signature and the "Parameters" in its docstring give the options.
    quick : dict
        The arguments of the driver that `--quick` sets. If an option is given, its value is used instead.
    argv : list of str, optional
        The arguments; by default those of the process.
    actions : functions
        Other functions of the lesson. `plot=plot` makes `--plot FOLDER` call plot(FOLDER). The only other options that
        go with an action are those named after further arguments of the function.

    Returns
    -------
    int
        0 after success, 130 after Ctrl-C, 143 after SIGTERM; 2 if the input was bad, and then one line on standard
        error says why.
    """
    program = f"{lesson_of(driver)}.py"
    try:
        check_docstrings(driver)
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
    except BrokenPipeError:
        raise
    except (UserError, OSError, MemoryError) as error:  # the messages of the system are clear enough
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
    """Call an action with its path and with the options that are its own. No other option may be given."""
    first, *others = inspect.signature(action).parameters
    given = {other: options[other] for other in others if other in options}
    if options.keys() != {name, *given}:
        allowed = [option(other) for other in others if other in ("dataset", "seed")]
        raise UserError(f"{option(name)} goes {f'with {allowed[0]} only' if allowed else 'alone'}")
    action(options[name], **given)
