"""Lesson 8: give `VAE.get_cost_updates` a last argument, `divergence_weight=1.0`.

The cost becomes that weight times the divergence, minus the log-likelihood, mean over the minibatch. `elbo` stays the
bound, and the attributes `log_likelihood` and `divergence` keep their meaning.
"""

import vae

import numpy as np
import pytensor
import pytest

# The example of the lesson: x = (1, 0), and all parameters zero but for b2 = 1, b3 = ln 4, b5 = (ln 3, 0).
LOG_LIKELIHOOD, DIVERGENCE = np.log(3 / 4) + np.log(1 / 2), 2 - np.log(2)


@pytest.fixture
def model():
    model = vae.VAE(np.random.RandomState(0), n_visible=2, n_hidden=1, n_latent=1)
    for param in model.params:
        param.set_value(np.zeros_like(param.get_value()))
    for (_, b), value in (model.mean, [1.0]), (model.log_variance, [np.log(4)]), (model.output, [np.log(3), 0.0]):
        b.set_value(np.array(value))
    return model


def cost_of_step(model, *weight):
    cost, updates = model.get_cost_updates(0.01, *weight)
    return pytensor.function([model.x], cost, updates=updates)([[1.0, 0.0]])


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_weighted_cost_by_hand(model, weight):
    np.testing.assert_allclose(cost_of_step(model, weight), weight * DIVERGENCE - LOG_LIKELIHOOD)


@pytest.mark.parametrize("weight, expected", [((), 0.99), ((2.0,), 0.99), ((0.0,), 1.0)])
def test_weighted_divergence_alone_moves_the_mean_of_a_code_that_is_ignored(model, weight, expected):
    # The derivative of the divergence by b2 is b2 = 1. Adam's first step is the rate, whatever the gradient's size.
    # The decoder's weights are zero: without the divergence there is no gradient, and no step.
    cost_of_step(model, *weight)
    np.testing.assert_allclose(model.mean[1].get_value(), [expected], rtol=1e-6)


def test_weighted_or_not_the_bound_is_the_bound(model):
    model.get_cost_updates(0.01, 2.0)
    outputs = [model.log_likelihood, model.divergence, model.elbo(model.x)[1]]
    found = np.ravel(pytensor.function([model.x], outputs)([[1.0, 0.0]]))
    np.testing.assert_allclose(found, [LOG_LIKELIHOOD, DIVERGENCE, LOG_LIKELIHOOD - DIVERGENCE])
