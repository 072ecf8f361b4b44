"""The tests of the exercises: red on the untouched lesson, green on the solution, red on a typical mistake."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import cA
import dA
import logistic_sgd
import mlp
import pca
import rbm
import sA
import SdA
import vae
from logistic_sgd import parameter, sgd_updates

import numpy as np
import pytensor.tensor as pt
import pytest

FOLDER = Path(__file__).parent / "exercises"


def load(path):
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


solution = {path.stem: load(path) for path in (FOLDER / "solutions").glob("[!_]*.py")}


# Typical mistakes


def momentum_by(change, default=0.0):
    """The solution's updates, changed: `change` gets them, the parameters and the velocities."""

    def updates_of(cost, params, learning_rate, momentum=default):
        updates = solution["momentum"].sgd_updates(cost, params, learning_rate, momentum)
        return change(updates, params, [variable for variable in updates if variable not in params])

    return updates_of


def one_velocity_for_all(cost, params, learning_rate, momentum=0.0):
    velocity = parameter(np.zeros(params[0].get_value().shape), "velocity")
    new = momentum * velocity - learning_rate * sum(pt.grad(cost, params))
    return {param: param + new for param in params} | {velocity: new}


def made_by(kind, change):
    """A class whose objects are changed after they are made."""

    class Changed(kind):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            change(self)

    return Changed


def mlp_with(activity):
    return made_by(mlp.MLP, lambda mlp: setattr(mlp, "activity", activity(mlp, abs(mlp.hiddenLayer.output))))


def corruption_by(noise):
    def get_corrupted_input(self, input, corruption_level):
        next_rng, draw = noise(self.theano_rng, input, corruption_level)
        return next_rng, input + draw.astype(input.dtype)

    return get_corrupted_input


def generator_stands_still(self, input, corruption_level):
    """The generator itself instead of its next state: the same noise at each call."""
    return self.theano_rng, solution["gaussian"].get_corrupted_input(self, input, corruption_level)[1]


def random_decoder(da):
    da.W_prime.set_value(np.random.RandomState(0).uniform(-1, 1, size=da.W_prime.get_value().shape))


def decoder_without_use(da):
    """`W_prime` is listed among the parameters, but the reconstruction still uses W transposed."""
    da.params = [*da.params, parameter(da.W.get_value().T, "W_prime")]


def ordered_by(units, summed_up=pt.mean, trained=sum):
    """`units(k)` are those that the error number k uses."""

    def get_cost_gradient(self):
        y = self.get_hidden_values(self.x)
        parts = [units(k) for k in range(1, self.n_hidden + 1)]
        z = [pt.dot(y[:, part], self.W_prime[part]) + self.b_prime for part in parts]
        errors = [pt.mean(pt.sum((self.x - each) ** 2, axis=1)) for each in z]
        return summed_up(pt.stack(errors)), pt.grad(trained(errors) / self.n_hidden, self.W)

    return get_cost_gradient


def running_by(penalised, updated=True, start=lambda target: target, default=0.0):
    """The penalty is that of `penalised(memory, old, mean)`."""

    def get_cost_updates(self, target, weight, learning_rate, memory=default):
        y = self.get_hidden_values(self.x)
        running = parameter(np.full(self.n_hidden, start(target)), "running")
        self.mean_activation = penalised(memory, running, pt.mean(y, axis=0))
        self.sparsity_penalty = pt.sum(sA.kl_of_coins(target, self.mean_activation))
        cost = pt.mean(self.get_reconstruction_cost(self.get_reconstructed_input(y))) + weight * self.sparsity_penalty
        new = memory * running + (1 - memory) * pt.mean(y, axis=0)
        return cost, sgd_updates(cost, self.params, learning_rate) | ({running: new} if updated else {})

    return get_cost_updates


def running_mean(memory, old, mean):
    return memory * old + (1 - memory) * mean


def tanh_with(**methods):
    return type("cA", (solution["tanh"].cA,), methods)


def slope_by(slope):
    return tanh_with(get_jacobian=lambda self, hidden, W: slope(hidden)[:, None, :] * W[None, :, :])


