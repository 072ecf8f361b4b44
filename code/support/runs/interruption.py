"""Ctrl-C and SIGTERM."""

import signal
import threading


class Interrupted(KeyboardInterrupt):
    """The signal `signum` has asked a run to stop."""

    def __init__(self, signum, place="while nothing was being trained"):
        super().__init__(place)
        self.signum = signum


class Signals:
    """A context in which both signals raise `Interrupted`. In a thread other than the main one, nothing changes."""

    waits = False  # whether the first signal only sets `signum`, so that the present minibatch is trained to its end
    signum = None  # the number of the first signal

    def handle(self, signum, frame):
        if not self.waits or self.signum is not None:
            raise Interrupted(signum)
        self.signum = signum

    def __enter__(self):
        is_main = threading.current_thread() is threading.main_thread()
        signals = [signal.SIGINT, signal.SIGTERM] if is_main else []
        self.before = {signum: signal.signal(signum, self.handle) for signum in signals}
        return self

    def __exit__(self, *exception):
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
