"""Every command and program in README is run as it stands there, in a copy of the project, all in one process.

The lessons get a small data set and tiny networks, run node by node. `make` is told to print what it would run.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys

from lessons import FLAGS
from support.start import ROOT

import pytest

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"`((?:python|make) [^`]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE))
PAGES = (
    "README.md",
    "data/README.md",
    "data/results/README.md",
    "data/results/benchmark/README.md",
    ".github/CONTRIBUTING.md",
)
SETTING_UP = "python -m venv", ".venv/bin/python -m pip install"  # what `make test` itself has done before

# Runs commands in one process, as Python would. What makes a lesson short comes after its options: the last one counts.
ONE_PROCESS = """
import setuptools  # PyTensor does so, but on Python 3.11 it fails after an import of that Python's own distutils
import importlib.util, json, runpy, shlex, sys
from pathlib import Path
sys.path[:0] = ["code", "tests"]
from lessons import options, short_schedules
from support import rewrites
from support.pictures import Pictures
save = Pictures.save
small, *commands = json.load(sys.stdin)
schedules = short_schedules(Path("code"))
for command in commands:
    print("COMMAND", command, flush=True)
    rewrites.select(["all"])
    if "\\n" in command:
        exec(command.replace('dataset="digits"', f"dataset={small!r}"), {})
        continue
    script, *given = shlex.split(command)[1:]
    Pictures.save = save if "--plot" in given else lambda *figure_and_name: None  # drawing takes a second a run
    if script == "-m":
        assert importlib.util.find_spec(given[0]), command
        continue
    assert Path(script).is_file(), command
    schedule = dict(schedules.get(Path(script).stem, {}))
    if not schedule:  # it times or tortures the lessons
        continue
    if not {"--predict", "--plot", "--sample"} & {*given}:
        if "my.npz" not in given:
            given += ["--dataset", small]
        if "--pretrained" in given:
            del schedule["hidden_layers_sizes"]
        if "--pretraining-epochs" in given:
            del schedule["pretraining_epochs"]
        given += options(schedule)
    sys.argv = [script, *given]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code:
            sys.exit(f"{command} ended with {end.code}")
print("END")
"""


def commands():
    """The commands and programs of README, in its order, each once."""
    found = [
        [block] if language == "python" else [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]
        for language, block in BLOCKS
        if language in ("python", "sh")
    ]
    each_once = dict.fromkeys([*itertools.chain(*found), *INLINE])
    return [command for command in each_once if command and not command.startswith(SETTING_UP)]


def test_the_commands_of_readme_end_well(tmp_path, small_dataset):
    for name in "code", "tests":
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    for environment in (".venv", ".venv-peers"):
        (tmp_path / environment).mkdir()
        (tmp_path / environment / "installed").touch()
    process = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 900}
    made = [command for command in commands() if command.startswith("make")]
    targets = dict.fromkeys(word for command in made for word in command.split()[1:] if "=" not in word)
    made = subprocess.run(["make", *targets, "RUN=echo", "DATASET=digits"], **process)
    assert made.returncode == 0, made.stderr
    lines = [line for line in made.stdout.splitlines() if line.startswith(("code/", "tests/", "-m "))]
    assert "code/SdA.py --quick --dataset digits" in lines and len(lines) >= len(targets) - 2
    everything = [*(f"python {line}" for line in lines), *(each for each in commands() if not each.startswith("make"))]
    done = subprocess.run(
        [sys.executable, "-c", ONE_PROCESS],
        input=json.dumps([small_dataset, *everything]),
        env={**os.environ, "PYTENSOR_FLAGS": FLAGS},
        **process,
    )
    assert done.returncode == 0 and done.stdout.endswith("END\n"), done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "left out" not in done.stderr


def test_the_first_command_can_be_typed_within_ten_lines():
    assert any(line.startswith("make run") for line in TEXT.splitlines()[:10])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = map("".join, re.findall(r"\]\(([^)#]+)\)|<img src=\"([^\"]+)\"", text))
    missing = [target for target in targets if not (":" in target or (ROOT / page).parent.joinpath(target).exists())]
    assert not missing
