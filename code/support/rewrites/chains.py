"""Contrastive divergence: draws of units, and work that a Markov chain would otherwise repeat at each of its steps."""

from support.rewrites.algebra import clients, constant, elementwise, is_float_matrix, replace, untransposed
from support.rewrites.internals import VERSION, Kernel, numba_core_rv_funcify, numba_njit

import numpy as np
import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.scalar.math import Sigmoid
from pytensor.scan.op import Scan
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.random.basic import BernoulliRV, BinomialRV
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.subtensor import IncSubtensor
from pytensor.tensor.type import matrix
from pytensor.tensor.type_other import NoneTypeT

LOWER, HALF = np.uint64(2**32 - 1), np.uint64(32)  # the lower half of 64 bits, and the number of its bits
FACTOR0, FACTOR1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
STEP0, STEP1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
BITS = {"float32": 24, "float64": 32}  # of a uniform number


def five_rounds(c0, c1, c2, c3, k0, k1):
    """Half of Philox-4x32-10 [1], of numbers of 32 bits in 64, or arrays of them; twice, it makes a counter random.

    [1] J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
    """
    for _ in range(5):
        p0, p1 = FACTOR0 * c0, FACTOR1 * c2
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOWER, (p0 >> HALF) ^ c3 ^ k1, p0 & LOWER
        k0, k1 = (k0 + STEP0) & LOWER, (k1 + STEP1) & LOWER
    return c0, c1, c2, c3, k0, k1


def draw_key(rng):
    """A key of two numbers of 32 bits; the generator moves on."""
    return np.uint64(rng.random() * 2.0**32), np.uint64(rng.random() * 2.0**32)


