"""JAX: a jitted scan over the steps, with donated buffers."""

from functools import partial

from contestants import common
from contestants.common import initial_layers, make_data

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_softmax, sigmoid, softplus


def runner(phase):
    is_double = phase["dtype"] == "float64"
    with jax.enable_x64(is_double):
        data = tuple(jnp.asarray(data) for data in make_data(phase))
        layers = [tuple(jnp.asarray(value) for value in layer) for layer in initial_layers(phase)]
        params, constants, loss = BUILDERS[phase["kind"]](phase, layers)
        take_steps, values = (evaluation if phase["kind"] == "linear" else training)(
            phase, params, constants, loss, data
        )

    def run(steps):
        with jax.enable_x64(is_double):
            return take_steps(steps)

    return run, values


def training(phase, params, constants, loss, data):
    """The steps as one scan, which carries the parameters, what Adam remembers, and the key of the random numbers."""
    batch = phase["batch"]
    is_adam = phase["kind"] == "variational"
    update = adam if is_adam else descend
    zeros = partial(jax.tree.map, jnp.zeros_like)
    memory = (0, zeros(params), zeros(params)) if is_adam else ()

    @partial(jax.jit, static_argnums=3, donate_argnums=0)
    def scan(state, constants, data, steps):
        def step(state, index):
            params, memory, key = state
            key, used = jax.random.split(key)
            start = index * batch % (common.EXAMPLES - batch + 1)
            x, y = (jax.lax.dynamic_slice_in_dim(values, start, batch) for values in data)
            cost, gradients = jax.value_and_grad(loss)(params, constants, x, y, used)
            return (*update(params, gradients, memory), key), cost

        return jax.lax.scan(step, state, jnp.arange(steps))

    state = (params, memory, jax.random.key(0))

    def take_steps(steps):
        nonlocal state
        state, costs = scan(state, constants, data, steps)
        return float(np.asarray(costs)[-1])

    return take_steps, lambda: [np.asarray(value) for value in jax.tree.leaves(state[0])]


def evaluation(phase, params, constants, loss, data):
    """A call for each evaluation, as an optimiser outside makes them; in a scan they would all be the same one."""
    x = data[0][: phase["batch"]]
    cost_and_gradient = jax.jit(jax.value_and_grad(loss))
    gradient = None

    def take_steps(steps):
        nonlocal gradient
        for _ in range(steps):
            cost, gradient = jax.block_until_ready(cost_and_gradient(params, constants, x))
        return float(cost)

    return take_steps, lambda: [np.asarray(gradient)]


def descend(params, gradients, memory):
    return jax.tree.map(lambda param, gradient: param - common.LEARNING_RATE * gradient, params, gradients), memory


def adam(params, gradients, memory):
    t, means, squares = memory
    t = t + 1
    means = jax.tree.map(lambda mean, gradient: common.BETA1 * mean + (1 - common.BETA1) * gradient, means, gradients)
    squares = jax.tree.map(
        lambda square, gradient: common.BETA2 * square + (1 - common.BETA2) * gradient**2, squares, gradients
    )

    def new(param, mean, square):
        mean, square = mean / (1 - common.BETA1**t), square / (1 - common.BETA2**t)
        return param - common.LEARNING_RATE * mean / (jnp.sqrt(square) + common.EPSILON)

    return jax.tree.map(new, params, means, squares), (t, means, squares)


def classifier(phase, layers):
    batch, l2 = phase["batch"], phase["l2"]
    activation = jnp.tanh if phase["activation"] == "tanh" else sigmoid

    def loss(params, _, x, y, key):
        *hidden, (W, b) = params
        for W_hidden, b_hidden in hidden:
            x = activation(x @ W_hidden + b_hidden)
        cost = -log_softmax(x @ W + b)[jnp.arange(batch), y].mean()
        return cost + l2 * sum((W**2).sum() for W, _ in params) if l2 else cost

    return tuple(layers), (), loss


def tied(phase, layers):
    """A denoising, sparse or contractive autoencoder."""
    kind, batch = phase["kind"], phase["batch"]
    *below, (W, b) = layers

    def loss(params, below, x, y, key):
        W, b, b_prime = params
        for W_below, b_below in below:
            x = sigmoid(x @ W_below + b_below)
        used = jax.random.bernoulli(key, 1 - common.CORRUPTION, x.shape) * x if kind == "autoencoder" else x
        hidden = sigmoid(used @ W + b)
        logits = hidden @ W.T + b_prime
        cost = (softplus(logits) - x * logits).sum() / batch
        if kind == "sparse":
            mean = hidden.mean(axis=0)
            on = common.SPARSITY_TARGET * jnp.log(common.SPARSITY_TARGET / mean)
            off = (1 - common.SPARSITY_TARGET) * jnp.log((1 - common.SPARSITY_TARGET) / (1 - mean))
            cost += common.SPARSITY_WEIGHT * (on + off).sum()
        if kind == "contractive":
            slope = hidden * (1 - hidden)
            cost += common.CONTRACTION * ((slope**2).mean(axis=0) * (W**2).sum(axis=0)).sum()
        return cost

    return (W, b, jnp.zeros_like(W, shape=W.shape[0])), tuple(below), loss


def linear(phase, layers):
    ((W, _),) = layers
    mean = jnp.asarray(make_data(phase)[0][: phase["batch"]].mean(axis=0))

    def loss(W, mean, x):
        z = (x - mean) @ W @ W.T + mean
        return ((x - z) ** 2).sum(axis=1).mean()

    return W, mean, loss


def variational(phase, layers):
    def affine(x, layer):
        W, b = layer
        return x @ W + b

    def loss(params, _, x, y, key):
        encoder, mean_layer, log_variance_layer, decoder, output = params
        key_of_pixels, key_of_noise = jax.random.split(key)
        binary = jax.random.bernoulli(key_of_pixels, x).astype(x.dtype)
        h = jnp.tanh(affine(binary, encoder))
        mean, log_variance = affine(h, mean_layer), affine(h, log_variance_layer)
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(key_of_noise, mean.shape, mean.dtype)
        logits = affine(jnp.tanh(affine(z, decoder)), output)
        divergence = -(1 + log_variance - mean**2 - jnp.exp(log_variance)).sum() / 2
        return ((softplus(logits) - binary * logits).sum() + divergence) / len(x)

    return tuple(layers), (), loss


BUILDERS = {  # {kind: function of a phase and layers that returns parameters, constants and the loss}
    "classifier": classifier,
    "autoencoder": tied,
    "sparse": tied,
    "contractive": tied,
    "linear": linear,
    "variational": variational,
}
