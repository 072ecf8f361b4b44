"""The nodes of a graph as they run: their formulas, the bytes that they move, and the lines that made them."""

import copy
from functools import cached_property
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
    """One graph of a function, by the name "before" or "after".

    It is measured with the values of the function's shared variables. `arguments`, {name: value}, are the other inputs.

    Attributes
    ----------
    steps : list of Step, in the order in which they run
    bytes : int, moved by all steps together
    values : dict, {input: its value}
    inputs : list of those that are used
    updates : list of (input, output), variables: each shared variable and its new value
    """

    def __init__(self, name, fgraph, function, arguments):
        self.name = name
        self.fgraph = fgraph
        self.updates = [(fgraph.inputs[place], fgraph.outputs[out]) for out, place in fgraph.update_mapping.items()]
        self.steps = [Step(number, node) for number, node in enumerate(fgraph.toposort())]
        self.step_of = {step.node: step for step in self.steps}
        self.values = dict(zip(fgraph.inputs, values_of(function, arguments)))
        self.inputs = [variable for variable in fgraph.inputs if fgraph.clients[variable]]
        updated = {variable for variable, _ in self.updates}  # their arrays may be overwritten
        execute(fgraph, [copy.deepcopy(x) if v in updated else x for v, x in self.values.items()], self._measure)
        self.bytes = sum(step.bytes for step in self.steps)

    def _measure(self, node, inputs, outputs):
        step = self.step_of[node]
        step.bytes = traffic(node, inputs, outputs)
        step.shapes = [getattr(value, "shape", None) for value in outputs]

    def place(self, variable):
        """The name of a variable's place in a page: v0 for the first input, n0 for the first node."""
        if variable.owner is not None:
            return f"n{self.step_of[variable.owner].number}"
        return f"v{self.inputs.index(variable)}"

    def shape_of(self, variable):
        """The shape of an input's value; None if the value is not an array."""
        return getattr(self.values[variable], "shape", None)

    def label(self, variable):
        """A short text for a variable: its name, its value, or the number of the node that makes it."""
        if variable.name is not None:
            return variable.name
        if isinstance(variable, Constant):
            return constant(variable)
        if variable.owner is None:
            return str(variable.type)
        number = self.step_of[variable.owner].number
        return f"#{number}" if len(variable.owner.outputs) == 1 else f"#{number}.{variable.index}"

    def formula(self, node, show=None):
        """What a node computes, as text. `show` makes the text of an input, by default its label."""
        operands = [((show or self.label)(variable), TIGHTEST) for variable in node.inputs]
        return ", ".join(dict.fromkeys(text for text, _ in formulas(node.op, operands)))

    def expression(self, variable, depth=2):
        """The expression for a variable, without views. It ends at named variables, or after `depth` operations."""
        return self._expression(variable, depth)[0]

    def _expression(self, variable, depth):
        step = self.step_of.get(variable.owner)
        if step is not None and variable.name is None and step.is_view:
            return self._expression(step.node.inputs[0], depth)
        if step is None or variable.name is not None or depth == 0:
            return self.label(variable), TIGHTEST
        texts = formulas(step.node.op, [self._expression(each, depth - 1) for each in step.node.inputs])
        return texts[variable.index] if len(texts) == len(step.node.outputs) else texts[0]


class Step:
    """A node of a graph. A run measures the bytes that it moves, and the shapes of its outputs.

    `number` is its place in the order in which the nodes run.
    """

    def __init__(self, number, node):
        self.number, self.node = number, node
        self.bytes, self.shapes = 0, []  # None is the shape of an output that is not an array

    @property
    def destroyed(self):
        """The inputs that the node overwrites."""
        return [self.node.inputs[place] for places in self.node.op.destroy_map.values() for place in places]

    @property
    def is_view(self):
        """Whether the outputs only show the memory of an input in another way."""
        return len(self.node.op.view_map) == len(self.node.outputs)

    @property
    def is_ours(self):
        """Whether the node's operation was put in by this project's rewrites."""
        ops = [self.node.op, *(node.op for node in inner_nodes(self.node.op))]
        return any(type(op).__module__.startswith("support.") for op in ops)

    @property
    def moved(self):
        """The bytes as a reader sees them. A fused loop that also indexes may read only a part of its inputs."""
        indexes = any(isinstance(node.op, INDEXING) for node in inner_nodes(self.node.op))
        return "view" if self.is_view else f"{'≤ ' * indexes}{spelled(self.bytes)}"

    @property
    def outputs(self):
        """The names and the shapes of the outputs, as text."""
        named = zip((output.name or "" for output in self.node.outputs), map(shape, self.shapes))
        return ", ".join(f"{name} {sizes}".strip() for name, sizes in named)

    @cached_property
    def line(self):
        """`lesson_line` of the first output that has one."""
        return next((line for line in map(lesson_line, self.node.outputs) if line is not None), None)


