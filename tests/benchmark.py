"""Time a step of each phase of the published network: `python tests/benchmark.py [--rounds N] [--steps N]`.

784-1000-1000-1000-10, at batch 1 and 20, on data of MNIST's shape and sparsity, everything compiled and warm. The phases
take turns for a number of rounds, so that a disturbance hits all of them alike; the table shows the median of the
rounds. Machines are noisy: compare figures of one run only.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pytensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "code"))

from SdA import SdA  # noqa: E402
from support.memory import aligned  # noqa: E402
from support.records import machine, peak_memory, versions  # noqa: E402


def make_datasets():
    """MNIST's sizes, a fifth of the pixels inked: what the arithmetic does not look at, its time does not depend on."""
    rng = np.random.RandomState(0)
    pairs = []
    for n in (50_000, 10_000, 10_000):
        x = aligned(rng.uniform(size=(n, 784)), pytensor.config.floatX)
        x[x < 0.8] = 0
        pairs.append(
            (pytensor.shared(x, borrow=True), pytensor.shared(rng.randint(0, 10, n).astype(np.int32), borrow=True))
        )
    return pairs


def build_phases(datasets, batch_size):
    """{name of a phase: function of a minibatch's index}."""
    sda = SdA(np.random.RandomState(89677), hidden_layers_sizes=[1000, 1000, 1000])
    phases = {}
    for layer, pretrain in enumerate(sda.pretraining_functions(datasets[0][0], batch_size), start=1):
        phases[f"pre-train {layer}"] = lambda index, pretrain=pretrain: pretrain(index, corruption=0.2, lr=0.001)
    train_fn, valid_score, test_score = sda.build_finetune_functions(datasets, batch_size, learning_rate=0.1)
    phases["fine-tune"] = train_fn
    valid_score(), test_score()  # compiled like the rest of a run, so that its memory is counted
    return phases


def microseconds(step, first, n_steps):
    started = time.perf_counter()
    for index in range(first, first + n_steps):
        step(index % 2500)  # the minibatches of 20
    return 1e6 * (time.perf_counter() - started) / n_steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="turns of each phase (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="steps in a turn (default: %(default)s)")
    options = parser.parse_args()

    datasets = make_datasets()
    W = np.zeros((1000, 1000), np.float32)
    steps = {(name, 1): step for name, step in build_phases(datasets, 1).items()}
    memory = peak_memory()  # of one network at one batch size, as in a run
    steps |= {(name, 20): step for name, step in build_phases(datasets, 20).items()}
    steps["in-place pass over a million float32", 1] = lambda index: np.add(W, 1, out=W)

    rounds = {key: [] for key in steps}
    for step in steps.values():
        microseconds(step, 0, 10)
    for turn in range(options.rounds):
        for key, step in steps.items():
            rounds[key].append(microseconds(step, 10 + turn * options.steps, options.steps))

    print(f"versions: {versions()}\nmachine: {machine()}\nfloatX: {pytensor.config.floatX}")
    print(f"median of {options.rounds} rounds of {options.steps} steps\n")
    print("| µs a step | batch 1 | batch 20 |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in steps):
        cells = [f"{np.median(rounds[name, size]):.0f}" if (name, size) in rounds else "" for size in (1, 20)]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\npeak memory of the network at batch 1: {memory} MB")


if __name__ == "__main__":
    main()
