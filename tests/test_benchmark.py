"""The benchmark: its contestants do the same work, and its page says what the records hold."""

import json
import os
import subprocess
import sys

import contestants
from benchmark import all_phases, phase
from benchmark_page import file_name, rows, write_page
from contestants.common import LEARNING_RATE
from contestants.in_numpy import Adam
from graphs import interpreted_mode
from lessons import short_schedules
from logistic_sgd import parameter
from support import rewrites
from support.start import ROOT
from vae import adam_updates

import numpy as np
import pytensor
import pytest

RECORDS = ROOT / "data" / "results" / "benchmark"
OWN = [name for name in contestants.OWN if name != "memory floor"]  # which computes nothing

# Small networks, in double precision. Beside the initial weights nothing is drawn.
DETERMINISTIC = {
    "logistic_sgd": phase("classifier", [20, 10], 6, dtype="float64"),
    "mlp": phase("classifier", [20, 12, 10], 5, "tanh", 0.0001, dtype="float64"),
    "SdA, fine-tune": phase("classifier", [20, 9, 8, 10], 1, dtype="float64"),
    "pca": phase("linear", [20, 5], 40, dtype="float64"),
    "sA": phase("sparse", [20, 7], 6, dtype="float64"),
    "cA": phase("contractive", [20, 7], 6, dtype="float64"),
}
RANDOM = {
    "dA": phase("autoencoder", [20, 9], 100, dtype="float64"),
    "SdA, pre-train 2": phase("autoencoder", [20, 9, 7], 100, dtype="float64"),
    "vae": phase("variational", [20, 9, 3, 9, 20], 100, dtype="float64"),
    "rbm": phase("boltzmann", [20, 9], 100, dtype="float64"),
    "DBN, pre-train 1": phase("contrastive", [20, 9], 100, dtype="float64"),
    "gan": phase("adversarial", [20, 9, 8, 6], 2000, dtype="float64"),
}


@pytest.fixture
def rewritten():
    """The lessons' functions with the graph rewrites of Numba's mode, run node by node by NumPy."""
    with pytensor.config.change_flags(mode=interpreted_mode(tags=[])):
        yield
    rewrites.select(["all"])  # a contestant may have switched them off


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_all_contestants_take_the_same_steps(name, rewritten):
    steps = {contestant: first_steps(contestant, DETERMINISTIC[name]) for contestant in OWN}
    for contestant, taken in steps.items():
        for (cost, values), (expected_cost, expected_values) in zip(taken, steps["NumPy"], strict=True):
            assert cost == pytest.approx(expected_cost, rel=1e-12), contestant
            for value, expected in zip(values, expected_values, strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-13, err_msg=contestant)


def first_steps(contestant, phase):
    """The cost of a first step and the values after it, and those of the second step of a second call."""
    run, values = contestants.runner(contestant, phase)
    return [(run(1), [value.copy() for value in values()]), (run(2), values())]


@pytest.mark.parametrize("name", RANDOM)
def test_with_random_numbers_the_first_cost_is_nearly_the_same(name, rewritten):
    costs = [contestants.runner(contestant, RANDOM[name])[0](1) for contestant in OWN]
    # Each is the mean of 100 examples or more, before the weights have moved.
    assert max(map(abs, costs)) / min(map(abs, costs)) < 1.03


def test_adam_in_numpy_is_that_of_the_lesson(interpreted, float64):
    targets = np.array([1.0, -2.0, 0.3]), np.array([[0.5, -0.1]])
    symbolic = [parameter(np.zeros(target.shape), "w") for target in targets]
    cost = sum(((param - target) ** 2).sum() for param, target in zip(symbolic, targets))
    step = pytensor.function([], updates=adam_updates(cost, symbolic, LEARNING_RATE))
    params = [np.zeros(target.shape) for target in targets]
    adam = Adam(params)
    for _ in range(5):
        step()
        adam.step([2 * (param - target) for param, target in zip(params, targets)])
    for param, expected in zip(symbolic, params):
        np.testing.assert_allclose(param.get_value(), expected, rtol=1e-12)


def test_every_lesson_has_its_phase():
    assert set(short_schedules()) == {name.split(",")[0] for name in all_phases()}


def test_a_contestant_answers_each_request_and_says_what_it_cannot_run():
    requests = [{"phase": DETERMINISTIC["sA"], "steps": 2}, {"phase": DETERMINISTIC["sA"] | {"kind": "?"}, "steps": 1}]
    done = subprocess.run(
        [sys.executable, "-m", "contestants", "NumPy"],
        input="\n".join(map(json.dumps, requests)),
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    microseconds, refusal = map(json.loads, done.stdout.splitlines())
    assert microseconds > 0
    assert refusal == {"missing": "KeyError: '?'"}


def record_of(processor, **fields):
    names = "dA, batch 20", "vae, batch 100"
    table = {name: {"PyTensor, rewrites": 100.0, "JAX jit+scan": 150.0} for name in names}
    return {
        "versions": {"python": "3.13.0", "torch": "2.0"},
        "machine": {"processor": processor, "cores": 2, "system": "Linux", "threads": "1"},
        "rewrites": rewrites.NAMES,
        "rounds": 3,
        "missing": {},
        "microseconds": {"1": table},
        "hidden_sizes": {},
        **fields,
    }


def test_the_page_has_a_section_for_each_machine(tmp_path):
    xeon = record_of("Intel(R) Xeon(R) CPU @ 2.80GHz")
    older = record_of("AMD EPYC 7R13 Processor", rewrites=rewrites.NAMES[1:], notes=["It was a hot day."])
    del older["microseconds"]["1"]["vae, batch 100"]
    older["machine"]["architecture"] = "znver3"
    for name, record in ("intel-xeon-2.80ghz", xeon), ("amd-epyc-7r13-znver3", older), ("benchmark", xeon):
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    page = write_page(tmp_path, ["dA, batch 20", "vae, batch 100"]).read_text()
    _, of_epyc, of_xeon = page.split("\n## ")  # the record in a file of another name has none
    assert "| dA, batch 20 | 100 | 150 (1.5) |" in of_epyc and "| vae, batch 100 | 100 | 150 (1.5) |" in of_xeon
    assert f"came later: {rewrites.NAMES[0]}." in of_epyc and "came later" not in of_xeon
    assert "Not measured: vae, batch 100." in of_epyc and "Not measured" not in of_xeon
    titles = [section.splitlines()[0] for section in (of_epyc, of_xeon)]
    assert titles == ["AMD EPYC 7R13 Processor, znver3", "Intel(R) Xeon(R) CPU @ 2.80GHz"]
    assert "hot day" in of_epyc and "Python 3.13.0, PyTorch 2.0" in of_xeon


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.json")), ids=lambda path: path.stem)
def test_the_recorded_page_has_the_figures_of_each_record(path):
    record = json.loads(path.read_text())
    assert path.name == file_name(record)
    page = (RECORDS / "README.md").read_text(encoding="utf-8")
    falls_short = page.partition("## What falls short")[2]
    for table in record["microseconds"].values():
        assert "\n".join(rows(table)) in page
        for row in table.values():
            ours = row[contestants.PORT]
            faster = [us for name, us in row.items() if us < 0.995 * ours and name != "memory floor"]
            for each in faster:
                shown = f"{each / ours:.2f}", f"{ours / each:.2f}", f"{ours:.0f} against {each:.0f}"
                assert any(text in falls_short for text in shown), row