def lesson_line(variable):
    """The line of a lesson that made a variable: (file, number, code). None if PyTensor did not keep it."""
    for stack in getattr(variable.tag, "trace", None) or []:
        for file, line, _, code in reversed(stack if isinstance(stack, list) else [stack]):
            if Path(file).resolve().parent == ROOT / "code":
                return Path(file).name, line, code.strip()
    return None


def values_of(function, arguments):
    """The values of a function's inputs: those of its shared variables, and the arguments."""
    return [
        each.value.data
        if isinstance(each.value, Container)
        else each.variable.type.filter(arguments[each.variable.name], allow_downcast=True)
        for each in function.maker.inputs
    ]


def traffic(node, inputs, outputs):
    """The bytes that a node moves: the size of each array that it reads, counted once, and of each that it writes.

    A view moves nothing. Looking up a shape reads no array. Indexing reads only the elements that it picks. Some nodes
    do not read all rows of a matrix: only those that they read are counted. Random generators are not counted.

    `inputs` and `outputs` are the values after the node has run.
    """
    op = node.op
    read = {variable: size(value) for variable, value in zip(node.inputs, inputs)}
    written = [size(value) for value in outputs]
    if len(op.view_map) == len(outputs) or isinstance(op, AllocEmpty):
        return 0
    if isinstance(op, Shape | Shape_i):
        return sum(written)
    source = node.inputs[0]
    if isinstance(op, AdvancedSubtensor):
        read[source] = written[0]
    elif isinstance(op, AdvancedIncSubtensor) and op.destroy_map:
        picked = size(np.broadcast_to(inputs[1], np.broadcast_shapes(*(np.shape(index) for index in inputs[1:]))))
        read[source] = written[0] = picked
    elif hasattr(op, "rows_read"):
        share = op.rows_read(*inputs)
        W = node.inputs[op.W]
        read[W] = round(share * read[W])
        if op.destroy_map:
            written[0] = round(share * written[0])
    uninitialised = [v for v in read if v.owner is not None and isinstance(v.owner.op, AllocEmpty)]
    return sum(read.values()) + sum(written) - sum(read[variable] for variable in uninitialised)


def size(value):
    """The bytes of an array or a number; 0 for any other value, such as a generator."""
    return getattr(value, "nbytes", 8 if isinstance(value, int | float) else 0)


def inner_graph(op):
    """The graph inside an operation, such as a fused loop; None if there is no graph."""
    return getattr(op, "fgraph", None) or getattr(getattr(op, "scalar_op", None), "fgraph", None)


def inner_nodes(op):
    """The nodes of the graph inside an operation. A node that has a graph inside is replaced by its nodes."""
    graph = inner_graph(op)
    nodes = graph.toposort() if graph is not None else []
    return [deeper for node in nodes for deeper in (inner_nodes(node.op) or [node])]


def is_fused(op):
    """Whether an operation is a loop that PyTensor has made of several."""
    return bool(inner_nodes(op)) and str(op).startswith(("Composite{", "FusedElemwise{", "["))


def operation(op):
    """The name of an operation. For a fused loop: the names of the operations in it."""
    if not is_fused(op):
        return str(op)
    names = dict.fromkeys(str(node.op).split("{")[0] for node in inner_nodes(op))
    return f"Fused({', '.join(names)})" if len(inner_nodes(op)) > 1 else next(iter(names))


def formulas(op, operands):
    """[(text, how tightly it binds)]: what an operation computes. A fused loop has a text for each of its outputs.

    `operands` are such pairs, too, one for each input.
    """
    name = str(op).split("{")[0].lower()
    if is_fused(op) and len(inner_nodes(op)) <= LONGEST_FORMULA:
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


def shape(sizes):
    """A shape as a reader sees it, such as 784 × 1000."""
    return "" if sizes is None else " × ".join(map(str, sizes)) or "scalar"


def spelled(n_bytes):
    """A number of bytes as a reader sees it: 40 B, 7.8 kB, 3.1 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} B"
