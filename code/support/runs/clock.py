"""A clock that stands still while machine code is compiled, so that the seconds of a run are those of its training."""

import time

from support.console import show_status

from numba.core import event

COMPILES, PASSES = "numba:compiler_lock", "numba:run_pass"  # events: all of a compilation, and a short part of one


class Compiling(event.Listener):
    """Adds up the `seconds` of the compilations that are over. While Numba compiles, a line on a terminal counts."""

    seconds, depth, shown = 0.0, 0, 0

    def on_start(self, event):
        if event.kind == COMPILES:
            self.depth += 1  # one function is compiled while another one, which calls it, is
            if self.depth == 1:
                self.started, self.shown = time.perf_counter(), 0
        elif self.depth and (passed := int(time.perf_counter() - self.started)) > self.shown:
            self.shown = passed
            show_status(f"compiling machine code, which is kept for the next run: {passed} s")

    def on_end(self, event):
        self.depth -= event.kind == COMPILES
        if event.kind == COMPILES and self.depth == 0:
            self.seconds += time.perf_counter() - self.started
            if self.shown:
                show_status("")


COMPILING = Compiling()
for kind in COMPILES, PASSES:
    event.register(kind, COMPILING)


def now():
    """The time in seconds, from any start, without the time in which machine code was compiled."""
    return time.perf_counter() - COMPILING.seconds
