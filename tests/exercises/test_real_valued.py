"""Lesson 9: let the visible units of `RBM` be real numbers, normal with variance 1, given the hidden units.

The energy becomes E(v, h) = |v - b|^2 / 2 - h.c - v W h'. Change `free_energy` and `sample_v_given_h`. The latter still
returns a list of four: the mean in both of the first places, since no sigmoid stands between them.
"""

import rbm

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest


def machine(W, c, b):
    """One visible and one hidden unit."""
    made = rbm.RBM(n_visible=1, n_hidden=1)
    for param, value in zip(made.params, ([[W]], [c], [b])):
        param.set_value(np.array(value, float))
    return made


def test_real_valued_free_energy_by_hand():
    # W = 2, c = -2, b = 1.  v = 1: 0 - ln(1 + exp(2 - 2)) = -ln 2.
    # v = 3: 2^2 / 2 - ln(1 + exp(6 - 2)) = 2 - ln(1 + e^4).
    made = machine(2.0, -2.0, 1.0)
    found = pytensor.function([made.input], made.free_energy(made.input))([[1.0], [3.0]])
    np.testing.assert_allclose(found, [-np.log(2), 2 - np.log(1 + np.exp(4))])


@pytest.mark.parametrize("hidden, mean", [(0.0, 1.0), (1.0, 3.0)])
def test_real_valued_units_have_their_mean_and_variance_1(hidden, mean):
    # v given h is normal with mean b + h W. 20,000 draws: the standard errors are 0.0071 and 0.005.
    made, h = machine(2.0, -2.0, 1.0), pt.matrix("h")
    first, second, v, next_rng = made.sample_v_given_h(h, made.theano_rng)
    draw = pytensor.function([h], [first, second, v], updates={made.theano_rng: next_rng})
    given = np.full((20_000, 1), hidden)
    first, second, v = draw(given)
    np.testing.assert_allclose([first, second], mean)
    assert abs(v.mean() - mean) < 0.03 and abs(v.std() - 1) < 0.02
    assert (draw(given)[2] != v).all()


def test_real_valued_chains_end_in_the_machines_distribution():
    # With W = 2, c = -2, b = 1, h = 1 is exp(c + W b + W^2 / 2) = e^2 times as probable as h = 0. So v comes from
    # N(3, 1) with probability e^2 / (1 + e^2) = 0.8808, else from N(1, 1). Its mean is 1 + 2 * 0.8808.
    made = machine(2.0, -2.0, 1.0)
    results = pytensor.scan(
        made.gibbs_hvh, outputs_info=[None] * 5 + [pt.zeros((20_000, 1)), made.theano_rng], n_steps=40,
        return_updates=False,
    )  # fmt: skip
    v = pytensor.function([], results[2][-1])()
    share = np.exp(2) / (1 + np.exp(2))
    assert abs(v.mean() - (1 + 2 * share)) < 4 * np.sqrt((1 + 4 * share * (1 - share)) / 20_000)


def test_real_valued_step_by_hand():
    # Without weights v is N(0, 1), and h is 1 with probability 1/2. The rate is 0.1, x is 5, and 500 v have a mean of
    # m = 0 +- 0.045:
    #   b moves by 0.1 (5 - m) = 0.5,  W by 0.1 (5 - m) / 2 = 0.25,  c by 0.1 (1/2 - 1/2) = 0.
    made = machine(0.0, 0.0, 0.0)
    cost, updates = made.get_cost_updates(lr=0.1, k=1)
    pytensor.function([made.input], cost, updates=updates)(np.full((500, 1), 5.0))
    W, c, b = (param.get_value().item() for param in made.params)
    assert abs(b - 0.5) < 0.02 and abs(W - b / 2) < 1e-12 and abs(c) < 1e-12
    assert b != 0.5
