"""The patterns that rewrites look for in a graph: sums of products, scalars, transposes. Their replacement."""

from collections import Counter
from itertools import product as combinations

import numpy as np
import pytensor.tensor as pt
from pytensor import scalar as ps
from pytensor.graph.basic import Variable
from pytensor.graph.rewriting.basic import copy_stack_trace
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.type import TensorType

MOST_PRODUCTS, MOST_NODES = 16, 64  # of a product of sums that is multiplied out


def replace(old, new, made=()):
    """The result of a rewriter: {old variable: new one}; None where the type of an old one cannot hold a new one.

    The new variables, and those `made` on the way to them, are said to come from the old ones' lines.
    """
    if not all(before.type.is_super(after.type) for before, after in zip(old, new, strict=True)):
        return None
    copy_stack_trace(list(old), [*made, *new])
    return dict(zip(old, new))


def clients(fgraph, variable, op_type, place=0):
    """The nodes with this type of operation that have the variable at this place among their inputs."""
    return [client for client, at in fgraph.clients[variable] if at == place and isinstance(client.op, op_type)]


def is_float_matrix(*variables):
    """Whether all are matrices of one floating-point type."""
    types = [variable.type for variable in variables]
    matrices = all(isinstance(each, TensorType) and each.ndim == 2 for each in types)
    return matrices and {each.dtype for each in types} in ({"float32"}, {"float64"})


def is_scalar(variable):
    """Whether a variable has one entry only, whatever its number of dimensions."""
    return all(variable.type.broadcastable)


def constant(variable):
    """The number that all entries of a variable are known to be, or None."""
    number = get_underlying_scalar_constant_value(variable, raise_not_constant=False)
    return None if isinstance(number, Variable) else number


def untransposed(variable):
    """The matrix whose transpose this is, or None."""
    transposed = isinstance(variable.owner_op, DimShuffle) and variable.owner_op.new_order == (1, 0)
    return variable.owner.inputs[0] if transposed else None


def inside(variable, op_type):
    """The variable without these operations around it: assertions of its shape, or new dimensions."""
    while isinstance(variable.owner_op, op_type):
        variable = variable.owner.inputs[0]
    return variable


def elementwise(variable, scalar_op):
    """The operands, where the variable is this elementwise operation's result, or else None."""
    op = variable.owner_op
    return variable.owner.inputs if isinstance(op, Elemwise) and isinstance(op.scalar_op, scalar_op) else None


def factors_of(variable):
    """The factors of a product, or of one that is divided by a scalar; those of a square twice each."""
    if (operands := elementwise(variable, ps.Mul)) is not None:
        return [factor for operand in operands for factor in factors_of(operand)]
    base = elementwise(variable, ps.Sqr) or elementwise(variable, ps.Pow)
    if base and (len(base) == 1 or constant(base[1]) == 2):
        return [factor for factor in factors_of(base[0]) for _ in range(2)]
    dividend, divisor = elementwise(variable, ps.TrueDiv) or (None, None)
    if dividend is not None and is_scalar(divisor) and divisor.type.dtype == variable.type.dtype:
        return [*factors_of(dividend), pt.reciprocal(divisor)]  # such as the size of a minibatch
    return [variable]


def multiply(factors):
    """The elementwise product of one or more variables."""
    return pt.mul(*factors) if len(factors) > 1 else factors[0]


def multiplied(scalars, dtype):
    """Variables with one entry each, multiplied, as one without dimensions; cast before, or integers would overflow."""
    factors = [pt.cast(scalar.squeeze() if scalar.type.ndim else scalar, dtype) for scalar in scalars]
    return multiply(factors) if factors else pt.constant(1, dtype=dtype)


class Product:
    """One term of a sum: a number times some variables, `scalars` with one entry and all others, `factors`."""

    def __init__(self, number, variables):
        self.number, variables = number, list(variables)
        self.scalars = [variable for variable in variables if is_scalar(variable)]
        self.factors = [variable for variable in variables if not is_scalar(variable)]

    @property
    def is_one(self):
        return self.number == 1 and not self.scalars and not self.factors

    def coefficient(self, dtype):
        """The number times the scalars, as one number of this type."""
        number = [] if self.number in (1, -1) else [pt.constant(np.asarray(self.number, dtype))]
        value = multiplied([*number, *self.scalars], dtype)
        return -value if self.number == -1 else value


def products_of(variable, follows, alone=True):
    """A variable as a sum of products: a list of (1 or -1, list of factors). A product of sums is multiplied out.

    It is followed through sums, differences, signs and products, where `follows(variable, alone)` says so. `alone` says
    whether it is multiplied by scalars only.
    """
    itself = [(1, [variable])]
    if is_scalar(variable) or not follows(variable, alone):
        return itself
    if (bare := inside(variable, SpecifyShape)) is not variable:
        return products_of(bare, follows, alone)
    if (operands := elementwise(variable, ps.Add | ps.Sub | ps.Neg)) is not None:
        signs = [1] * len(operands)
        signs[-1] = 1 if elementwise(variable, ps.Add) else -1
        parts = [(sign, products_of(operand, follows, alone)) for sign, operand in zip(signs, operands)]
        return [(sign * their_sign, factors) for sign, products in parts for their_sign, factors in products]
    if (operands := elementwise(variable, ps.Mul)) is not None:
        single = sum(not is_scalar(operand) for operand in operands) == 1
        parts = [products_of(operand, follows, alone and single) for operand in operands]
        lengths = [len(part) for part in parts]
        if np.prod(lengths) <= max(MOST_PRODUCTS, *lengths):
            return [
                (int(np.prod([sign for sign, _ in chosen])), [factor for _, factors in chosen for factor in factors])
                for chosen in combinations(*parts)
            ]
    return itself


def collected(variable, leaves):
    """A sum of products of `leaves` and scalars: a list of `Product`, equal ones added up, constants in the number."""
    leaves = [inside(leaf, SpecifyShape) for leaf in leaves]
    left, numbers = iter(range(MOST_NODES)), Counter()
    for sign, factors in products_of(variable, lambda each, alone: each not in leaves and next(left, None) is not None):
        values = [constant(factor) if is_scalar(factor) else None for factor in factors]
        others = [f for f, value in zip(factors, values) if value is None]
        others = sorted((inside(f, DimShuffle) if is_scalar(f) else f for f in others), key=id)
        numbers[tuple(others)] += sign * float(np.prod([value for value in values if value is not None]))
    return [Product(number, factors) for factors, number in numbers.items() if number != 0]


def scalars_beyond(variable, other):
    """The scalars whose product, times `other`, is `variable`; None where it is not seen to be so."""
    variable, other = inside(variable, SpecifyShape), inside(other, SpecifyShape)
    if variable is other:
        return []
    beyond = Product(1, elementwise(variable, ps.Mul) or [variable])
    return beyond.scalars if Counter(beyond.factors) == Counter(elementwise(other, ps.Mul) or [other]) else None
