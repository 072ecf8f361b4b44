"""The decoder of an autoencoder with tied weights: its output, and the gradient that goes back, in one pass over W."""

from collections import Counter
from functools import cache
from itertools import permutations

from support.rewrites.activations import logistic
from support.rewrites.algebra import (
    Product,
    clients,
    collected,
    constant,
    elementwise,
    inside,
    is_float_matrix,
    multiplied,
    replace,
    scalars_beyond,
    untransposed,
)
from support.rewrites.entropy import LogLikelihood
from support.rewrites.internals import INLINE, PARALLEL, Update, numba_njit
from support.rewrites.kernels import add_to_the_first
from support.rewrites.updates import RankUpdate
from support.start import THREADS

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.tensor.basic import Join
from pytensor.tensor.math import Dot
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.type import matrix


class TiedDecoder(Update):
    """The logits a = h W' + c of one example, and their error times W, (z - x) W, in one pass over W.

    Row i of W gives a_i, hence z_i = sigmoid(a_i) and its error z_i - x_i, x being the target. The error times the same
    row is a part of what goes back to h, so that both are computed while the row is in the first-level cache.

    W is (n, m), h (1, m), c (1, n) and x (1, n). The results are a (1, n) and (z - x) W (1, m). With `update` there is
    one more input, the scalar `step`, and one more result, of which row i is written in the same pass:
    W + step (z - x)'h.
    """

    __props__ = ("update", "inplace")

    def __init__(self, update=False, inplace=False):
        self.update = update
        self.updated = 2 if update else None
        super().__init__(inplace)

    def results(self, W, h, c, x, *step):
        n, m = W.type.shape
        n = n or c.type.shape[1] or x.type.shape[1]
        return [*(matrix(dtype=W.dtype, shape=(1, size)) for size in (n, m)), *(W.type() for _ in step)]

    def compute(self, W, h, c, x, *step):
        a = h @ W.T + c
        error = np.exp(-np.logaddexp(0, -a)) - x
        return a, error @ W, *(W + each * (error.T @ h) for each in step)

    def loops(self, node):
        dtype, update, copies = node.outputs[0].type.numpy_dtype, self.update, self.update and not self.inplace
        decode, zero = decoding(dtype, update), dtype.type(0)

        def decoder(W, h, c, x, *steps):
            n, m = W.shape
            if h.shape != (1, m) or c.shape != (1, n) or x.shape != (1, n):
                raise ValueError("shapes of W, h, c and x do not fit")
            if copies:
                W = W.copy()
            a, back = np.empty((1, n), dtype), np.zeros((THREADS, m), dtype)
            decode(W, np.ascontiguousarray(h)[0], c[0], x[0], steps[0].item() if update else zero, a[0], back)
            add_to_the_first(back)
            return (a, back[:1], W) if update else (a, back[:1])

        return decoder


def row_passes(dtype, update):
    """Compiled functions that decode with a row of W, go back by it, or do both with four at once; they `update` W."""
    zero = dtype.type(0)

    @numba_njit
    def decode_row(row, h):
        a = zero
        for j in range(len(h)):
            a += row[j] * h[j]
        return a

    @numba_njit
    def go_back_row(row, h, back, e, step):
        for j in range(len(h)):
            w = row[j]
            back[j] += e * w
            if update:
                row[j] = w + step * e * h[j]

    @numba_njit
    def go_back_and_decode(W, i, k, h, back, errors, step, ahead):
        """Four rows from i on go back, and are updated; meanwhile four from k on come from memory, and are decoded."""
        r0, r1, r2, r3 = W[i], W[i + 1], W[i + 2], W[i + 3]
        n0, n1, n2, n3 = W[k], W[k + 1], W[k + 2], W[k + 3]
        e0, e1, e2, e3 = errors[0], errors[1], errors[2], errors[3]
        s0, s1, s2, s3 = step * e0, step * e1, step * e2, step * e3
        a0, a1, a2, a3 = zero, zero, zero, zero
        for j in range(W.shape[1]):
            a0 += n0[j] * h[j]
            a1 += n1[j] * h[j]
            a2 += n2[j] * h[j]
            a3 += n3[j] * h[j]
            w0, w1, w2, w3 = r0[j], r1[j], r2[j], r3[j]
            back[j] += (e0 * w0 + e1 * w1) + (e2 * w2 + e3 * w3)
            if update:
                r0[j] = w0 + s0 * h[j]
                r1[j] = w1 + s1 * h[j]
                r2[j] = w2 + s2 * h[j]
                r3[j] = w3 + s3 * h[j]
        ahead[0], ahead[1], ahead[2], ahead[3] = a0, a1, a2, a3

    return decode_row, go_back_row, go_back_and_decode


