"""The update of a weight matrix, W - lr X'D, in one pass over it and without a matrix for the gradient."""

from collections import Counter
from functools import reduce
from operator import and_

from support.rewrites import kernels
from support.rewrites.algebra import (
    Product,
    clients,
    constant,
    is_float_matrix,
    multiplied,
    multiply,
    products_of,
    replace,
    scalars_beyond,
    untransposed,
)
from support.rewrites.internals import Update

import numpy as np
import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.type import matrix


class RankUpdate(Update):
    """beta W + alpha X'D of W (n, m), X (k, n) and D (k, m); alpha and beta are scalars.

    With one or two rows in X and D, or with more where most of X is zero, loops read and write each row of W once, and
    leave it alone where nothing is added to it. Else BLAS adds the product to W as it computes it; or, where W has but
    a few columns, loops along the rows of X do. Zero times infinity or NaN is NaN, as in the sum that this replaces:
    zeros are skipped, and BLAS skips a matrix that is multiplied by 0, only where that makes no difference.
    """

    def results(self, W, X, D, alpha, beta):
        return [W.type()]

    def compute(self, W, X, D, alpha, beta):
        return [beta * W + alpha * (X.T @ D)]

    def rows_read(self, W, X, D, alpha, beta):
        """The share of the rows of W that are read, and where it is overwritten, written; in 0..1."""
        loops = len(X) <= 2 or W.shape[1] > kernels.NARROW and kernels.is_sparse(X)
        leaves_rows_alone = self.inplace and loops and beta == 1
        return np.mean((X != 0).any(axis=0)) if leaves_rows_alone else 1

    def depends_on(self, node):
        """Whether X is known to have one or two rows: the loops for more take seconds to compile."""
        return node.inputs[1].type.shape[0] in (1, 2)

    def loops(self, node):
        inplace, few = self.inplace, self.depends_on(node)
        add = kernels.addition(node.outputs[0].type.numpy_dtype, few)

        def update(W, X, D, alpha, beta):
            (n, m), k = W.shape, X.shape[0]
            if X.shape[1] != n or D.shape != (k, m) or few and k > 2:
                raise ValueError("shapes of W, X and D do not fit")
            W = np.ascontiguousarray(W) if inplace else W.copy()
            add(W, np.ascontiguousarray(X), np.ascontiguousarray(D), alpha.item(), beta.item())
            return W

        return update


class BackpropUpdate(Update):
    """D W', with the old W, and W + alpha X'D, of W (n, m) and a batch of 1, X (1, n) and D (1, m), in one pass."""

    updated = 1

    def results(self, W, X, D, alpha):
        return [matrix(dtype=W.dtype, shape=(1, W.type.shape[0])), W.type()]

    def compute(self, W, X, D, alpha):
        return D @ W.T, W + alpha * (X.T @ D)

    def loops(self, node):
        inplace = self.inplace

        def update(W, X, D, alpha):
            n, m = W.shape
            if X.shape != (1, n) or D.shape != (1, m):
                raise ValueError("shapes of W, X and D do not fit")
            if not inplace:
                W = W.copy()
            out = np.empty((1, n), W.dtype)
            kernels.multiply_and_update_rows(W, X, D, alpha.item(), out)
            return out, W

        return update


