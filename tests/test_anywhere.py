"""A lesson started in awkward places: it works, or ends with one line and exit status 2."""

import json
import os
import subprocess
import sys

from lessons import FLAGS
from support.console import NOBODY_READS
from support.start import ROOT

import pytest

LESSON = ROOT / "code" / "logistic_sgd.py"
OTHERS = [("--help",), ("--predict", "plain/model.npz")]  # that print, too


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the lessons are started; each run has a folder in it."""
    return tmp_path_factory.mktemp("anywhere")


@pytest.fixture(scope="module")
def start(small_dataset, folder):
    """A function that runs a short lesson in a process, with these variables and these options of Python."""

    def run(*options, name, stdout=subprocess.PIPE, python=(), **variables):
        arguments = ["--dataset", small_dataset, "--batch-size", "20", "--n-epochs", "1", "--output-folder", name]
        return subprocess.run(
            [sys.executable, *python, LESSON, *(options or arguments)],
            cwd=folder, env={**os.environ, "PYTENSOR_FLAGS": FLAGS, **variables},
            stdout=stdout, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def check(start, folder):
    """A function that starts the same with a name, and finds the figures of a run in no awkward place."""

    def figures_of(name, **named):
        done = start(name=name, **named)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        result = json.loads((folder / name / "result.json").read_text())
        return done, {key: value for key, value in result.items() if key.endswith("_error")}

    _, expected = figures_of("plain")

    def same(name, **named):
        done, found = figures_of(name, **named)
        assert found == expected
        return done

    return same


@pytest.mark.skipif(sys.platform != "linux", reason="these are no folders elsewhere")
@pytest.mark.parametrize("home", ["/proc/nowhere", pytest.param("/dev/null", marks=pytest.mark.slow)])
def test_a_home_that_cannot_be_written_is_told_and_does_not_matter(check, tmp_path, home):
    done = check(f"home{len(home)}", HOME=home, TMPDIR=str(tmp_path))
    (compiled,) = tmp_path.glob("pytensor-*")  # PyTensor 3.0 leaves source beside it
    first, *others = done.stderr.splitlines()
    assert first == f"'{home}/.pytensor' cannot be written: compiled code is kept in '{compiled}'"
    assert compiled.stat().st_mode & 0o077 == 0 and any(compiled.iterdir())
    assert not any("atplotlib" in line for line in others)


@pytest.mark.slow
def test_a_compile_folder_that_the_user_chose_is_used(check, tmp_path):
    done = check("chosen", HOME="/dev/null", PYTENSOR_FLAGS=f"{FLAGS},base_compiledir={tmp_path}")
    assert "cannot be written" not in done.stderr and any(tmp_path.iterdir())


NO_NUMBER = "OMP_NUM_THREADS='abc' is not a number of threads: one thread is used\n"


@pytest.mark.parametrize(
    "name, variables, python, threads, told",
    [
        ("Zürich-→", {"PYTHONIOENCODING": "ascii"}, [], "1", r"Z\xfcrich-\u2192"),
        ("threads", {"OMP_NUM_THREADS": "abc"}, [], "1", NO_NUMBER),
        pytest.param("two threads", {"OMP_NUM_THREADS": "2,1"}, [], "2", "", marks=pytest.mark.slow),
        pytest.param("without asserts", {}, ["-O"], "1", "", marks=pytest.mark.slow),
    ],
)
def test_a_lesson_is_the_same_and_tells_what_it_makes_of_its_surroundings(
    check, folder, name, variables, python, threads, told
):
    done = check(name, python=python, **{"OMP_NUM_THREADS": "1", **variables})
    assert told in done.stdout + done.stderr and done.stderr.count(NO_NUMBER) == (told == NO_NUMBER)
    assert f'"threads": "{threads}"' in (folder / name / "settings.json").read_text()


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe is told otherwise there")
@pytest.mark.parametrize("options", [(), *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)])
@pytest.mark.usefixtures("check")  # it makes the model
def test_a_reader_that_closes_the_pipe_is_no_error(start, options):
    reading, writing = os.pipe()
    os.close(reading)
    done = start(*options, name="unread", stdout=writing)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == NOBODY_READS or options == ("--help",)  # argparse itself passes over it


@pytest.mark.slow
def test_without_docstrings_one_line_says_what_is_missing(start):
    done = start(name="bare", python=["-OO"])
    assert done.returncode == 2
    assert done.stderr == (
        "logistic_sgd.py: error: python -OO drops the docstrings, and the options are made from them: use python "
        "alone, or python -O\n"
    )
