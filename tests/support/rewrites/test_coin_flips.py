"""CoinFlips: the binomial's draws, bit for bit, from the same generator."""

from graphs import nodes, plain_mode
from support import rewrites
from support.rewrites.coin_flips import CoinFlips

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

P = np.array([0, 1e-300, 0.1, 0.3, 0.5, np.nextafter(0.5, 1), 0.7, 0.9, 1 - 1e-16, 1])


def draw(p, mode=None, n=1, times=3, **size):
    """The compiled function, its draws, and the state in which it leaves the generator."""
    rng = pt.random.shared_rng(seed=5)
    next_rng, mask = rng.binomial(n=n, p=p, **size)
    fn = pytensor.function([], mask, updates={rng: next_rng}, mode=mode or rewrites.mode())
    return fn, np.array([fn() for _ in range(times)]), rng.get_value().bit_generator.state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_those_of_the_binomial(dtype):
    p = np.repeat(P.astype(dtype), 200)
    fn, draws, state = draw(p)
    [flips] = nodes(fn, CoinFlips)
    assert flips.op.inplace
    plain, plain_draws, plain_state = draw(p, plain_mode())
    assert not nodes(plain, CoinFlips)
    np.testing.assert_array_equal(draws, plain_draws, strict=True)
    assert state == plain_state


def test_other_numbers_of_trials_are_left_alone():
    assert not nodes(draw(np.full(4, 0.5), n=2, times=1)[0], CoinFlips)
    assert not nodes(draw(np.full(3, 0.5), n=np.array([1, 2, 1]), times=1)[0], CoinFlips)


def test_a_size_and_a_p_for_each_entry():
    p = np.linspace(0, 1, 7)
    _, draws, _ = draw(p, size=(1000, 7), times=1)
    np.testing.assert_allclose(draws[0].mean(axis=0), p, atol=0.06)  # 4 standard deviations are 0.063
    assert set(np.unique(draws)) == {0, 1}


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_probabilities_outside_0_to_1_are_refused(p):
    with pytest.raises(ValueError, match="p < 0, p > 1 or p is NaN"):
        draw(np.array([0.5, p]))
