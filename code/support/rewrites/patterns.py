"""What the rewrites look for in a graph."""

from collections import Counter
from functools import reduce
from operator import and_

import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.basic import Variable
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.type import TensorType

NARROW = 16  # columns; up to here loops along the long side of a product are faster than BLAS


def is_float_matrix(*variables):
    """Whether all are matrices of one floating-point type."""
    first = variables[0].type
    return all(
        isinstance(variable.type, TensorType)
        and variable.type.ndim == 2
        and variable.type.dtype == first.dtype
        and variable.type.dtype in ("float32", "float64")
        for variable in variables
    )


def is_scalar(variable):
    """Whether a variable has one entry only, whatever its number of dimensions."""
    return all(variable.type.broadcastable)


def untransposed(variable):
    """The matrix whose transpose this is, or None."""
    node = variable.owner
    if node is not None and isinstance(node.op, DimShuffle) and node.op.new_order == (1, 0):
        return node.inputs[0]
    return None


def unspecified(variable):
    """The variable without the assertions of its shape around it."""
    while variable.owner is not None and isinstance(variable.owner.op, SpecifyShape):
        variable = variable.owner.inputs[0]
    return variable


def elementwise(variable, scalar_op):
    """The operands, where the variable is this elementwise operation's result, or else None."""
    node = variable.owner
    if node is not None and isinstance(node.op, Elemwise) and isinstance(node.op.scalar_op, scalar_op):
        return node.inputs
    return None


def scalars_beyond(variable, other):
    """The scalars whose product, times `other`, is `variable`; None where it is not seen to be so."""
    variable, other = unspecified(variable), unspecified(other)
    if variable is other:
        return []
    factors = elementwise(variable, ps.Mul) or [variable]
    scalars = [factor for factor in factors if is_scalar(factor)]
    others = [factor for factor in factors if not is_scalar(factor)]
    same = sorted(map(id, others)) == sorted(map(id, elementwise(other, ps.Mul) or [other]))
    return scalars if same else None


def polynomial(variable, leaves, most=16):
    """A matrix as a sum of products of `leaves` and scalars: {factors: number}; None where it is anything else.

    The factors are tuples in the order of their ids. What is not one of the leaves nor a scalar is multiplied out, as
    far as there are no more products than `most`.
    """
    variable = unspecified(variable)
    for leaf in leaves:
        if variable is unspecified(leaf):
            return {(leaf,): 1.0}
    if is_scalar(variable):
        number = get_underlying_scalar_constant_value(variable, raise_not_constant=False)
        return {(without_dimensions(variable),): 1.0} if isinstance(number, Variable) else {(): float(number)}
    if (operands := elementwise(variable, ps.Neg)) is not None:
        combine, parts = operands_product, [{(): -1.0}]
    elif (operands := elementwise(variable, ps.Mul)) is not None:
        combine, parts = operands_product, []
    elif (operands := elementwise(variable, ps.Add)) is not None:
        combine, parts = operands_sum, []
    elif (operands := elementwise(variable, ps.Sub)) is not None:
        combine, parts = operands_difference, []
    else:
        return None
    for operand in operands:
        parts.append(polynomial(operand, leaves, most))
        if parts[-1] is None:
            return None
    result = reduce(combine, parts)
    return result if len(result) <= most else None


def without_dimensions(scalar):
    """The variable that a scalar was before it was given dimensions, as it is for each of its uses anew."""
    while scalar.owner is not None and isinstance(scalar.owner.op, DimShuffle):
        scalar = scalar.owner.inputs[0]
    return scalar


def operands_sum(one, other, sign=1):
    return without_zeros({key: one.get(key, 0) + sign * other.get(key, 0) for key in {**one, **other}})


def operands_difference(one, other):
    return operands_sum(one, other, -1)


def operands_product(one, other):
    result = Counter()
    for factors, number in one.items():
        for others, times in other.items():
            result[tuple(sorted((*factors, *others), key=id))] += number * times
    return without_zeros(result)


def without_zeros(sum_of):
    return {factors: number for factors, number in sum_of.items() if number != 0}


