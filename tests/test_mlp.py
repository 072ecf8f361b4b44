import mlp

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.mark.parametrize(
    "activation, scale, expected",
    [(None, 1, 2.0), (pt.tanh, 1, np.tanh(2.0)), (pt.sigmoid, 4, 1 / (1 + np.exp(-2)))],
)
def test_a_layer_starts_in_glorots_range_and_is_the_activation_of_the_affine_map(activation, scale, expected, float64):
    layer = mlp.HiddenLayer(np.random.RandomState(1), pt.matrix("x"), 60, 90, activation=activation)
    bound = scale * 0.2  # sqrt(6 / (60 + 90)) = sqrt(0.04)
    # The generator's next draws are the weights: nothing else is drawn.
    drawn = np.random.RandomState(1).uniform(-bound, bound, (60, 90))
    np.testing.assert_allclose(layer.W.get_value(), drawn, rtol=1e-15)
    assert layer.b.get_value().shape == (90,) and not layer.b.get_value().any()

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
