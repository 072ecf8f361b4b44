"""Lesson 2: give `MLP` an attribute `activity`, the sum of |h| over the hidden units, mean over the minibatch.

The driver can then add `activity_reg * classifier.activity` to its cost.
"""

import mlp

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest


@pytest.fixture
def classifier():
    """Two inputs, two hidden units. tanh(ln 2) = 3/5 and tanh(ln 3) = 4/5."""
    classifier = mlp.MLP(np.random.RandomState(0), pt.matrix("x"), n_in=2, n_hidden=2, n_out=2)
    classifier.hiddenLayer.W.set_value([[np.log(2), -np.log(3)], [np.log(3), 0.0]])
    return classifier


def test_activity_by_hand(classifier):
    # x = (1, 0): h = (3/5, -4/5), the sum of |h| is 7/5.  x = (0, 1): h = (4/5, 0), the sum is 4/5.
    # The mean of 7/5 and 4/5 is 11/10.
    activity = pytensor.function([classifier.input], classifier.activity)
    np.testing.assert_allclose(activity([[1.0, 0.0], [0.0, 1.0]]), 1.1)


def test_activity_has_the_right_gradient(classifier):
    # x = (1, 0) alone. d|h|/dW = x' * sign(h) * (1 - h^2): the first row is (16/25, -9/25), the second one zero.
    gradient = pytensor.function([classifier.input], pt.grad(classifier.activity, classifier.hiddenLayer.W))
    np.testing.assert_allclose(gradient([[1.0, 0.0]]), [[0.64, -0.36], [0, 0]])
