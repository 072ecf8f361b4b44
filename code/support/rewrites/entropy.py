"""The cross-entropy of a sigmoid's output, from what went into the sigmoid."""

from pytensor import scalar as ps
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.scalar.math import Softplus
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import softplus

from support.rewrites.patterns import elementwise
from support.rewrites.registry import register


@node_rewriter([Elemwise])
def cross_entropy_with_one_softplus(fgraph, node):
    """x (-softplus(-a)) + (1 - x) (-softplus(a)) -> x a - softplus(a)

    The left side is what PyTensor makes of x log(sigmoid(a)) + (1 - x) log(1 - sigmoid(a)). The two logarithms differ by
    a, and one of them costs more than the rest of the term.
    """
    [out] = node.outputs
    if not isinstance(node.op.scalar_op, ps.Add) or len(node.inputs) != 2:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        x, minus_a = weighted_softplus(one)
        rest, a = weighted_softplus(other)
        if x is None or rest is None or not (negates(minus_a, a) and is_one_minus(rest, x)):
            continue
        result = x * a - softplus(a)
        if out.type.is_super(result.type):
            copy_stack_trace(out, result)
            return [result]
    return None


def weighted_softplus(variable):
    """(w, a) of w (-softplus(a)); (None, None) of anything else."""
    operands = elementwise(variable, ps.Mul) or []
    for place, operand in enumerate(operands):
        if len(operands) == 2 and (negated := elementwise(operand, ps.Neg)) is not None:
            if (argument := elementwise(negated[0], Softplus)) is not None:
                return operands[1 - place], argument[0]
    return None, None


def negates(variable, other):
    """Whether a variable is the negative of another."""
    operands = elementwise(variable, ps.Neg)
    return operands is not None and operands[0] is other


def is_one_minus(variable, other):
    """Whether a variable is 1 less another."""
    operands = elementwise(variable, ps.Sub)
    if operands is None or operands[1] is not other:
        return False
    return get_underlying_scalar_constant_value(operands[0], raise_not_constant=False) == 1


register(cross_entropy_with_one_softplus, "cross_entropy", priority=0)
