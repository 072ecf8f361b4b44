"""The tests of the exercises: red on the untouched lesson, green on the solution, red on a typical mistake."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import dA
import logistic_sgd
import mlp
import rbm
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


def momentum_by(change):
    """The solution's updates, changed: `change` gets them, the parameters and the velocities."""

    def sgd_updates(cost, params, learning_rate, momentum=0.0):
        updates = solution["momentum"].sgd_updates(cost, params, learning_rate, momentum)
        return change(updates, params, [variable for variable in updates if variable not in params])

    return sgd_updates


def one_velocity_for_all(cost, params, learning_rate, momentum=0.0):
    velocity = parameter(np.zeros(params[0].get_value().shape), "velocity")
    new = momentum * velocity - learning_rate * sum(pt.grad(cost, params))
    return {param: param + new for param in params} | {velocity: new}


def momentum_by_default(cost, params, learning_rate, momentum=0.9):
    """The other lessons, which name no momentum, would change."""
    return solution["momentum"].sgd_updates(cost, params, learning_rate, momentum)


def mlp_with(activity):
    class MLP(mlp.MLP):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.activity = activity(self, abs(self.hiddenLayer.output))

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


def decoder_that(changes, kind=solution["untied"].dA):
    class Decoder(kind):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            changes(self)

    return Decoder


def without_training(da):
    da.params = da.params[:3]


def with_random_weights(da):
    da.W_prime.set_value(np.random.RandomState(0).uniform(-1, 1, size=da.W_prime.get_value().shape))


def without_its_params(da):
    """`W_prime` is listed among the parameters, but the reconstruction still uses W transposed."""
    da.params = [*da.params, parameter(da.W.get_value().T, "W_prime")]


def machine_with(**methods):
    """The solution's machine with other methods."""
    return type("RBM", (solution["real_valued"].RBM,), methods)


def half_forgotten(self, v_sample):
    return solution["real_valued"].RBM.free_energy(self, v_sample) + pt.sum((v_sample - self.vbias) ** 2, axis=1) / 2


def mean_of_a_sigmoid(self, h0_sample, rng):
    _, mean = self.propdown(h0_sample)
    next_rng, noise = rng.normal(size=mean.shape, dtype=mean.dtype)
    return [mean, mean, mean + noise, next_rng]


def same_noise_each_time(self, h0_sample, rng):
    *drawn, _ = solution["real_valued"].RBM.sample_v_given_h(self, h0_sample, rng)
    return [*drawn, rng]


EXERCISES = {  # name: (what the student changes, the solution, typical mistakes)
    "momentum": (
        [(logistic_sgd, "sgd_updates")],
        solution["momentum"].sgd_updates,
        [
            momentum_by(lambda updates, params, velocities: updates | {w: w + v for w, v in zip(params, velocities)}),
            momentum_by(lambda updates, params, velocities: {w: updates[w] for w in params}),  # they stay zero
            one_velocity_for_all,
            momentum_by_default,
        ],
    ),
    "activity": (
        [(mlp, "MLP")],
        solution["activity"].MLP,
        [
            mlp_with(lambda classifier, size: pt.sum(size)),
            mlp_with(lambda classifier, size: pt.mean(size)),
            mlp_with(lambda classifier, size: pt.mean(pt.sum(classifier.hiddenLayer.output, axis=1))),
            mlp_with(lambda classifier, size: pt.mean(pt.sum(size**2, axis=1))),
            mlp_with(lambda classifier, size: classifier.L1),
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
        [decoder_that(without_training), decoder_that(with_random_weights), decoder_that(without_its_params, dA.dA)],
    ),
    "real_valued": (
        [(rbm, "RBM")],
        solution["real_valued"].RBM,
        [
            machine_with(free_energy=rbm.RBM.free_energy),
            machine_with(free_energy=half_forgotten),
            machine_with(sample_v_given_h=rbm.RBM.sample_v_given_h),
            machine_with(sample_v_given_h=mean_of_a_sigmoid),
            machine_with(sample_v_given_h=same_noise_each_time),
        ],
    ),
}


def run_exercise(name):
    """pytest's exit status for the tests of one exercise, in this process, with the lessons as they are now."""
    return pytest.main(["-q", "-x", "--tb=no", "-p", "no:cacheprovider", str(FOLDER / f"test_{name}.py")])


@pytest.mark.parametrize("name", EXERCISES)
def test_red_on_the_untouched_lesson_and_green_on_the_solution(name, monkeypatch):
    assert run_exercise(name) == pytest.ExitCode.TESTS_FAILED
    places, right, _ = EXERCISES[name]
    for module, attribute in places:
        monkeypatch.setattr(module, attribute, right)
    assert run_exercise(name) == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "name, mistake", [(name, each) for name in EXERCISES for each in range(len(EXERCISES[name][2]))]
)
def test_red_on_a_typical_mistake(name, mistake, monkeypatch):
    places, _, mistakes = EXERCISES[name]
    for module, attribute in places:
        monkeypatch.setattr(module, attribute, mistakes[mistake])
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
