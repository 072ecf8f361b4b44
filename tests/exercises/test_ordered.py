"""Lesson 5: let the cost of `get_cost_gradient` be a mean over k of the squared error with the first k units alone.

k goes from 1 to `n_hidden`. The method still returns the cost and its gradient by W.
"""

import pca

import numpy as np
import pytensor
import pytest


@pytest.fixture
def cost_and_gradient():
    """A function of W and images of two pixels, whose mean is (1, 1)."""
    mean = pca.parameter([1.0, 1.0], "b_prime")
    autoencoder = pca.LinearAutoencoder(np.random.RandomState(0), n_visible=2, n_hidden=2, bvis=mean)
    compiled = pytensor.function([autoencoder.x], autoencoder.get_cost_gradient())

    def evaluate(W, centred):
        autoencoder.W.set_value(np.array(W, float))
        return compiled(np.array(centred) + 1.0)

    return evaluate


def test_ordered_cost_and_gradient_by_hand(cost_and_gradient):
    # W is the identity, x - m = (3, 4) and (0, 2).
    #   k = 1: y = 3 and 0, x - z = (0, 4) and (0, 2), squared error 16 and 4, mean 10
    #   k = 2: x - z = 0; the mean over k is 5
    # For k = 1 only the first column w matters: its gradient is -2 ((x - z) y + (x - m) (x - z) w).
    #   -2 ((0, 4) 3 + (3, 4) 0) = (0, -24), and zero for the second image; the mean is (0, -12), that over k (0, -6)
    cost, gradient = cost_and_gradient([[1, 0], [0, 1]], [[3, 4], [0, 2]])
    np.testing.assert_allclose(cost, 5)
    np.testing.assert_allclose(gradient, [[0, 0], [-6, 0]], atol=1e-12)


def test_ordered_cost_is_lowest_for_the_eigenvectors_in_their_order(cost_and_gradient):
    # x - m = (3, 0) and (0, 1): the first eigenvector is (1, 0). Each W spans the whole plane, so k = 2 costs nothing.
    #   in order: k = 1 costs (0 + 1) / 2.  in the wrong order: (9 + 0) / 2.  turned by 45 degrees: (9/2 + 1/2) / 2.
    turned = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    for W, expected in ([[1, 0], [0, 1]], 1 / 4), ([[0, 1], [1, 0]], 9 / 4), (turned, 5 / 4):
        np.testing.assert_allclose(cost_and_gradient(W, [[3, 0], [0, 1]])[0], expected)
