"""A graph as a drawing, laid out by Graphviz."""

import re

from pytensor.graph.basic import Constant

# Graphviz needs a second or two for the 124 nodes of the published SdA. For more than 250 it needs half a minute, and
# nobody finds anything in a drawing that is three screens wide.
MOST_NODES = 250

INPUT, UPDATE, OURS, VIEW = "#cfe8cf", "#bcd4f0", "#1f5fbf", "#999999"
WARM = "#ffffff", "#fff1dc", "#ffd9a8", "#ffb56b", "#ff8a3d"  # nodes: below 1 kB, 10 kB, 100 kB, 1 MB; above


def draw(graph):
    """The drawing of a graph, as the text of an <svg> element.

    Without pydot, an ImportError is raised; without Graphviz, an OSError; if that fails, another exception.
    """
    import pydot

    def quoted(**attributes):
        """Attributes as dot takes them. A backslash is doubled: a single one starts a code."""
        return {name: pydot.make_quoted(str(value).replace("\\", r"\\")) for name, value in attributes.items()}

    def box(place, **attributes):
        drawing.add_node(pydot.Node(place, **quoted(shape="box", **attributes)))

    def arrow(start, end, **attributes):
        drawing.add_edge(pydot.Edge(start, end, **quoted(**attributes)))

    drawing = pydot.Dot(graph_type="digraph", bgcolor="transparent", ranksep="0.3", nodesep="0.15")
    drawing.set_node_defaults(fontname="Helvetica", fontsize="11", margin='"0.1,0.04"', height="0.3")
    drawing.set_edge_defaults(fontname="Helvetica", fontsize="9", arrowsize="0.6", color='"#555555"')

    for variable in graph.inputs:
        label = f"{graph.label(variable)}\n{graph.shapes[variable]}"
        box(graph.place(variable), label=label, style="filled", fillcolor=INPUT, tooltip=variable.type)
    for step in graph.steps:
        names = [output.name for output in step.node.outputs if output.name]
        size = "  ".join(filter(None, [step.shapes[-1], "" if step.is_view else step.moved]))
        look = {"style": "rounded,filled", "fillcolor": WARM[sum(step.bytes >= 10**power for power in (3, 4, 5, 6))]}
        if step.is_view:
            look = {"style": "rounded,dashed", "color": VIEW, "fontcolor": "#555555"}
        elif step.is_ours:
            look |= {"color": OURS, "penwidth": "3"}
        look |= {"label": "\n".join([f"{step.number}  {step.name.split('{')[0]}", *names, size])}
        look |= {"tooltip": "{}:{}  {}".format(*step.line) if step.line else graph.formula(step.node)}
        box(f"n{step.number}", id=f"{graph.name}-box-{step.number}", URL=f"#{graph.name}-n{step.number}", **look)
        for variable in dict.fromkeys(step.node.inputs):
            look = {"color": "red", "penwidth": "2"} if variable in step.destroyed else {}
            if step.is_view and variable is step.node.inputs[0]:
                look = {"style": "dashed"}
            if not isinstance(variable, Constant):
                arrow(graph.place(variable), f"n{step.number}", tooltip=graph.label(variable), **look)
    named = {output: f"result: {output.name or ''}" for output in graph.fgraph.outputs}
    named.update((output, f"new {graph.label(variable)}") for variable, output in graph.updates)
    for number, (output, label) in enumerate(named.items()):
        box(f"o{number}", label=label, style="filled", fillcolor=UPDATE, tooltip=label)
        if not isinstance(output, Constant):
            arrow(graph.place(output), f"o{number}")
    svg = drawing.create(format="svg").decode("utf-8")
    # Two drawings in one page need different ids.
    return re.sub(r'id="((a_)?(graph|node|edge)\d+)"', rf'id="{graph.name}-\1"', svg[svg.index("<svg") :])