class UnitDraws(RandomVariable):
    """1 with probability p, else 0, for each entry of a matrix p, in the type of p.

    The graph's generator gives each of its numbers from its last state, one after the other. Philox gives a number from
    a key and a counter, here from the row and the column of an entry, so that the compiler draws several at once. The
    graph's generator draws the key of each matrix, and so moves on: seeds and saved states do what they do with
    `binomial`. But the draws are others than those of `binomial`.

    p counts as rounded up to a multiple of 2^-24 in single precision, of 2^-32 in double. NaN gives 0.
    """

    name = "unit_draws"
    signature = "(k,n)->(k,n)"
    _print_name = ("UnitDraws", "\\operatorname{UnitDraws}")

    def rng_fn(self, rng, p, size):
        k, n = p.shape
        bits, zero = BITS[self.dtype], np.uint64(0)
        row, column = np.indices((k, -(-n // 4)), dtype=np.uint64)
        *numbers, _, _ = five_rounds(*five_rounds(column, row, zero, zero, *draw_key(rng)))
        return (np.hstack(numbers)[:, :n] >> np.uint64(32 - bits)) * 2.0**-bits < p


@numba_core_rv_funcify.register(UnitDraws)
def unit_draws(op, node):
    dtype, bits = node.outputs[1].type.numpy_dtype, BITS[op.dtype]
    unused, unit, zero = np.uint64(32 - bits), dtype.type(2.0**-bits), np.uint64(0)
    rounds, key = numba_njit(five_rounds), numba_njit(draw_key)

    @numba_njit
    def draw(rng, p, out=None):
        k, n = p.shape
        if out is None:
            out = np.empty((k, n), dtype)
        quarter = (n + 3) // 4
        uniform = np.empty((4, quarter), dtype)
        k0, k1 = key(rng)
        for r in range(k):
            for j in range(quarter):
                half = rounds(np.uint64(j), np.uint64(r), zero, zero, k0, k1)
                c0, c1, c2, c3, _, _ = rounds(*half)
                uniform[0, j] = np.int64(c0 >> unused) * unit  # the compiler knows how to convert signed numbers
                uniform[1, j] = np.int64(c1 >> unused) * unit
                uniform[2, j] = np.int64(c2 >> unused) * unit
                uniform[3, j] = np.int64(c3 >> unused) * unit
            numbers = uniform.ravel()
            for j in range(n):
                out[r, j] = numbers[j] < p[r, j]
        return out

    draw.handles_out = True
    return draw, VERSION


@node_rewriter([BinomialRV, BernoulliRV])
def sigmoid_to_unit_draws(fgraph, node):
    """binomial(n=1, sigmoid(a)), as integers and in the type of a -> UnitDraws(sigmoid(a))"""
    [rng, size, *trials, p], [next_rng, draws] = node.inputs, node.outputs
    if any(constant(n) != 1 or not all(n.type.broadcastable) for n in trials) or not isinstance(size.type, NoneTypeT):
        return None
    if not elementwise(p, Sigmoid) or not is_float_matrix(p):
        return None
    next_state, units = UnitDraws(dtype=p.dtype).make_node(rng, None, p).outputs
    readers = [client.outputs[0] for client in clients(fgraph, draws, Elemwise)]
    casts = [reader for reader in readers if reader.dtype == p.dtype and elementwise(reader, ps.Cast)]
    return replace([next_rng, draws, *casts], [next_state, units.astype(draws.dtype)] + [units] * len(casts))


class Transposed(Kernel):
    """W' of a matrix W (n, m), as a copy in C order, of which a product with few units that are on reads few rows."""

    def results(self, W):
        return [matrix(dtype=W.dtype, shape=W.type.shape[::-1])]

    def compute(self, W):
        return [W.T.copy()]

    def loops(self, node):
        def transpose(W):
            n, m = W.shape
            out = np.empty((m, n), W.dtype)
            eights = n - n % 8
            for i in range(0, eights, 8):  # as many rows at once as fill half of a cache line of the copy
                w0, w1, w2, w3 = W[i], W[i + 1], W[i + 2], W[i + 3]
                w4, w5, w6, w7 = W[i + 4], W[i + 5], W[i + 6], W[i + 7]
                for j in range(m):
                    out[j, i], out[j, i + 1], out[j, i + 2], out[j, i + 3] = w0[j], w1[j], w2[j], w3[j]
                    out[j, i + 4], out[j, i + 5], out[j, i + 6], out[j, i + 7] = w4[j], w5[j], w6[j], w7[j]
            for i in range(eights, n):
                for j in range(m):
                    out[j, i] = W[i, j]
            return out

        return transpose


@node_rewriter([Scan])
def scan_to_transposed(fgraph, node):
    """Scan(W'), whose steps have products D W' -> Scan(Transposed(W))"""
    inner, inputs = node.op.fgraph, list(node.inputs)
    constants = node.op.inner_non_seqs(inner.inputs)  # for the steps; the last ones of both graphs' inputs
    for place, inside in enumerate(constants, start=len(inputs) - len(constants)):
        W = untransposed(inputs[place])
        if W is not None and is_float_matrix(W) and clients(inner, inside, Dot, 1):
            inputs[place] = Transposed()(W)
    return replace(node.outputs, node.op.make_node(*inputs).outputs) if inputs != node.inputs else None


@node_rewriter([Dot])
def product_of_changed_column(fgraph, node):
    """X W, and Y W of a Y that is X with the values y in column i -> X W, and X W + (y - X_i) W_i"""
    changed, W = node.inputs
    setting = changed.owner
    if setting is None or not isinstance(setting.op, IncSubtensor) or not setting.op.set_instead_of_inc:
        return None
    X, y, *places = setting.inputs
    rows, *columns = setting.op.idx_list
    if rows != slice(None) or len(columns) != 1 or isinstance(columns[0], slice) or len(places) != 1:
        return None
    products = [product.outputs[0] for product in clients(fgraph, W, Dot, 1) if product.inputs[0] is X]
    if not products or not is_float_matrix(X, W):
        return None
    [i] = places
    return replace(node.outputs, [products[0] + pt.expand_dims(y - X[:, i], -1) * W[i]])