@node_rewriter([Elemwise])
def descent_to_rank_update(fgraph, node):
    """W - lr X'D -> RankUpdate(W, X, D, -lr, 1)

    With a batch of 1 the product is X' * D, elementwise. Several products, as in an autoencoder with tied weights,
    become one of more rows; a term c W, as of weight decay, becomes part of beta. Where c is a row, a decay of its own
    for each column, W * beta is updated.
    """
    [out] = node.outputs
    if not is_float_matrix(out) or not isinstance(node.op.scalar_op, ps.Add | ps.Sub):
        return None

    def follows(variable, alone):  # what is computed for others anyway is cheaper to read than to compute again
        return variable is out or alone and len(fgraph.clients[variable]) == 1

    terms = [Product(*term) for term in products_of(out, follows)]
    sides = [sides_of(fgraph, term.factors) for term in terms]
    products = [(term, *pair) for term, pair in zip(terms, sides) if pair]
    others = [term for term, pair in zip(terms, sides) if not pair]
    of_no_node = [v for term in others for v in term.factors if v.owner is None and not any(v.type.broadcastable)]
    if not products or not of_no_node:
        return None
    W, betas = of_no_node[0], []
    for term in others:
        rows = [factor for factor in term.factors if factor is not W]
        if len(rows) != len(term.factors) - 1 or not all(row.type.broadcastable[0] for row in rows):
            return None
        betas.append(multiply([term.coefficient(W.dtype), *rows]))
    beta = pt.add(*betas) if len(betas) > 1 else betas[0]
    decayed, beta = (pt.mul(W, beta), pt.constant(1, dtype=W.dtype)) if beta.type.ndim else (W, beta)
    both = [side for _, *pair in products for side in pair]
    if not is_float_matrix(out, W, decayed, *both) or any(side.type.broadcastable[1] for side in both):
        return None  # a side of one column would make one row or column, which is added to each of W
    return replace([out], [joined_update(decayed, products, beta)], made=[decayed] if decayed is not W else [])


def sides_of(fgraph, factors):
    """X and D of a product X'D, or of an elementwise one of columns and rows; None of anything else."""
    if len(factors) == 1:
        match factors[0].owner_op_and_inputs:
            case Dot(), left, right if len(fgraph.clients[factors[0]]) == 1 and untransposed(left) is not None:
                return untransposed(left), right
        return None
    columns = [factor for factor in factors if factor.type.broadcastable == (False, True)]
    rows = [factor for factor in factors if factor.type.broadcastable == (True, False)]
    if not columns or not rows or len(columns) + len(rows) < len(factors):
        return None
    left = [column.T if (row := untransposed(column)) is None else row for column in columns]
    return multiply(left), multiply(rows)


def joined_update(W, products, beta):
    """beta W plus one or more products, as one RankUpdate; `products` are tuples of a `Product` of scalars, X and D."""
    if len(products) == 1:
        [(term, X, D)] = products
        return RankUpdate()(W, X, D, term.coefficient(W.dtype), beta)
    common = reduce(and_, [Counter(term.scalars) for term, _, _ in products])
    rights = []
    for term, X, D in products:
        if X.type.shape[0] is None or X.type.shape[0] != D.type.shape[0]:
            D = pt.specify_shape(D, (X.shape[0], None))  # behind a join nobody would miss any rows
        own = Product(term.number, (Counter(term.scalars) - common).elements())
        rights.append(own.coefficient(W.dtype) * D)
    X, D = pt.join(0, *(X for _, X, _ in products)), pt.join(0, *rights)
    return RankUpdate()(W, X, D, multiplied(common.elements(), W.dtype), beta)


@node_rewriter([RankUpdate])
def rank_update_to_backprop_update(fgraph, node):
    """D W', RankUpdate(W, X, D, alpha, 1) -> BackpropUpdate(W, X, D, alpha), for a batch that is known to be 1"""
    W, X, D, alpha, beta = node.inputs
    if D.type.shape[0] != 1 or constant(beta) != 1:
        return None
    transposes = [client.outputs[0] for client in clients(fgraph, W, DimShuffle)]
    for dot in [dot for W_T in transposes if untransposed(W_T) is W for dot in clients(fgraph, W_T, Dot, place=1)]:
        scalars = scalars_beyond(dot.inputs[0], D)
        if scalars is None or any(each.owner and apply_depends_on(each.owner, dot) for each in (X, D, alpha)):
            continue  # of another factor, or the update waits for what the product gives
        fused, updated = BackpropUpdate()(W, X, D, alpha)
        back = multiply([fused, *(scalar.squeeze() for scalar in scalars)])
        return replace([dot.outputs[0], node.outputs[0]], [back, updated], made=[fused])
    return None


@node_rewriter([Update], inplace=True)
def update_inplace(fgraph, node):
    """RankUpdate, BackpropUpdate, TiedDecoder -> the same, written over W"""
    if not node.op.inplace and node.op.updated is not None:
        return replace(node.outputs, node.op.with_inplace(True).make_node(*node.inputs).outputs)
