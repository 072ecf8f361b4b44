"""NumPy, with the gradients by hand of `numpy_reference`."""

from functools import partial

import numpy_reference as reference
from contestants import common

import numpy as np


def runner(phase):
    x, y = common.make_data(phase)
    params, constants = common.beginning(phase)
    cost_and_gradients, rng, gradients = COSTS[phase["kind"]], np.random.default_rng(0), []
    optimizer = {"variational": Adam, "adversarial": Momentum}.get(phase["kind"])
    update = optimizer(params).step if optimizer else partial(descend, params)

    def run(steps):
        for rows in common.minibatches(phase, steps):
            cost, gradients[:] = cost_and_gradients(phase, rng, params, constants, x[rows], y[rows])
            if phase["kind"] != "linear":
                update(gradients)
        return float(cost)

    return run, lambda: gradients if phase["kind"] == "linear" else params


def descend(params, gradients):
    """A step of gradient descent, in place."""
    for param, gradient in zip(params, gradients, strict=True):
        gradient *= common.LEARNING_RATE
        param -= gradient


class Momentum:
    """The steps of gradient descent with momentum, in place."""

    def __init__(self, params):
        self.params = params
        self.velocities = [np.zeros_like(param) for param in params]

    def step(self, gradients):
        for param, velocity, gradient in zip(self.params, self.velocities, gradients, strict=True):
            velocity *= common.MOMENTUM
            velocity -= common.LEARNING_RATE * gradient
            param += velocity


class Adam:
    """The steps of Adam, in place."""

    def __init__(self, params):
        self.params = params
        self.means, self.squares = ([np.zeros_like(param) for param in params] for _ in range(2))
        self.t = 0

    def step(self, gradients):
        self.t += 1
        for param, mean, square, gradient in zip(self.params, self.means, self.squares, gradients, strict=True):
            mean += (1 - common.BETA1) * (gradient - mean)
            square += (1 - common.BETA2) * (gradient**2 - square)
            unbiased_mean, unbiased_square = mean / (1 - common.BETA1**self.t), square / (1 - common.BETA2**self.t)
            param -= common.LEARNING_RATE * unbiased_mean / (np.sqrt(unbiased_square) + common.EPSILON)


def classifier(phase, rng, params, constants, x, y):
    if phase["activation"] == "tanh":
        activation, slope = np.tanh, lambda h: 1 - h * h
    else:
        activation, slope = reference.sigmoid, lambda h: h * (1 - h)
    cost, gradients = reference.classifier_cost_and_gradients(x, y, params, activation, slope)
    if phase["l2"]:
        cost += phase["l2"] * sum((W**2).sum() for W in params[::2])
        for W, dW in zip(params[::2], gradients[::2]):
            dW += 2 * phase["l2"] * W
    return cost, gradients


def denoising(phase, rng, params, below, x, y):
    for W, b in zip(below[::2], below[1::2]):
        x = reference.sigmoid(x @ W + b)
    mask = rng.random(x.shape) < 1 - common.CORRUPTION
    return reference.autoencoder_cost_and_gradients(x, x * mask, *params)


def sparse(phase, rng, params, constants, x, y):
    numbers = common.SPARSITY_TARGET, common.SPARSITY_WEIGHT
    return reference.sparse_autoencoder_cost_and_gradients(x, *numbers, *params)


def contractive(phase, rng, params, constants, x, y):
    return reference.contractive_autoencoder_cost_and_gradients(x, common.CONTRACTION, *params)


def linear(phase, rng, params, constants, x, y):
    cost, gradient = reference.linear_autoencoder_cost_and_gradient(x, *constants, *params)
    return cost, [gradient]


def variational(phase, rng, params, constants, x, y):
    binary = (rng.random(x.shape, x.dtype) < x).astype(x.dtype)
    epsilon = rng.standard_normal((len(x), phase["sizes"][2]), x.dtype)
    bound, gradients = reference.variational_bound_and_gradients(binary, epsilon, params)
    return -bound, [-gradient for gradient in gradients]


def boltzmann(phase, rng, params, chains, x, y):
    """Contrastive divergence. The cost is that of a pixel, or of reconstruction if no chain persists."""
    W, c, b = params

    def draw(a):
        return (rng.random(a.shape, a.dtype) < reference.sigmoid(a)).astype(a.dtype)

    def free_energy(v):
        return -v @ b - np.logaddexp(0, v @ W + c).sum(axis=1)

    h = chains[0] if chains else draw(x @ W + c)
    for _ in range(common.GIBBS_STEPS[phase["kind"]]):
        a = h @ W.T + b
        v = draw(a)
        h[...] = draw(v @ W + c)
    if chains:
        rounded, pixel = np.round(x), chains[1]
        flipped = rounded.copy()
        flipped[:, pixel] = 1 - flipped[:, pixel]
        pixel[...] = (pixel + 1) % len(W)
        cost = -len(W) * np.logaddexp(0, free_energy(rounded) - free_energy(flipped)).mean()
    else:
        cost = np.sum(x * a - np.logaddexp(0, a)) / len(x)
    up_x, up_v = reference.sigmoid(x @ W + c), reference.sigmoid(v @ W + c)
    gradients = v.T @ up_v - x.T @ up_x, (up_v - up_x).sum(axis=0), (v - x).sum(axis=0)
    return cost, [gradient / len(x) for gradient in gradients]


def adversarial(phase, rng, params, constants, x, y):
    noise = rng.uniform(-np.sqrt(3), np.sqrt(3), (len(x), phase["sizes"][-1])).astype(x.dtype)
    keeps = common.KEEP_INPUT, common.KEEP_HIDDEN, common.KEEP_HIDDEN

    def masks():
        shapes = [(len(x), len(W)) for W in params[:6:2]]
        return [(rng.random(shape, x.dtype) < keep) / x.dtype.type(keep) for shape, keep in zip(shapes, keeps)]

    outputs, gradients = reference.adversarial_costs_and_gradients(x, noise, masks(), masks(), params, common.PIECES)
    return outputs[0], gradients


COSTS = {  # {kind: the cost of a minibatch, and its gradients}
    "classifier": classifier,
    "autoencoder": denoising,
    "sparse": sparse,
    "contractive": contractive,
    "linear": linear,
    "variational": variational,
    "boltzmann": boltzmann,
    "contrastive": boltzmann,
    "adversarial": adversarial,
}
