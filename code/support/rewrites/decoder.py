"""The decoder of an autoencoder with tied weights: its cost, its error and what goes back, in one pass over W."""

from functools import cache

from support.rewrites.activations import exponential
from support.rewrites.algebra import (
    Product,
    collected,
    constant,
    elementwise,
    is_float_matrix,
    multiplied,
    products_with,
    replace,
    scalars_beyond,
    unspecified,
    untransposed,
)
from support.rewrites.entropy import FACTORS, LogLikelihood, likelihood_and_sigmoid
from support.rewrites.internals import PARALLEL, Update, numba_implementation
from support.rewrites.kernels import add_to_the_first
from support.rewrites.updates import RankUpdate
from support.start import THREADS

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.tensor.basic import Join
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix, vector


class TiedDecoder(Update):
    """What a decoder a = h W' + c, z = sigmoid(a), gives for one target x, in one pass over W.

    Row i of W gives a_i, hence z_i and its error z_i - x_i. The error times the same row is a part of what goes back to
    h, so that both are computed while the row is in the first-level cache.

    W is (n, m), h (1, m), c (1, n) and x (1, n). The results are the log-likelihood of `LogLikelihood`, (1,), z (1, n)
    and (z - x) W, (1, m). With `update` there is one more input, the scalar `step`, and one more result, of which row i
    is written in the same pass: W + step (z - x)'h.
    """

    __props__ = ("update", "inplace")

    def __init__(self, update=False, inplace=False):
        self.update = update
        self.updated = 3 if update else None
        super().__init__(inplace)

    def make_node(self, W, h, c, x, *step):
        n, m = W.type.shape
        n = n or c.type.shape[1] or x.type.shape[1]
        outputs = [vector(dtype=W.dtype, shape=(1,)), *(matrix(dtype=W.dtype, shape=(1, size)) for size in (n, m))]
        if self.update:
            return Apply(self, [W, h, c, x, pt.cast(*step, W.dtype)], [*outputs, W.type()])
        return Apply(self, [W, h, c, x], outputs)

    def perform(self, node, inputs, outputs):
        W, h, c, x, *step = inputs
        rows, z = likelihood_and_sigmoid(x, h @ W.T + c)
        for storage, value in zip(outputs, (rows, z, (z - x) @ W)):
            storage[0] = value
        if self.update:
            outputs[3][0] = result = self.room_for_result(W)
            result[...] = W + step[0] * ((z - x).T @ h)


@numba_implementation(TiedDecoder)
def tied_decoder(op, node):
    update, inplace = op.update, op.inplace
    dtype = node.outputs[0].type.numpy_dtype
    zero = dtype.type(0)
    decode = decoding(dtype, update)

    if not update:

        @numba_njit
        def decoder(W, h, c, x):
            return decode(W, h, c, x, zero)

        return decoder

    @numba_njit
    def updating_decoder(W, h, c, x, step):
        if not inplace:
            W = W.copy()
        rows, z, back = decode(W, h, c, x, step.item())
        return rows, z, back, W

    return updating_decoder


@cache
def activation(dtype):
    """A compiled function (logits, targets, z, errors) that writes z and the errors of some entries."""
    zero, one, exp = dtype.type(0), dtype.type(1), exponential(dtype)

    @numba_njit(error_model="numpy")
    def activate(logits, targets, z, errors):
        """The result is their log-likelihood but for the logarithm of a product, and that product less 1."""
        total, p = 0.0, 0.0
        for q in range(len(targets)):
            a, x = logits[q], targets[q]
            e = exp(-abs(a))
            s = one / (one + e)
            z[q] = s if a >= 0 else e * s
            errors[q] = z[q] - x
            total += x * min(a, zero) - (one - x) * max(a, zero)
            p = p * (1.0 + e) + e
        return total, p

    return activate


@cache
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
    def go_back_and_decode(W, i, k, h, back, errors, step, logits):
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
        logits[0], logits[1], logits[2], logits[3] = a0, a1, a2, a3

    return decode_row, go_back_row, go_back_and_decode


@cache
def decoding(dtype, update):
    """A compiled function (W, h, c, x, step) that gives what a TiedDecoder does, and if `update`, writes over W."""
    activate = activation(dtype)
    decode_row, go_back_row, go_back_and_decode = row_passes(dtype, update)

    @numba_njit(error_model="numpy")
    def pass_over(W, h, c, x, step, z, back, totals, first, last):
        h, c, x, z, back = h[0], c[0], x[0], z[0], back[0]
        logits, errors = np.empty(4, dtype), np.empty(4, dtype)
        total, p = 0.0, 0.0
        rest = last - (last - first) % 4
        for q in range(4 if first < rest else 0):
            logits[q] = decode_row(W[first + q], h)
        for i in range(first, rest, 4):
            for q in range(4):
                logits[q] += c[i + q]
            part, factor = activate(logits, x[i : i + 4], z[i:], errors)
            total += part
            p = p * (1.0 + factor) + factor
            if (i - first) % FACTORS == 0:
                total -= np.log1p(p)
                p = 0.0
            # After the last four come the first ones again, whose logits nobody reads.
            go_back_and_decode(W, i, i + 4 if i + 4 < rest else first, h, back, errors, step, logits)
        for i in range(rest, last):
            logits[0] = decode_row(W[i], h) + c[i]
            part, factor = activate(logits, x[i : i + 1], z[i:], errors)
            total += part
            p = p * (1.0 + factor) + factor
            go_back_row(W[i], h, back, errors[0], step)
        totals[0] = total - np.log1p(p)

    @numba_njit(parallel=PARALLEL)
    def pass_over_parts(W, h, c, x, step, z, back, totals):
        n = W.shape[0]
        for part in numba.prange(THREADS):
            first, last = part * n // THREADS, (part + 1) * n // THREADS
            pass_over(W, h, c, x, step, z, back[part], totals[part], first, last)

    @numba_njit
    def decode(W, h, c, x, step):
        n, m = W.shape
        if h.shape[0] != 1 or c.shape[0] != 1 or x.shape[0] != 1:
            raise ValueError("not one example")
        if h.shape[1] != m or c.shape[1] != n or x.shape[1] != n:
            raise ValueError("shapes of W, h, c and x do not fit")
        z, back = np.empty((1, n), dtype), np.zeros((THREADS, 1, m), dtype)
        totals = np.zeros((THREADS, 1))
        pass_over_parts(W, np.ascontiguousarray(h), c, x, step, z, back, totals)
        add_to_the_first(totals)
        add_to_the_first(back.reshape(THREADS, -1))
        return totals[0].astype(dtype), z, back[0]

    return decode


