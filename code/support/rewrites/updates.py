"""The update of a weight matrix, W - lr X'D, in one pass over it and without a matrix for the gradient."""

from functools import cache

from support.environment import THREADS
from support.rewrites.patterns import (
    NARROW,
    Term,
    is_float_matrix,
    multiplied,
    scalars_beyond,
    split_off_common,
    terms,
    untransposed,
)
from support.rewrites.products import is_finite, is_sparse
from support.rewrites.registry import PARALLEL, numba_implementation, register, register_inplace, rows_if_few

import numba
import numpy as np
import pytensor.tensor as pt
from numba.np.linalg import _BLAS, ensure_blas, get_blas_kind
from pytensor import scalar as ps
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix


class RankUpdate(Op):
    """beta W + alpha X'D of W (n, m), X (k, n) and D (k, m); alpha and beta are scalars.

    With one or two rows in X and D, or with more where most of X is zero, loops read and write each row of W once, and
    leave it alone where nothing is added to it. Else BLAS adds the product to W as it computes it; or, where W has but
    a few columns, for which BLAS is not made, loops along the rows of X do.

    Zero times infinity or NaN is NaN, as in the sum that this replaces: zeros are skipped only where D and alpha are
    finite, and BLAS, to which alpha = 0 and beta = 0 mean that a matrix is not read, is left out then.
    """

    __props__ = ("inplace",)

    def __init__(self, inplace=False):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, W, X, D, alpha, beta):
        alpha, beta = (pt.cast(scalar, W.dtype) for scalar in (alpha, beta))
        return Apply(self, [W, X, D, alpha, beta], [W.type()])

    def perform(self, node, inputs, outputs):
        W, X, D, alpha, beta = inputs
        outputs[0][0] = result = W if self.inplace else np.empty_like(W)
        result[...] = beta * W + alpha * (X.T @ D)

    W = 0  # its place among the inputs

    def rows_read(self, W, X, D, alpha, beta):
        """The share of the rows of W that are read, and where it is overwritten, written; in 0..1."""
        loops = len(X) <= 2 or W.shape[1] > NARROW and is_sparse(X)
        leaves_rows_alone = self.inplace and loops and beta == 1
        return np.mean((X != 0).any(axis=0)) if leaves_rows_alone else 1


@numba_implementation(RankUpdate)
def rank_update(op, node):
    inplace = op.inplace
    few = rows_if_few(node) > 0
    add = addition(node.outputs[0].type.numpy_dtype, few)

    @numba_njit
    def update(W, X, D, alpha, beta):
        n, m = W.shape
        k = X.shape[0]
        if X.shape[1] != n or D.shape[0] != k or D.shape[1] != m or few and k > 2:
            raise ValueError("shapes of W, X and D do not fit")
        if not inplace:
            W = W.copy()
        add(W, np.ascontiguousarray(X), np.ascontiguousarray(D), alpha.item(), beta.item())
        return W

    return update


