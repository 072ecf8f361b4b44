"""NumPy, with the gradients by hand."""

from contestants import common
from contestants.common import initial_layers, machine, make_data, minibatches
from numpy_reference import sigmoid, variational_bound_and_gradients

import numpy as np


def runner(phase):
    x, y = make_data(phase)
    step, values = BUILDERS[phase["kind"]](phase, initial_layers(phase))

    def run(steps):
        for rows in minibatches(phase, steps):
            cost = step(x[rows], y[rows])
        return float(cost)

    return run, values


def descend(params, gradients):
    """A step of gradient descent, in place."""
    for param, gradient in zip(params, gradients, strict=True):
        gradient *= common.LEARNING_RATE
        param -= gradient


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


def classifier(phase, layers):
    batch, l2 = phase["batch"], phase["l2"]
    tanh = phase["activation"] == "tanh"
    activation = np.tanh if tanh else sigmoid

    def slope(h):
        return 1 - h * h if tanh else h * (1 - h)

    def step(x, y):
        activations = [x]
        for W, b in layers[:-1]:
            activations.append(activation(activations[-1] @ W + b))
        W, b = layers[-1]
        logits = activations[-1] @ W + b
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        cost = -np.log(p[np.arange(batch), y]).mean()
        if l2:
            cost += l2 * sum((W**2).sum() for W, _ in layers)
        p[np.arange(batch), y] -= 1
        delta = p / batch
        for (W, b), h in zip(reversed(layers), reversed(activations)):
            next_delta = delta @ W.T * slope(h) if h is not x else None
            dW = h.T @ delta
            if l2:
                dW += 2 * l2 * W
            descend([W, b], [dW, delta.sum(axis=0)])
            delta = next_delta
        return cost

    return step, lambda: [array for layer in layers for array in layer]


def tied(phase, layers):
    """A denoising, sparse or contractive autoencoder."""
    kind, batch = phase["kind"], phase["batch"]
    *below, (W, b) = layers
    b_prime = np.zeros(len(W), phase["dtype"])
    rng = np.random.default_rng(0)

    def step(x, y):
        for W_below, b_below in below:
            x = sigmoid(x @ W_below + b_below)
        used = x * (rng.random(x.shape) < 1 - common.CORRUPTION) if kind == "autoencoder" else x
        hidden = sigmoid(used @ W + b)
        logits = hidden @ W.T + b_prime
        cost = (np.logaddexp(0, logits) - x * logits).sum() / batch
        delta_visible = (sigmoid(logits) - x) / batch
        delta_hidden = delta_visible @ W
        slope = hidden * (1 - hidden)
        if kind == "sparse":
            mean = hidden.mean(axis=0)
            on, off = common.SPARSITY_TARGET / mean, (1 - common.SPARSITY_TARGET) / (1 - mean)
            cost += (
                common.SPARSITY_WEIGHT
                * (common.SPARSITY_TARGET * np.log(on) + (1 - common.SPARSITY_TARGET) * np.log(off)).sum()
            )
            delta_hidden += common.SPARSITY_WEIGHT / batch * (off - on)
        if kind == "contractive":
            squares, norms = (slope**2).mean(axis=0), (W**2).sum(axis=0)
            cost += common.CONTRACTION * squares @ norms
            delta_hidden += 2 * common.CONTRACTION / batch * norms * slope * (1 - 2 * hidden)
        delta_hidden *= slope
        dW = used.T @ delta_hidden
        dW += delta_visible.T @ hidden
        if kind == "contractive":
            dW += 2 * common.CONTRACTION * squares * W
        descend([W, b, b_prime], [dW, delta_hidden.sum(axis=0), delta_visible.sum(axis=0)])
        return cost

    return step, lambda: [W, b, b_prime]


def linear(phase, layers):
    ((W, _),) = layers
    mean = make_data(phase)[0][: phase["batch"]].mean(axis=0)
    gradient = None

    def step(x, y):
        nonlocal gradient
        centred = x - mean
        code = centred @ W
        error = centred - code @ W.T
        gradient = -2 / len(x) * (error.T @ code + centred.T @ (error @ W))
        return (error**2).sum() / len(x)

    return step, lambda: [gradient]


def variational(phase, layers):
    params = [array for layer in layers for array in layer]
    adam = Adam(params)
    rng = np.random.default_rng(0)
    n_latent = phase["sizes"][2]

    def step(x, y):
        binary = (rng.random(x.shape, x.dtype) < x).astype(x.dtype)
        epsilon = rng.standard_normal((len(x), n_latent), x.dtype)
        bound, gradients = variational_bound_and_gradients(binary, epsilon, params)
        adam.step([-gradient for gradient in gradients])
        return -bound

    return step, lambda: params


def boltzmann(phase, layers):
    """PCD-k, with the pseudo-likelihood of one pixel as its cost."""
    params = W, c, b = machine(phase)
    rng, batch, n = np.random.default_rng(0), phase["batch"], len(W)
    h, pixel = np.zeros((batch, len(c)), W.dtype), 0

    def draw(a):
        return (rng.random(a.shape, a.dtype) < sigmoid(a)).astype(a.dtype)

    def free_energy(v):
        return -v @ b - np.logaddexp(0, v @ W + c).sum(axis=1)

    def step(x, y):
        nonlocal h, pixel
        for _ in range(common.GIBBS_STEPS):
            v = draw(h @ W.T + b)
            h = draw(v @ W + c)
        rounded = np.round(x)
        flipped = rounded.copy()
        flipped[:, pixel] = 1 - flipped[:, pixel]
        pixel = (pixel + 1) % n
        cost = -n * np.logaddexp(0, free_energy(rounded) - free_energy(flipped)).mean()
        up_x, up_v = sigmoid(x @ W + c), sigmoid(v @ W + c)
        gradients = v.T @ up_v - x.T @ up_x, (up_v - up_x).sum(axis=0), (v - x).sum(axis=0)
        descend(params, [gradient / batch for gradient in gradients])
        return cost

    return step, lambda: params


BUILDERS = {  # {kind: function of a phase and layers that returns f(x, y) and `values`}
    "classifier": classifier,
    "autoencoder": tied,
    "sparse": tied,
    "contractive": tied,
    "linear": linear,
    "variational": variational,
    "boltzmann": boltzmann,
}
