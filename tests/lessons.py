"""The lessons, and the short schedule that each gives for tests, read without importing them."""

import ast
from pathlib import Path

CODE = Path(__file__).resolve().parents[1] / "code"

# PYTENSOR_FLAGS for a lesson in a process of its own: graphs are run as they were built, node by node by NumPy, and
# nothing is rewritten or compiled.
FLAGS = "linker=py,cxx=,optimizer=None"
# The same, but graphs are rewritten. Loops are not fused: node by node, a fused loop is run entry by entry.
REWRITING_FLAGS = "linker=py,cxx=,optimizer_excluding=fusion"


def short_schedules(code=CODE):
    """{lesson: the driver's arguments that make a run of a moment on a small data set}."""
    schedules = {}
    for path in sorted(code.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and [getattr(each, "id", "") for each in node.targets] == ["SHORT"]:
                schedules[path.stem] = ast.literal_eval(node.value)
    return schedules


def options(arguments):
    """The arguments of a driver as the options of its command."""
    spelled = []
    for name, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        spelled += ["--" + name.replace("_", "-"), *map(str, values)]
    return spelled
