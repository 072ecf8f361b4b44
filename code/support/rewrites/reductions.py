"""The sum of a matrix along an axis, and the place of the largest entry of each row, by plain loops.

PyTensor's own implementations suit any number of axes in any order of memory, and take five to ten seconds to compile.
"""

from support.rewrites.algebra import replace
from support.rewrites.internals import numba_implementation, numba_njit

import numpy as np
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.math import Argmax, Sum


class MatrixSum(Sum):
    """PyTensor's Sum, of a matrix along one axis."""


@numba_implementation(MatrixSum)
def matrix_sum(op, node):
    [along_rows] = op.axis
    sum_dtype, dtype = np.dtype(op.acc_dtype), node.outputs[0].type.numpy_dtype
    cast = sum_dtype != dtype

    @numba_njit
    def add_up(x):
        if along_rows:
            x = x.T
        n, m = x.shape
        sums = np.empty(m, sum_dtype)
        for j in range(m):
            sums[j] = 0
        if abs(x.strides[0]) > abs(x.strides[1]):
            for i in range(n):
                for j in range(m):
                    sums[j] += x[i, j]
        else:
            for j in range(m):
                for i in range(n):
                    sums[j] += x[i, j]
        if not cast:
            return sums
        rounded = np.empty(m, dtype)
        for j in range(m):
            rounded[j] = sums[j]
        return rounded

    return add_up


class RowArgmax(Argmax):
    """PyTensor's Argmax, of each row of a matrix: the first place of the largest entry, or of the first NaN."""


@numba_implementation(RowArgmax)
def row_argmax(op, node):
    @numba_njit
    def find_largest(x):
        n, m = x.shape
        if m == 0:
            raise ValueError("attempt to get argmax of an empty sequence")
        places = np.empty(n, np.int64)
        for i in range(n):
            place, largest = 0, x[i, 0]
            for j in range(1, m):
                if x[i, j] > largest or x[i, j] != x[i, j] and largest == largest:
                    place, largest = j, x[i, j]
            places[i] = place
        return places

    return find_largest


@node_rewriter([Sum, Argmax])
def reduction_to_loops(fgraph, node):
    """Sum, Argmax -> MatrixSum, RowArgmax"""
    [x], op = node.inputs, node.op
    if x.type.ndim != 2 or x.type.numpy_dtype.kind not in "biuf" or x.type.dtype == "float16":
        return None
    if type(op) is Sum and len(op.axis or ()) == 1:
        return replace(node.outputs, [MatrixSum(axis=op.axis, dtype=op.dtype, acc_dtype=op.acc_dtype)(x)])
    if type(op) is Argmax and op.axis == (1,):
        return replace(node.outputs, [RowArgmax(op.axis)(x)])
    return None
