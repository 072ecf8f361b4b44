"""Serve as a contestant: `python -m contestants NAME`.

It reads a request a line from standard input, {"phase": ..., "steps": n}, and answers each with the microseconds a
step, or {"missing": reason} where it cannot run. A phase's first request builds it and runs it until it is compiled and
warm; the phase before is forgotten then.
"""

import json
import sys
import time

from contestants import runner


class Server:
    """A contestant and the phase that it has built."""

    def __init__(self, contestant):
        self.contestant = contestant
        self.phase = self.run = None

    def answer(self, phase, steps):
        """The microseconds a step, as a mean over these steps."""
        if phase != self.phase:
            self.phase = self.run = None  # let go of the memory first
            self.run, _ = runner(self.contestant, phase)
            self.phase, self.warm = phase, set()
        if steps not in self.warm:  # for JAX each number of steps is another program
            self.warm.add(steps)
            self.run(steps)
        started = time.perf_counter()
        self.run(steps)
        return 1e6 * (time.perf_counter() - started) / steps


def serve(contestant):
    """Answer requests until standard input ends."""
    server = Server(contestant)
    answers, sys.stdout = sys.stdout, sys.stderr  # what a framework prints is no answer
    for line in sys.stdin:
        try:
            reply = server.answer(**json.loads(line))
        except Exception as error:  # whatever it is, the others can go on without this one
            reply = {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