@node_rewriter([LogLikelihood])
def decoder_to_tied_decoder(fgraph, node):
    """LogLikelihood(x, h W' + c), s (z - x) W -> TiedDecoder(W, h, c, x), for a batch that is known to be 1"""
    x, a = node.inputs
    if a.type.shape[0] != 1 or len(fgraph.clients[a]) > 1:
        return None
    operands = elementwise(a, ps.Add) or [a]
    for place, product in enumerate(operands):
        if product.owner is None or not isinstance(product.owner.op, Dot) or len(fgraph.clients[product]) > 1:
            continue
        h, W = product.owner.inputs[0], untransposed(product.owner.inputs[1])
        if W is None or W.owner is not None or any(W.type.broadcastable):
            continue
        rest = operands[:place] + operands[place + 1 :]
        c = pt.add(*rest) if len(rest) > 1 else rest[0] if rest else pt.zeros((1, W.shape[0]), dtype=W.dtype)
        if not is_float_matrix(W, h, c, x) or c.type.shape[1] == 1 or any(v.type.shape[0] != 1 for v in (h, c, x)):
            continue
        backs = [(dot, error_factor(dot.inputs[0], node, x)) for dot in products_with(fgraph, W)]
        backs = [(dot.outputs[0], error) for dot, error in backs if error is not None]
        if not backs:
            continue
        rows, z, back = TiedDecoder()(W, h, c, x)
        scaled = [back if error.is_one else error.coefficient(W.dtype) * back for _, error in backs]
        old, new = [*node.outputs, *(dot for dot, _ in backs)], [rows, z, *scaled]
        if (replaced := replace(old, new, made=[back])) is not None:
            return replaced
    return None


def error_factor(variable, decoder, x):
    """The s of a variable that is s (z - x), as a `Product`; z is a decoder's second output. None where it is not so.

    The gradient comes as (1 - x) z - x (1 - z), with signs and scalars anywhere: multiplied out, that is z - x.
    """
    z = decoder.outputs[1]
    products = collected(variable, [z, x])
    if len(products) != 2 or any(len(product.factors) != 1 for product in products):
        return None
    of_z, of_x = sorted(products, key=lambda product: product.factors[0] is not z)
    if of_z.factors[0] is not z or of_x.factors[0] is not unspecified(x):
        return None
    same_scalars = sorted(map(id, of_z.scalars)) == sorted(map(id, of_x.scalars))
    return Product(of_z.number, of_z.scalars) if of_z.number == -of_x.number and same_scalars else None


@node_rewriter([RankUpdate])
def rank_update_to_tied_decoder(fgraph, node):
    """TiedDecoder(W, h, c, x), RankUpdate(W, [X; s (z - x)], [D; t h], alpha, 1)
    -> TiedDecoder(W, h, c, x, alpha s t), whose fourth result is V, and RankUpdate(V, X, D, alpha, 1)"""
    W, X, D, alpha, beta = node.inputs
    X_parts, D_parts = joined(X), joined(D)
    of_one_row = len(X_parts) == len(D_parts) and all(part.type.shape[0] == 1 for part in (*X_parts, *D_parts))
    if node.op.inplace or constant(beta) != 1 or not of_one_row:
        return None
    for decoder, place in fgraph.clients[W]:
        if place != 0 or not isinstance(decoder.op, TiedDecoder) or decoder.op.update:
            continue
        _, h, c, x = decoder.inputs
        for part, (left, right) in enumerate(zip(X_parts, D_parts)):
            error, scalars = error_factor(left, decoder, x), scalars_beyond(right, h)
            if error is None or scalars is None:
                continue
            step = multiplied([alpha, error.coefficient(W.dtype), *scalars], W.dtype)
            if step.owner and apply_depends_on(step.owner, decoder):
                continue  # it waits for what the decoder gives
            *results, updated = TiedDecoder(update=True)(W, h, c, x, step)
            copy_stack_trace([*decoder.outputs, node.outputs[0]], [*results, updated])
            rest = [pair for i, pair in enumerate(zip(X_parts, D_parts)) if i != part]
            if rest:
                X, D = (pt.join(0, *sides) if len(sides) > 1 else sides[0] for sides in zip(*rest))
                updated = RankUpdate()(updated, X, D, alpha, beta)
            # The update first: it has parts of what the old decoder gives, which must still be there.
            return replace([node.outputs[0], *decoder.outputs], [updated, *results])
    return None


def joined(variable):
    """The matrices that a matrix consists of, one below the other."""
    node = variable.owner
    if node is None or not isinstance(node.op, Join):
        return [variable]
    if hasattr(node.op, "axis"):
        axis, parts = node.op.axis, node.inputs
    else:  # PyTensor 3.0
        axis, *parts = node.inputs
        axis = axis.data if isinstance(axis, Constant) else None
    return parts if axis == 0 else [variable]
