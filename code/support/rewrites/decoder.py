"""The decoder of an autoencoder with tied weights: its cost, its error and what goes back, in one pass over W."""

from functools import cache

from support.environment import THREADS
from support.rewrites.activations import exponential
from support.rewrites.entropy import FACTORS, LogLikelihood, likelihood_and_sigmoid
from support.rewrites.patterns import elementwise, is_float_matrix, multiplied, polynomial, scalars_beyond, untransposed
from support.rewrites.products import add_to_the_first
from support.rewrites.registry import PARALLEL, numba_implementation, register, register_inplace, rows_if_few
from support.rewrites.updates import RankUpdate

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.tensor.basic import Join, get_underlying_scalar_constant_value
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix, vector

FEW = 4  # examples; up to here one pass by loops is faster than two by BLAS
LARGE = 2**18  # entries of W, which then does not stay in the second-level cache between the two


class TiedDecoder(Op):
    """What a decoder a = h W' + c, z = sigmoid(a), gives for a target x, in one pass over W.

    Row i of W gives a_i, hence z_i and its error z_i - x_i, of each example. The error times the same row is a part of
    what goes back to h, so that both are computed while the row is in the first-level cache.

    W is (n, m), h (batch, m), c (1, n) and x (batch, n). The results are the log-likelihood of `LogLikelihood`,
    (batch,), z (batch, n) and (z - x) W, (batch, m). With `update`, which is for one example, there is one more input,
    the scalar `step`, and one more result, of which row i is written in the same pass: W + step (z - x)'h.
    """

    __props__ = ("update", "inplace")

    def __init__(self, update=False, inplace=False):
        self.update = update
        self.inplace = inplace
        if inplace:
            self.destroy_map = {3: [0]}

    def make_node(self, W, h, c, x, *step):
        n, m = W.type.shape
        n = n or c.type.shape[1] or x.type.shape[1]
        batch = h.type.shape[0]
        rows_of = [matrix(dtype=W.dtype, shape=(batch, columns)) for columns in (n, m)]
        outputs = [vector(dtype=W.dtype, shape=(batch,)), *rows_of]
        if self.update:
            return Apply(self, [W, h, c, x, pt.cast(*step, W.dtype)], [*outputs, W.type()])
        return Apply(self, [W, h, c, x], outputs)

    def perform(self, node, inputs, outputs):
        W, h, c, x, *step = inputs
        rows, z = likelihood_and_sigmoid(x, h @ W.T + c)
        for storage, value in zip(outputs, (rows, z, (z - x) @ W)):
            storage[0] = value
        if self.update:
            outputs[3][0] = result = W if self.inplace else np.empty_like(W)
            result[...] = W + step[0] * ((z - x).T @ h)


