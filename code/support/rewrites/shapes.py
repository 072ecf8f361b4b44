"""Sizes that are known when a graph is compiled: inferred as far as they go, and checked where they are not."""

from support.rewrites.algebra import replace
from support.rewrites.internals import numba_implementation, numba_njit

from pytensor.graph.rewriting.basic import GraphRewriter, copy_stack_trace, node_rewriter
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Argmax, Dot
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
    if isinstance(node.op, SYMBOLIC):
        return node.op(*node.inputs, return_list=True)
    return node.op.make_node(*node.inputs).outputs


def specified(node):
    """The sizes that a SpecifyShape asks for: numbers, None for any size, "computed" for one that is not constant."""
    sizes = node.inputs[1:]
    computed = ["computed" if isinstance(size.type, TensorType) else None for size in sizes]
    return [int(size.data) if isinstance(size, TensorConstant) else other for size, other in zip(sizes, computed)]


class CheckedShape(SpecifyShape):
    """SpecifyShape, whose error names the specified shape only: to write the array's own takes seconds to compile."""


@numba_implementation(CheckedShape, depends_on=specified)
def checked_shape(op, node):
    wanted = tuple(-1 if size is None else size for size in specified(node))
    shown = ", ".join("any size" if size < 0 else str(size) for size in wanted)
    message = f"an array's shape is not ({shown}), which specify_shape asks for"

    @numba_njit
    def check(x, *sizes):
        for axis in range(x.ndim):
            if wanted[axis] >= 0 and x.shape[axis] != wanted[axis]:
                raise AssertionError(message)
        return x

    return check


@node_rewriter([SpecifyShape])
def specify_to_checked_shape(fgraph, node):
    """SpecifyShape -> CheckedShape, where no size is computed"""
    if type(node.op) is not SpecifyShape or "computed" in specified(node):
        return None
    return replace(node.outputs, [CheckedShape()(*node.inputs)])
