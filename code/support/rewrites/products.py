"""Products of a minibatch and a weight matrix, in one direction and in the other."""

from support.rewrites import kernels
from support.rewrites.algebra import is_float_matrix, replace, untransposed
from support.rewrites.internals import Kernel
from support.rewrites.kernels import FEW, NARROW
from support.start import THREADS

import numpy as np
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix


class MatrixProduct(Kernel):
    """A product of two matrices."""

    def results(self, X, W):
        return [matrix(dtype=W.dtype, shape=(X.type.shape[0], W.type.shape[1]))]

    def compute(self, X, W):
        return [np.dot(X, W)]


class SparseProduct(MatrixProduct):
    """X W of X (batch, n) and W (n, m), for each row of X from those rows of W alone at which it is not zero.

    Four fifths of MNIST's pixels are zero. Four rows of W are added in one sweep over the result, which then is loaded
    and stored a quarter as often. Where nearly all of a single row counts, or more than `SPARSE` of several rows, BLAS
    computes the product. Zero times infinity or NaN adds nothing, whatever computes it.
    """

    W = 1  # its place among the inputs

    def rows_read(self, X, W):
        """The share of the rows of W that are read, in 0..1."""
        return np.mean((X != 0).any(axis=0)) if len(X) == 1 or kernels.is_sparse(X) else 1

    def compute(self, X, W):
        return [np.stack([x[x != 0] @ W[x != 0] for x in X])]

    def loops(self, node):
        def product(X, W):
            (k, n), m = X.shape, W.shape[1]
            if W.shape[0] != n:
                raise ValueError("shapes of X and W do not fit")
            rows = np.empty(n + 1, np.int64)
            used = kernels.find_nonzero(X[0], rows) if k == 1 else 0
            if (THREADS == 1 and 10 * used > 9 * n) if k == 1 else not kernels.sparse(X):
                out = np.dot(X, W)
                if kernels.finite(out):
                    return out
            if k == 1:
                out = np.zeros((THREADS, m), W.dtype)
                kernels.add_rows_in_parts(X[0], W, rows[:used], out)
                kernels.add_to_the_first(out)
                return out[:1]
            out = np.zeros((k, m), W.dtype)
            for r in range(k):  # by one thread: those of BLAS, which waits for its next product, would be in the way
                used = kernels.find_nonzero(X[r], rows)
                kernels.add_rows(out[r], W.dtype.type(1), X[r], W, rows[:used])
            return out

        return product


class NarrowProduct(MatrixProduct):
    """X W of X (batch, n) and W (n, m) of few columns, in loops along the rows of X, for which BLAS is not made."""

    def loops(self, node):
        def product(X, W):
            if W.shape[0] != X.shape[1]:
                raise ValueError("shapes of X and W do not fit")
            return kernels.multiply_narrow(np.ascontiguousarray(X), np.ascontiguousarray(W.T))

        return product


class TransposedProduct(Kernel):
    """D W' of D (batch, m) and W (n, m), without a transposed copy of W.

    BLAS takes W as it lies, and a few rows faster as W D'. If there are several threads, a batch of 1 is too short for
    BLAS, and each thread takes a part of the rows of W.
    """

    def results(self, D, W):
        return [matrix(dtype=W.dtype, shape=(D.type.shape[0], W.type.shape[0]))]

    def compute(self, D, W):
        return [D @ W.T]

    def loops(self, node):
        def product(D, W):
            if D.shape[1] != W.shape[1]:
                raise ValueError("shapes of D and W do not fit")
            if 1 < D.shape[0] <= FEW:
                return np.ascontiguousarray(np.dot(W, D.T).T)
            if THREADS == 1 or D.shape[0] != 1:
                return np.dot(D, W.T)
            out = np.empty((1, W.shape[0]), W.dtype)
            kernels.multiply_rows(W, D, D, W.dtype.type(0), out)
            return out

        return product


@node_rewriter([Dot])
def dot_to_transposed_product(fgraph, node):
    """D W' -> TransposedProduct(D, W), for a matrix that is nobody's result"""
    D, W_transposed = node.inputs
    W = untransposed(W_transposed)
    if W is not None and W.owner is None and is_float_matrix(D, W):
        return replace(node.outputs, [TransposedProduct()(D, W)])


@node_rewriter([Dot])
def dot_to_narrow_product(fgraph, node):
    """X W -> NarrowProduct(X, W), for a batch that is known to be larger than 1 and a W of few columns"""
    X, W = node.inputs
    few_columns = (X.type.shape[0] or 0) > 1 and (W.type.shape[1] or NARROW + 1) <= NARROW
    if few_columns and untransposed(X) is None and is_float_matrix(X, W):  # BLAS takes a transpose as it lies
        return replace(node.outputs, [NarrowProduct()(X, W)])


@node_rewriter([Dot])
def dot_to_sparse_product(fgraph, node):
    """X W -> SparseProduct(X, W), for a batch that is known to be small and a matrix that is nobody's result"""
    X, W = node.inputs
    if 1 <= (X.type.shape[0] or 0) <= FEW and W.owner is None and is_float_matrix(X, W):
        return replace(node.outputs, [SparseProduct()(X, W)])
