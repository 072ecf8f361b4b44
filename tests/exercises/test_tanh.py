"""Lesson 7: let the code of `cA` be tanh(x W + b), and let `get_jacobian` give the derivatives of that code.

The reconstruction stays a sigmoid.
"""

import cA

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

LN2 = np.log(2)


@pytest.fixture
def evaluate():
    """A function of an attribute's or a method's result, at x = (1, 0), W = (ln 2, 2)', b = 0, b' = 0."""
    ca = cA.cA(np.random.RandomState(0), n_visible=2, n_hidden=1)
    ca.W.set_value(np.array([[LN2], [2.0]]))
    ca.get_cost_updates(1.0, 0.1)
    return lambda expression: pytensor.function([ca.x], expression(ca))([[1.0, 0.0]])


def test_tanh_code_and_its_jacobian_by_hand(evaluate):
    # y = tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5.  The slope is 1 - y^2 = 16/25, J = 16/25 (ln 2, 2)'.
    hidden = evaluate(lambda ca: ca.get_hidden_values(ca.x))
    jacobian = evaluate(lambda ca: ca.get_jacobian(ca.get_hidden_values(ca.x), ca.W))
    np.testing.assert_allclose(hidden, [[0.6]])
    np.testing.assert_allclose(jacobian, [[[0.64 * LN2], [1.28]]])


def test_tanh_penalty_and_its_gradient_by_hand(evaluate):
    # |J|^2 = (1 - y^2)^2 |W|^2 = (16/25)^2 ((ln 2)^2 + 4)
    # d|J|^2/db = 2 (1 - y^2) (-2 y) |W|^2 (1 - y^2) = -4 * 3/5 |J|^2
    penalty = 0.64**2 * (LN2**2 + 4)
    np.testing.assert_allclose(evaluate(lambda ca: ca.L_jacob), penalty)
    np.testing.assert_allclose(evaluate(lambda ca: pt.grad(ca.L_jacob, ca.b)), [-2.4 * penalty])


def test_tanh_reconstruction_stays_a_sigmoid(evaluate):
    # z = sigmoid(3/5 (ln 2, 2)): L = ln(1 + exp(-3/5 ln 2)) + ln(1 + exp(6/5))
    cost = np.log1p(2**-0.6) + np.log1p(np.exp(1.2))
    np.testing.assert_allclose(evaluate(lambda ca: ca.L_rec), [cost])
