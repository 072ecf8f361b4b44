"""The lessons' training steps in other frameworks, for the benchmark to time: `python peers.py FRAMEWORK`.

A process of its own, in an environment of its own (`make bench-peers`), since each framework brings its own threads and
Python. It reads a request a line from standard input, a JSON object, and answers each with a line: {"phase": ...}
builds a phase and runs it until it is compiled and warm, {"phase": ..., "steps": n} answers with the microseconds a
step. A phase is what `benchmark.Phase` says it is.

Each framework is used as its documentation tells a user to: PyTorch with its autograd and SGD, JAX with a jitted scan
over the steps and donated buffers, NumPy with the gradients by hand.
"""

import json
import os
import sys
import time

import numpy as np

LEARNING_RATE = 0.001  # small, so that no number of steps leads anywhere near an overflow
CORRUPTION = 0.2


def make_data(n):
    """Examples as sparse as MNIST's, and labels."""
    rng = np.random.RandomState(0)
    x = rng.uniform(size=(n, 784)).astype(np.float32)
    x[x < 0.8] = 0
    return x, rng.randint(0, 10, n).astype(np.int32)


def initial_weights(sizes):
    """[(W, b), ...] for each layer."""
    rng = np.random.RandomState(0)
    weights = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        bound = np.sqrt(6 / (n_in + n_out))
        W = rng.uniform(-bound, bound, (n_in, n_out)).astype(np.float32)
        weights.append((W, np.zeros(n_out, np.float32)))
    return weights


