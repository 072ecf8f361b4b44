"""The two files that show the graphs of a function: a text and an HTML page."""

import html
from pathlib import Path
from string import Template

from support.graphs.drawing import shape
from support.graphs.steps import inner_graph, operation, spelled

import pytensor

TEMPLATE = Path(__file__).with_name("page.html")


def text(title, settings, before, after):
    """The text: both graphs, the bytes that each node moves, and the updates."""
    parts = [title, "=" * len(title), "", *(f"{name} = {value}" for name, value in settings.items()), ""]
    for graph in (before, after):
        parts.append(f"{graph.name}: {len(graph.steps)} nodes move {spelled(graph.bytes)} a step")
    parts += ["", *heading("updates: the new value of each shared variable after a call")]
    for name, size, old, new in updates(before, after):
        parts += [f"{name}  {size}", f"    before: {old}", f"    after:  {new}"]
    for graph, what in ((before, "as the lesson built it"), (after, "as it runs")):
        parts += ["", *heading(f"{graph.name}: the graph {what}"), printed(graph.fgraph)]
        parts += ["", *heading(f"{graph.name}: its nodes, in the order in which they run")]
        for row in rows(graph):
            parts.append(
                f"{row['number']:4}  {row['bytes']:>8}  {row['call']}  ->  {row['outputs']}{row['overwrites']}"
            )
            if row["line"]:
                parts.append(f"{'':16}{row['line']}  {row['code']}")
    return "\n".join(parts) + "\n"


def heading(line):
    return [line, "-" * len(line)]


def printed(graph):
    """A graph as PyTensor prints it."""
    return pytensor.dprint(graph, print_shape=True, print_destroy_map=True, print_view_map=True, file="str").rstrip()


def rows(graph):
    """The entries of each node in the list of nodes, as dicts."""
    for step in graph.steps:
        names = [f"{output.name or ''} {shape(size)}".strip() for output, size in zip(step.node.outputs, step.shapes)]
        overwritten = ", ".join(map(graph.label, step.destroyed))
        file, line, code = step.line or ("", "", "")
        yield {
            "number": step.number,
            "bytes": step.moved,
            "call": graph.call(step.node),
            "outputs": ", ".join(names),
            "overwrites": f"  (overwrites {overwritten})" if overwritten else "",
            "line": f"{file}:{line}" if file else "",
            "code": code,
            "step": step,
        }


def updates(before, after):
    """(name, shape, expression before, expression after) of each variable that is updated."""
    for (variable, old), (new_variable, new) in zip(before.updates, after.updates, strict=True):
        expressions = []
        for graph, updated, output in ((before, variable, old), (after, new_variable, new)):
            step = graph.step_of.get(output.owner)
            in_place = step is not None and updated in step.destroyed
            expressions.append(graph.expression(output) + (", in place" if in_place else ""))
        yield before.label(variable), shape(before.shape_of(variable)), *expressions


def page(title, settings, before, after, before_drawing, after_drawing):
    """The page of HTML. It loads no other file."""
    fields = {
        "title": html.escape(title),
        "settings": html.escape(", ".join(f"{name} = {value}" for name, value in settings.items())),
        "share": f"{100 * after.bytes / before.bytes:.0f}",
        "updates": "\n".join(f"<tr>{cells(*row)}</tr>" for row in updates(before, after)),
    }
    for graph, drawing in (before, before_drawing), (after, after_drawing):
        own = {
            "count": len(graph.steps),
            "bytes": spelled(graph.bytes),
            "heaviest": heaviest(graph),
            "drawing": drawing,
            "nodes": "\n".join(table_row(graph, row) for row in rows(graph)),
            "text": html.escape(printed(graph.fgraph)),
        }
        fields |= {f"{graph.name}_{name}": value for name, value in own.items()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(fields)


def cells(*values):
    return "".join(f"<td>{html.escape(str(value))}</td>" for value in values)


def heaviest(graph, count=5):
    """The nodes that move most bytes, as rows of a table."""
    most = sorted(graph.steps, key=lambda step: -step.bytes)[:count]
    return "\n".join(
        f"<tr><td>{box(graph, step)}</td>{cells(operation(step.node.op), step.moved)}</tr>" for step in most
    )


def box(graph, step):
    """The number of a node, as a link to its box in the drawing."""
    return f'<a href="#{graph.name}-box-{step.number}">{step.number}</a>'


def table_row(graph, row):
    """A node of the list as a row of a table."""
    step = row["step"]
    inside = inner_graph(step.node.op)
    call = html.escape(row["call"] + row["overwrites"])
    if inside is not None:
        text = html.escape(printed(list(inside.outputs)))
        call += f"<details><summary>inside</summary><pre>{text}</pre></details>"
    where = f"<b>{row['line']}</b> <code>{html.escape(row['code'])}</code>" if row["line"] else ""
    ours = ' class="ours"' if step.is_ours else ""
    return (
        f'<tr id="{graph.name}-{step.number}"{ours}><td>{box(graph, step)}</td>{cells(row["bytes"])}'
        f"<td>{call}</td>{cells(row['outputs'])}<td>{where}</td></tr>"
    )
