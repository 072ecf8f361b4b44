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

    def __init__(self, signum, place="while nothing was being trained"):
        super().__init__(place)
        self.signum = signum


class Request:
    """Whether a signal has asked a run to stop.

    Attributes
    ----------
    signum : int, of the first signal that came; None until then
    """

    signum = None

    def note(self, signum, frame):
        """Handle a signal: the first is noted, the second ends the run at once."""
        if self.signum is not None:
            raise Interrupted(signum)
        self.signum = signum


@contextmanager
def _handled_by(handle):
    """Within the block a function handles both signals; outside of the main thread they stay as they were."""
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


def _interrupt(signum, frame):
    raise Interrupted(signum)


def handled():
    """Within the block a signal raises `Interrupted`."""
    return _handled_by(_interrupt)


@contextmanager
def deferred():
    """Within the block the first signal waits, in the `Request` that the block gets, until the run looks at it."""
    request = Request()
    with _handled_by(request.note):
        yield request
