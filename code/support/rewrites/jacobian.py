"""The squared norm of a layer's Jacobian and its gradient, without the Jacobian: a penalty on what a layer copies."""

from support.rewrites.patterns import elementwise, is_float_matrix, is_scalar, terms
from support.rewrites.registry import register
from support.rewrites.updates import joined_update

import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Sum


@node_rewriter([Sum])
def sum_to_factored_sum(fgraph, node):
    """sum over (b, i, j) of (S_bj W_ij)^2 -> sum over j of (sum over b of S_bj^2) (sum over i of W_ij^2)

    In general: the sum, over some axes of a tensor, of a product whose factors lack an axis each. Each axis is summed
    over in turn, of the factors alone that have it. Where these have all axes together, as the two of a product of
    matrices, the tensor would be as large as before, and the sum is left alone.
    """
    [product], [out] = node.inputs, node.outputs
    if product.type.ndim < 3 or len(fgraph.clients[product]) > 1:
        return None
    factors = factors_of(product)
    if len(factors) < 2 or any(factor.type.dtype != out.type.dtype for factor in factors):
        return None
    axes = range(product.type.ndim)
    long_axes = {axis for axis in axes if any(axis in axes_of(factor) for factor in factors)}
    if len(long_axes) < 3 or any(axes_of(factor) == long_axes for factor in factors):
        return None
    summed = set(axes if node.op.axis is None else node.op.axis)
    left = summed & long_axes
    while left:
        # First what is shared by the fewest: their sums are the smallest.
        axis = min(left, key=lambda axis: sum(axis in axes_of(factor) for factor in factors))
        having = [factor for factor in factors if axis in axes_of(factor)]
        if set().union(*map(axes_of, having)) == long_axes:
            return None
        rest = [factor for factor in factors if axis not in axes_of(factor)]
        theirs = {axis for axis in left if not any(axis in axes_of(factor) for factor in rest)}
        alone = sorted(axis for axis in theirs if all(axis in axes_of(factor) for factor in having))
        factors = [*rest, pt.sum(multiply(having), axis=tuple(alone), keepdims=True)]
        left -= {*alone}
    kept = [axis for axis in axes if axis not in summed]
    result = multiply([rearranged(factor, kept) for factor in factors])
    if not out.type.is_super(result.type):
        return None
    copy_stack_trace(out, result)
    return [result]


def axes_of(factor):
    """The axes along which a factor may have more than one entry."""
    return {axis for axis, single in enumerate(factor.type.broadcastable) if not single}


def factors_of(variable):
    """The factors of a product, or of one that is divided by a scalar; those of a square of a product twice each."""
    if (operands := elementwise(variable, ps.Pow)) is not None:
        base, exponent = operands
        if get_underlying_scalar_constant_value(exponent, raise_not_constant=False) == 2:
            return [factor for factor in factors_of(base) for _ in range(2)]
    if (operands := elementwise(variable, ps.Sqr)) is not None:
        return [factor for factor in factors_of(operands[0]) for _ in range(2)]
    if (operands := elementwise(variable, ps.Mul)) is not None:
        return [factor for operand in operands for factor in factors_of(operand)]
    if (operands := elementwise(variable, ps.TrueDiv)) is not None:
        dividend, divisor = operands
        if is_scalar(divisor) and divisor.type.dtype == variable.type.dtype:  # such as the size of a minibatch
            return [*factors_of(dividend), pt.reciprocal(divisor)]
    return [variable]


def rearranged(variable, order):
    """`dimshuffle`, but for one that only undoes another."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle):
        inner = variable.owner.op.new_order
        variable, order = variable.owner.inputs[0], [inner[axis] if axis != "x" else "x" for axis in order]
    return variable if order == list(range(variable.type.ndim)) else variable.dimshuffle(*order)


def multiply(factors):
    """The elementwise product of one or more variables."""
    return pt.mul(*factors) if len(factors) > 1 else factors[0]


@node_rewriter([Elemwise])
def descent_to_shrinking_update(fgraph, node):
    """W - lr (X'D + W r) -> RankUpdate(W (1 - lr r), X, D, -lr, 1), for a row r: a decay of its own for each column"""
    [out] = node.outputs
    if not is_float_matrix(out) or not isinstance(node.op.scalar_op, ps.Add | ps.Sub):
        return None
    summands = terms(fgraph, out)
    products = [term for term in summands if term.matrix is None]
    others = [term for term in summands if term.matrix is not None]
    W = next((term.matrix for term in others if term.matrix.owner is None), None)
    if W is None or not products or any(W.type.broadcastable):
        return None
    sides = [side for term in products for side in (term.left, term.right)]
    if any(side.type.broadcastable[1] for side in sides):
        return None  # one row or column, which is added to each of W
    scale = []
    for term in others:
        rows = row_factors(term.matrix, W)
        if rows is None:
            return None
        scale.append(pt.mul(term.coefficient(W.dtype), *rows) if rows else term.coefficient(W.dtype))
    if all(is_scalar(factor) for factor in scale):
        return None  # rank_update's
    shrunk = pt.mul(W, pt.add(*scale))
    updated = joined_update(shrunk, products, pt.constant(1, dtype=W.dtype))
    if not is_float_matrix(W, out, shrunk, *sides) or not out.type.is_super(updated.type):
        return None
    copy_stack_trace(out, [shrunk, updated])
    return [updated]


def row_factors(variable, W):
    """The rows and scalars whose product, times W, is `variable`; None where it is not seen to be so."""
    if variable is W:
        return []
    factors = elementwise(variable, ps.Mul) or []
    rows = [factor for factor in factors if factor is not W]
    fits = len(rows) == len(factors) - 1 and all(factor.type.broadcastable[0] for factor in rows)
    return rows if fits else None


register(sum_to_factored_sum, "factored_sum", priority=0)
register(descent_to_shrinking_update, "shrinking_update", priority=0.5)
