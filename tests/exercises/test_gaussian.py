"""Lesson 3: let `dA.get_corrupted_input` add Gaussian noise of standard deviation `corruption_level`.

It still returns the generator's next state first, then the corrupted input.
"""

import dA

import numpy as np
import pytensor
import pytest


@pytest.fixture
def corrupt():
    """A function of an input and nothing else: each call draws new noise of standard deviation 0.3."""
    da = dA.dA(np.random.RandomState(0), n_visible=500, n_hidden=2)
    next_rng, corrupted = da.get_corrupted_input(da.x, 0.3)
    return pytensor.function([da.x], corrupted, updates={da.theano_rng: next_rng})


def noise_of(corrupt, value):
    return corrupt(np.full((40, 500), value)) - value


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gaussian_noise_has_mean_zero_and_the_level_as_deviation(corrupt, value):
    # 20,000 draws. The standard error of the mean is 0.3 / sqrt(20,000) = 0.0021,
    # that of the deviation 0.3 / sqrt(40,000) = 0.0015.
    noise = noise_of(corrupt, value)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.3) < 0.008


def test_gaussian_noise_has_the_tails_of_a_normal_distribution(corrupt):
    # 68.3 % lie within one standard deviation; of uniform noise, 57.7 %. The standard error is 0.3 %.
    assert abs(np.mean(abs(noise_of(corrupt, 0.5)) < 0.3) - 0.683) < 0.02


def test_gaussian_noise_is_new_at_each_call_and_each_entry(corrupt):
    first, second = noise_of(corrupt, 0.5), noise_of(corrupt, 0.5)
    assert (first != second).all()
    assert len(np.unique(first)) > 19_000


def test_gaussian_training_still_rebuilds_the_clean_input():
    # W, b and b' at zero: z is 1/2 whatever the noise, and the cost is -ln(1/2) for each of the two pixels.
    da = dA.dA(np.random.RandomState(0), n_visible=2, n_hidden=1)
    da.W.set_value(np.zeros((2, 1)))
    cost, updates = da.get_cost_updates(0.3, 0.1)
    np.testing.assert_allclose(pytensor.function([da.x], cost, updates=updates)([[1.0, 0.0]]), 2 * np.log(2))