@cache
def addition(dtype, few):
    """A compiled function (W, X, D, a, b) that does W <- b W + a X'D; X and D in C order, of one or two rows if `few`.

    It is the same function for all operations, so that a process compiles it once.
    """
    add_product = gemm(dtype)
    sparse, finite = numba_njit(is_sparse), numba_njit(is_finite)

    @numba_njit(parallel=PARALLEL)
    def add_outer_products(W, X, D, a, b):
        n, m = W.shape
        k = X.shape[0]
        for part in numba.prange(THREADS):
            for i in range(part * n // THREADS, (part + 1) * n // THREADS):
                row = W[i]
                x0 = a * X[0, i]
                x1 = a * X[k - 1, i] if k == 2 else x0
                if b != 1:
                    for j in range(m):
                        row[j] *= b
                if k == 2 and x1 != 0:
                    if x0 != 0:
                        for j in range(m):
                            row[j] += x0 * D[0, j] + x1 * D[1, j]
                    else:
                        for j in range(m):
                            row[j] += x1 * D[1, j]
                elif x0 != 0:
                    for j in range(m):
                        row[j] += x0 * D[0, j]

    @numba_njit
    def add_sparse_product(W, X, D, a, b):
        n, m = W.shape
        k = X.shape[0]
        columns = np.ascontiguousarray(X.T)
        rows = np.empty(k + 1, np.int64)
        for i in range(n):
            row = W[i]
            used = 0
            for r in range(k):
                rows[used] = r
                used += columns[i, r] != 0
            if b != 1:
                for j in range(m):
                    row[j] *= b
            r = 0
            while r + 4 <= used:
                r0, r1, r2, r3 = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
                x0, x1, x2, x3 = a * columns[i, r0], a * columns[i, r1], a * columns[i, r2], a * columns[i, r3]
                for j in range(m):
                    row[j] += (x0 * D[r0, j] + x1 * D[r1, j]) + (x2 * D[r2, j] + x3 * D[r3, j])
                r += 4
            if r + 2 <= used:
                r0, r1 = rows[r], rows[r + 1]
                x0, x1 = a * columns[i, r0], a * columns[i, r1]
                for j in range(m):
                    row[j] += x0 * D[r0, j] + x1 * D[r1, j]
                r += 2
            if r < used:
                r0 = rows[r]
                x0 = a * columns[i, r0]
                for j in range(m):
                    row[j] += x0 * D[r0, j]

    @numba_njit
    def add_narrow_product(W, X, D, a, b):
        n, m = W.shape
        k = X.shape[0]
        sums = np.zeros((m, n), dtype)
        r = 0
        while r + 8 <= k:
            for c in range(m):
                row = sums[c]
                d0, d1, d2, d3 = D[r, c], D[r + 1, c], D[r + 2, c], D[r + 3, c]
                d4, d5, d6, d7 = D[r + 4, c], D[r + 5, c], D[r + 6, c], D[r + 7, c]
                for i in range(n):
                    row[i] += ((d0 * X[r, i] + d1 * X[r + 1, i]) + (d2 * X[r + 2, i] + d3 * X[r + 3, i])) + (
                        (d4 * X[r + 4, i] + d5 * X[r + 5, i]) + (d6 * X[r + 6, i] + d7 * X[r + 7, i])
                    )
            r += 8
        while r < k:
            for c in range(m):
                row = sums[c]
                d0 = D[r, c]
                for i in range(n):
                    row[i] += d0 * X[r, i]
            r += 1
        for i in range(n):
            for c in range(m):
                W[i, c] = b * W[i, c] + a * sums[c, i]

    @numba_njit
    def add_everything(W, X, D, a, b):
        n, m = W.shape
        sums = np.empty(m, dtype)
        for i in range(n):
            row = W[i]
            sums[:] = 0
            for r in range(X.shape[0]):
                x0 = X[r, i]
                for j in range(m):
                    sums[j] += x0 * D[r, j]
            for j in range(m):
                row[j] = b * row[j] + a * sums[j]

    @numba_njit
    def add_few(W, X, D, a, b):
        if X.shape[0] != 0 and np.isfinite(a) and finite(D):
            add_outer_products(W, X, D, a, b)
        else:
            add_everything(W, X, D, a, b)

    @numba_njit
    def add_any(W, X, D, a, b):
        k, m = D.shape
        if k <= 2:
            add_few(W, X, D, a, b)
        elif m <= NARROW:
            add_narrow_product(W, X, D, a, b)
        elif sparse(X) and np.isfinite(a) and finite(D):
            add_sparse_product(W, X, D, a, b)
        elif a != 0 and b != 0:
            add_product(W, X, D, a, b)
        else:
            add_everything(W, X, D, a, b)

    return add_few if few else add_any


def gemm(dtype):
    """A compiled function (W, X, D, alpha, beta) that does W <- beta W + alpha X'D by BLAS; X and D in C order."""
    ensure_blas()
    kind = ord(get_blas_kind(numba.from_dtype(dtype)))
    xxgemm = _BLAS().numba_xxgemm(numba.from_dtype(dtype))
    as_is, transposed = ord("n"), ord("t")

    @numba_njit
    def add_product(W, X, D, alpha, beta):
        n, m = W.shape
        k = X.shape[0]
        factors = np.array([alpha, beta], dtype)
        # BLAS counts along columns: what it sees is W' <- beta W' + alpha D'X, whose rows are W's columns.
        out = W if W.flags.c_contiguous else W.copy()
        xxgemm(
            kind, as_is, transposed, m, n, k,
            factors[0:].ctypes, D.ctypes, m, X.ctypes, n, factors[1:].ctypes, out.ctypes, m,
        )  # fmt: skip
        if not W.flags.c_contiguous:
            for i in range(n):  # `W[:] = out` takes seconds to compile
                for j in range(m):
                    W[i, j] = out[i, j]

    return add_product


class BackpropUpdate(Op):
    """D W' and W + alpha X'D of W (n, m), and of a batch of 1, X (1, n) and D (1, m), in one pass over W.

    The product is taken with the old W.
    """

    __props__ = ("inplace",)

    def __init__(self, inplace=False):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {1: [0]}

    def make_node(self, W, X, D, alpha):
        return Apply(self, [W, X, D, alpha], [matrix(dtype=W.dtype, shape=(1, W.type.shape[0])), W.type()])

    def perform(self, node, inputs, outputs):
        W, X, D, alpha = inputs
        outputs[0][0] = D @ W.T
        outputs[1][0] = result = W if self.inplace else np.empty_like(W)
        result[...] = W + alpha * (X.T @ D)


@numba_implementation(BackpropUpdate)
def backprop_update(op, node):
    inplace = op.inplace
    dtype = node.outputs[0].type.numpy_dtype
    zero = dtype.type(0)

    @numba_njit(parallel=PARALLEL)
    def pass_over(W, X, D, a, out):
        n, m = W.shape
        d = D[0]
        for part in numba.prange(THREADS):
            for i in range(part * n // THREADS, (part + 1) * n // THREADS):
                row = W[i]
                x = a * X[0, i]
                total = zero
                for j in range(m):
                    w = row[j]
                    total += w * d[j]
                    row[j] = w + x * d[j]
                out[0, i] = total

    @numba_njit
    def update(W, X, D, alpha):
        n, m = W.shape
        if X.shape[0] != 1 or D.shape[0] != 1 or X.shape[1] != n or D.shape[1] != m:
            raise ValueError("shapes of W, X and D do not fit")
        if not inplace:
            W = W.copy()
        out = np.empty((1, n), dtype)
        pass_over(W, X, D, alpha.item(), out)
        return out, W

    return update


@node_rewriter([Elemwise])
def descent_to_rank_update(fgraph, node):
    """W - lr X'D -> RankUpdate(W, X, D, -lr, 1)

    With a batch of 1 the product is X' * D, elementwise. Several products, as the two that share a weight matrix in
    an autoencoder, become one of more rows; a term c W, as of weight decay, becomes part of beta.
    """
    [out] = node.outputs
    if not is_float_matrix(out) or not isinstance(node.op.scalar_op, ps.Add | ps.Sub):
        return None
    summands = terms(fgraph, out)
    products = [term for term in summands if term.matrix is None]
    others = [term for term in summands if term.matrix is not None]
    W = others[0].matrix if others else None
    if not products or not others or any(term.matrix is not W for term in others):
        return None
    if W.owner is not None or any(W.type.broadcastable):
        return None
    sides = [side for term in products for side in (term.left, term.right)]
    if not is_float_matrix(W, out, *sides) or not out.type.is_super(W.type):
        return None
    if any(side.type.broadcastable[1] for side in sides):
        return None  # one row or column, which is added to each of W

    betas = [term.coefficient(W.dtype) for term in others]
    updated = joined_update(W, products, pt.add(*betas) if len(betas) > 1 else betas[0])
    copy_stack_trace(out, updated)
    return [updated]


def joined_update(W, products, beta):
    """beta W plus one or more products, as one RankUpdate; `products` are of `support.rewrites.patterns.Term`."""
    if len(products) == 1:
        X, D, alpha = products[0].left, products[0].right, products[0].coefficient(W.dtype)
    else:
        common, *rest = split_off_common([term.scalars for term in products])
        own = [Term(scalars, term.negative).coefficient(W.dtype) for scalars, term in zip(rest, products)]
        X = pt.join(0, *(term.left for term in products))
        D = pt.join(0, *(scalar * of_one_batch(term) for scalar, term in zip(own, products)))
        alpha = multiplied(common, W.dtype)
    return RankUpdate()(W, X, D, alpha, beta)


def of_one_batch(term):
    """The right side of a product, with as many rows as the left one: behind a join nobody would miss any."""
    rows = term.left.type.shape[0]
    if rows is not None and rows == term.right.type.shape[0]:
        return term.right
    return pt.specify_shape(term.right, (term.left.shape[0], None))


@node_rewriter([RankUpdate])
def rank_update_to_backprop_update(fgraph, node):
    """D W', RankUpdate(W, X, D, alpha, 1) -> BackpropUpdate(W, X, D, alpha), for a batch that is known to be 1"""
    W, X, D, alpha, beta = node.inputs
    if node.op.inplace or D.type.shape[0] != 1:
        return None
    if get_underlying_scalar_constant_value(beta, raise_not_constant=False) != 1:
        return None
    for product in products_with_transposed(fgraph, W):
        scalars = scalars_beyond(product.inputs[0], D)
        if scalars is None:
            continue
        if any(argument.owner and apply_depends_on(argument.owner, product) for argument in (X, D, alpha)):
            continue  # the update waits for what the product gives
        fused, updated = BackpropUpdate()(W, X, D, alpha)
        backpropagated = pt.mul(fused, *(scalar.squeeze() for scalar in scalars)) if scalars else fused
        if product.outputs[0].type.is_super(backpropagated.type):
            copy_stack_trace([product.outputs[0], node.outputs[0]], [fused, updated])
            return {product.outputs[0]: backpropagated, node.outputs[0]: updated}
    return None


def products_with_transposed(fgraph, W):
    """The nodes that multiply something by the transpose of this matrix, from the left."""
    for transpose, _ in fgraph.clients[W]:
        if len(transpose.outputs) == 1 and untransposed(transpose.outputs[0]) is W:
            for client, position in fgraph.clients[transpose.outputs[0]]:
                if isinstance(client.op, Dot) and position == 1:
                    yield client


@node_rewriter([RankUpdate, BackpropUpdate], inplace=True)
def update_inplace(fgraph, node):
    """RankUpdate, BackpropUpdate -> the same, written over W"""
    if node.op.inplace:
        return None
    new = type(node.op)(inplace=True).make_node(*node.inputs).outputs
    copy_stack_trace(node.outputs, new)
    return new


register(descent_to_rank_update, "rank_update", priority=1)
register(rank_update_to_backprop_update, "backprop_update", priority=2)
register_inplace(update_inplace, "update_inplace")
