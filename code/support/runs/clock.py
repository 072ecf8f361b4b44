"""The time that the phases of a run take, over all the times that it was stopped and went on."""

import time


class Clock:
    """Seconds of each phase.

    Parameters
    ----------
    seconds : dict of float
        Of the phases that are over, or were begun, by name.
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
