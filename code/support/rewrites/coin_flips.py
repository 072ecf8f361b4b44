"""Masks of zeros and ones at the price of one uniform number an entry."""

from support.rewrites.algebra import constant, replace
from support.rewrites.internals import VERSION, numba_core_rv_funcify, numba_njit

import numpy as np
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.random.basic import BinomialRV
from pytensor.tensor.random.op import RandomVariable


class CoinFlips(RandomVariable):
    """binomial(n=1, p): 1 with probability p, else 0; the same draws from the same generator.

    The general algorithm searches the number of successes at which the cumulative probability passes a uniform number,
    on the side of the rarer outcome. With n = 1 that is one comparison, with 1 - p or with 1 - (1 - p), whose rounding
    is kept. The general one gets these by exp(log(.)), so that the two can differ some once in 10^15 draws.
    """

    name = "coin_flips"
    signature = "()->()"
    dtype = "int64"
    _print_name = ("CoinFlips", "\\operatorname{CoinFlips}")

    @classmethod
    def rng_fn(cls, rng, p, size):
        return rng.binomial(1, p, size=size)


@numba_core_rv_funcify.register(CoinFlips)
def coin_flips(op, node):
    @numba_njit
    def flip(rng, p):
        p = np.float64(p)
        if not 0 <= p <= 1:
            raise ValueError("p < 0, p > 1 or p is NaN")
        if p == 0:
            return np.int64(0)  # without a draw, as the binomial does
        uniform = rng.random()
        return np.int64(uniform > 1 - p) if p <= 0.5 else np.int64(uniform <= 1 - (1 - p))

    return flip, VERSION


@node_rewriter([BinomialRV])
def binomial_to_coin_flips(fgraph, node):
    """binomial(n=1, p) -> CoinFlips(p)"""
    rng, size, n, p = node.inputs
    if constant(n) != 1 or n.type.ndim > p.type.ndim or not all(n.type.broadcastable):
        return None  # n would have a part in the shape of the draws
    return replace(node.outputs, CoinFlips().make_node(rng, size, p).outputs)
