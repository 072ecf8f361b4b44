"""The graph of a step of training, shown: as the lesson built it, as it runs, and what it updates.

Within `shown()`, a function keeps a copy of its graph from before the first rewrite; `write` lays that and the
rewritten graph beside each other, in a text and in a page that needs nothing but a browser. What a node moves is
measured, by running it once on copies of what the function has in memory; nothing is compiled to machine code.
"""

import inspect
from contextlib import contextmanager

from support.graphs.drawing import MOST_NODES, draw
from support.graphs.pages import page, text
from support.graphs.steps import Graph, lesson_line, spelled

import pytensor
from pytensor.compile.mode import get_default_mode
from pytensor.graph.basic import Apply
from pytensor.graph.features import Feature
from pytensor.graph.rewriting.basic import GraphRewriter, copy_stack_trace


class KeepAsBuilt(GraphRewriter):
    """No change, but a copy of the graph, `as_built`, beside it, and the lines of the lesson kept from here on."""

    def apply(self, fgraph):
        fgraph.as_built = fgraph.clone()
        fgraph.attach_feature(KeepLines())


class KeepLines(Feature):
    """What replaces a variable has the line that made that, where the rewrite, as of a fused loop, tells none."""

    def on_change_input(self, fgraph, node, i, old, new, reason=None):
        if new.owner is not None and lesson_line(new) is None:
            copy_stack_trace(old, new)


@contextmanager
def shown():
    """Within the block runs show their graphs, and functions keep what these are made from."""
    clone = Apply.clone_with_new_inputs
    # Where `givens` tell the shape of a variable, PyTensor makes all that is computed from it anew, without its names.
    Apply.clone_with_new_inputs = partial_method(clone_with_names, clone)
    try:
        with pytensor.config.change_flags(mode=get_default_mode().register((KeepAsBuilt(), -1))):
            yield
    finally:
        Apply.clone_with_new_inputs = clone


def partial_method(function, *arguments):
    """A method that calls the function with these arguments before its own."""
    return lambda *own, **named: function(*arguments, *own, **named)


def clone_with_names(clone, node, *arguments, **named):
    """A node for other inputs, whose outputs keep their names and the lines that made them."""
    new = clone(node, *arguments, **named)
    for old_output, output in zip(node.outputs, new.outputs):
        output.name = output.name or old_output.name
        output.tag.trace = getattr(old_output.tag, "trace", [])
    return new


def write(path, title, settings, function, arguments):
    """Write a function's graphs to files in place of earlier ones.

    Parameters
    ----------
    path : Path
        Of the files, without their endings .txt and .html.
    title : str
    settings : dict
        What a reader should know of the run.
    function : compiled function, or one that wraps it
        Compiled within `shown()`.
    arguments : dict
        The values of its inputs, by name.

    Returns
    -------
    str
        What to tell the user, in one line.

    Raises
    ------
    OSError
        Where the files cannot be written.
    """
    function = inspect.unwrap(function)
    rewritten = function.maker.fgraph
    graphs = Graph("before", rewritten.as_built, function, arguments), Graph("after", rewritten, function, arguments)
    files = path.with_name(path.name + ".txt"), path.with_name(path.name + ".html")
    files[0].write_text(text(title, settings, *graphs), encoding="utf-8")
    moved = f"{path.name}: a step moves {spelled(graphs[0].bytes)} as built, {spelled(graphs[1].bytes)} as it runs"
    files[1].unlink(missing_ok=True)
    largest = max(len(graph.steps) for graph in graphs)
    try:
        reason = f"of {largest} nodes, more than {MOST_NODES}, nobody could read a drawing"
        drawings = [draw(graph) for graph in graphs] if largest <= MOST_NODES else None
    except ImportError:
        reason, drawings = "pydot is not installed", None
    except FileNotFoundError:
        reason, drawings = "Graphviz, whose program dot draws, is not installed", None
    if drawings is None:
        return f"{moved}; the text alone is written, {files[0]}: {reason}"
    files[1].write_text(page(title, settings, *graphs, *drawings), encoding="utf-8")
    return f"{moved}: {files[1]}"
