"""Pages that show the graph of a training step: as the lesson built it, as it runs, and the variables it updates.

A function that is compiled within `shown()` keeps a copy of its graph from before the first rewrite. `write` shows this
graph and the rewritten one side by side, in a text file and in an HTML page that needs only a browser. The bytes that a
node moves are measured: each node runs once, in Python, on copies of the function's arrays.
"""

import inspect
from contextlib import contextmanager

from support.files import replacing
from support.graphs.drawing import MOST_NODES, draw
from support.graphs.pages import page, text
from support.graphs.steps import Graph, lesson_line, spelled
from support.start import UserError

import pytensor
from pytensor.compile.mode import get_default_mode
from pytensor.graph.basic import Apply
from pytensor.graph.features import Feature
from pytensor.graph.rewriting.basic import GraphRewriter, copy_stack_trace


class KeepAsBuilt(GraphRewriter):
    """Change nothing. Keep a copy of the graph, `as_built`, and let `KeepLines` follow the rewrites from here on."""

    def apply(self, fgraph):
        fgraph.as_built = fgraph.clone()
        fgraph.attach_feature(KeepLines())


class KeepLines(Feature):
    """If a rewrite does not say which line its result comes from, keep the replaced variable's line."""

    def on_change_input(self, fgraph, node, i, old, new, reason=None):
        if new.owner is not None and lesson_line(new) is None:
            copy_stack_trace(old, new)


@contextmanager
def shown():
    """Within the block, compiled functions keep their graphs as built, with the names and lines of the variables."""
    clone = Apply.clone_with_new_inputs

    def clone_with_names(node, *arguments, **named):
        """A node for other inputs, whose outputs keep their names and the lines that made them."""
        new = clone(node, *arguments, **named)
        for old_output, output in zip(node.outputs, new.outputs):
            output.name = output.name or old_output.name
            output.tag.trace = getattr(old_output.tag, "trace", [])
        return new

    # If `givens` fix the shape of a variable, PyTensor clones every node that depends on it, and drops the names.
    Apply.clone_with_new_inputs = clone_with_names
    try:
        with pytensor.config.change_flags(mode=get_default_mode().register((KeepAsBuilt(), -1))):
            yield
    finally:
        Apply.clone_with_new_inputs = clone


def write(path, title, settings, function, arguments):
    """Write the graphs of a function to a text file and a page. Return a line that tells the user where they are.

    `path` is that of the files, without their endings .txt and .html. The title and the settings, a dict, are printed
    above the graphs. The function was compiled within `shown()`, or wraps one; `arguments`, {name: value}, are its.
    """
    function = inspect.unwrap(function)
    rewritten = function.maker.fgraph
    if not hasattr(rewritten, "as_built"):
        raise UserError(
            f"{path.name} was compiled outside of support.graphs.shown(), or in a mode of its own: compile it in "
            "rewrites.mode(), or choose the mode by PYTENSOR_FLAGS"
        )
    graphs = Graph("before", rewritten.as_built, function, arguments), Graph("after", rewritten, function, arguments)
    drawings, reason, largest = [], "", max(len(graph.steps) for graph in graphs)
    try:
        if largest > MOST_NODES:
            reason = f"of {largest} nodes, more than {MOST_NODES}, nobody could read one"
        else:
            drawings = [draw(graph) for graph in graphs]
    except ImportError:
        reason = "pydot is not installed"
    except (OSError, AssertionError, ValueError):  # pydot asserts that dot ends well
        reason = "Graphviz, whose program dot draws, is not installed, or fails"
    contents = {"txt": text(title, settings, graphs), "html": page(title, settings, graphs, drawings, reason)}
    for ending, content in contents.items():
        with replacing(path.with_name(f"{path.name}.{ending}")) as file:
            file.write(content.encode())
    before, after = (spelled(graph.bytes) for graph in graphs)
    without = f", without a drawing: {reason}" if reason else ""
    return f"{path.name}: a step moves {before} as built, {after} as it runs: {path}.html{without}"
