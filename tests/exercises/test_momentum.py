"""Lesson 1: give `sgd_updates` a fourth argument, `momentum=0.0`.

Each parameter gets a velocity v, zero at first. A step is v <- momentum v - learning_rate gradient, then
parameter <- parameter + v, with the new v.
"""

import logistic_sgd

import numpy as np
import pytensor


def positions(n_steps, **named):
    """Where w stands after each step, from w = 1, with the cost w^2 / 2, whose gradient is w, and rate 1/2."""
    w = logistic_sgd.parameter(np.array([1.0]), "w")
    step = pytensor.function([], [], updates=logistic_sgd.sgd_updates((w**2).sum() / 2, [w], 0.5, **named))
    found = []
    for _ in range(n_steps):
        step()
        found.append(float(w.get_value()[0]))
    return found


def test_momentum_by_hand():
    # v = 1/2 * 0    - 1/2 * 1    = -1/2    w = 1   - 1/2 = 1/2
    # v = 1/2 * -1/2 - 1/2 * 1/2  = -1/2    w = 1/2 - 1/2 = 0
    # v = 1/2 * -1/2 - 1/2 * 0    = -1/4    w = 0   - 1/4 = -1/4
    # v = 1/2 * -1/4 - 1/2 * -1/4 = 0       w = -1/4
    np.testing.assert_allclose(positions(4, momentum=0.5), [0.5, 0, -0.25, -0.25])


def test_without_momentum_it_is_plain_descent():
    # w = w - 1/2 w = 1/2, 1/4, 1/8. The other lessons call it with three arguments.
    np.testing.assert_allclose(positions(3), [0.5, 0.25, 0.125])


def test_each_parameter_has_a_momentum_of_its_own():
    # The gradients are 1 and 2. After two steps, v = -0.1 g, then -0.5 * 0.1 g - 0.1 g = -0.15 g: together -0.25 g.
    u, w = (logistic_sgd.parameter(np.array([0.0]), name) for name in "uw")
    updates = logistic_sgd.sgd_updates(u.sum() + 2 * w.sum(), [u, w], 0.1, momentum=0.5)
    step = pytensor.function([], [], updates=updates)
    step(), step()
    np.testing.assert_allclose([u.get_value()[0], w.get_value()[0]], [-0.25, -0.5])
