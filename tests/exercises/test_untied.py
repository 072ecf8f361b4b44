"""Lesson 4: let the decoder of `dA` have weights of its own.

`W_prime` becomes a shared variable (n_hidden, n_visible). It starts as the transpose of W, and it is trained: it stands
last in `params`.
"""

import dA
import SdA

import numpy as np
import pytensor


def make_dA():
    return dA.dA(np.random.RandomState(0), n_visible=2, n_hidden=1)


def test_untied_weights_start_as_the_transpose():
    da = make_dA()
    np.testing.assert_array_equal(da.W_prime.get_value(), da.W.get_value().T)


def test_untied_weights_are_trained():
    da = make_dA()
    assert len(da.params) == 4
    assert da.params[:3] == [da.W, da.b, da.b_prime]
    assert da.params[3] is da.W_prime


def test_untied_step_by_hand():
    # x = (1, 0), W = (2 ln 3, 0)', b = -2 ln 3, b' = 0, W' = (2 ln 3, 0), rate 0.8, no corruption.
    #   y = sigmoid(2 ln 3 - 2 ln 3) = 1/2,  z = (sigmoid(ln 3), sigmoid(0)) = (3/4, 1/2),  z - x = (-1/4, 1/2)
    #   the decoder: dL/dW' = y (z - x) = (-1/8, 1/4)
    #   the encoder: dL/dW = x' * (z - x) W * y (1 - y) = (-(ln 3)/8, 0)'.  Tied, W would get the sum of the two.
    ln3 = np.log(3)
    da = make_dA()
    for variable, value in zip((da.W, da.b, da.b_prime), ([[2 * ln3], [0.0]], [-2 * ln3], [0.0, 0.0])):
        variable.set_value(np.array(value))
    da.W_prime.set_value(np.array([[2 * ln3, 0.0]]))
    cost, updates = da.get_cost_updates(0.0, 0.8)
    np.testing.assert_allclose(pytensor.function([da.x], cost, updates=updates)([[1.0, 0.0]]), np.log(8 / 3))
    np.testing.assert_allclose(da.W_prime.get_value(), [[2 * ln3 + 0.1, -0.2]])
    np.testing.assert_allclose(da.W.get_value(), [[2 * ln3 + 0.1 * ln3], [0.0]])


def test_untied_stack_is_fine_tuned_as_before():
    # The decoder's weights belong to the pre-training. W and b are still shared, and `params` holds no more than them.
    sda = SdA.SdA(np.random.RandomState(0), n_ins=4, hidden_layers_sizes=[3, 2], n_outs=2)
    assert len(sda.params) == 6
    for sigmoid_layer, autoencoder in zip(sda.sigmoid_layers, sda.dA_layers):
        assert autoencoder.W is sigmoid_layer.W
        assert autoencoder.W_prime not in sda.params
        np.testing.assert_array_equal(autoencoder.W_prime.get_value(), sigmoid_layer.W.get_value().T)
