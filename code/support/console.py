"""The output of a lesson: lines and progress bars, on any terminal and into any pipe."""

import functools
import os
import shutil
import sys
from contextlib import suppress

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
    bar = tqdm
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    in_notebook = shell is not None and "IPKernelApp" in shell.config
    if tqdm is None or not (in_notebook or sys.stderr.isatty()):
        return iterable
    with suppress(ImportError):
        if in_notebook:
            import ipywidgets  # noqa: F401  with which tqdm draws its bar for notebooks
            from tqdm.notebook import tqdm as bar
    return bar(iterable, desc=label, leave=False, mininterval=0.5, dynamic_ncols=True)


def show_status(text):
    """Show a text in the present line of a terminal, in place of the text before; an empty one clears the line."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:{width}}\r", end="", file=sys.stderr, flush=True)


def for_any_reader(command):
    """Decorate a function that prints and returns an exit status, so that it works with any terminal and any pipe.

    A code is printed in place of each letter that the terminal cannot show, such as one in a path. If the reader closes
    the pipe, as `head` does, the function ends without a message. It must not catch BrokenPipeError itself.
    """

    @functools.wraps(command)
    def wrapped(*arguments, **named):
        streams = sys.stdout, sys.stderr
        for stream in streams:
            if hasattr(stream, "reconfigure"):  # a notebook's streams lack it, and show all letters
                stream.reconfigure(errors="backslashreplace")
        try:
            try:
                return command(*arguments, **named)
            finally:
                sys.stdout.flush()  # here the error can be caught; at the end of the process it cannot
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)  # also for that which Python prints when it ends
            for stream in streams:
                with suppress(OSError, ValueError):  # the stream is not a file of the system
                    os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            return NOBODY_READS

    return wrapped
