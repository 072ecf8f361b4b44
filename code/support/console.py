"""The ground floor of the output: lines, progress bars on a terminal, and terminals and readers of every kind."""

import functools
import os
import sys

from support.errors import UserError

try:
    from tqdm import tqdm
except ImportError:  # an extra: without it there is no progress bar
    tqdm = None

NOBODY_READS = 128 + 13  # the exit status of a program that SIGPIPE, signal 13, ends


def say(line):
    """Print a line at once, above the progress bar where there is one."""
    if tqdm is not None and sys.stderr.isatty():
        tqdm.write(line)
        sys.stdout.flush()
    else:
        print(line, flush=True)


def progress(iterable, label):
    """The same iterable; on a terminal, with a bar that shows how far it is and the time left."""
    if tqdm is None or not sys.stderr.isatty():
        return iterable
    return tqdm(iterable, desc=label, leave=False, mininterval=0.5, dynamic_ncols=True)


def prepare_streams():
    """Let letters that a terminal cannot show, as in a path, be shown as codes, instead of ending the run."""
    for stream in sys.stdout, sys.stderr:
        if hasattr(stream, "reconfigure"):  # a notebook's has not, and shows all letters
            stream.reconfigure(errors="backslashreplace")


def for_any_reader(command):
    """Decorate a function that prints and returns an exit status: it may print to any terminal, and into a pipe.

    Where the reader has closed the pipe, as `head` does, the function ends without a word. It must let BrokenPipeError
    pass.
    """

    @functools.wraps(command)
    def wrapped(*arguments, **named):
        prepare_streams()
        try:
            try:
                return command(*arguments, **named)
            finally:
                sys.stdout.flush()  # at the end of the process nobody could catch the error
        except BrokenPipeError:
            discard_output()
            return NOBODY_READS

    return wrapped


def discard_output():
    """Send to nowhere what is still to be printed, at the latest when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in sys.stdout, sys.stderr:
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):  # not a file of the system's
            pass
    os.close(nowhere)


def check_docstrings(function):
    """See to it that a function has its docstring, from which its options are made.

    Raises
    ------
    UserError
        Where Python was told to leave docstrings out.
    """
    if function.__doc__ is None and sys.flags.optimize > 1:
        raise UserError(
            "python -OO leaves out the docstrings, of which the options are made: use python alone, or python -O"
        )
