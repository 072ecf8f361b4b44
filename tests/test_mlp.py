import mlp
from numpy_reference import classifier_cost_and_gradients

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.mark.parametrize("activation, scale", [(pt.tanh, 1), (None, 1), (pt.sigmoid, 4)])
def test_initial_weights_are_uniform_in_glorots_range(activation, scale, float64):
    layer = mlp.HiddenLayer(np.random.RandomState(1), pt.matrix("x"), 60, 90, activation=activation)
    bound = scale * 0.2  # sqrt(6 / (60 + 90)) = sqrt(0.04)
    # The generator's next draws are the weights: nothing else is drawn.
    expected = np.random.RandomState(1).uniform(-bound, bound, (60, 90))
    np.testing.assert_allclose(layer.W.get_value(), expected, rtol=1e-15)
    assert layer.b.get_value().shape == (90,) and not layer.b.get_value().any()


@pytest.mark.parametrize(
    "activation, expected", [(None, 2.0), (pt.tanh, np.tanh(2.0)), (pt.sigmoid, 1 / (1 + np.exp(-2)))]
)
def test_output_is_the_activation_of_the_affine_map(activation, expected, float64):
    x = pt.matrix("x")
    W, b = pytensor.shared(np.array([[3.0], [4.0]])), pytensor.shared(np.array([-9.0]))
    layer = mlp.HiddenLayer(None, x, 2, 1, W=W, b=b, activation=activation)
    assert layer.params == [W, b]
    np.testing.assert_allclose(layer.output.eval({x: [[1.0, 2.0]]}), [[expected]], rtol=1e-15)  # 3 + 8 - 9 = 2


def test_penalties_are_those_of_both_weight_matrices_and_no_bias(float64):
    classifier = mlp.MLP(np.random.RandomState(1), pt.matrix("x"), 2, 2, 2)
    for param, value in zip(classifier.params, ([[1, -2], [3, -4]], [100, 100], [[-5, 6], [7, -8]], [100, 100])):
        param.set_value(np.array(value, float))
    assert classifier.L1.eval() == 36  # 1 + 2 + ... + 8
    assert classifier.L2_sqr.eval() == 204  # 1 + 4 + ... + 64


def test_cost_and_gradients_are_those_of_numpy(float64):
    rng = np.random.RandomState(0)
    x, y = rng.randn(7, 5), rng.randint(0, 3, 7).astype("int32")
    symbolic_x, symbolic_y = pt.matrix("x"), pt.ivector("y")
    classifier = mlp.MLP(rng, symbolic_x, 5, 4, 3)
    for param in classifier.params:
        param.set_value(rng.randn(*param.get_value().shape))
    cost = classifier.negative_log_likelihood(symbolic_y)
    f = pytensor.function([symbolic_x, symbolic_y], [cost, *pt.grad(cost, classifier.params)])
    params = [p.get_value() for p in classifier.params]
    expected_cost, expected = classifier_cost_and_gradients(x, y, params, np.tanh, lambda h: 1 - h**2)
    actual_cost, *actual = f(x, y)
    np.testing.assert_allclose(actual_cost, expected_cost, rtol=1e-13)
    for gradient, by_hand in zip(actual, expected, strict=True):
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-11, atol=1e-15)


def test_the_driver_adds_the_penalties_to_the_cost(small_dataset, tmp_path):
    def first_cost(**penalties):
        folder = tmp_path / str(penalties)
        result = mlp.test_mlp(
            n_epochs=1, dataset=small_dataset, n_hidden=20, batch_size=100, output_folder=folder, **penalties
        )
        return result.curve[0]["cost"]

    plain, with_l1, with_l2 = first_cost(L2_reg=0.0), first_cost(L2_reg=0.0, L1_reg=0.001), first_cost(L2_reg=0.001)
    rng = np.random.RandomState(1234)
    W = rng.uniform(-np.sqrt(6 / 69), np.sqrt(6 / 69), (49, 20))
    # Three steps of 0.01 move the weights, and with them the penalties, by well under 1 %.
    assert with_l1 - plain == pytest.approx(0.001 * np.abs(W).sum(), rel=0.01)
    assert with_l2 - plain == pytest.approx(0.001 * (W**2).sum(), rel=0.01)
