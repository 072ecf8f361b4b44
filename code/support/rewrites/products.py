"""Products of a minibatch and a weight matrix, in one direction and in the other."""

from support.environment import THREADS
from support.rewrites.patterns import NARROW, is_float_matrix, untransposed
from support.rewrites.registry import PARALLEL, numba_implementation, register

import numba
import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix

FEW = 100  # rows; up to here loops over what is not zero, and W D' with its transpose for D W', are faster than BLAS
SPARSE = 0.25  # the share of entries that are not zero up to which that is so


class Product(Op):
    """A product of two matrices."""

    __props__ = ()

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.dot(*inputs)

    def make_node(self, X, W):
        return Apply(self, [X, W], [matrix(dtype=W.dtype, shape=(X.type.shape[0], W.type.shape[1]))])


def is_sparse(X):
    """Whether a minibatch is one of which the zeros are worth to be skipped."""
    k, n = X.shape
    if k > FEW:
        return False
    used = np.int32(0)  # of the size of single precision, so that several are counted at once
    for r in range(k):
        for i in range(n):
            used += np.int32(X[r, i] != 0)
    return used <= SPARSE * X.size


def is_finite(A):
    """Whether no entry of a matrix is infinite or NaN."""
    others = np.int32(0)
    for r in range(A.shape[0]):
        for j in range(A.shape[1]):
            others += np.int32(not np.isfinite(A[r, j]))
    return others == 0


def find_nonzero(x, places):
    """Write the places where a vector is not zero into another, which is longer; return how many there are."""
    found = 0
    for i in range(len(x)):
        places[found] = i  # and over it again, where x is zero: a branch would be mispredicted too often
        found += x[i] != 0
    return found


def add_to_the_first(parts):
    """Add all further rows of a matrix to the first one; an array's own `+=` takes seconds to compile."""
    for part in range(1, parts.shape[0]):
        for j in range(parts.shape[1]):
            parts[0, j] += parts[part, j]


class SparseProduct(Product):
    """X W of X (batch, n) and W (n, m), for each row of X from those rows of W alone at which it is not zero.

    Of MNIST's pixels four fifths are zero, of a corrupted layer those that were masked. Four rows of W are added in
    one sweep over the result, which then is loaded and stored a quarter as often. Where nearly all of a single row
    counts, BLAS computes the product, if it is to use one thread; of several rows, where more than `SPARSE` counts.

    Zero times infinity or NaN adds nothing here, whatever computes the product: rows of W that are not read cannot be
    asked what is in them. It is the one place where the package departs from the arithmetic of the graph it is given.
    """

    W = 1  # its place among the inputs

    def rows_read(self, X, W):
        """The share of the rows of W that are read, in 0..1."""
        return np.mean((X != 0).any(axis=0)) if len(X) == 1 or is_sparse(X) else 1

    def perform(self, node, inputs, outputs):
        X, W = inputs
        outputs[0][0] = np.stack([x[x != 0] @ W[x != 0] for x in X])


