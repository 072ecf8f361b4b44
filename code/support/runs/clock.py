"""A clock for the phases of a run. It adds up the times before and after each interruption."""

import time


class Clock:
    """The seconds that each phase has taken.

    Parameters
    ----------
    seconds : dict of float
        {phase: seconds until now} for the phases that have begun.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.phase, self.started = None, None

    def start(self, phase):
        self.phase, self.started = phase, time.perf_counter()

    def stop(self):
        """Add the time since the start to the phase."""
        self.seconds, self.phase = self.read(), None

    def read(self):
        """The seconds of all phases until now."""
        if self.phase is None:
            return self.seconds
        now = self.seconds.get(self.phase, 0) + time.perf_counter() - self.started
        return {**self.seconds, self.phase: round(now, 3)}
