"""The sum of a matrix along an axis, and the place of the largest entry of each row, by plain loops.

PyTensor's own implementations suit any number of axes in any order of memory, and take five to ten seconds to compile.
"""

from support.rewrites.internals import VERSION

import numpy as np
from pytensor.graph.rewriting.basic import copy_stack_trace, node_rewriter
from pytensor.link.numba.dispatch.basic import (
    numba_njit,
    register_funcify_and_cache_key,
    register_funcify_default_op_cache_key,
)
from pytensor.tensor.math import Argmax, Sum


class MatrixSum(Sum):
    """PyTensor's Sum, of a matrix along one axis."""


@register_funcify_and_cache_key(MatrixSum)
def numba_matrix_sum(op, node, **kwargs):
    [along_rows] = op.axis
    sum_dtype, dtype = np.dtype(op.acc_dtype), node.outputs[0].type.numpy_dtype
    cast = sum_dtype != dtype

    @numba_njit
    def matrix_sum(x):
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

    return matrix_sum, f"MatrixSum_{along_rows}_{sum_dtype}_{dtype}_{VERSION}"


class RowArgmax(Argmax):
    """PyTensor's Argmax, of each row of a matrix: the first place of the largest entry, or of the first NaN."""


@register_funcify_default_op_cache_key(RowArgmax)
def numba_row_argmax(op, node, **kwargs):
    @numba_njit
    def row_argmax(x):
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

    return row_argmax, VERSION


@node_rewriter([Sum, Argmax])
def reduction_to_loops(fgraph, node):
    """Sum, Argmax -> MatrixSum, RowArgmax"""
    [x], [out] = node.inputs, node.outputs
    if x.type.ndim != 2 or x.type.numpy_dtype.kind not in "biuf" or x.type.dtype == "float16":
        return None
    if type(node.op) is Sum and len(node.op.axis or ()) == 1:
        result = MatrixSum(axis=node.op.axis, dtype=node.op.dtype, acc_dtype=node.op.acc_dtype)(x)
    elif type(node.op) is Argmax and node.op.axis == (1,):
        result = RowArgmax(node.op.axis)(x)
    else:
        return None
    copy_stack_trace(out, result)
    return [result]
