"""JAX: a jitted scan over the steps, with donated buffers."""

from functools import partial
from types import SimpleNamespace

from contestants import common
from contestants.losses import LOSSES

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid, log_softmax, relu, sigmoid, softplus


def runner(phase):
    is_double = phase["dtype"] == "float64"

    def loss(params, constants, x, y, key):
        cost, *more = LOSSES[phase["kind"]](phase, ops_with(key), params, constants, x, y)
        return cost, more

    with jax.enable_x64(is_double):
        data = tuple(map(jnp.asarray, common.make_data(phase)))
        params, constants = (list(map(jnp.asarray, values)) for values in common.beginning(phase))
        steps_by = evaluation if phase["kind"] == "linear" else training
        take_steps, values = steps_by(phase, params, constants, loss, data)

    def run(steps):
        with jax.enable_x64(is_double):
            return take_steps(steps)

    return run, lambda: list(map(np.asarray, values()))


def ops_with(key):
    """The `ops` of the losses, whose draws come from a key."""
    keys = iter(jax.random.split(key, 7))  # no step draws more often
    return SimpleNamespace(
        sigmoid=sigmoid, tanh=jnp.tanh, relu=relu, exp=jnp.exp, log=jnp.log, round=jnp.round, softplus=softplus,
        log_sigmoid=log_sigmoid, highest=lambda x: x.max(axis=-1),
        full=lambda shape, value, x: jnp.full(shape, value, x.dtype),
        cross_entropy=lambda logits, y: -log_softmax(logits)[jnp.arange(len(y)), y].mean(),
        bernoulli_cost=lambda logits, x: (softplus(logits) - x * logits).sum(),
        bernoulli=lambda p: jax.random.bernoulli(next(keys), p).astype(p.dtype),
        normal_like=lambda x: jax.random.normal(next(keys), x.shape, x.dtype),
        uniform=lambda bound, shape, x: jax.random.uniform(next(keys), shape, x.dtype, -bound, bound),
        constant=jax.lax.stop_gradient,
        repeat=lambda step, state, n: jax.lax.scan(
            lambda state, key: (step(ops_with(key), state), None), state, jax.random.split(next(keys), n)
        )[0],
        with_column=lambda x, i, values: x.at[:, i].set(values),
    )  # fmt: skip


def training(phase, params, constants, loss, data):
    """The steps as one scan, which carries the parameters, what their update remembers, the constants, and the key."""
    batch, zeros_like = phase["batch"], partial(jax.tree.map, jnp.zeros_like)
    update, memory = descend, ()
    if phase["kind"] == "variational":
        update, memory = adam, (0, zeros_like(params), zeros_like(params))
    if phase["kind"] == "adversarial":
        update, memory = descend_with_momentum, zeros_like(params)

    @partial(jax.jit, static_argnums=2, donate_argnums=0)
    def scan(state, data, steps):
        def step(state, index):
            params, memory, constants, key = state
            key, used = jax.random.split(key)
            start = index * batch % (common.EXAMPLES - batch + 1)
            x, y = (jax.lax.dynamic_slice_in_dim(values, start, batch) for values in data)
            loss_and_gradients = jax.value_and_grad(loss, has_aux=True)
            (_, (shown, constants)), gradients = loss_and_gradients(params, constants, x, y, used)
            return (*update(params, gradients, memory), constants, key), shown

        return jax.lax.scan(step, state, jnp.arange(steps))

    state = (params, memory, constants, jax.random.key(0))

    def take_steps(steps):
        nonlocal state
        state, costs = scan(state, data, steps)
        return float(np.asarray(costs)[-1])

    return take_steps, lambda: state[0]


def evaluation(phase, params, constants, loss, data):
    """A call for each evaluation, as an optimiser outside makes them; in a scan they would all be the same one."""
    x, y = (values[: phase["batch"]] for values in data)
    cost_and_gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    gradients, key = None, jax.random.key(0)

    def take_steps(steps):
        nonlocal gradients
        for _ in range(steps):
            (cost, _), gradients = jax.block_until_ready(cost_and_gradient(params, constants, x, y, key))
        return float(cost)

    return take_steps, lambda: gradients


def descend(params, gradients, memory):
    return jax.tree.map(lambda param, gradient: param - common.LEARNING_RATE * gradient, params, gradients), memory


def descend_with_momentum(params, gradients, velocities):
    velocities = jax.tree.map(
        lambda velocity, gradient: common.MOMENTUM * velocity - common.LEARNING_RATE * gradient, velocities, gradients
    )
    return jax.tree.map(jnp.add, params, velocities), velocities


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
