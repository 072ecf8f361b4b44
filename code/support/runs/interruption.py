"""Ctrl-C and SIGTERM. The first signal ends the run after the present minibatch, the second ends it at once."""

import signal
import threading
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """The signal `signum` has asked a run to stop."""

    def __init__(self, signum, place="while nothing was being trained"):
        super().__init__(place)
        self.signum = signum


class Request:
    """The first signal that asks a run to stop.

    Attributes
    ----------
    signum : int, the number of the signal, or None
    waits : bool
        Whether a signal waits until the present minibatch is trained. Otherwise it raises `Interrupted` at once.
    """

    signum, waits = None, False

    def note(self, signum, frame):
        """Handle a signal. The second one does not wait."""
        if not self.waits or self.signum is not None:
            raise Interrupted(signum)
        self.signum = signum


@contextmanager
def handled_by(handle):
    """Within the block a function handles both signals. In a thread other than the main one, nothing changes."""
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
    return handled_by(_interrupt)
