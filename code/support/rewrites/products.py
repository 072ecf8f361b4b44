"""Products of a minibatch and a weight matrix, in one direction and in the other."""

from support.rewrites import kernels
from support.rewrites.algebra import is_float_matrix, replace, untransposed
from support.rewrites.internals import numba_implementation
from support.rewrites.kernels import FEW, NARROW
from support.start import THREADS

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix


class MatrixProduct(Op):
    """A product of two matrices."""

    __props__ = ()

    def make_node(self, X, W):
        return Apply(self, [X, W], [matrix(dtype=W.dtype, shape=(X.type.shape[0], W.type.shape[1]))])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.dot(*inputs)


class SparseProduct(MatrixProduct):
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
        return np.mean((X != 0).any(axis=0)) if len(X) == 1 or kernels.is_sparse(X) else 1

    def perform(self, node, inputs, outputs):
        X, W = inputs
        outputs[0][0] = np.stack([x[x != 0] @ W[x != 0] for x in X])


@numba_implementation(SparseProduct)
def sparse_product(op, node):
    @numba_njit
    def product(X, W):
        k, n = X.shape
        m = W.shape[1]
        if W.shape[0] != n:
            raise ValueError("shapes of X and W do not fit")
        rows = np.empty(n + 1, np.int64)
        if k != 1:
            if not kernels.sparse(X):
                out = np.dot(X, W)
                if kernels.finite(out):
                    return out
            out = np.zeros((k, m), W.dtype)
            for r in range(k):  # by one thread: those of BLAS, which waits for its next product, would be in the way
                kernels.add_rows(out[r], X[r], W, rows[: kernels.find_nonzero(X[r], rows)])
            return out
        rows = rows[: kernels.find_nonzero(X[0], rows)]
        if THREADS == 1 and 10 * rows.shape[0] > 9 * n:
            out = np.dot(X, W)
            if kernels.finite(out):
                return out
        sums = np.zeros((THREADS, m), W.dtype)
        kernels.add_rows_in_parts(X[0], W, rows, sums)
        kernels.add_to_the_first(sums)
        return sums[:1]

    return product


class NarrowProduct(MatrixProduct):
    """X W of X (batch, n) and W (n, m) of few columns, in loops along the rows of X, for which BLAS is not made."""


@numba_implementation(NarrowProduct)
def narrow_product(op, node):
    @numba_njit
    def product(X, W):
        if W.shape[0] != X.shape[1]:
            raise ValueError("shapes of X and W do not fit")
        return kernels.multiply_narrow(np.ascontiguousarray(X), np.ascontiguousarray(W.T))

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
    @numba_njit
    def product(D, W):
        if D.shape[1] != W.shape[1]:
            raise ValueError("shapes of D and W do not fit")
        if 1 < D.shape[0] <= FEW:
            return np.ascontiguousarray(np.dot(W, D.T).T)
        if THREADS == 1 or D.shape[0] != 1:
            return np.dot(D, W.T)
        out = np.empty((1, W.shape[0]), W.dtype)
        kernels.multiply_rows(D, W, out)
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
    """X W -> NarrowProduct(X, W), for a batch that is known to be larger than 1 and a W of few columns

    A transpose is left to BLAS, which takes it as it lies, where loops along its rows would need a copy.
    """
    X, W = node.inputs
    batch, columns = X.type.shape[0], W.type.shape[1]
    few_columns = batch is not None and batch > 1 and columns is not None and columns <= NARROW
    if few_columns and untransposed(X) is None and is_float_matrix(X, W):
        return replace(node.outputs, [NarrowProduct()(X, W)])


@node_rewriter([Dot])
def dot_to_sparse_product(fgraph, node):
    """X W -> SparseProduct(X, W), for a batch that is known to be small and a matrix that is nobody's result"""
    X, W = node.inputs
    batch = X.type.shape[0]
    if batch is not None and 1 <= batch <= FEW and W.owner is None and is_float_matrix(X, W):
        return replace(node.outputs, [SparseProduct()(X, W)])