class Term:
    """One term of a sum of matrices: `scalars`, with a sign, times `matrix`, or else times left' right.

    Attributes
    ----------
    scalars : tuple of symbolic variables with one entry
    negative : bool
    matrix : symbolic matrix, or None
    left, right : symbolic matrices, (batch, n) and (batch, m), or None
    """

    def __init__(self, scalars, negative, matrix=None, left=None, right=None):
        self.scalars = scalars
        self.negative = negative
        self.matrix = matrix
        self.left = left
        self.right = right

    def coefficient(self, dtype):
        """The product of the scalars, with the sign, as a number of this type."""
        value = multiplied(self.scalars, dtype)
        return -value if self.negative else value


def multiplied(scalars, dtype):
    """Variables with one entry each, multiplied, as one without dimensions.

    Each is turned into a number of this type before, as where it multiplies a matrix: small integers would overflow.
    """
    factors = [pt.cast(scalar.squeeze() if scalar.type.ndim else scalar, dtype) for scalar in scalars]
    if not factors:
        return pt.constant(1, dtype=dtype)
    return pt.mul(*factors) if len(factors) > 1 else factors[0]


def split_off_common(scalars):
    """The scalars that some lists have in common, each as often as all lists have it; and the rest of each list."""
    counts = [Counter(map(id, each)) for each in scalars]
    variables = {id(scalar): scalar for each in scalars for scalar in each}
    common = reduce(and_, counts)
    return [[variables[place] for place in count.elements()] for count in (common, *(each - common for each in counts))]


def terms(fgraph, variable, scalars=(), negative=False):
    """A matrix as a list of `Term`, followed through sums, differences and products with scalars."""
    if (operands := elementwise(variable, ps.Add)) is not None:
        return [term for operand in operands for term in operand_terms(fgraph, operand, scalars, negative)]
    if (operands := elementwise(variable, ps.Sub)) is not None:
        minuend, subtrahend = operands
        return [
            *operand_terms(fgraph, minuend, scalars, negative),
            *operand_terms(fgraph, subtrahend, scalars, not negative),
        ]
    if (operands := elementwise(variable, ps.Neg)) is not None:
        return operand_terms(fgraph, operands[0], scalars, not negative)
    if (operands := elementwise(variable, ps.Mul)) is not None:
        factors = [operand for operand in operands if not is_scalar(operand)]
        all_scalars = (*scalars, *(operand for operand in operands if is_scalar(operand)))
        if len(factors) == 1:
            return operand_terms(fgraph, factors[0], all_scalars, negative)
        if (sides := outer_product(fgraph, factors)) is not None:
            return [Term(all_scalars, negative, left=sides[0], right=sides[1])]
    if variable.owner is not None and isinstance(variable.owner.op, Dot):
        left, right = variable.owner.inputs
        if (left := untransposed(left)) is not None:
            return [Term(scalars, negative, left=left, right=right)]
    return [Term(scalars, negative, matrix=variable)]


def operand_terms(fgraph, variable, scalars, negative):
    """`terms` of an operand, which is followed only where nothing else uses it.

    What is computed for others anyway is cheaper to read than to compute again. An assertion of its shape, which
    PyTensor adds to the gradient where data have no static shape, is left to what the sum becomes a part of.
    """
    if len(fgraph.clients[variable]) > 1:
        return [Term(scalars, negative, matrix=variable)]
    if (bare := unspecified(variable)) is not variable:
        return operand_terms(fgraph, bare, scalars, negative)
    return terms(fgraph, variable, scalars, negative)


def outer_product(fgraph, factors):
    """The rows (1, n) and (1, m) of which these columns (n, 1) and rows (1, m) multiply to a matrix, or None."""
    columns = [factor for factor in factors if factor.type.broadcastable == (False, True)]
    rows = [factor for factor in factors if factor.type.broadcastable == (True, False)]
    if not columns or not rows or len(columns) + len(rows) < len(factors):
        return None
    left = [untransposed(column) for column in columns]
    left = [column.T if row is None else row for row, column in zip(left, columns)]
    return product(fgraph, left), product(fgraph, rows)


def product(fgraph, factors):
    """The elementwise product of one or more variables: where the graph has it already, that one."""
    if len(factors) == 1:
        return factors[0]
    for client, _ in fgraph.clients.get(factors[0], ()):
        if len(client.outputs) == 1 and elementwise(client.outputs[0], ps.Mul) is not None:
            if sorted(map(id, client.inputs)) == sorted(map(id, factors)):
                return client.outputs[0]
    return pt.mul(*factors)