@numba_implementation(TiedDecoder)
def tied_decoder(op, node):
    update, inplace = op.update, op.inplace
    dtype = node.outputs[0].type.numpy_dtype
    zero = dtype.type(0)
    decode = decoding(dtype, update or rows_if_few(node) == 1, update)

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
def decoding(dtype, single, update):
    """A compiled function (W, h, c, x, step) that gives what a TiedDecoder does, and if `update`, writes over W.

    It is the same function for all operations, so that a process compiles it once.
    """
    zero, one = dtype.type(0), dtype.type(1)
    exp, add_up = exponential(dtype), numba_njit(add_to_the_first)

    @numba_njit(error_model="numpy")
    def activate(logits, targets, z, errors):
        """The log-likelihood but for the logarithm of a product, and that product less 1, of some entries."""
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

    @numba_njit(error_model="numpy")
    def pass_over_for_one(W, h, c, x, step, z, back, totals, first, last):
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

    @numba_njit
    def decode_pair(W, i, h, r, logits):
        """Four rows from i on decode two examples from r on: each entry that is loaded is used for several sums."""
        r0, r1, r2, r3 = W[i], W[i + 1], W[i + 2], W[i + 3]
        p, q = h[r], h[r + 1]
        p0, p1, p2, p3 = zero, zero, zero, zero
        q0, q1, q2, q3 = zero, zero, zero, zero
        for j in range(W.shape[1]):
            w0, w1, w2, w3 = r0[j], r1[j], r2[j], r3[j]
            p0 += w0 * p[j]
            p1 += w1 * p[j]
            p2 += w2 * p[j]
            p3 += w3 * p[j]
            q0 += w0 * q[j]
            q1 += w1 * q[j]
            q2 += w2 * q[j]
            q3 += w3 * q[j]
        logits[r, 0], logits[r, 1], logits[r, 2], logits[r, 3] = p0, p1, p2, p3
        logits[r + 1, 0], logits[r + 1, 1], logits[r + 1, 2], logits[r + 1, 3] = q0, q1, q2, q3

    @numba_njit
    def go_back_pair(W, i, back, r, errors):
        r0, r1, r2, r3 = W[i], W[i + 1], W[i + 2], W[i + 3]
        p, q = back[r], back[r + 1]
        p0, p1, p2, p3 = errors[r, 0], errors[r, 1], errors[r, 2], errors[r, 3]
        q0, q1, q2, q3 = errors[r + 1, 0], errors[r + 1, 1], errors[r + 1, 2], errors[r + 1, 3]
        for j in range(W.shape[1]):
            w0, w1, w2, w3 = r0[j], r1[j], r2[j], r3[j]
            p[j] += (p0 * w0 + p1 * w1) + (p2 * w2 + p3 * w3)
            q[j] += (q0 * w0 + q1 * w1) + (q2 * w2 + q3 * w3)

    @numba_njit(error_model="numpy")
    def pass_over_for_pairs(W, h, c, x, step, z, back, totals, first, last):
        batch = x.shape[0]
        logits, errors = np.zeros((len(h), 4), dtype), np.zeros((len(h), 4), dtype)
        products = np.zeros(batch)  # less 1
        rest = last - (last - first) % 4
        for i in range(first, last, 4):
            rows = min(4, last - i)
            for r in range(0, len(h), 2):
                if i < rest:
                    decode_pair(W, i, h, r, logits)
                else:
                    for q in range(rows):
                        logits[r, q], logits[r + 1, q] = decode_row(W[i + q], h[r]), decode_row(W[i + q], h[r + 1])
            for r in range(batch):
                for q in range(rows):
                    logits[r, q] += c[0, i + q]
                part, factor = activate(logits[r], x[r, i : i + rows], z[r, i:], errors[r])
                totals[r] += part
                products[r] = products[r] * (1.0 + factor) + factor
                if (i - first) % FACTORS == 0:
                    totals[r] -= np.log1p(products[r])
                    products[r] = 0.0
            for r in range(0, len(h), 2):
                if i < rest:
                    go_back_pair(W, i, back, r, errors)
                else:
                    for q in range(rows):
                        go_back_row(W[i + q], h[r], back[r], errors[r, q], zero)
                        go_back_row(W[i + q], h[r + 1], back[r + 1], errors[r + 1, q], zero)
        for r in range(batch):
            totals[r] -= np.log1p(products[r])

    pass_over = pass_over_for_one if single else pass_over_for_pairs

    @numba_njit(parallel=PARALLEL)
    def pass_over_parts(W, h, c, x, step, z, back, totals):
        n = W.shape[0]
        for part in numba.prange(THREADS):
            first, last = part * n // THREADS, (part + 1) * n // THREADS
            pass_over(W, h, c, x, step, z, back[part], totals[part], first, last)

    @numba_njit
    def decode(W, h, c, x, step):
        n, m = W.shape
        batch = h.shape[0]
        if single and batch != 1:
            raise ValueError("not one example")
        if c.shape[0] != 1 or x.shape[0] != batch or h.shape[1] != m or c.shape[1] != n or x.shape[1] != n:
            raise ValueError("shapes of W, h, c and x do not fit")
        if single:
            examples = np.ascontiguousarray(h)
        else:
            examples = np.zeros((batch + batch % 2, m), dtype)  # in pairs
            for r in range(batch):  # `examples[:batch] = h` takes seconds to compile
                for j in range(m):
                    examples[r, j] = h[r, j]
        z, back = np.empty((batch, n), dtype), np.zeros((THREADS, *examples.shape), dtype)
        totals = np.zeros((THREADS, batch))
        pass_over_parts(W, examples, c, x, step, z, back, totals)
        add_up(totals)
        add_up(back.reshape(THREADS, -1))
        return totals[0].astype(dtype), z, back[0, :batch]

    return decode


@node_rewriter([LogLikelihood])
def decoder_to_tied_decoder(fgraph, node):
    """LogLikelihood(x, h W' + c), s (z - x) W -> TiedDecoder(W, h, c, x), for a batch that is known to be small"""
    x, a = node.inputs
    batch = a.type.shape[0]
    if batch is None or not 1 <= batch <= FEW or len(fgraph.clients[a]) > 1:
        return None
    operands = elementwise(a, ps.Add) or [a]
    for place, product in enumerate(operands):
        if product.owner is None or not isinstance(product.owner.op, Dot) or len(fgraph.clients[product]) > 1:
            continue
        h, W = product.owner.inputs[0], untransposed(product.owner.inputs[1])
        if W is None or W.owner is not None or any(W.type.broadcastable):
            continue
        if batch > 1 and (None in W.type.shape or np.prod(W.type.shape) < LARGE):
            continue
        rest = operands[:place] + operands[place + 1 :]
        c = pt.add(*rest) if len(rest) > 1 else rest[0] if rest else pt.zeros((1, W.shape[0]), dtype=W.dtype)
        if not is_float_matrix(W, h, c, x) or c.type.shape[0] != 1 or c.type.shape[1] == 1:
            continue
        if not all(v.type.shape[0] == batch for v in (h, x)):
            continue
        backs = [(dot, error) for dot in products_with(fgraph, W) if (error := error_factor(dot.inputs[0], node, x))]
        if not backs:
            continue
        rows, z, back = TiedDecoder()(W, h, c, x)
        replaced = {node.outputs[0]: rows, node.outputs[1]: z}
        for dot, error in backs:
            replaced[dot.outputs[0]] = back if error.is_one else error.scalar(W.dtype) * back
        if all(old.type.is_super(new.type) for old, new in replaced.items()):
            copy_stack_trace([*node.outputs, backs[0][0].outputs[0]], [rows, z, back])
            return replaced
    return None


