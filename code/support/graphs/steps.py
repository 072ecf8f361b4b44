"""The nodes of a graph as they run: their formulas, the bytes that they move, and the lines that made them."""

import copy
import functools
from pathlib import Path

from support.graphs.execution import execute
from support.start import ROOT

import numpy as np
from pytensor.graph.basic import Constant
from pytensor.link.basic import Container
from pytensor.tensor.basic import AllocEmpty
from pytensor.tensor.shape import Shape, Shape_i
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor

INDEXING = AdvancedSubtensor, AdvancedIncSubtensor
# Operations that are written between their operands: the sign, and how tightly it binds.
INFIX = {"add": (" + ", 1), "sub": (" − ", 1), "mul": (" · ", 2), "true_div": (" / ", 2)}
TIGHTEST = 3
LONGEST_FORMULA = 12  # operations in a fused loop; a longer loop is shown by their names alone


class Graph:
    """One graph of a function, by the name "before" or "after". A run of it measures the bytes that each node moves.

    `arguments`, {name: value}, are the inputs beside the shared variables. `updates` are pairs of variables: each
    shared variable and its new value.
    """

    def __init__(self, name, fgraph, function, arguments):
        self.name, self.fgraph = name, fgraph
        self.updates = [(fgraph.inputs[place], fgraph.outputs[out]) for out, place in fgraph.update_mapping.items()]
        self.steps = [Step(number, node) for number, node in enumerate(fgraph.toposort())]
        self.step_of = {step.node: step for step in self.steps}
        self.inputs = [variable for variable in fgraph.inputs if fgraph.clients[variable]]
        values = []
        for each in function.maker.inputs:
            if isinstance(each.value, Container):  # of a shared variable: if it is updated, it may be overwritten
                values.append(each.value.data if each.update is None else copy.deepcopy(each.value.data))
            else:
                values.append(each.variable.type.filter(arguments[each.variable.name], allow_downcast=True))
        self.shapes = dict(zip(fgraph.inputs, map(shape, values)))
        execute(fgraph, values, lambda node, *arrays: self.step_of[node].measure(*arrays))
        self.bytes = sum(step.bytes for step in self.steps)

    def place(self, variable):
        """The name of a variable's place in a page: v0 for the first input, n0 for the first node."""
        if variable.owner is not None:
            return f"n{self.step_of[variable.owner].number}"
        return f"v{self.inputs.index(variable)}"

    def label(self, variable):
        """A short text for a variable: its name, its value, or the number of the node that makes it."""
        if variable.name is not None:
            return variable.name
        if variable.owner is None:
            return constant(variable) if isinstance(variable, Constant) else str(variable.type)
        number = self.step_of[variable.owner].number
        return f"#{number}" if len(variable.owner.outputs) == 1 else f"#{number}.{variable.index}"

    def formula(self, node, texts=None):
        """The computation of a node, as text. `texts` are those of its inputs, by default their labels."""
        operands = [(text, TIGHTEST) for text in texts or map(self.label, node.inputs)]
        return ", ".join(dict.fromkeys(text for text, _ in formulas(node.op, operands)))

    def expression(self, variable, depth=2):
        """The expression for a variable, without views, and how tightly it binds.

        It ends at named variables, or after `depth` operations.
        """
        step = self.step_of.get(variable.owner)
        if step is not None and variable.name is None:
            if step.is_view:
                return self.expression(step.node.inputs[0], depth)
            if depth > 0:
                texts = formulas(step.node.op, [self.expression(each, depth - 1) for each in step.node.inputs])
                return texts[variable.index] if len(texts) == len(step.node.outputs) else texts[0]
        return self.label(variable), TIGHTEST


class Step:
    """A node of a graph, its number in the order of running, and the name of its operation.

    `destroyed` are the inputs that it overwrites. A view only shows the memory of an input in another way. A step that
    `is_ours` was put in by this project's rewrites. `line` is that of the lesson that made it, by `lesson_line`.
    """

    def __init__(self, number, node):
        self.number, self.node, self.name = number, node, operation(node.op)
        self.destroyed = [node.inputs[place] for places in node.op.destroy_map.values() for place in places]
        self.is_view = len(node.op.view_map) == len(node.outputs)
        self.is_ours = any(type(op).__module__.startswith("support.") for op in [node.op, *inner_ops(node.op)])
        self.line = next(filter(None, map(lesson_line, node.outputs)), None)

    def measure(self, inputs, outputs):
        """Note the bytes moved, and the shapes of the outputs, given the values after the node has run."""
        self.bytes = traffic(self.node, inputs, outputs)
        # A fused loop that also indexes may read only a part of its inputs.
        bound = "≤ " if any(isinstance(op, INDEXING) for op in inner_ops(self.node.op)) else ""
        self.moved = "view" if self.is_view else f"{bound}{spelled(self.bytes)}"
        self.shapes = list(map(shape, outputs))
        named = zip((output.name or "" for output in self.node.outputs), self.shapes)
        self.outputs = ", ".join(f"{name} {sizes}".strip() for name, sizes in named)


