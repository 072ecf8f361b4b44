"""The sigmoid and the hyperbolic tangent in single precision, of several entries at once."""

from functools import cache

from support.rewrites.algebra import replace
from support.rewrites.internals import Compiled, numba_njit

import numpy as np
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.scalar.basic import Tanh, same_out
from pytensor.scalar.math import Sigmoid, Softplus
from pytensor.tensor.elemwise import Elemwise


def coefficients(function, degree, domain):
    """The coefficients of a polynomial that is close to a function on all of an interval, from the lowest power."""
    return np.polynomial.Chebyshev.interpolate(function, degree, domain).convert(kind=np.polynomial.Polynomial).coef


@cache
def exponential(dtype):
    """A compiled function t -> exp(t), of numbers of a type that are not positive.

    In single precision it consists of arithmetic, which the compiler turns into instructions on several entries at
    once, where the library's function takes one: exp(t) = 2^k 2^f, with k whole and f a fraction whose power is a
    polynomial's. Its error is that of rounding t and the result. Below 2^-126, the smallest normal number, it is 0.
    """
    if dtype != np.float32:
        return numba_njit(lambda t: np.exp(t))
    log2_e, lowest = np.float32(np.log2(np.e)), np.float32(-127)
    c0, c1, c2, c3, c4, c5, c6 = coefficients(np.exp2, 6, [-0.5, 0.5]).astype(np.float32)

    @numba_njit
    def exp(t):
        power = t * log2_e
        power = lowest if power < lowest else power  # NaN stays
        k = np.rint(power)
        f = power - k
        fraction = c0 + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))))
        return fraction * np.int32((np.int32(k) + 127) << 23).view(np.float32)  # the bits of 2^k, of 0 where k is -127

    return exp


@cache
def logistic(dtype):
    """A compiled function a -> 1 / (1 + exp(-a)), of numbers of a type."""
    one, exp = dtype.type(1), exponential(dtype)

    @numba_njit(error_model="numpy")  # a check for zero would keep a loop to one entry at a time
    def sigmoid(a):
        e = exp(-abs(a))
        larger = one / (one + e)
        return larger if a >= 0 else e * larger

    return sigmoid


class VectorSigmoid(Compiled, Sigmoid):
    """1 / (1 + exp(-a)) in single precision; its error is about that of rounding a and the result."""

    options = {"error_model": "numpy"}

    def loops(self, node):
        return logistic(np.dtype("float32")).py_func


class VectorSoftplus(Compiled, Softplus):
    """log(1 + exp(a)) in single precision; its error is about that of rounding a and the result."""

    options = {"error_model": "numpy"}

    def loops(self, node):
        zero, two, exp = np.float32(0), np.float32(2), exponential(np.dtype("float32"))
        c0, c1, c2, c3, c4 = coefficients(arctanh_beyond_s, 4, [0, 1 / 9]).astype(np.float32)

        def softplus(a):
            e = exp(-abs(a))
            s = e / (two + e)  # log(1 + e) = 2 arctanh(s)
            u = s * s
            return max(a, zero) + two * (s + s * u * (c0 + u * (c1 + u * (c2 + u * (c3 + u * c4)))))

        return softplus


class VectorTanh(Compiled, Tanh):
    """tanh(a) in single precision; the result is within rounding of it."""

    options = {"error_model": "numpy"}

    def loops(self, node):
        one, two, small, exp = np.float32(1), np.float32(2), np.float32(0.625), exponential(np.dtype("float32"))
        c0, c1, c2, c3, c4 = coefficients(tanh_beyond_a, 4, [0, 0.4]).astype(np.float32)

        def tanh(a):
            u = a * a
            series = a + a * u * (c0 + u * (c1 + u * (c2 + u * (c3 + u * c4))))
            e = exp(-two * abs(a))
            beyond = (one - e) / (one + e)
            return series if abs(a) < small else (beyond if a >= 0 else -beyond)

        return tanh


def tanh_beyond_a(u):
    """The f of tanh(a) = a + a^3 f(a^2), which has no digits to lose where a is small."""
    a = np.sqrt(u)
    return (np.tanh(a) / a - 1) / u


def arctanh_beyond_s(u):
    """The f of arctanh(s) = s + s^3 f(s^2)."""
    s = np.sqrt(u)
    return (np.arctanh(s) / s - 1) / u


def vectorised(scalar_op, vector_op):
    """A rewrite of an elementwise operation to another that computes the same, for single precision."""

    @node_rewriter([Elemwise])
    def rewrite(fgraph, node):
        dtypes = {variable.type.dtype for variable in (*node.inputs, *node.outputs)}
        if type(node.op.scalar_op) is scalar_op and dtypes == {"float32"}:
            return replace(node.outputs, [Elemwise(vector_op)(*node.inputs)])

    return rewrite


sigmoid_to_vector_sigmoid = vectorised(Sigmoid, VectorSigmoid(same_out, name="vector_sigmoid"))
tanh_to_vector_tanh = vectorised(Tanh, VectorTanh(same_out, name="vector_tanh"))
softplus_to_vector_softplus = vectorised(Softplus, VectorSoftplus(same_out, name="vector_softplus"))
