"""The command line. Options are made from a driver's signature and docstring. An error is told in one line."""

import argparse
import inspect
import sys

from support import rewrites
from support.console import for_any_reader
from support.runs.interruption import Interrupted, Signals
from support.runs.records import lesson_of
from support.settings import parameters
from support.start import ROOT, UserError


class OneLineParser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message} (--help lists the options)")


def build_parser(driver, quick, actions):
    """The parser of a lesson. Its parameters are those of `command`."""
    parser = OneLineParser(description=summary(driver), argument_default=argparse.SUPPRESS, allow_abbrev=False)
    for name, parameter in parameters(driver).items():
        text, form = parameter.description, {"action": "store_true"}
        if parameter.type is not bool:
            text += "" if parameter.default is None else f" (default: {spelled(parameter.default)})"
            metavar = "PATH" if parameter.type is str else parameter.type.__name__.upper()
            form = {"type": parameter.type, "nargs": "+" if parameter.is_list else None, "metavar": metavar}
        parser.add_argument(option(name), **form, help=text.replace("%", "%%"))
    schedule = " ".join(f"{option(name)} {spelled(value)}" for name, value in quick.items())
    parser.add_argument("--quick", action="store_true", help=f"a schedule of about a minute: {schedule}")
    some = f"graph rewrites to compile with: all (the default), none, or some of {', '.join(rewrites.NAMES)}"
    parser.add_argument("--rewrites", nargs="+", metavar="NAME", help=some)
    for name, action in actions.items():
        parser.add_argument(option(name), metavar=arguments_of(action)[0].upper(), help=summary(action))
    return parser


def arguments_of(function):
    return list(inspect.signature(function).parameters)


def option(name):
    """The name of an argument on the command line."""
    return "--" + name.replace("_", "-")


def spelled(value):
    """A value as it is typed on the command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def summary(function):
    """The first paragraph of a docstring."""
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

    Returns 0 after success, 130 after Ctrl-C, 143 after SIGTERM; 2 if the input was bad, and then one line on standard
    error says why.
    """
    program = f"{lesson_of(driver)}.py"
    try:
        if driver.__doc__ is None and sys.flags.optimize > 1:
            without = "python -OO drops the docstrings, and the options are made from them"
            raise UserError(f"{without}: use python alone, or python -O")
        with Signals():
            options = vars(build_parser(driver, quick, actions).parse_args(argv))
            if chosen := [name for name in actions if name in options]:
                act(actions[chosen[-1]], chosen[-1], options)
                return 0
            if "rewrites" in options:
                rewrites.select(options.pop("rewrites"))
            if options.pop("quick", False):
                options = {"output_folder": str(ROOT / "runs" / f"{lesson_of(driver)}-quick"), **quick, **options}
            driver(**options)
            return 0
    except BrokenPipeError:
        raise
    except (UserError, OSError, MemoryError) as error:  # the messages of the system are clear enough
        told, status = f"error: {' '.join(str(error).split())}", 2
    except Interrupted as stop:
        told, status = f"stopped ({stop}): the same command goes on from there", 128 + stop.signum
    except KeyboardInterrupt:
        told, status = "interrupted", 130
    print(f"{program}: {told}", file=sys.stderr)
    return status


def act(action, name, options):
    """Call an action with its path and with the options that are its own. No other option may be given."""
    _, *others = arguments_of(action)
    given = {other: options[other] for other in others if other in options}
    if options.keys() != {name, *given}:
        allowed = [option(other) for other in others if other in ("dataset", "seed")]
        raise UserError(f"{option(name)} goes {f'with {allowed[0]} only' if allowed else 'alone'}")
    action(options[name], **given)
