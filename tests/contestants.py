"""The lessons' training steps, in this port and in other frameworks, for the benchmark: `contestants.py NAME`.

Each contestant is a process of its own, since it brings its own threads, and some their own Python (`make
bench-peers`). It reads a request a line from standard input, {"phase": ..., "steps": n}, and answers each with the
microseconds a step, or {"missing": reason} where it cannot run. A phase's first request builds it and runs it until it
is compiled and warm.

A phase is {"kind", "sizes", "batch", "activation", "l2"}: a classifier of these layers, or the autoencoder of the last
two of `sizes`, on top of the layers below.

Each framework is used as its documentation tells a user to: PyTorch with its autograd and SGD, JAX with a jitted scan
over the steps and donated buffers, NumPy with the gradients by hand.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

LEARNING_RATE = 0.001  # small, so that no number of steps leads anywhere near an overflow
CORRUPTION = 0.2
INK = 0.2  # the share of pixels that are not zero, as in MNIST
EXAMPLES = 20_000


def make_data():
    """Examples as sparse as MNIST's, and labels."""
    rng = np.random.RandomState(0)
    x = rng.uniform(size=(EXAMPLES, 784)).astype(np.float32)
    x[x > INK] = 0
    return x / INK, rng.randint(0, 10, EXAMPLES).astype(np.int32)


def minibatches(batch, steps):
    """The first row of each of so many minibatches."""
    return (step * batch % (EXAMPLES - batch + 1) for step in range(steps))


def initial_weights(sizes):
    """[(W, b), ...] for each layer."""
    rng = np.random.RandomState(0)
    weights = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        bound = np.sqrt(6 / (n_in + n_out))
        W = rng.uniform(-bound, bound, (n_in, n_out)).astype(np.float32)
        weights.append((W, np.zeros(n_out, np.float32)))
    return weights


def import_port():
    """Make the lessons and `support` importable."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "code"))


def port_runner(phase, rewrites):
    """A function of a number of steps that runs them in this port, by the lessons' own classes and functions."""
    import_port()
    import support
    from logistic_sgd import LogisticRegression, minibatch_function, sgd_updates
    from mlp import MLP
    from SdA import SdA
    from support.memory import aligned

    import pytensor
    import pytensor.tensor as pt

    support.rewrites.select([rewrites])
    batch, (n_in, *hidden, n_out) = phase["batch"], phase["sizes"]
    x_data, y_data = make_data()
    train_set = pytensor.shared(aligned(x_data, pytensor.config.floatX), borrow=True), pytensor.shared(y_data)
    rng = np.random.RandomState(89677)
    if phase["kind"] == "autoencoder":
        sda = SdA(rng, n_ins=n_in, hidden_layers_sizes=[*hidden, n_out])
        step = partial(sda.pretraining_functions(train_set[0], batch)[-1], corruption=CORRUPTION, lr=LEARNING_RATE)
    elif phase["activation"] == "tanh" or not hidden:
        x, y = pt.matrix("x"), pt.ivector("y")
        if hidden:
            model = MLP(rng, x, n_in, *hidden, n_out)
            cost = model.negative_log_likelihood(y) + phase["l2"] * model.L2_sqr
        else:
            model = LogisticRegression(x, n_in, n_out)
            cost = model.negative_log_likelihood(y)
        step = minibatch_function(cost, x, y, train_set, batch, sgd_updates(cost, model.params, LEARNING_RATE))
    else:
        sda = SdA(rng, n_ins=n_in, hidden_layers_sizes=hidden, n_outs=n_out)
        step, _, _ = sda.build_finetune_functions([train_set] * 3, batch, LEARNING_RATE)

    def run(steps):
        for index in range(steps):
            step(index % (EXAMPLES // batch))

    return run


def floor_runner(phase):
    """A function of a number of steps that makes the passes over weights that their mathematics needs, no more.

    A classifier: a product a layer going forward, one pass in place a layer going back. An autoencoder: the products of
    the layers below, encoding, a pass that decodes and goes back, one in place. In the first layer the pass that
    decodes can write the decoder's part of the update, and only the rows that the input uses are written again. Of the
    first layer's rows only those of inked, and uncorrupted, pixels count where they are all that is needed.
    """
    if phase["batch"] != 1:
        raise NotImplementedError("for a batch of 1")
    import_port()
    from support.memory import aligned

    passes = []

    def product(W):
        x, out = aligned(np.ones(len(W)), np.float32), aligned(np.zeros(W.shape[1]), np.float32)
        passes.append(lambda: np.dot(x, W, out=out))

    def in_place(W):
        passes.append(lambda: np.multiply(W, np.float32(1), out=W))

    weights = [aligned(W, np.float32) for W, _ in initial_weights(phase["sizes"])]
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

    return run


def torch_runner(phase, compiled):
    """A function of a number of steps that runs them in PyTorch."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x_data, y_data = (torch.from_numpy(data) for data in make_data())
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
        for start in minibatches(batch, steps):
            optimizer.zero_grad()
            loss(x_data[start : start + batch], y_data[start : start + batch]).backward()
            optimizer.step()

    return run


def jax_runner(phase):
    """A function of a number of steps that runs them in JAX, as one scan."""
    import jax
    import jax.numpy as jnp

    x_data, y_data = (jnp.asarray(data) for data in make_data())
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
            start = index * batch % (EXAMPLES - batch + 1)
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
    x_data, y_data = make_data()
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
        for start in minibatches(batch, steps):
            step_function(x_data[start : start + batch], y_data[start : start + batch])

    return run


RUNNERS = {
    "PyTensor, rewrites": lambda phase: port_runner(phase, "all"),
    "PyTensor, plain": lambda phase: port_runner(phase, "none"),
    "memory floor": floor_runner,
    "PyTorch eager": lambda phase: torch_runner(phase, compiled=False),
    "PyTorch compiled": lambda phase: torch_runner(phase, compiled=True),
    "JAX jit+scan": jax_runner,
    "NumPy": numpy_runner,
}


def answer(contestant, runners, phase, steps):
    """The microseconds a step, as a mean over these steps."""
    key = json.dumps(phase)
    if key not in runners:
        runners[key] = RUNNERS[contestant](phase), set()
    run, warm = runners[key]
    if steps not in warm:  # for JAX each number of steps is another program
        warm.add(steps)
        run(steps)
    started = time.perf_counter()
    run(steps)
    return 1e6 * (time.perf_counter() - started) / steps


def serve(contestant):
    """Answer requests until standard input ends."""
    runners = {}
    answers, sys.stdout = sys.stdout, sys.stderr  # what a framework prints is no answer
    for line in sys.stdin:
        try:
            reply = answer(contestant, runners, **json.loads(line))
        except Exception as error:  # whatever it is, the others can go on without this one
            reply = {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
