"""A lesson that is stopped or killed goes on as if it had not been."""

import random
import signal

import torture
from lessons import FLAGS

import pytest


@pytest.fixture(autouse=True)
def quick_start(monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", FLAGS)  # the subject is the loop: nothing to compile


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_minibatch_with_a_line(signum, status, small_dataset, tmp_path):
    process = torture.start("logistic_sgd", small_dataset, tmp_path / "run")
    assert torture.wait_for_a_checkpoint(process, tmp_path / "run" / "checkpoint.npz")
    process.send_signal(signum)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    last = output.splitlines()[-1]
    assert last.startswith("logistic_sgd.py: stopped (epoch ") and last.endswith("the same command goes on from there")


def test_a_second_process_on_the_same_folder_is_refused(small_dataset, tmp_path):
    first = torture.start("logistic_sgd", small_dataset, tmp_path / "run")
    assert torture.wait_for_a_checkpoint(first, tmp_path / "run" / "checkpoint.npz")
    second = torture.start("logistic_sgd", small_dataset, tmp_path / "run")
    output, _ = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert second.returncode == 2 and "another process is training in" in output.splitlines()[-1]


@pytest.mark.slow  # test_new_lesson kills one once
def test_a_run_that_is_killed_again_and_again_ends_like_an_undisturbed_one(small_dataset, tmp_path):
    """All lessons and a hundred kills are `make torture`'s."""
    assert torture.torture("logistic_sgd", 3, small_dataset, tmp_path, random.Random(0)) >= 1
