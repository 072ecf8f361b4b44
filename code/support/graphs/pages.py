"""The two files that show the graphs of a function: a text and an HTML page."""

import html
from pathlib import Path
from string import Template

from support.graphs.steps import spelled

import pytensor
from pytensor.graph.basic import Constant

TEMPLATE = Path(__file__).with_name("page.html")


def text(title, settings, graphs):
    """The text: both graphs, the bytes that each node moves, and the updates."""
    lines = [title, "=" * len(title), "", *(f"{name} = {value}" for name, value in settings.items()), ""]
    lines += [f"{graph.name}: {len(graph.steps)} nodes move {spelled(graph.bytes)} a step" for graph in graphs]
    lines += heading("updates: the new value of each shared variable after a call")
    for name, sizes, before, after in updates(graphs):
        lines += [f"{name}  {sizes}", f"    before: {before}", f"    after:  {after}"]
    for graph, origin in zip(graphs, ("as the lesson built it", "as it runs")):
        lines += [*heading(f"{graph.name}: the graph {origin}"), printed(graph)]
        lines += heading(f"{graph.name}: its nodes, in the order in which they run")
        for step in graph.steps:
            does = f"{graph.formula(step.node)}  ->  {step.outputs}{overwritten(graph, step)}"
            lines.append(f"{step.number:4}  {step.moved:>8}  {does}")
            lines += ["{:16}{}:{}  {}".format("", *step.line)] if step.line else []
    return "\n".join(lines) + "\n"


def heading(line):
    return ["", line, "-" * len(line)]


def printed(graph):
    """A graph as PyTensor prints it."""
    options = dict.fromkeys(("print_shape", "print_destroy_map", "print_view_map"), True)
    return pytensor.dprint(graph.fgraph, file="str", **options).rstrip()


def overwritten(graph, step):
    return f"  (overwrites {', '.join(map(graph.label, step.destroyed))})" if step.destroyed else ""


def updates(graphs):
    """(name, shape, expression before, expression after) of each variable that is updated."""
    for both in zip(*(graph.updates for graph in graphs), strict=True):
        expressions = []
        for graph, (variable, output) in zip(graphs, both):
            step = graph.step_of.get(output.owner)
            in_place = step is not None and variable in step.destroyed
            expressions.append(graph.expression(output)[0] + ", in place" * in_place)
        variable, _ = both[0]
        yield graphs[0].label(variable), graphs[0].shapes[variable], *expressions


def page(title, settings, graphs, drawings, reason):
    """The page of HTML. It loads no other file.

    `drawings` are those of the graphs, as <svg> elements. If there are none, `reason` says why.
    """
    fields = {
        "title": html.escape(title),
        "settings": html.escape(", ".join(f"{name} = {value}" for name, value in settings.items())),
        "share": f"{100 * graphs[1].bytes / max(1, graphs[0].bytes):.0f}",
        "updates": "\n".join(f"<tr>{cells(*row)}</tr>" for row in updates(graphs)),
        "drawings": "\n".join(f'<div class="drawing">{svg}</div>' for svg in drawings),
        "hidden": "" if drawings else "hidden",
        "reason": f"The drawings are left out: {html.escape(reason)}." if reason else "",
    }
    for graph in graphs:
        heaviest = [
            f"<tr><td>{link(graph, f'n{step.number}', step.number)}</td>{cells(step.name, step.moved)}</tr>"
            for step in sorted(graph.steps, key=lambda step: -step.bytes)[:5]
        ]
        rows = []
        for variable in graph.inputs:
            about = cells("", "input", graph.label(variable), graph.shapes[variable], "")
            rows.append(f'<tr id="{graph.name}-{graph.place(variable)}">{about}</tr>')
        rows += [node_row(graph, step, drawings) for step in graph.steps]
        fields |= {
            f"{graph.name}_count": len(graph.steps),
            f"{graph.name}_bytes": spelled(graph.bytes),
            f"{graph.name}_heaviest": "\n".join(heaviest),
            f"{graph.name}_nodes": "\n".join(rows),
            f"{graph.name}_text": html.escape(printed(graph)),
        }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(fields)


def cells(*values):
    return "".join(f"<td>{html.escape(str(value))}</td>" for value in values)


def link(graph, place, words):
    """A link to a place in the page: the row of a node or an input, or the box of a node in the drawing."""
    return f'<a href="#{graph.name}-{place}">{html.escape(str(words))}</a>'


def node_row(graph, step, is_drawn):
    """The row of a node. Its number leads to its box in the drawing, the inputs in its formula to their rows."""
    tokens = [f"\0{place}\0" for place in range(len(step.node.inputs))]  # for links, until the text is made safe
    does = html.escape(graph.formula(step.node, tokens) + overwritten(graph, step))
    for token, variable in zip(tokens, step.node.inputs):
        label = graph.label(variable)
        is_place = not isinstance(variable, Constant)
        does = does.replace(token, link(graph, graph.place(variable), label) if is_place else html.escape(label))
    number = link(graph, f"box-{step.number}", step.number) if is_drawn else step.number
    where = "<b>{}:{}</b> <code>{}</code>".format(*map(html.escape, map(str, step.line))) if step.line else ""
    return (
        f'<tr id="{graph.name}-n{step.number}"{" class=ours" if step.is_ours else ""}><td>{number}</td>'
        f"{cells(step.moved)}<td>{does}</td>{cells(step.outputs)}<td>{where}</td></tr>"
    )