class ErrorFactor:
    """The s of s (z - x), as a number times the product of some scalars."""

    def __init__(self, number, scalars):
        self.number, self.scalars = number, scalars

    @property
    def is_one(self):
        return self.number == 1 and not self.scalars

    def scalar(self, dtype):
        numbers = [pt.constant(self.number, dtype=dtype)] if self.number != 1 else []
        return multiplied([*numbers, *self.scalars], dtype)


def error_factor(variable, decoder, x):
    """The `ErrorFactor` by which a variable is s (z - x), z a decoder's second output; None where it is not seen to be.

    The gradient comes as (1 - x) z - x (1 - z), with signs and scalars anywhere: multiplied out, that is z - x.
    """
    z = decoder.outputs[1]
    sum_of = polynomial(variable, [z, x])
    if sum_of is None or len(sum_of) != 2:
        return None
    monomials = {}
    for factors, number in sum_of.items():
        matrices = [factor for factor in factors if factor is z or factor is x]
        if len(matrices) != 1:
            return None
        monomials[matrices[0] is z] = number, [factor for factor in factors if factor is not matrices[0]]
    if len(monomials) != 2:
        return None
    (number, scalars), (opposite, others) = monomials[True], monomials[False]
    if number != -opposite or sorted(map(id, scalars)) != sorted(map(id, others)):
        return None
    return ErrorFactor(number, scalars)


def products_with(fgraph, W):
    """The nodes that multiply something by this matrix, from the left."""
    return [client for client, position in fgraph.clients[W] if isinstance(client.op, Dot) and position == 1]


@node_rewriter([RankUpdate])
def rank_update_to_tied_decoder(fgraph, node):
    """TiedDecoder(W, h, c, x), RankUpdate(W, [X; s (z - x)], [D; t h], alpha, 1)
    -> TiedDecoder(W, h, c, x, alpha s t), whose fourth result is V, and RankUpdate(V, X, D, alpha, 1)"""
    W, X, D, alpha, beta = node.inputs
    if node.op.inplace or get_underlying_scalar_constant_value(beta, raise_not_constant=False) != 1:
        return None
    X_parts, D_parts = joined(X), joined(D)
    if len(X_parts) != len(D_parts) or any(part.type.shape[0] != 1 for part in (*X_parts, *D_parts)):
        return None
    for decoder, place in fgraph.clients[W]:
        if place != 0 or not isinstance(decoder.op, TiedDecoder) or decoder.op.update:
            continue
        _, h, c, x = decoder.inputs
        for part, (left, right) in enumerate(zip(X_parts, D_parts)):
            error, scalars = error_factor(left, decoder, x), scalars_beyond(right, h)
            if error is None or scalars is None:
                continue
            step = multiplied([alpha, error.scalar(W.dtype), *scalars], W.dtype)
            if step.owner and apply_depends_on(step.owner, decoder):
                continue  # it waits for what the decoder gives
            *results, updated = TiedDecoder(update=True)(W, h, c, x, step)
            copy_stack_trace([*decoder.outputs, node.outputs[0]], [*results, updated])
            rest = [(left, right) for i, (left, right) in enumerate(zip(X_parts, D_parts)) if i != part]
            if rest:
                X, D = (pt.join(0, *sides) if len(sides) > 1 else sides[0] for sides in zip(*rest))
                updated = RankUpdate()(updated, X, D, alpha, beta)
                copy_stack_trace(node.outputs[0], updated)
            # The update first: it has parts of what the old decoder gives, which must still be there.
            return {node.outputs[0]: updated, **dict(zip(decoder.outputs, results))}
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


@node_rewriter([TiedDecoder], inplace=True)
def tied_update_inplace(fgraph, node):
    """TiedDecoder that updates W -> the same, written over W"""
    if node.op.inplace or not node.op.update:
        return None
    new = TiedDecoder(update=True, inplace=True).make_node(*node.inputs).outputs
    copy_stack_trace(node.outputs, new)
    return new


register(decoder_to_tied_decoder, "tied_decoder", priority=2.4)
register(rank_update_to_tied_decoder, "tied_update", priority=2.5)
register_inplace(tied_update_inplace, "tied_update_inplace")
