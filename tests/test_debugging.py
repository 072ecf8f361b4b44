"""The chapters on debugging: each prints what stands in it."""

import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import debugging

import pytensor
import pytest

NEW = tuple(map(int, pytensor.__version__.split(".")[:2])) >= (3, 3)
OTHERWISE_BEFORE_3_3 = {"the_step_of_lesson_1", "wrong_shape"}  # other loops are fused; BLAS's message is another


def lines_of(text):
    """The lines of a text, without the empty ones."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def outputs_in(chapter):
    """The lines of all texts that stand in a function by themselves, from top to bottom, but for its docstring."""
    function = ast.parse(textwrap.dedent(inspect.getsource(chapter))).body[0]
    texts = [node.value for node in ast.walk(function) if isinstance(node, ast.Expr)]
    texts = [text for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
    texts.sort(key=lambda text: text.lineno)
    return [line for text in texts[1:] for line in lines_of(inspect.cleandoc(text.value))]


@pytest.mark.parametrize("chapter", debugging.CHAPTERS, ids=lambda chapter: chapter.__name__)
def test_a_chapter_prints_what_stands_in_it(chapter, capsys):
    chapter()
    printed = lines_of(capsys.readouterr().out)
    assert printed
    if NEW or chapter.__name__ not in OTHERWISE_BEFORE_3_3:
        assert printed == outputs_in(chapter)


def test_every_function_is_a_chapter_and_every_chapter_of_errors_stands_in_the_introduction():
    source = inspect.getsource(debugging)
    names = [chapter.__name__ for chapter in debugging.CHAPTERS]
    assert re.findall(r"^def (\w+)", source, re.MULTILINE) == ["expected_error", *names]
    errors = re.findall(r"^def (\w+)", source.split("# Part two")[1], re.MULTILINE)
    assert [name for name in re.findall(r"(\w+)$", debugging.__doc__, re.MULTILINE) if name in errors] == errors


@pytest.mark.slow
def test_the_flags_in_the_introduction_choose_the_mode_of_a_lesson():
    show = (
        "from support import rewrites; mode = rewrites.mode(); print(type(mode).__name__, type(mode.linker).__name__)"
    )
    chosen = []
    for flags in re.findall("PYTENSOR_FLAGS=(.*?) ", debugging.__doc__):
        environment = {**os.environ, "PYTENSOR_FLAGS": flags, "PYTHONPATH": str(Path(debugging.__file__).parent)}
        chosen.append(subprocess.check_output([sys.executable, "-c", show], env=environment, text=True).split())
    assert chosen == [["Mode", "PerformLinker"], ["NanGuardMode", "VMLinker"]]


def test_the_command_runs_one_chapter_by_its_name(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["debugging.py", "updates_use_old_values"])
    runpy.run_path(debugging.__file__, run_name="__main__")
    title, printed = lines_of(capsys.readouterr().out)
    assert title.startswith("updates_use_old_values: ") and printed == "returned 12 and now a is 2 and b is 1"
    monkeypatch.setattr(sys, "argv", ["debugging.py", "nothing"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(debugging.__file__, run_name="__main__")
