"""The squared norm of a layer's Jacobian and its gradient, without the Jacobian; a penalty of lesson 7."""

from support.rewrites.algebra import factors_of, multiply, replace

import pytensor.tensor as pt
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.elemwise import DimShuffle
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
    return replace([out], [multiply([rearranged(factor, kept) for factor in factors])])


def axes_of(factor):
    """The axes along which a factor may have more than one entry."""
    return {axis for axis, single in enumerate(factor.type.broadcastable) if not single}


def rearranged(variable, order):
    """`dimshuffle`, but for one that only undoes another."""
    while isinstance(variable.owner_op, DimShuffle):
        inner = variable.owner.op.new_order
        variable, order = variable.owner.inputs[0], [inner[axis] if axis != "x" else "x" for axis in order]
    return variable if order == list(range(variable.type.ndim)) else variable.dimshuffle(*order)
