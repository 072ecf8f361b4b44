"""Every command and program in README is run as it stands there, in a copy of the project.

What would take long is made short: the lessons get a small data set and tiny networks, run node by node, and are forked
from a process that has imported PyTensor; what times or tortures them shows its options; and `make` is told of this
Python in place of an environment of its own.
"""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys

import forking
from lessons import FLAGS
from support.environment import ROOT
from support.report.recipes import read_recipes

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
NEEDS_MNIST = "make reproduce"

# Run in place of Python: the same arguments, and after them what makes them short; of two the last one counts.
SHORTENED = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from forking import run
from lessons import options, short_schedules
small, *arguments = sys.argv[1:]
script = Path(arguments[0]).stem
given = set(arguments)
schedule = short_schedules(Path("code")).get(script)
if script in ("benchmark", "torture") or arguments[:2] == ["-m", "pytest"]:
    arguments.append("--help")
elif schedule is not None and not given & {"--predict", "--plot", "--sample"}:
    if not any(Path(argument).is_file() for argument in arguments[1:] if not argument.endswith("pretrained.npz")):
        arguments += ["--dataset", small]
    if "--pretrained" in given:
        del schedule["hidden_layers_sizes"]
    if "--pretraining-epochs" in given:
        del schedule["pretraining_epochs"]
    arguments += options(schedule)
sys.exit(run(arguments))
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


@pytest.fixture(scope="module")
def copy(tmp_path_factory, small_dataset):
    """A copy of the project, in which `python` and `make` run what is short; the function that runs a command there."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("code", "tests", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.gz", "*.pkl"))
    shutil.copy(ROOT / "Makefile", folder)
    for name, recipe in read_recipes().items():  # with a record of each, so that `make reproduce` has none to make
        results = folder / "data" / "results"
        if not (results / name).exists():
            shutil.copytree(results / recipe.lesson, results / name)
    (folder / "shortened.py").write_text(SHORTENED)
    for environment in (".venv", ".venv-peers"):
        (folder / environment).mkdir()
        (folder / environment / "installed").touch()
    python = shlex.join([sys.executable, "shortened.py", small_dataset])
    environment = {**os.environ, "PYTENSOR_FLAGS": FLAGS}
    captured = {"capture_output": True, "text": True, "timeout": 200}  # nothing is to train in earnest

    def run_command(command):
        if "\n" in command:
            program = command.replace('dataset="digits"', f"dataset={small_dataset!r}")
            search = {"PYTHONPATH": "code"}
            command = [*shlex.split(python), "-c", program]
            return subprocess.run(command, cwd=folder, env=environment | search, **captured)
        if command.startswith("make"):
            command = f"{command} RUN={shlex.quote(python)}"
        else:
            command = re.sub(r"(?<!\S)\S*python(?= )", lambda _: python, command)
        return subprocess.run(command, shell=True, cwd=folder, env=environment, **captured)

    with forking.server(tmp_path_factory.mktemp("server"), environment) as environment:
        yield run_command


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=[pytest.mark.mnist] * (each == NEEDS_MNIST)) for each in commands()]
)
def test_a_command_of_readme_ends_well(copy, command):
    done = copy(command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_command_can_be_typed_within_ten_lines():
    assert any(line.startswith("make run") for line in TEXT.splitlines()[:10])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = map("".join, re.findall(r"\]\(([^)#]+)\)|<img src=\"([^\"]+)\"", text))
    missing = [target for target in targets if not (":" in target or (ROOT / page).parent.joinpath(target).exists())]
    assert not missing
