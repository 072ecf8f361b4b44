"""What all contestants share: the data, the parameters to begin with, the numbers of the lessons."""

from functools import cache

import numpy as np

LEARNING_RATE = 0.001  # small, so that no number of steps leads anywhere near an overflow
CORRUPTION = 0.2
SPARSITY_TARGET, SPARSITY_WEIGHT = 0.1, 5.0
CONTRACTION = 0.1
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's
MOMENTUM = 0.5
PIECES, KEEP_INPUT, KEEP_HIDDEN = 5, 0.8, 0.5  # of the discriminator
GIBBS_STEPS = {"boltzmann": 15, "contrastive": 1}
ON = 0.1, 0.13  # the shares of hidden and of visible units that are on in a machine that was trained on MNIST
INK = 0.2  # the share of pixels that are not zero, as in MNIST
EXAMPLES = 20_000


def make_data(phase):
    """Examples as sparse as MNIST's, (EXAMPLES, n_visible), and labels, (EXAMPLES,)."""
    return draw_data(phase["sizes"][0], phase["dtype"])


@cache
def draw_data(n_visible, dtype):
    rng = np.random.RandomState(0)
    x = rng.uniform(size=(EXAMPLES, n_visible)).astype(dtype)
    x[x > INK] = 0
    return x / np.asarray(INK, dtype), rng.randint(0, 10, EXAMPLES).astype(np.int32)


def minibatches(phase, steps):
    """The rows of each of so many minibatches, as slices; a linear autoencoder sees the same ones at each step."""
    batch = phase["batch"]
    for step in range(steps):
        start = 0 if phase["kind"] == "linear" else step * batch % (EXAMPLES - batch + 1)
        yield slice(start, start + batch)


def initial_layers(phase):
    """[W, b, W, b, ...] of the layers.

    A variational autoencoder has two on top of its encoder's hidden layer. Of adversarial networks, the discriminator's
    come first.
    """
    sizes = phase["sizes"]
    pairs = list(zip(sizes, sizes[1:]))
    if phase["kind"] == "variational":
        pairs.insert(1, pairs[1])
    if phase["kind"] == "adversarial":
        n_visible, n_maxout, n_hidden, n_noise = sizes
        n_sums = n_maxout * PIECES
        pairs = [(n_visible, n_sums), (n_maxout, n_sums), (n_maxout, 1)]
        pairs += [(n_noise, n_hidden), (n_hidden, n_hidden), (n_hidden, n_visible)]
    rng = np.random.RandomState(0)
    layers = []
    for n_in, n_out in pairs:
        bound = np.sqrt(6 / (n_in + n_out))
        layers += rng.uniform(-bound, bound, (n_in, n_out)).astype(phase["dtype"]), np.zeros(n_out, phase["dtype"])
    return layers


def beginning(phase):
    """The parameters, in the order of the lesson's `params`, and the constants of its cost.

    Constants are the layers below an autoencoder, or the mean of the images of a linear one. A Boltzmann machine has as
    many units on as a trained one. If its chains persist, they and the number of a pixel are there, too; steps change
    these.
    """
    layers = initial_layers(phase)
    if phase["kind"] in GIBBS_STEPS:
        W, _ = layers
        biases = [np.full(n, np.log(share / (1 - share)), W.dtype) for n, share in zip(W.shape[::-1], ON)]
        persistent = [np.zeros((phase["batch"], W.shape[1]), W.dtype), np.zeros(1, int)]
        return [W, *biases], persistent if phase["kind"] == "boltzmann" else []
    if phase["kind"] == "linear":
        return layers[:1], [make_data(phase)[0][: phase["batch"]].mean(axis=0)]
    if phase["kind"] in ("autoencoder", "sparse", "contractive"):
        *below, W, b = layers
        return [W, b, np.zeros(len(W), phase["dtype"])], below
    return layers, []
