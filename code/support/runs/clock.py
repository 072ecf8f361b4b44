"""A clock that stands still while machine code is compiled, so that the seconds of a run are those of its training."""

import time

from support.console import show_status

from numba.core import event


class Compiling(event.Listener):
    """Adds up the seconds in which Numba compiles. On a terminal a line shows that it does.

    Attributes
    ----------
    seconds : float, those of the compilations that are over
    """

    def __init__(self):
        self.seconds, self.depth, self.parts = 0.0, 0, 0

    def on_start(self, event):
        if self.depth == 0:
            self.started = time.perf_counter()
        self.depth += 1  # one function is compiled while another one, which calls it, is
        self.parts += 1
        passed = time.perf_counter() - self.started
        if passed > 0.5:
            show_status(f"compiling, once for this machine: {self.parts} parts, {passed:.0f} s")

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.started
            self.parts = 0
            show_status("")


COMPILING = Compiling()
event.register("numba:compiler_lock", COMPILING)


def now():
    """The time in seconds, from any start, without the time in which machine code was compiled."""
    return time.perf_counter() - COMPILING.seconds