def lesson_line(variable):
    """The line of a lesson that made a variable: (file, number, code). None if PyTensor did not keep it."""
    for stack in getattr(variable.tag, "trace", None) or []:
        for file, line, _, code in reversed(stack if isinstance(stack, list) else [stack]):
            if is_lesson(file):
                return Path(file).name, line, code.strip()
    return None


@functools.cache  # a stack is looked through at each rewrite: hundreds of thousands of times
def is_lesson(file):
    return Path(file).resolve().parent == ROOT / "code"


def traffic(node, inputs, outputs):
    """The bytes that a node moves: the size of each array that it reads, counted once, and of each that it writes.

    A view moves nothing. Looking up a shape reads no array. Indexing reads only the elements that it picks. Some nodes
    do not read all rows of a matrix: only those that they read are counted. Random generators are not counted.
    """
    op, source = node.op, node.inputs[0] if node.inputs else None
    read = {variable: size(value) for variable, value in zip(node.inputs, inputs)}
    written = [size(value) for value in outputs]
    if len(op.view_map) == len(outputs) or isinstance(op, AllocEmpty):
        return 0
    if isinstance(op, Shape | Shape_i):
        return sum(written)
    if isinstance(op, AdvancedSubtensor):
        read[source] = written[0]
    elif isinstance(op, AdvancedIncSubtensor) and op.destroy_map:
        picked = np.broadcast_to(inputs[1], np.broadcast_shapes(*map(np.shape, inputs[1:])))
        read[source] = written[0] = size(picked)
    elif hasattr(op, "rows_read"):
        W, share = node.inputs[op.W], op.rows_read(*inputs)
        read[W] = round(share * read[W])
        written[0] = round(share * written[0]) if op.destroy_map else written[0]
    return sum(written) + sum(
        n_bytes for v, n_bytes in read.items() if v.owner is None or not isinstance(v.owner.op, AllocEmpty)
    )


def size(value):
    """The bytes of an array or a number; 0 for any other value, such as a generator."""
    return getattr(value, "nbytes", 8 if isinstance(value, int | float) else 0)


def inner_graph(op):
    """The graph inside an operation, such as a fused loop; None if there is no graph."""
    return getattr(op, "fgraph", None) or getattr(getattr(op, "scalar_op", None), "fgraph", None)


def inner_ops(op):
    """The operations of the graph inside an operation. One that has a graph inside is replaced by those in it."""
    graph = inner_graph(op)
    nodes = graph.toposort() if graph is not None else []
    return [deeper for node in nodes for deeper in (inner_ops(node.op) or [node.op])]


def is_fused(op):
    """Whether an operation is a loop that PyTensor has made of several."""
    return bool(inner_ops(op)) and str(op).startswith(("Composite{", "FusedElemwise{", "["))


def operation(op):
    """The name of an operation. For a fused loop: the names of the operations in it."""
    if not is_fused(op):
        return str(op)
    names = dict.fromkeys(str(each).split("{")[0] for each in inner_ops(op))
    return f"Fused({', '.join(names)})" if len(inner_ops(op)) > 1 else next(iter(names))


def formulas(op, operands):
    """[(text, how tightly it binds)] of an operation. A fused loop has a text for each of its outputs.

    `operands` are such pairs, too, one for each input.
    """
    name = str(op).split("{")[0].lower()
    if is_fused(op) and len(inner_ops(op)) <= LONGEST_FORMULA:
        inside = inner_graph(op)
        known = dict(zip(inside.inputs, operands))
        for node in inside.toposort():
            known |= {v: (constant(v), TIGHTEST) for v in node.inputs if isinstance(v, Constant)}
            texts = formulas(node.op, [known[v] for v in node.inputs])
            known |= dict(zip(node.outputs, texts * len(node.outputs)))
        return [known[output] for output in inside.outputs]
    if name in INFIX:
        sign, binding = INFIX[name]
        # The first operand may bind as tightly as the sign does: a − b − c, but a − (b − c).
        texts = [f"({text})" if own < binding + bool(i) else text for i, (text, own) in enumerate(operands)]
        return [(sign.join(texts), binding)]
    return [(f"{operation(op)}({', '.join(text for text, _ in operands)})", TIGHTEST)]


def constant(variable):
    """The value of a constant, as a short text."""
    value = np.asarray(variable.data)
    return f"{value.item():g}" if value.size == 1 and value.dtype.kind in "iuf" else str(variable.data)[:20]


def shape(value):
    """The shape of an array as a reader sees it, such as 784 × 1000; no text for any other value."""
    return " × ".join(map(str, value.shape)) or "scalar" if hasattr(value, "shape") else ""


def spelled(n_bytes):
    """A number of bytes as a reader sees it: 40 B, 7.8 kB, 3.1 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} B"
