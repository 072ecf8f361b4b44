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
OTHERS = ("--help",), ("--predict", "plain/model.npz")  # that print, too


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the lessons are started; each run has a folder in it."""
    return tmp_path_factory.mktemp("anywhere")


@pytest.fixture(scope="module")
def start(small_dataset, folder):
    """A function that runs a short lesson in a process, with these variables and these options of Python."""

    def run(*options, name, stdout=subprocess.PIPE, python=(), **variables):
        environment = {**os.environ, "PYTENSOR_FLAGS": FLAGS, **variables}
        arguments = ["--dataset", small_dataset, "--batch-size", "20", "--n-epochs", "1", "--output-folder", name]
        command = [sys.executable, *python, LESSON, *(options or arguments)]
        return subprocess.run(
            command, cwd=folder, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )

    return run


@pytest.fixture(scope="module")
def result(start, folder):
    """What comes of it in no awkward place."""
    return result_of(start(name="plain"), folder / "plain")


def result_of(done, folder):
    """The figures of a run that ended well."""
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return {name: value for name, value in read(folder / "result.json").items() if name.endswith("_error")}


def read(path):
    return json.loads(path.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="these are no folders elsewhere")
@pytest.mark.parametrize("home", ["/proc/nowhere", pytest.param("/dev/null", marks=pytest.mark.slow)])
def test_a_home_that_cannot_be_written_is_told_and_does_not_matter(start, folder, result, tmp_path, home):
    done = start(name=f"home{len(home)}", HOME=home, TMPDIR=str(tmp_path))
    assert result_of(done, folder / f"home{len(home)}") == result
    (compiled,) = tmp_path.glob("pytensor-*")  # PyTensor 3.0 leaves source beside it
    first, *others = done.stderr.splitlines()
    assert first == f"'{home}/.pytensor' cannot be written: compiled code is kept in '{compiled}'"
    assert compiled.stat().st_mode & 0o077 == 0 and any(compiled.iterdir())
    assert not any("atplotlib" in line for line in others)


@pytest.mark.slow
def test_a_compile_folder_that_the_user_chose_is_used(start, folder, result, tmp_path):
    done = start(name="chosen", HOME="/dev/null", PYTENSOR_FLAGS=f"{FLAGS},base_compiledir={tmp_path}")
    assert result_of(done, folder / "chosen") == result
    assert "cannot be written" not in done.stderr and any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text, threads, is_told", [("abc", "1", True), pytest.param("2,1", "2", False, marks=pytest.mark.slow)]
)
def test_any_number_of_threads_is_understood_or_told(start, folder, text, threads, is_told):
    done = start(name=f"threads{threads}", OMP_NUM_THREADS=text)
    assert result_of(done, folder / f"threads{threads}")
    told = f"OMP_NUM_THREADS='{text}' is not a number of threads: one thread is used\n"
    assert done.stderr.count(told) == is_told
    assert f'"threads": "{threads}"' in (folder / f"threads{threads}" / "settings.json").read_text()


def test_a_path_that_the_terminal_cannot_show_is_shown_in_codes(start, folder, result):
    done = start(name="Zürich-→", PYTHONIOENCODING="ascii")
    assert result_of(done, folder / "Zürich-→") == result
    assert r"Z\xfcrich-\u2192" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe is told otherwise there")
@pytest.mark.parametrize("options", [(), *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)])
def test_a_reader_that_closes_the_pipe_is_no_error(start, result, options):
    reading, writing = os.pipe()
    os.close(reading)
    done = start(*options, name="unread", stdout=writing)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == NOBODY_READS or options == ("--help",)  # argparse itself passes over it


@pytest.mark.slow
def test_without_asserts_a_lesson_is_the_same(start, folder, result):
    assert result_of(start(name="optimized", python=["-O"]), folder / "optimized") == result


@pytest.mark.slow
def test_without_docstrings_one_line_says_what_is_missing(start):
    done = start(name="bare", python=["-OO"])
    assert done.returncode == 2
    assert done.stderr == (
        "logistic_sgd.py: error: python -OO drops the docstrings, and the options are made from them: use python "
        "alone, or python -O\n"
    )