@numba_implementation(SparseProduct)
def sparse_product(op, node):
    dtype = node.outputs[0].type.numpy_dtype
    sparse, finite, nonzero = numba_njit(is_sparse), numba_njit(is_finite), numba_njit(find_nonzero)
    add_up = numba_njit(add_to_the_first)

    @numba_njit
    def add_rows(total, x, W, rows):
        r, end = 0, rows.shape[0]
        while r + 4 <= end:
            i0, i1, i2, i3 = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
            x0, x1, x2, x3 = x[i0], x[i1], x[i2], x[i3]
            for j in range(total.shape[0]):
                total[j] += (x0 * W[i0, j] + x1 * W[i1, j]) + (x2 * W[i2, j] + x3 * W[i3, j])
            r += 4
        while r < end:
            i0 = rows[r]
            x0 = x[i0]
            for j in range(total.shape[0]):
                total[j] += x0 * W[i0, j]
            r += 1

    @numba_njit(parallel=PARALLEL)
    def add_parts(x, W, rows, sums):
        used = rows.shape[0]
        for part in numba.prange(THREADS):
            add_rows(sums[part], x, W, rows[part * used // THREADS : (part + 1) * used // THREADS])

    @numba_njit
    def product(X, W):
        k, n = X.shape
        m = W.shape[1]
        if W.shape[0] != n:
            raise ValueError("shapes of X and W do not fit")
        rows = np.empty(n + 1, np.int64)
        if k != 1:
            if not sparse(X):
                out = np.dot(X, W)
                if finite(out):
                    return out
            out = np.zeros((k, m), dtype)
            for r in range(k):  # by one thread: those of BLAS, which waits for its next product, would be in the way
                add_rows(out[r], X[r], W, rows[: nonzero(X[r], rows)])
            return out
        rows = rows[: nonzero(X[0], rows)]
        if THREADS == 1 and 10 * rows.shape[0] > 9 * n:
            out = np.dot(X, W)
            if finite(out):
                return out
        sums = np.zeros((THREADS, m), dtype)
        add_parts(X[0], W, rows, sums)
        add_up(sums)
        return sums[:1]

    return product


class NarrowProduct(Product):
    """X W of X (batch, n) and W (n, m) of few columns, in loops along the rows of X, for which BLAS is not made."""


@numba_implementation(NarrowProduct)
def narrow_product(op, node):
    dtype = node.outputs[0].type.numpy_dtype
    zero = dtype.type(0)

    @numba_njit
    def product(X, W):
        k, n = X.shape
        m = W.shape[1]
        if W.shape[0] != n:
            raise ValueError("shapes of X and W do not fit")
        X = np.ascontiguousarray(X)
        columns = np.ascontiguousarray(W.T)
        out = np.empty((k, m), dtype)
        r = 0
        while r + 4 <= k:
            c = 0
            while c + 2 <= m:
                u, v = columns[c], columns[c + 1]
                u0, u1, u2, u3 = zero, zero, zero, zero
                v0, v1, v2, v3 = zero, zero, zero, zero
                for i in range(n):
                    x0, x1, x2, x3 = X[r, i], X[r + 1, i], X[r + 2, i], X[r + 3, i]
                    u0 += x0 * u[i]
                    u1 += x1 * u[i]
                    u2 += x2 * u[i]
                    u3 += x3 * u[i]
                    v0 += x0 * v[i]
                    v1 += x1 * v[i]
                    v2 += x2 * v[i]
                    v3 += x3 * v[i]
                out[r, c], out[r + 1, c], out[r + 2, c], out[r + 3, c] = u0, u1, u2, u3
                out[r, c + 1], out[r + 1, c + 1], out[r + 2, c + 1], out[r + 3, c + 1] = v0, v1, v2, v3
                c += 2
            if c < m:
                for q in range(r, r + 4):
                    out[q, c] = np.dot(X[q], columns[c])
            r += 4
        while r < k:
            for c in range(m):
                out[r, c] = np.dot(X[r], columns[c])
            r += 1
        return out

    return product


class TransposedProduct(Op):
    """D W' of D (batch, m) and W (n, m), without a transposed copy of W.

    BLAS takes W as it lies and a flag, of a few rows faster as W D', whose transpose is small. With more than one
    thread, a batch of 1 is too short for it, and each thread takes a part of the rows of W.
    """

    __props__ = ()

    def make_node(self, D, W):
        return Apply(self, [D, W], [matrix(dtype=W.dtype, shape=(D.type.shape[0], W.type.shape[0]))])

    def perform(self, node, inputs, outputs):
        D, W = inputs
        outputs[0][0] = D @ W.T


@numba_implementation(TransposedProduct)
def transposed_product(op, node):
    dtype = node.outputs[0].type.numpy_dtype
    zero = dtype.type(0)

    @numba_njit(parallel=PARALLEL)
    def multiply_rows(D, W, out):
        n, m = W.shape
        d = D[0]
        for part in numba.prange(THREADS):
            for i in range(part * n // THREADS, (part + 1) * n // THREADS):
                row = W[i]
                total = zero
                for j in range(m):
                    total += row[j] * d[j]
                out[0, i] = total

    @numba_njit
    def product(D, W):
        if D.shape[1] != W.shape[1]:
            raise ValueError("shapes of D and W do not fit")
        if 1 < D.shape[0] <= FEW:
            return np.ascontiguousarray(np.dot(W, D.T).T)
        if THREADS == 1 or D.shape[0] != 1:
            return np.dot(D, W.T)
        out = np.empty((1, W.shape[0]), dtype)
        multiply_rows(D, W, out)
        return out

    return product


@node_rewriter([Dot])
def dot_to_sparse_product(fgraph, node):
    """X W -> SparseProduct(X, W), for a batch that is known to be small and a matrix that is nobody's result"""
    X, W = node.inputs
    batch = X.type.shape[0]
    if batch is not None and 1 <= batch <= FEW and W.owner is None:
        return replacement(node, SparseProduct(), X, W)


@node_rewriter([Dot])
def dot_to_narrow_product(fgraph, node):
    """X W -> NarrowProduct(X, W), for a batch that is known to be larger than 1 and a W of few columns

    A transpose is left to BLAS, which takes it as it lies, where loops along its rows would need a copy.
    """
    X, W = node.inputs
    batch, columns = X.type.shape[0], W.type.shape[1]
    if untransposed(X) is None and batch is not None and batch > 1 and columns is not None and columns <= NARROW:
        return replacement(node, NarrowProduct(), X, W)


@node_rewriter([Dot])
def dot_to_transposed_product(fgraph, node):
    """D W' -> TransposedProduct(D, W), for a matrix that is nobody's result"""
    D, W_transposed = node.inputs
    W = untransposed(W_transposed)
    if W is not None and W.owner is None:
        return replacement(node, TransposedProduct(), D, W)


def replacement(node, op, *inputs):
    """What to replace a node by, with this operation; None where that does not fit."""
    if not is_float_matrix(*inputs):
        return None
    out = op(*inputs)
    if not node.outputs[0].type.is_super(out.type):
        return None
    copy_stack_trace(node.outputs, out)
    return [out]


# After backprop_update, which takes a product along with the update where it can.
register(dot_to_transposed_product, "transposed_product", priority=3)
register(dot_to_narrow_product, "narrow_product", priority=3)
register(dot_to_sparse_product, "sparse_product", priority=3.5)  # but for what is narrow