@cache
def decoding(dtype, update):
    """A compiled function (W, h, c, x, step, a, back) that writes a and each thread's part of (z - x) W; see above."""
    sigmoid = logistic(dtype)
    decode_row, go_back_row, go_back_and_decode = row_passes(dtype, update)

    @numba_njit
    def pass_over(W, h, c, x, step, a, back, first, last):
        ahead, errors = np.empty(4, dtype), np.empty(4, dtype)
        rest = last - (last - first) % 4
        for q in range(4 if first < rest else 0):
            ahead[q] = decode_row(W[first + q], h)
        for i in range(first, rest, 4):
            for q in range(4):
                a[i + q] = ahead[q] + c[i + q]
                errors[q] = sigmoid(a[i + q]) - x[i + q]
            # After the last four come the first ones again, whose logits nobody reads.
            go_back_and_decode(W, i, i + 4 if i + 4 < rest else first, h, back, errors, step, ahead)
        for i in range(rest, last):
            a[i] = decode_row(W[i], h) + c[i]
            go_back_row(W[i], h, back, sigmoid(a[i]) - x[i], step)

    @numba_njit(parallel=PARALLEL, inline="never" if PARALLEL else INLINE)
    def pass_over_parts(W, h, c, x, step, a, back):
        n = W.shape[0]
        for part in numba.prange(THREADS):
            pass_over(W, h, c, x, step, a, back[part], part * n // THREADS, (part + 1) * n // THREADS)

    return pass_over_parts


@node_rewriter([LogLikelihood])
def decoder_to_tied_decoder(fgraph, node):
    """h W' + c, s (z - x) W, with LogLikelihood(x, h W' + c) -> TiedDecoder(W, h, c, x), for a batch known to be 1"""
    x, a = node.inputs
    operands = elementwise(a, ps.Add) or []
    if a.type.shape[0] != 1 or len(fgraph.clients[a]) > 1 or len(operands) != 2:
        return None  # if x were made of a, it would have to be known before it
    for product, c in permutations(operands):
        if not isinstance(product.owner_op, Dot) or len(fgraph.clients[product]) > 1:
            continue
        h, W = product.owner.inputs[0], untransposed(product.owner.inputs[1])
        if W is None or W.owner is not None or not is_float_matrix(W, h, c, x) or c.type.shape[1] == 1:
            continue
        backs = [(dot.outputs[0], error_factor(dot.inputs[0], node)) for dot in clients(fgraph, W, Dot, place=1)]
        backs = [(back, error) for back, error in backs if error is not None]
        if backs:
            logits, back = TiedDecoder()(W, h, c, x)
            scaled = [back if error.is_one else error.coefficient(W.dtype) * back for _, error in backs]
            return replace([a, *(old for old, _ in backs)], [logits, *scaled], made=[back])
    return None


def error_factor(variable, likelihood):
    """The s of a variable that is s (z - x), as a `Product`; z and x are those of a LogLikelihood. Else None.

    The gradient comes as (1 - x) z - x (1 - z), with signs and scalars anywhere: multiplied out, that is z - x.
    """
    x, z = inside(likelihood.inputs[0], SpecifyShape), likelihood.outputs[1]
    products = {tuple(product.factors): product for product in collected(variable, [z, x])}
    of_z, of_x = products.get((z,)), products.get((x,))
    if len(products) != 2 or of_z is None or of_x is None or of_z.number != -of_x.number:
        return None
    return Product(of_z.number, of_z.scalars) if Counter(of_z.scalars) == Counter(of_x.scalars) else None


@node_rewriter([RankUpdate])
def rank_update_to_tied_decoder(fgraph, node):
    """TiedDecoder(W, h, c, x), RankUpdate(W, [X; s (z - x)], [D; t h], alpha, 1)
    -> TiedDecoder(W, h, c, x, alpha s t), whose third result is V, and RankUpdate(V, X, D, alpha, 1)"""
    W, X, D, alpha, beta = node.inputs
    pairs = list(zip(joined(X), joined(D)))
    of_one_row = all(side.type.shape[0] == 1 for pair in pairs for side in pair)
    if constant(beta) != 1 or not of_one_row or len(joined(X)) != len(joined(D)):
        return None
    decoders = [each for each in clients(fgraph, W, TiedDecoder) if not each.op.update]
    likelihoods = [(each, of) for each in decoders for of in clients(fgraph, each.outputs[0], LogLikelihood, place=1)]
    for decoder, likelihood in likelihoods:
        _, h, c, x = decoder.inputs
        for place, (left, right) in enumerate(pairs if likelihood.inputs[0] is x else ()):
            error, scalars = error_factor(left, likelihood), scalars_beyond(right, h)
            if error is None or scalars is None:
                continue
            step = multiplied([alpha, error.coefficient(W.dtype), *scalars], W.dtype)
            if step.owner and apply_depends_on(step.owner, decoder):
                continue  # it waits for what the decoder gives
            *results, updated = TiedDecoder(update=True)(W, h, c, x, step)
            copy_stack_trace([*decoder.outputs, node.outputs[0]], [*results, updated])
            if rest := pairs[:place] + pairs[place + 1 :]:
                X, D = (pt.join(0, *sides) if len(sides) > 1 else sides[0] for sides in zip(*rest))
                updated = RankUpdate()(updated, X, D, alpha, beta)
            # The update first: it has parts of what the old decoder gives, which must still be there.
            return replace([node.outputs[0], *decoder.outputs], [updated, *results])
    return None


def joined(variable):
    """The matrices that a matrix consists of, one below the other."""
    match variable.owner_op_and_inputs:
        case Join(axis=0), *parts:
            return parts
        case Join() as op, axis, *parts if not hasattr(op, "axis") and constant(axis) == 0:  # PyTensor 3.0
            return parts
    return [variable]
