"""The log-likelihood of a sigmoid's output, from the sigmoid's input; a sum in the gradient of a softmax's."""

from itertools import permutations

from support.rewrites.activations import exponential
from support.rewrites.algebra import clients, constant, elementwise, is_float_matrix, replace
from support.rewrites.internals import Kernel

import numpy as np
from pytensor import scalar as ps
from pytensor.graph.basic import Constant
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.scalar.math import Sigmoid, Softplus
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Sum
from pytensor.tensor.subtensor import AdvancedIncSubtensor
from pytensor.tensor.type import vector

FACTORS = 512  # of at most 2: their product is far from an overflow in double precision


class LogLikelihood(Kernel):
    """sum_j x_j log z_j + (1 - x_j) log(1 - z_j) of each row, and z = sigmoid(a), of x and a (batch, n).

    With e = exp(-|a|), the sum is that of x min(a, 0) - (1 - x) max(a, 0), less log(1 + e). The logarithms are those of
    products of many 1 + e, so that an entry costs one exponential, which z shares, and next to no logarithm. A product
    less 1 is kept as p; a further factor does p <- p (1 + e) + e, so that a tiny e keeps its digits. Where a is
    infinite, log 0 is minus infinity, which times 0 is NaN, as in the sum.
    """

    # Without "reassoc", with which the compiler would turn the second loop round, at more cost than gain.
    options = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}

    def results(self, x, a):
        return [vector(dtype=a.dtype, shape=(a.type.shape[0],)), a.type()]

    def compute(self, x, a):
        likelihood = -x * np.logaddexp(0, -a) - (1 - x) * np.logaddexp(0, a)
        return likelihood.sum(axis=1, dtype=np.float64).astype(a.dtype), np.exp(-np.logaddexp(0, -a))

    def loops(self, node):
        dtype = node.outputs[0].type.numpy_dtype
        zero, one, exp = dtype.type(0), dtype.type(1), exponential(dtype)

        def likelihood(x, a):
            k, n = a.shape
            if x.shape != a.shape:
                raise ValueError("shapes of x and a do not fit")
            rows, z = np.empty(k, dtype), np.empty((k, n), dtype)
            even = n + n % 2
            exponentials, terms = np.zeros(even, dtype), np.zeros(even, dtype)
            for r in range(k):
                for j in range(n):
                    e = exp(-abs(a[r, j]))
                    larger = one / (one + e)
                    z[r, j] = larger if a[r, j] >= 0 else e * larger
                    exponentials[j] = e
                    terms[j] = x[r, j] * min(a[r, j], zero) - (one - x[r, j]) * max(a[r, j], zero)
                total, other = 0.0, 0.0
                for start in range(0, even, FACTORS):
                    p, q = 0.0, 0.0
                    for j in range(start, min(start + FACTORS, even), 2):  # two of each: a sum waits for itself
                        total += terms[j]
                        other += terms[j + 1]
                        p = p * (1.0 + exponentials[j]) + exponentials[j]
                        q = q * (1.0 + exponentials[j + 1]) + exponentials[j + 1]
                    total -= np.log1p(p * (1.0 + q) + q)
                rows[r] = total + other
            return rows, z

        return likelihood


@node_rewriter([Sum])
def sum_to_log_likelihood(fgraph, node):
    """sum(-x softplus(-a) - (1 - x) softplus(a), axis=1) and sigmoid(a) -> LogLikelihood(x, a)

    The left side is what PyTensor makes of the sum of x log(sigmoid(a)) + (1 - x) log(1 - sigmoid(a)).
    """
    [summand], [out] = node.inputs, node.outputs
    operands = elementwise(summand, ps.Add) or []
    if node.op.axis != (1,) or len(operands) != 2 or len(fgraph.clients[summand]) > 1:
        return None
    for x_term, rest_term in permutations(operands):
        (x, minus_a), (rest, a) = weighted_softplus(x_term), weighted_softplus(rest_term)
        one, subtracted = elementwise(rest, ps.Sub) or (None, None)
        if x is None or subtracted is not x or constant(one) != 1 or elementwise(minus_a, ps.Neg) != [a]:
            continue
        if is_float_matrix(x, a) and x.type.broadcastable == a.type.broadcastable:
            rows, z = LogLikelihood()(x, a)
            of_a = [client for client in clients(fgraph, a, Elemwise) if isinstance(client.op.scalar_op, Sigmoid)]
            sigmoids = [each.outputs[0] for each in of_a if not (x.owner and apply_depends_on(x.owner, each))]
            return replace([out, *sigmoids], [rows] + [z] * len(sigmoids))
    return None


def weighted_softplus(variable):
    """(w, a) of w (-softplus(a)); (None, None) of anything else."""
    operands = elementwise(variable, ps.Mul) or []
    for weight, other in permutations(operands) if len(operands) == 2 else ():
        negated = elementwise(other, ps.Neg)
        if negated and (argument := elementwise(negated[0], Softplus)):
            return weight, argument[0]
    return None, None


@node_rewriter([Sum])
def sum_of_single_entries(fgraph, node):
    """sum(zeros with v_r added at (r, y_r), axis=1) -> v

    The gradient of log softmax(a)[r, y_r] has this sum, for each row r of a minibatch. The entries are still placed for
    another use, where a label y_r beyond the columns is an IndexError.
    """
    added, [out] = node.inputs[0].owner, node.outputs
    if node.op.axis != (1,) or not isinstance(node.inputs[0].owner_op, AdvancedIncSubtensor):
        return None
    if getattr(added.op, "idx_list", (0, 1)) != (0, 1):  # PyTensor 3.3; in 3.0 each index is an input of its own
        return None
    if all(isinstance(client.op, Sum) for client, _ in fgraph.clients[node.inputs[0]]):
        return None  # nothing else would check the labels
    zeros, v, *places = added.inputs
    n = zeros.type.shape[0]
    if n is None or v.type.shape != (n,) or constant(zeros) != 0:
        return None
    if [getattr(place.type, "ndim", None) for place in places] != [1, 1]:
        return None
    every_row = isinstance(places[0], Constant) and np.array_equal(places[0].data, range(n))
    return replace([out], [v]) if every_row else None
