"""The plan of the house: imports go down only, and support knows no lesson."""

import ast
from graphlib import TopologicalSorter

from lessons import short_schedules
from support.start import ROOT

import pytest

CODE = ROOT / "code"
# From the roof to the ground; a room imports from its own floor and from those below it.
FLOORS = [
    {"__main__"},
    {"command", "pages"},
    {"report"},
    {"pictures"},
    {"runs"},
    {"data", "graphs", "inputs"},
    {"rewrites", "settings", "files"},
    {"console"},
    {"start"},
]


def imports_of(path):
    """The modules that a file imports, wherever in it, with the names that it imports from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


def name_of(path):
    return ".".join(path.relative_to(CODE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted((CODE / "support").rglob("*.py"))}


def arrows():
    """{module: modules of support that it imports}."""
    found = {}
    for module, path in MODULES.items():
        targets = {f"{name}.{item}" if f"{name}.{item}" in MODULES else name for name, item in imports_of(path)}
        found[module] = {target for target in targets if target in MODULES}
    return found


def floor(module):
    room = module.split(".")[1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_its_floor_and_imports_go_down():
    for module, targets in arrows().items():
        if module != "support":  # whose import makes the choices
            for target in targets:
                assert target != "support" and floor(target) >= floor(module), f"{module} imports {target}"


def test_no_imports_go_round_in_a_circle():
    list(TopologicalSorter(arrows()).static_order())  # raises CycleError


@pytest.mark.parametrize("lesson", short_schedules())
def test_support_knows_no_lesson(lesson):
    for module, path in MODULES.items():
        assert lesson not in {name.split(".")[0] for name, _ in imports_of(path)}, module
        strings = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        assert lesson not in strings, f"{module} names {lesson}"
