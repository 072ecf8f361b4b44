"""A lesson's file, taken apart: the sections of its docstring, the code that each explains, and the exercises."""

import ast
import re

from support.start import UserError

HEADING = re.compile(r"^(\S.*)\n(?= )", re.MULTILINE)  # the text below a heading is indented


class Source:
    """A file of the folder code/.

    A heading in its docstring may end with the name of a class, function or method, as `The model (dA)`. This section,
    and those below it without a name, explain the code from there to the next name. If no heading names any, each
    function is explained by its own docstring. A UserError says that a name has no such place in the file.

    Attributes
    ----------
    title : str; number : int, the lesson's, or None
    rows : list of (text, numbers of the lines that it explains)
    exercises : str
    """

    def __init__(self, path):
        self.path, self.name = path, path.stem
        whole = path.read_text(encoding="utf-8")
        self.code, foot, exercises = whole.partition('\n"""Exercises\n')
        self.exercises = exercises.rstrip().removesuffix('"""') if foot else ""
        self.is_program = "if __name__ ==" in whole
        tree = ast.parse(self.code)
        title, _, docstring = (ast.get_docstring(tree) or "").partition("\n")
        found = re.match(r"Lesson (\d+): ", title)
        self.title, self.number = title.rstrip("."), int(found[1]) if found else None

        self.rows = []
        before, *parts = HEADING.split(docstring)
        texts, starts = [before], [tree.body[0].end_lineno + 1]
        named, hidden, last = list(definitions(tree.body)), set(), 0
        for heading, text in zip(parts[::2], parts[1::2]):
            if found := re.fullmatch(r"(.+) \((\w+)\)", heading):
                heading, name = found.groups()
                last = next((line for line, node in named if node.name == name and line > last), 0)
                if not last:
                    raise UserError(f"{path}: below the code before it there is no {name}, for the section {heading!r}")
                # With no text above it, the first section explains all definitions so far: the imports stand alone.
                starts.append(last if texts[-1].strip() else named[0][0])
                texts.append("")
            text = re.sub("^ {4}", "", text, flags=re.MULTILINE)
            texts[-1] += f"\n\n## {heading}\n\n{text}"
        for line, node in named if len(texts) == 1 else ():
            if node in tree.body and (explained := ast.get_docstring(node)):
                hidden |= {*range(node.body[0].lineno, node.body[0].end_lineno + 1)}
                starts.append(line)
                texts.append(f"## `{node.name}`\n\n{explained}")
        ends = [*starts[1:], self.code.count("\n") + 2]
        lines = ["", *self.code.split("\n")]
        for text, start, end in zip(texts, starts, ends):
            numbers = [number for number in range(start, end) if number not in hidden]
            written = [number for number in numbers if lines[number].strip()] or [start]
            self.rows.append((text, [number for number in numbers if written[0] <= number <= written[-1]]))


def definitions(body):
    """(line, node) of the classes, functions and methods, in the file's order. Comments above one belong to it."""
    for before, node in zip([None, *body], body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield before.end_lineno + 1 if before else node.lineno, node
            yield from definitions(node.body) if isinstance(node, ast.ClassDef) else ()
