"""Serve as a contestant: `python -m contestants NAME`.

It reads a request a line from standard input, {"phase": ..., "steps": n}, and answers each with the microseconds a
step, or {"missing": reason} where it cannot run. A phase's first request builds it and runs it until it is compiled and
warm; the phase before is forgotten then.
"""

import json
import sys
import time

from contestants import runner


def serve(contestant):
    """Answer requests until standard input ends."""
    built, run, warm = None, None, set()
    answers, sys.stdout = sys.stdout, sys.stderr  # a framework may print, too
    for line in sys.stdin:
        request = json.loads(line)
        phase, steps = request["phase"], request["steps"]
        try:
            if phase != built:
                built = run = None  # let go of the memory first
                run, _ = runner(contestant, phase)
                built, warm = phase, set()
            if steps not in warm:  # for JAX each number of steps is another program
                run(steps)
                warm.add(steps)
            started = time.perf_counter()
            run(steps)
            reply = 1e6 * (time.perf_counter() - started) / steps
        except Exception as error:  # whatever it is, the others can go on without this one
            reply = {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
