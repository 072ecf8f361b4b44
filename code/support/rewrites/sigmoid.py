"""The sigmoid in single precision, of several entries at once."""

import numpy as np
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key
from pytensor.link.numba.dispatch.scalar import scalar_op_cache_key
from pytensor.scalar.basic import same_out
from pytensor.scalar.math import Sigmoid
from pytensor.tensor.elemwise import Elemwise

from support.rewrites.registry import VERSION, register

_polynomial = np.polynomial.Chebyshev.interpolate(np.exp2, deg=6, domain=[-0.5, 0.5])
EXP2 = _polynomial.convert(kind=np.polynomial.Polynomial).coef  # of 2^f, for f in -1/2..1/2, from the lowest power


def exponential(dtype):
    """A compiled function t -> exp(t), of numbers of a type that are not positive.

    In single precision it consists of arithmetic, which the compiler turns into instructions on several entries at
    once, where the library's function takes one: exp(t) = 2^k 2^f, with k whole and f a fraction whose power is a
    polynomial's. Its error is that of rounding t and the result. Below 2^-126, the smallest normal number, it is that.
    """
    if dtype != np.float32:
        return numba_njit(lambda t: np.exp(t))
    log2_e, smallest = np.float32(np.log2(np.e)), np.float32(-126)
    c0, c1, c2, c3, c4, c5, c6 = EXP2.astype(np.float32)

    @numba_njit
    def exp(t):
        power = t * log2_e
        power = smallest if power < smallest else power  # NaN stays
        k = np.rint(power)
        f = power - k
        fraction = c0 + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))))
        return fraction * np.int32((np.int32(k) + 127) << 23).view(np.float32)  # the bits of 2^k

    return exp


class VectorSigmoid(Sigmoid):
    """1 / (1 + exp(-a)) in single precision; the result is within rounding of it, for a and for the result."""


vector_sigmoid = VectorSigmoid(same_out, name="vector_sigmoid")


@register_funcify_and_cache_key(VectorSigmoid)
def numba_vector_sigmoid(op, node, **kwargs):
    one = np.float32(1)
    exp = exponential(np.float32)

    @numba_njit(error_model="numpy")  # a check for zero would keep the loop to one entry at a time
    def sigmoid(a):
        e = exp(-abs(a))
        larger = one / (one + e)
        return larger if a >= 0 else e * larger

    return sigmoid, scalar_op_cache_key(op, source=VERSION)


@node_rewriter([Elemwise])
def sigmoid_to_vector_sigmoid(fgraph, node):
    """sigmoid(a) -> VectorSigmoid(a), for single precision"""
    [out] = node.outputs
    if type(node.op.scalar_op) is not Sigmoid or not out.type.dtype == node.inputs[0].type.dtype == "float32":
        return None
    result = Elemwise(vector_sigmoid)(*node.inputs)
    copy_stack_trace(out, result)
    return [result]


# After log_likelihood, which takes a sigmoid along.
register(sigmoid_to_vector_sigmoid, "vector_sigmoid", priority=4)
