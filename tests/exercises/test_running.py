"""Lesson 6: give `sA.get_cost_updates` a last argument, `memory=0.0`.

Each unit gets a running mean, which starts at the target. At each step it becomes
memory * running mean + (1 - memory) * mean over the minibatch. This new value is `mean_activation`, and the penalty
compares it with the target.
"""

import sA

import numpy as np
import pytensor
import pytest


def steps(n_steps, rate, *memory):
    """[(mean activation, penalty, b after the step), ...] of one unit with W = 0 and b = 0, at a target of 1/4."""
    sa = sA.sA(np.random.RandomState(0), n_visible=2, n_hidden=1)
    sa.W.set_value(np.zeros((2, 1)))
    _, updates = sa.get_cost_updates(0.25, 1.0, rate, *memory)
    step = pytensor.function([sa.x], [sa.mean_activation, sa.sparsity_penalty], updates=updates)
    return [[float(np.squeeze(value)) for value in (*step(np.eye(2)), sa.b.get_value())] for _ in range(n_steps)]


def test_running_mean_by_hand():
    # The rate is 0, so y stays 1/2. With a memory of 3/4:
    #   3/4 * 1/4 + 1/4 * 1/2 = 5/16,  3/4 * 5/16 + 1/8 = 23/64,  3/4 * 23/64 + 1/8 = 101/256
    found = [activation for activation, _, _ in steps(3, 0.0, 0.75)]
    np.testing.assert_allclose(found, [5 / 16, 23 / 64, 101 / 256])


def test_running_mean_is_in_the_penalty_and_has_a_gradient():
    # a = 5/16.  KL = 1/4 ln(1/4 / a) + 3/4 ln(3/4 / (1 - a)) = 1/4 ln 4/5 + 3/4 ln 12/11
    # dKL/da = -(1/4)/a + (3/4)/(1 - a) = -4/5 + 12/11 = 16/55;  da/db = 1/4 y (1 - y) = 1/16;  together 1/55.
    # Since W is zero, the reconstruction does not depend on b.
    [(_, penalty, b)] = steps(1, 1.0, 0.75)
    np.testing.assert_allclose(penalty, np.log(4 / 5) / 4 + 3 * np.log(12 / 11) / 4)
    np.testing.assert_allclose(b, -1 / 55)


@pytest.mark.parametrize("memory", [(), (0.0,)])
def test_without_memory_running_or_not_it_is_the_mean_of_the_minibatch(memory):
    # a = 1/2, dKL/da = -1/2 + 3/2 = 1, da/db = y (1 - y) = 1/4. Each image has one of the two pixels, so each weight
    # moves by half as much as b. The next y, and the next a, is sigmoid(-1/4 - 1/8).
    (first, _, b), (second, _, _) = steps(2, 1.0, *memory)
    np.testing.assert_allclose([first, b, second], [1 / 2, -1 / 4, 1 / (1 + np.exp(3 / 8))])
