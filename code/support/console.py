"""What a lesson prints: lines and progress bars, on any terminal and into any pipe."""

import functools
import os
import sys

from support.errors import UserError

try:
    from tqdm import tqdm
except ImportError:  # tqdm is optional: without it there is no progress bar
    tqdm = None

NOBODY_READS = 128 + 13  # exit status of a program that signal 13, SIGPIPE, has ended


def say(line):
    """Print a line at once. If there is a progress bar, the line comes above it."""
    if tqdm is not None and sys.stderr.isatty():
        tqdm.write(line)
        sys.stdout.flush()
    else:
        print(line, flush=True)


def progress(iterable, label):
    """The same iterable. On a terminal, a bar shows how many items are done and how much time is left."""
    if tqdm is None or not sys.stderr.isatty():
        return iterable
    return tqdm(iterable, desc=label, leave=False, mininterval=0.5, dynamic_ncols=True)


def prepare_streams():
    """Print a code in place of each letter that the terminal cannot show, such as one in a path. The run goes on."""
    for stream in sys.stdout, sys.stderr:
        if hasattr(stream, "reconfigure"):  # a notebook's streams lack it, and show all letters
            stream.reconfigure(errors="backslashreplace")


def for_any_reader(command):
    """Decorate a function that prints and returns an exit status, so that it works with any terminal and any pipe.

    If the reader closes the pipe, as `head` does, the function ends without a message. It must not catch
    BrokenPipeError itself.
    """

    @functools.wraps(command)
    def wrapped(*arguments, **named):
        prepare_streams()
        try:
            try:
                return command(*arguments, **named)
            finally:
                sys.stdout.flush()  # here the error can be caught; at the end of the process it cannot
        except BrokenPipeError:
            discard_output()
            return NOBODY_READS

    return wrapped


def discard_output():
    """Throw away all output that is still to come, also that which Python prints when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in sys.stdout, sys.stderr:
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):  # the stream is not a file of the system
            pass
    os.close(nowhere)


def check_docstrings(function):
    """Raise a UserError if Python was told to drop docstrings: a command makes its options from them."""
    if function.__doc__ is None and sys.flags.optimize > 1:
        raise UserError(
            "python -OO drops the docstrings, and the options are made from them: use python alone, or python -O"
        )
