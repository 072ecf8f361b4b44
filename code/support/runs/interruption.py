"""Ctrl-C and SIGTERM: the first lets the minibatch that is being trained be finished, the second ends at once."""

import signal
import threading
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop.

    Attributes
    ----------
    signum : int
    """

    def __init__(self, signum, place=None):
        super().__init__(place or "while nothing was being trained")
        self.signum = signum


requested = None  # the signal that came while `deferring`
deferring = False


def handle(signum, frame):
    global requested
    if not deferring or requested is not None:
        raise Interrupted(signum)
    requested = signum


@contextmanager
def handled():
    """Within the block both signals are handled so; in a thread other than the main one, as they were."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(signum, handle) for signum in signals]
    try:
        yield
    finally:
        for signum, handler in zip(signals, before):
            signal.signal(signum, handler)


@contextmanager
def deferred():
    """Within the block the first signal waits to be looked at, by `requested`."""
    global requested, deferring
    requested, deferring = None, True
    try:
        yield
    finally:
        deferring = False
