"""The tests of the exercises: red on the untouched lesson, green on the solution, red on a typical mistake."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import dA
import logistic_sgd
import mlp
import SdA
from logistic_sgd import parameter

import numpy as np
import pytensor.tensor as pt
import pytest

FOLDER = Path(__file__).parent / "exercises"


def load(path):
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


solution = {path.stem: load(path) for path in (FOLDER / "solutions").glob("*.py")}


# Typical mistakes, one or more for each exercise.


def velocity_used_late(cost, params, learning_rate, momentum=0.0):
    """The parameter moves by the old velocity."""
    updates = solution["momentum"].sgd_updates(cost, params, learning_rate, momentum)
    velocities = [variable for variable in updates if variable not in params]
    return updates | {param: param + velocity for param, velocity in zip(params, velocities)}


def velocity_forgotten(cost, params, learning_rate, momentum=0.0):
    """The velocity is not among the updates: it stays zero."""
    updates = solution["momentum"].sgd_updates(cost, params, learning_rate, momentum)
    return {param: updates[param] for param in params}


def one_velocity_for_all(cost, params, learning_rate, momentum=0.0):
    """All parameters share one velocity."""
    velocity = parameter(np.zeros(params[0].get_value().shape), "velocity")
    gradients = pt.grad(cost, params)
    new = momentum * velocity - learning_rate * sum(gradients)
    return {param: param + new for param in params} | {velocity: new}


def momentum_by_default(cost, params, learning_rate, momentum=0.9):
    """The other lessons, which name no momentum, would change."""
    return solution["momentum"].sgd_updates(cost, params, learning_rate, momentum)


def mlp_with(activity):
    class MLP(mlp.MLP):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.activity = activity(self)

    return MLP


def corruption_by(noise):
    def get_corrupted_input(self, input, corruption_level):
        next_rng, draw = noise(self.theano_rng, input, corruption_level)
        return next_rng, input + draw.astype(input.dtype)

    return get_corrupted_input


def generator_stands_still(self, input, corruption_level):
    """The generator itself instead of its next state: the same noise at each call."""
    _, corrupted = solution["gaussian"].get_corrupted_input(self, input, corruption_level)
    return self.theano_rng, corrupted


class decoder_not_trained(solution["untied"].dA):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.params = self.params[:3]


class decoder_of_random_weights(solution["untied"].dA):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        value = np.random.RandomState(0).uniform(-1, 1, size=self.W_prime.get_value().shape)
        self.W_prime.set_value(value)


class decoder_without_its_params(dA.dA):
    """`W_prime` is listed among the parameters, but the reconstruction still uses W transposed."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.params = [*self.params, parameter(self.W.get_value().T, "W_prime")]


def hidden_units(classifier):
    return abs(classifier.hiddenLayer.output)


EXERCISES = {  # name: (what the student changes, the solution, typical mistakes)
    "momentum": (
        [(logistic_sgd, "sgd_updates")],
        solution["momentum"].sgd_updates,
        [velocity_used_late, velocity_forgotten, one_velocity_for_all, momentum_by_default],
    ),
    "activity": (
        [(mlp, "MLP")],
        solution["activity"].MLP,
        [
            mlp_with(lambda classifier: pt.sum(hidden_units(classifier))),
            mlp_with(lambda classifier: pt.mean(hidden_units(classifier))),
            mlp_with(lambda classifier: pt.mean(pt.sum(classifier.hiddenLayer.output, axis=1))),
            mlp_with(lambda classifier: pt.mean(pt.sum(classifier.hiddenLayer.output**2, axis=1))),
            mlp_with(lambda classifier: classifier.L1),
        ],
    ),
    "gaussian": (
        [(dA.dA, "get_corrupted_input")],
        solution["gaussian"].get_corrupted_input,
        [
            corruption_by(lambda rng, input, level: rng.normal(pt.zeros_like(input), level**0.5)),  # a variance
            corruption_by(lambda rng, input, level: rng.normal(pt.full_like(input, level), level)),
            corruption_by(lambda rng, input, level: rng.uniform(pt.full_like(input, -level), level)),
            corruption_by(lambda rng, input, level: rng.normal(pt.zeros_like(input[:, :1]), level)),  # one for a row
            generator_stands_still,
        ],
    ),
    "untied": (
        [(dA, "dA"), (SdA, "dA")],
        solution["untied"].dA,
        [decoder_not_trained, decoder_of_random_weights, decoder_without_its_params],
    ),
}


def run_exercise(name):
    """pytest's exit status for the tests of one exercise, in this process, with the lessons as they are now."""
    return pytest.main(["-q", "-p", "no:cacheprovider", "-k", name, str(FOLDER)])


def put(monkeypatch, places, value):
    for module, name in places:
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("name", EXERCISES)
def test_red_on_the_untouched_lesson(name):
    assert run_exercise(name) == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("name", EXERCISES)
def test_green_on_the_solution(name, monkeypatch):
    places, right, _ = EXERCISES[name]
    put(monkeypatch, places, right)
    assert run_exercise(name) == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("name", "mistake"),
    [(name, place) for name, (_, _, mistakes) in EXERCISES.items() for place in range(len(mistakes))],
)
def test_red_on_a_typical_mistake(name, mistake, monkeypatch):
    places, _, mistakes = EXERCISES[name]
    put(monkeypatch, places, mistakes[mistake])
    assert run_exercise(name) == pytest.ExitCode.TESTS_FAILED


def test_all_exercises_are_here():
    assert {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")} == set(EXERCISES)
    assert set(solution) - {"__init__"} == set(EXERCISES)


@pytest.mark.parametrize("arguments, left", [([FOLDER.parent], 1), ([FOLDER], 2), ([FOLDER / "test_untied.py"], 2)])
def test_a_run_of_all_tests_leaves_them_out(arguments, left):
    config = SimpleNamespace(args=[f"{each}::test" for each in arguments], hook=mock.Mock())
    items = [SimpleNamespace(path=path / "test_one.py") for path in (FOLDER, FOLDER.parent)]
    load(FOLDER / "conftest.py").pytest_collection_modifyitems(config, items)
    assert len(items) == left and items[-1].path.parent == FOLDER.parent
    assert config.hook.pytest_deselected.called == (left == 1)
