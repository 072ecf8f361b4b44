"""A lesson that is stopped. That it goes on as if it had not been is for test_checkpoints and `make torture`."""

import signal

import torture
from lessons import FLAGS

import pytest


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_minibatch_with_a_line(signum, status, small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", FLAGS)  # the subject is the loop: nothing to compile
    process = torture.start("logistic_sgd", small_dataset, tmp_path / "run")
    assert torture.wait_for_a_checkpoint(process, tmp_path / "run" / "checkpoint.npz")
    process.send_signal(signum)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    last = output.splitlines()[-1]
    assert last.startswith("logistic_sgd.py: stopped (epoch ") and last.endswith("the same command goes on from there")
