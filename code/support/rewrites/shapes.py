"""Sizes that are known when a graph is compiled: inferred as far as they go, and checked where they are not."""

from hashlib import sha256

from support.rewrites.internals import VERSION

from pytensor.graph.basic import Constant
from pytensor.graph.rewriting.basic import GraphRewriter, copy_stack_trace, node_rewriter
from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Argmax, Dot
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.special import LogSoftmax, Softmax
from pytensor.tensor.subtensor import BaseSubtensor
from pytensor.tensor.type_other import NoneTypeT

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
            if isinstance(node.op, SpecifyShape) and is_known(node):
                fgraph.replace(node.outputs[0], node.inputs[0], reason="static_shapes")
            elif isinstance(node.op, INFERRING) and None in node.outputs[-1].type.shape:
                try:
                    inferred = inferred_again(node)
                except (TypeError, ValueError):
                    continue  # sizes that contradict each other: the function raises when it is called
                if inferred[-1].type != node.outputs[-1].type:
                    copy_stack_trace(node.outputs, inferred)
                    for old, new in zip(node.outputs, inferred, strict=True):
                        new.name = old.name
                    fgraph.replace_all(zip(node.outputs, inferred), reason="static_shapes", import_missing=True)


def inferred_again(node):
    """The results of the same operation on the same inputs, in a new node."""
    if isinstance(node.op, SYMBOLIC):
        return node.op(*node.inputs, return_list=True)
    return node.op.make_node(*node.inputs).outputs


def is_known(node):
    """Whether a SpecifyShape specifies what the type of its input says."""
    x, *sizes = node.inputs
    return all(
        isinstance(size.type, NoneTypeT) or isinstance(size, Constant) and known == size.data
        for size, known in zip(sizes, x.type.shape, strict=True)
    )


class CheckedShape(SpecifyShape):
    """SpecifyShape, whose error names the specified shape only: to write the array's own takes seconds to compile."""


@register_funcify_and_cache_key(CheckedShape)
def numba_checked_shape(op, node, **kwargs):
    sizes = node.inputs[1:]
    names = [f"size_{axis}" for axis in range(len(sizes))]
    unequal, texts = [], []
    for axis, (name, size) in enumerate(zip(names, sizes, strict=True)):
        if isinstance(size.type, NoneTypeT):
            texts.append("any size")
            continue
        unequal.append(f"x.shape[{axis}] != {name}.item()")
        texts.append(str(size.data) if isinstance(size, Constant) else "a computed size")
    message = f"an array's shape is not ({', '.join(texts)}), which specify_shape asks for"
    source = f"""
def checked_shape(x, {", ".join(names)}):
    if {" or ".join(unequal) or False}:
        raise AssertionError({message!r})
    return x
"""
    checked_shape = numba_njit(compile_numba_function_src(source, "checked_shape"))
    return checked_shape, sha256(f"{source}{VERSION}".encode()).hexdigest()


@node_rewriter([SpecifyShape])
def specify_to_checked_shape(fgraph, node):
    """SpecifyShape -> CheckedShape"""
    if type(node.op) is not SpecifyShape:
        return None
    checked = CheckedShape()(*node.inputs)
    copy_stack_trace(node.outputs[0], checked)
    return [checked]
