"""The memory floor: the passes over weights that a step with a batch of 1 cannot do without, and nothing else."""

from contestants.common import CORRUPTION, INK, initial_layers
from support.start import aligned

import numpy as np


def runner(phase):
    """`run` makes the passes; there are no values.

    A classifier: a product a layer going forward, one pass in place a layer going back. An autoencoder: the products of
    the layers below, encoding, a pass that decodes and goes back, one in place. In the first layer the pass that
    decodes can write the decoder's part of the update, and only the rows that the input uses are written again. Of the
    first layer's rows only those of inked, and uncorrupted, pixels count where they are all that is needed.
    """
    if phase["batch"] != 1:
        raise NotImplementedError("for a batch of 1")
    passes = []

    def product(W):
        x, out = aligned(np.ones(len(W)), np.float32), aligned(np.zeros(W.shape[1]), np.float32)
        passes.append(lambda: np.dot(x, W, out=out))

    def in_place(W):
        passes.append(lambda: np.multiply(W, np.float32(1), out=W))

    weights = [aligned(W, np.float32) for W in initial_layers(phase)[::2]]
    inked = round(INK * phase["sizes"][0])
    if phase["kind"] == "autoencoder":
        *below, W = weights
        for i, W_below in enumerate(below):
            product(W_below[:inked] if i == 0 else W_below)
        if below:
            product(W)
            product(W.T)
            in_place(W)
        else:
            used = W[: round((1 - CORRUPTION) * inked)]
            product(used)
            in_place(W)
            in_place(used)
    else:
        used = [W[:inked] if i == 0 else W for i, W in enumerate(weights)]
        for W in used:
            product(W)
        for W in reversed(used):
            in_place(W)

    def run(steps):
        for _ in range(steps):
            for make_pass in passes:
                make_pass()

    return run, None
