"""The steps of the lessons at odd sizes: with the rewrites and without, the same costs and the same parameters.

python -m pytest tests/support/rewrites/test_lessons.py --all-sizes
"""

from cA import cA
from dA import dA
from graphs import checked, has_ours, interpreted_mode
from logistic_sgd import LogisticRegression, minibatch_function, sgd_updates
from mlp import MLP
from sA import sA
from SdA import SdA
from support.rewrites import TAG
from vae import VAE

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("float64")
N_IN, N_OUT, EXAMPLES = 9, 3, 62
BATCHES, HIDDEN = [1, 2, 3, 5, 31], [1, 2, 7, 17, 33]


def logistic_step(rng, train_set, batch, n_hidden):
    x, y = pt.matrix("x"), pt.ivector("y")
    model = LogisticRegression(x, N_IN, max(n_hidden, N_OUT))  # it has nothing else to vary
    cost = model.negative_log_likelihood(y)
    updates = sgd_updates(cost, model.params, 0.1)
    return minibatch_function(cost, dict(zip((x, y), train_set)), batch, updates), model.params


def mlp_step(rng, train_set, batch, n_hidden):
    x, y = pt.matrix("x"), pt.ivector("y")
    model = MLP(rng, x, N_IN, n_hidden, N_OUT)
    cost = model.negative_log_likelihood(y) + 0.01 * model.L2_sqr + 0.001 * model.L1
    updates = sgd_updates(cost, model.params, 0.1)
    return minibatch_function(cost, dict(zip((x, y), train_set)), batch, updates), model.params


def unsupervised(model_type, *arguments, **sizes):
    """The function that makes the step of a model of this type."""

    def step(rng, train_set, batch, n_hidden):
        model = model_type(rng, n_visible=N_IN, n_hidden=n_hidden, **sizes)
        cost, updates = model.get_cost_updates(*arguments)
        return minibatch_function(cost, {model.x: train_set[0]}, batch, updates), model.params

    step.__name__ = model_type.__name__
    return step


def pretraining_step(rng, train_set, batch, n_hidden):
    sda = SdA(rng, n_ins=N_IN, hidden_layers_sizes=[5, n_hidden], n_outs=N_OUT)
    step = sda.pretraining_functions(train_set[0], batch)[1]
    return step, sda.dA_layers[1].params


def finetuning_step(rng, train_set, batch, n_hidden):
    sda = SdA(rng, n_ins=N_IN, hidden_layers_sizes=[n_hidden, 5, n_hidden], n_outs=N_OUT)
    return sda.build_finetune_functions([train_set] * 3, batch, 0.1)[0], sda.params


def trajectory(make_step, batch, n_hidden, mode):
    """Whether the step has operations of ours; its costs, and the parameters at the end."""
    rng = np.random.RandomState(0)
    data = rng.uniform(size=(EXAMPLES, N_IN)) * (rng.uniform(size=(EXAMPLES, N_IN)) < 0.3)
    train_set = pytensor.shared(data), pytensor.shared(rng.randint(0, N_OUT, EXAMPLES).astype("int32"))
    with pytensor.config.change_flags(mode=mode, on_opt_error="raise"):
        step, params = make_step(rng, train_set, batch, n_hidden)
    costs = [step(index) for index in range(2)]
    return has_ours(getattr(step, "func", step)), [np.array(costs), *(param.get_value() for param in params)]


STEPS = [
    *(logistic_step, mlp_step, unsupervised(dA, 0.3, 0.1), pretraining_step, finetuning_step),
    *(unsupervised(sA, 0.2, 3.0, 0.1), unsupervised(cA, 0.4, 0.1), unsupervised(VAE, 0.1, n_latent=2)),
]


def pytest_generate_tests(metafunc):
    """All sizes where they are asked for, or else two of each lesson, other ones of each."""
    cases = [(step, batch, n_hidden) for step in STEPS for batch in BATCHES for n_hidden in HIDDEN]
    if not metafunc.config.getoption("all_sizes"):
        cases = [(step, batch, HIDDEN[i % 5]) for i, step in enumerate(STEPS) for batch in (1, BATCHES[4 - i % 4])]
    metafunc.parametrize("make_step, batch, n_hidden", cases)


def test_a_step_does_what_it_does_without_rewrites(make_step, batch, n_hidden):
    rewritten, actual = trajectory(make_step, batch, n_hidden, checked(interpreted_mode()))
    plain, expected = trajectory(make_step, batch, n_hidden, interpreted_mode().excluding(TAG))
    assert rewritten and not plain
    for value, other in zip(actual, expected, strict=True):
        assert value.shape == other.shape and value.dtype == other.dtype
        np.testing.assert_allclose(value, other, rtol=1e-11, atol=1e-13)
