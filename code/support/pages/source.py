"""A lesson's file, taken apart: the sections of its docstring, the code that each explains, and the exercises."""

import ast
import re
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

from support.start import UserError

HEADING = re.compile(r"^(\S.*)\n(?= )", re.MULTILINE)  # the text below a heading is indented


@dataclass
class Row:
    """A text, and the code that it explains: the lines from `start` to before `end`, but not the `hidden` ones."""

    text: str
    start: int
    hidden: range = range(0)
    end: int = 0


class Source:
    """A file of the folder code/: its `title`, the `number` of its lesson or None, its `rows` and its `exercises`.

    A heading in its docstring may end with the name of a class, function or method, as `The model (dA)`. This section,
    and those below it without a name, explain the code from there to the next name. If no heading names any, each
    function is explained by its own docstring. A UserError says that a name has no such place in the file.
    """

    def __init__(self, path):
        self.path, self.name = Path(path), Path(path).stem
        text = self.path.read_text(encoding="utf-8")
        self.code, body = text.rstrip(), ast.parse(text).body
        title, _, docstring = cleandoc(text_of(body[0])).partition("\n")
        found = re.match(r"Lesson (\d+): ", title)
        self.title, self.number = title.rstrip("."), int(found[1]) if found else None
        self.is_program = "if __name__ ==" in text
        _, foot, exercises = text_of(body[-1]).partition("Exercises\n")
        self.exercises = cleandoc(exercises)

        before, *parts = HEADING.split(docstring)
        self.rows, named = [Row(before, body[0].end_lineno + 1)], list(definitions(body))
        for heading, text in zip(parts[::2], parts[1::2]):
            if found := re.fullmatch(r"(.+) \((\w+)\)", heading):
                heading, name = found.groups()
                lines = [line for line, node in named if node.name == name and line > self.rows[-1].start]
                if not lines:
                    raise UserError(f"{path}: there is no {name}, below the code above it, for the section {heading!r}")
                # With no text above it, the first section explains all definitions so far: the imports stand alone.
                self.rows.append(Row("", lines[0] if self.rows[-1].text.strip() else named[0][0]))
            text = re.sub("^ {4}", "", text, flags=re.MULTILINE)
            self.rows[-1].text += f"\n\n## {heading}\n\n{text}"
        for line, node in named if len(self.rows) == 1 else ():
            if node in body and (explained := ast.get_docstring(node)):
                hidden = range(node.body[0].lineno, node.body[0].end_lineno + 1)
                self.rows.append(Row(f"## `{node.name}`\n\n{explained}", line, hidden))
        ends = [row.start for row in self.rows[1:]] + [body[-1].lineno if foot else self.code.count("\n") + 2]
        for row, end in zip(self.rows, ends):
            row.end = end


def text_of(statement):
    """The text of a statement that is only a text, such as a docstring; "" of another one."""
    value = getattr(statement, "value", None) if isinstance(statement, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def definitions(body):
    """(line, node) of the classes, functions and methods, in the file's order. Comments above one belong to it."""
    for before, node in zip([None, *body], body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield before.end_lineno + 1 if before else node.lineno, node
            yield from definitions(node.body) if isinstance(node, ast.ClassDef) else ()