def weighted_by(cost_of, trained_by=None):
    """`cost_of(log_likelihood, divergence, weight)` is returned; the updates are those of `trained_by`."""

    def get_cost_updates(self, learning_rate, divergence_weight=1.0):
        next_rng, binary = self.binarise(self.x)
        next_rng, _ = self.elbo(binary, next_rng)
        cost, trained = (
            pt.mean(each(self.log_likelihood, self.divergence, divergence_weight))
            for each in (cost_of, trained_by or cost_of)
        )
        return cost, vae.adam_updates(trained, self.params, learning_rate) | {self.theano_rng: next_rng}

    return get_cost_updates


def weight_in_the_divergence(self, learning_rate, divergence_weight=1.0):
    """The attribute, and with it every later bound, has the weight, too."""
    found = solution["weighted"].get_cost_updates(self, learning_rate, divergence_weight)
    self.divergence = divergence_weight * self.divergence
    return found


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
            momentum_by(lambda updates, *_: updates, default=0.9),  # lessons that name no momentum would change
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
        [
            made_by(solution["untied"].dA, lambda da: setattr(da, "params", da.params[:3])),  # it is not trained
            made_by(solution["untied"].dA, random_decoder),
            made_by(dA.dA, decoder_without_use),
        ],
    ),
    "ordered": (
        [(pca.LinearAutoencoder, "get_cost_gradient")],
        solution["ordered"].get_cost_gradient,
        [
            ordered_by(lambda k: slice(k), summed_up=pt.sum),
            ordered_by(lambda k: slice(k - 1)),  # the last unit is never used
            ordered_by(lambda k: slice(k - 1, k)),  # each unit alone
            ordered_by(lambda k: slice(k), trained=lambda errors: errors[-1] * len(errors)),  # the lesson's gradient
        ],
    ),
    "running": (
        [(sA.sA, "get_cost_updates")],
        solution["running"].get_cost_updates,
        [
            running_by(lambda memory, old, mean: old + 0 * mean),  # the old mean, through which no gradient goes
            running_by(running_mean, updated=False),
            running_by(lambda memory, old, mean: running_mean(1 - memory, old, mean)),
            running_by(running_mean, start=lambda target: 0.0),
            running_by(running_mean, default=0.9),
        ],
    ),
    "tanh": (
        [(cA, "cA")],
        solution["tanh"].cA,
        [
            slope_by(lambda hidden: hidden * (1 - hidden)),
            slope_by(lambda hidden: 1 - pt.tanh(hidden) ** 2),
            tanh_with(get_hidden_values=cA.cA.get_hidden_values),
            tanh_with(get_reconstructed_input=lambda self, hidden: pt.tanh(pt.dot(hidden, self.W_prime))),
        ],
    ),
    "weighted": (
        [(vae.VAE, "get_cost_updates")],
        solution["weighted"].get_cost_updates,
        [
            weighted_by(lambda likelihood, divergence, weight: divergence - weight * likelihood),
            weighted_by(lambda likelihood, divergence, weight: weight * (divergence - likelihood)),
            weighted_by(  # the cost that is shown has the weight, and the one that is trained has none
                lambda likelihood, divergence, weight: weight * divergence - likelihood,
                lambda likelihood, divergence, weight: divergence - likelihood,
            ),
            weight_in_the_divergence,
        ],
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
    assert set(solution) == set(EXERCISES)


@pytest.mark.parametrize("arguments, left", [([FOLDER.parent], 1), ([FOLDER], 2), ([FOLDER / "test_untied.py"], 2)])
def test_a_run_of_all_tests_leaves_them_out(arguments, left):
    config = SimpleNamespace(args=[f"{each}::test" for each in arguments], hook=mock.Mock())
    items = [SimpleNamespace(path=path / "test_one.py") for path in (FOLDER, FOLDER.parent)]
    load(FOLDER / "conftest.py").pytest_collection_modifyitems(config, items)
    assert len(items) == left and items[-1].path.parent == FOLDER.parent
    assert config.hook.pytest_deselected.called == (left == 1)
