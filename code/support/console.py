"""The ground floor of the output: lines, and progress bars on a terminal."""

import sys

try:
    from tqdm import tqdm
except ImportError:  # an extra: without it there is no progress bar
    tqdm = None


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