def torch_runner(phase, compiled):
    """A function of a number of steps that runs them in PyTorch."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x_data, y_data = (torch.from_numpy(data) for data in make_data(phase["n"]))
    y_data = y_data.long()
    layers = [[torch.from_numpy(value) for value in layer] for layer in initial_weights(phase["sizes"])]
    batch = phase["batch"]
    activation = torch.tanh if phase["activation"] == "tanh" else torch.sigmoid

    def forward(x, layers):
        for W, b in layers:
            x = activation(x @ W + b)
        return x

    if phase["kind"] == "autoencoder":
        *below, (W, b) = layers
        b_prime = torch.zeros(W.shape[0])
        params = [W, b, b_prime]

        def loss(x, y):
            x = forward(x, below)
            keep = torch.bernoulli(torch.full_like(x, 1 - CORRUPTION))
            hidden = torch.sigmoid((keep * x) @ W + b)
            total = F.binary_cross_entropy_with_logits(hidden @ W.T + b_prime, x, reduction="sum")
            return total / batch

    else:
        params = [value for layer in layers for value in layer]

        def loss(x, y):
            W, b = layers[-1]
            cost = F.cross_entropy(forward(x, layers[:-1]) @ W + b, y)
            return cost + phase["l2"] * sum((W**2).sum() for W, _ in layers) if phase["l2"] else cost

    for param in params:
        param.requires_grad_()
    optimizer = torch.optim.SGD(params, lr=LEARNING_RATE)
    if compiled:
        loss = torch.compile(loss)

    def run(steps):
        for step in range(steps):
            start = step * batch % (phase["n"] - batch + 1)
            optimizer.zero_grad()
            loss(x_data[start : start + batch], y_data[start : start + batch]).backward()
            optimizer.step()

    return run


def jax_runner(phase):
    """A function of a number of steps that runs them in JAX, as one scan."""
    from functools import partial

    import jax
    import jax.numpy as jnp

    x_data, y_data = (jnp.asarray(data) for data in make_data(phase["n"]))
    layers = [tuple(jnp.asarray(value) for value in layer) for layer in initial_weights(phase["sizes"])]
    batch = phase["batch"]
    activation = jnp.tanh if phase["activation"] == "tanh" else jax.nn.sigmoid

    def forward(x, layers):
        for W, b in layers:
            x = activation(x @ W + b)
        return x

    if phase["kind"] == "autoencoder":
        *below, (W, b) = layers
        params = (W, b, jnp.zeros(W.shape[0]))

        def loss(params, below, x, y, key):
            W, b, b_prime = params
            x = forward(x, below)
            keep = jax.random.bernoulli(key, 1 - CORRUPTION, x.shape)
            logits = jax.nn.sigmoid((keep * x) @ W + b) @ W.T + b_prime
            return (jax.nn.softplus(logits) - x * logits).sum() / batch

    else:
        below, params = (), tuple(layers)

        def loss(params, below, x, y, key):
            *hidden, (W, b) = params
            log_p = jax.nn.log_softmax(forward(x, hidden) @ W + b)
            cost = -log_p[jnp.arange(batch), y].mean()
            return cost + phase["l2"] * sum((W**2).sum() for W, _ in params) if phase["l2"] else cost

    @partial(jax.jit, static_argnums=4, donate_argnums=0)
    def scan(params, key, below, data, steps):
        def step(carry, index):
            params, key = carry
            key, used = jax.random.split(key)
            start = index * batch % (phase["n"] - batch + 1)
            x, y = (jax.lax.dynamic_slice_in_dim(values, start, batch) for values in data)
            cost, gradients = jax.value_and_grad(loss)(params, below, x, y, used)
            params = jax.tree.map(lambda param, gradient: param - LEARNING_RATE * gradient, params, gradients)
            return (params, key), cost

        return jax.lax.scan(step, (params, key), jnp.arange(steps))

    state = (params, jax.random.key(0))

    def run(steps):
        nonlocal state
        state, costs = scan(*state, tuple(below), (x_data, y_data), steps)
        costs.block_until_ready()

    return run


def numpy_runner(phase):
    """A function of a number of steps that runs them in NumPy."""
    x_data, y_data = make_data(phase["n"])
    layers = initial_weights(phase["sizes"])
    batch = phase["batch"]
    rng = np.random.default_rng(0)

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    tanh = phase["activation"] == "tanh"
    activation = np.tanh if tanh else sigmoid

    def slope(h):
        return 1 - h * h if tanh else h * (1 - h)

    def autoencoder_step(x, y):
        *below, (W, b) = layers
        for W_below, b_below in below:
            x = activation(x @ W_below + b_below)
        corrupted = x * (rng.random(x.shape) < 1 - CORRUPTION)
        hidden = sigmoid(corrupted @ W + b)
        logits = hidden @ W.T + b_prime
        cost = (np.logaddexp(0, logits) - x * logits).sum() / batch
        delta_visible = (sigmoid(logits) - x) / batch
        delta_hidden = delta_visible @ W * slope(hidden)
        W -= LEARNING_RATE * (corrupted.T @ delta_hidden + delta_visible.T @ hidden)
        b[:] -= LEARNING_RATE * delta_hidden.sum(axis=0)
        b_prime[:] -= LEARNING_RATE * delta_visible.sum(axis=0)
        return cost

    def classifier_step(x, y):
        activations = [x]
        for W, b in layers[:-1]:
            activations.append(activation(activations[-1] @ W + b))
        W, b = layers[-1]
        logits = activations[-1] @ W + b
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        cost = -np.log(p[np.arange(batch), y]).mean()
        if phase["l2"]:
            cost += phase["l2"] * sum((W**2).sum() for W, _ in layers)
        p[np.arange(batch), y] -= 1
        delta = p / batch
        for (W, b), h in zip(reversed(layers), reversed(activations)):
            next_delta = delta @ W.T * slope(h) if h is not x else None
            if phase["l2"]:
                W -= LEARNING_RATE * (h.T @ delta + 2 * phase["l2"] * W)
            else:
                W -= LEARNING_RATE * (h.T @ delta)
            b -= LEARNING_RATE * delta.sum(axis=0)
            delta = next_delta
        return cost

    b_prime = np.zeros(phase["sizes"][-2], np.float32)
    step_function = autoencoder_step if phase["kind"] == "autoencoder" else classifier_step

    def run(steps):
        for step in range(steps):
            start = step * batch % (phase["n"] - batch + 1)
            step_function(x_data[start : start + batch], y_data[start : start + batch])

    return run


RUNNERS = {
    "PyTorch eager": lambda phase: torch_runner(phase, compiled=False),
    "PyTorch compiled": lambda phase: torch_runner(phase, compiled=True),
    "JAX jit+scan": jax_runner,
    "NumPy": numpy_runner,
}


def serve(framework):
    """Answer requests until standard input ends."""
    runners = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps(request["phase"])
        steps = request["steps"]
        if key not in runners:
            runners[key] = RUNNERS[framework](request["phase"])
            for _ in range(2):
                runners[key](steps)
        started = time.perf_counter()
        runners[key](steps)
        print(json.dumps(1e6 * (time.perf_counter() - started) / steps), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
