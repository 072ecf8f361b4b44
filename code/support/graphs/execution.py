"""Graphs run node by node, in Python: what is computed only once need not be compiled."""

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph
from pytensor.graph.basic import Constant
from pytensor.graph.fg import FunctionGraph
from pytensor.scalar.basic import Composite
from pytensor.scalar.math import Softplus
from pytensor.tensor.elemwise import Elemwise


def evaluate(outputs, values):
    """The values of symbolic variables, a list of arrays. Nothing is compiled, which would take seconds.

    `values`, {symbolic variable: array}, are those of all variables that the outputs depend on, except shared ones.
    The graph is run as it was built. No rewrite makes it stable: the logarithm of a sigmoid that rounds to 0 is minus
    infinity.
    """
    fgraph = FunctionGraph(outputs=list(outputs), clone=False)
    values = [values[v] if v in values else v.get_value(borrow=True) for v in fgraph.inputs]
    return execute(fgraph, values)


def execute(fgraph, values, watch=lambda node, inputs, outputs: None):
    """The values of a graph's outputs, computed in Python, node by node.

    `values` are those of the inputs. They are not copied, so a node may overwrite them. After each node, `watch` is
    called with the node, the values of its inputs and the values of its outputs.
    """
    storage = {variable: [value] for variable, value in zip(fgraph.inputs, values)}
    with np.errstate(all="ignore"):  # machine code does not warn of an overflow either
        for node in fgraph.toposort():
            storage.update((v, [v.data]) for v in node.inputs if isinstance(v, Constant))
            storage.update((v, [None]) for v in node.outputs)
            inputs = [storage[variable][0] for variable in node.inputs]
            if (inside := inner_graph(node)) is not None:
                for variable, value in zip(node.outputs, execute(inside, inputs)):
                    storage[variable][0] = value
            elif isinstance(getattr(node.op, "scalar_op", None), Softplus):  # PyTensor has it only for single numbers
                storage[node.outputs[0]][0] = np.logaddexp(0, *inputs).astype(node.outputs[0].dtype)
            else:
                node.op.make_thunk(node, storage, {v: [True] for v in node.inputs + node.outputs}, [], impl="py")()
            watch(node, inputs, [storage[variable][0] for variable in node.outputs])
    return [v.data if isinstance(v, Constant) else storage[v][0] for v in fgraph.outputs]


def inner_graph(node):
    """The graph of a node that consists of others; None of another node. A fused loop, too, is a graph on whole arrays.

    Entry by entry, as PyTensor runs a fused loop in Python, a large array would take minutes.
    """
    if isinstance(node.op, OpFromGraph):
        inside = node.op.fgraph
        return inside.unfreeze() if hasattr(inside, "unfreeze") else inside.clone()  # PyTensor 3.3, 3.0
    if not isinstance(getattr(node.op, "scalar_op", None), Composite):
        return None
    inside = node.op.scalar_op.fgraph
    whole = dict(zip(inside.inputs, [variable.type() for variable in node.inputs]))
    for each in inside.toposort():
        whole.update((v, pt.constant(v.data)) for v in each.inputs if isinstance(v, Constant))
        whole.update(zip(each.outputs, Elemwise(each.op)(*map(whole.get, each.inputs), return_list=True)))
    return FunctionGraph([whole[v] for v in inside.inputs], [whole[v] for v in inside.outputs], clone=False)
