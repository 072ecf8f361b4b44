"""What a lesson prints: lines and progress bars, on any terminal and into any pipe."""

import functools
import os
import shutil
import sys
from contextlib import suppress

from support.start import UserError

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
    """The same iterable. On a terminal or in a notebook, a bar shows how much is done, and the time that is left."""
    if tqdm is None:
        return iterable
    bar = tqdm
    if is_notebook():
        with suppress(ImportError):
            import ipywidgets  # noqa: F401  with which tqdm draws its bar for notebooks
            from tqdm.notebook import tqdm as bar
    elif not sys.stderr.isatty():
        return iterable
    return bar(iterable, desc=label, leave=False, mininterval=0.5, dynamic_ncols=True)


def is_notebook():
    """Whether the process is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and "IPKernelApp" in shell.config


def show_status(text):
    """Show a text in the present line of a terminal, in place of the text before; an empty one clears the line."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:{width}}\r", end="", file=sys.stderr, flush=True)


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
