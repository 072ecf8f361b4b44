"""Rewrites that shorten the compilation of a function: inferred sizes, shorter checks of the others, plain loops."""

from support.rewrites.algebra import replace
from support.rewrites.internals import Compiled

import numpy as np
from pytensor.graph.rewriting.basic import GraphRewriter, copy_stack_trace, node_rewriter
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Argmax, Dot, Sum
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.special import LogSoftmax, Softmax
from pytensor.tensor.subtensor import BaseSubtensor
from pytensor.tensor.type import TensorType
from pytensor.tensor.variable import TensorConstant

# Operations whose results have sizes that follow from their inputs.
SYMBOLIC = Softmax, LogSoftmax  # they have a graph inside, with types of its own
INFERRING = Elemwise, DimShuffle, CAReduce, Argmax, Dot, SpecifyShape, BaseSubtensor, RandomVariable, *SYMBOLIC


class StaticShapes(GraphRewriter):
    """Infer the sizes of results once more, from inputs whose sizes have become known; drop assertions of known sizes.

    A graph is built of symbols of unknown size. When `givens` put in a minibatch of known size, or the sizes of a
    random draw become constants, the types of the nodes behind keep unknown sizes, and a gradient keeps its assertions.
    """

    def apply(self, fgraph):
        for node in fgraph.toposort():
            old = node.outputs
            if isinstance(node.op, SpecifyShape) and all(
                size in (None, known) for size, known in zip(specified(node), node.inputs[0].type.shape)
            ):
                fgraph.replace(old[0], node.inputs[0], reason="static_shapes")
            elif isinstance(node.op, INFERRING) and None in old[-1].type.shape:
                try:
                    new = inferred_again(node)
                except (TypeError, ValueError):
                    continue  # sizes that contradict each other: the function raises when it is called
                if new[-1].type != old[-1].type:
                    copy_stack_trace(old, new)
                    for before, after in zip(old, new, strict=True):
                        after.name = before.name
                    fgraph.replace_all(zip(old, new), reason="static_shapes", import_missing=True)


def inferred_again(node):
    """The results of the same operation on the same inputs, in a new node."""
    return [node.op(*node.inputs)] if isinstance(node.op, SYMBOLIC) else node.op.make_node(*node.inputs).outputs


def specified(node):
    """The sizes that a SpecifyShape asks for: numbers, None for any size, "computed" for one that is not constant."""
    sizes = node.inputs[1:]
    computed = ["computed" if isinstance(size.type, TensorType) else None for size in sizes]
    return [int(size.data) if isinstance(size, TensorConstant) else other for size, other in zip(sizes, computed)]


class CheckedShape(Compiled, SpecifyShape):
    """SpecifyShape, whose error names the specified shape only: to write the array's own takes seconds to compile."""

    def depends_on(self, node):
        return specified(node)

    def loops(self, node):
        wanted = tuple(-1 if size is None else size for size in specified(node))
        shown = ", ".join("any size" if size < 0 else str(size) for size in wanted)
        message = f"an array's shape is not ({shown}), which specify_shape asks for"

        def check(x, *sizes):
            for axis in range(x.ndim):
                if wanted[axis] >= 0 and x.shape[axis] != wanted[axis]:
                    raise AssertionError(message)
            return x

        return check


@node_rewriter([SpecifyShape])
def specify_to_checked_shape(fgraph, node):
    """SpecifyShape -> CheckedShape, where no size is computed"""
    if type(node.op) is SpecifyShape and "computed" not in specified(node):
        return replace(node.outputs, [CheckedShape()(*node.inputs)])


class MatrixSum(Compiled, Sum):
    """PyTensor's Sum, of a matrix along one axis. Its own loops are for any number of axes, in any order of memory."""

    def loops(self, node):
        [along_rows] = self.axis
        sum_dtype, dtype = np.dtype(self.acc_dtype), node.outputs[0].type.numpy_dtype
        cast = sum_dtype != dtype

        def add_up(x):
            if along_rows:
                x = x.T
            n, m = x.shape
            sums = np.zeros(m, sum_dtype)
            if abs(x.strides[0]) > abs(x.strides[1]):
                for i in range(n):
                    for j in range(m):
                        sums[j] += x[i, j]
            else:
                for j in range(m):
                    for i in range(n):
                        sums[j] += x[i, j]
            return sums.astype(dtype) if cast else sums

        return add_up


class RowArgmax(Compiled, Argmax):
    """PyTensor's Argmax, of each row of a matrix: the first place of the largest entry, or of the first NaN."""

    def loops(self, node):
        def find_largest(x):
            n, m = x.shape
            if m == 0:
                raise ValueError("attempt to get argmax of an empty sequence")
            places = np.zeros(n, np.int64)
            for i in range(n):
                largest = x[i, 0]
                for j in range(1, m):
                    if x[i, j] > largest or x[i, j] != x[i, j] and largest == largest:
                        places[i], largest = j, x[i, j]
            return places

        return find_largest


@node_rewriter([Sum, Argmax])
def reduction_to_loops(fgraph, node):
    """Sum, Argmax -> MatrixSum, RowArgmax, which are compiled in a second, not in five to ten"""
    [x], op = node.inputs, node.op
    if x.type.ndim != 2 or x.type.numpy_dtype.kind not in "biuf" or x.type.dtype == "float16":
        return None
    if type(op) is Sum and len(op.axis or ()) == 1:
        return replace(node.outputs, [MatrixSum(axis=op.axis, dtype=op.dtype, acc_dtype=op.acc_dtype)(x)])
    if type(op) is Argmax and op.axis == (1,):
        return replace(node.outputs, [RowArgmax(op.axis)(x)])
    return None
