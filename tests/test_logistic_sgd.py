import logistic_sgd
from graphs import interpreted_mode

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.fixture
def classifier():
    return logistic_sgd.LogisticRegression(pt.matrix("x"), n_in=5, n_out=3)


def test_parameters_start_at_zero_so_every_class_is_equally_likely(classifier):
    W, b = classifier.params
    assert W.get_value().shape == (5, 3) and b.get_value().shape == (3,)
    assert not W.get_value().any() and not b.get_value().any()
    p = classifier.p_y_given_x.eval({classifier.input: np.ones((2, 5), pytensor.config.floatX)})
    np.testing.assert_allclose(p, 1 / 3, rtol=1e-6)


def test_cost_stays_finite_where_the_softmax_is_zero(classifier):
    y = pt.ivector("y")
    classifier.W.set_value(np.full((5, 3), [[-1000, 0, 1000]], pytensor.config.floatX))
    cost = pytensor.function([classifier.input, y], classifier.negative_log_likelihood(y), mode=interpreted_mode())
    x = np.array([[1, 0, 0, 0, 0]], pytensor.config.floatX)
    assert cost(x, np.array([0], "int32")) == 2000  # log(exp(-1000) / exp(1000)), which underflows in between


def test_errors_is_the_fraction_of_wrong_predictions_of_a_vector_of_integers(classifier):
    y = pt.ivector("y")
    classifier.b.set_value(np.array([0, 1, 0], pytensor.config.floatX))  # so that class 1 is predicted always
    errors = pytensor.function([classifier.input, y], classifier.errors(y))
    assert errors(np.zeros((4, 5), pytensor.config.floatX), np.array([1, 1, 0, 1], "int32")) == 0.25
    with pytest.raises(TypeError, match="vector"):
        classifier.errors(pt.imatrix("y"))
    with pytest.raises(NotImplementedError, match="integers"):
        classifier.errors(pt.fvector("y"))


def test_minibatches_are_slices_in_file_order_and_an_incomplete_one_is_left_out():
    data = pytensor.shared(np.arange(22.0).reshape(11, 2))
    index, x = pt.lscalar("index"), pt.matrix("x", dtype="float64")
    batch = logistic_sgd.minibatch(data, index, 3)
    assert batch.type.shape == (3, 2)
    np.testing.assert_array_equal(batch.eval({index: 2}), [[12, 13], [14, 15], [16, 17]])
    assert logistic_sgd.score_function(x.sum(), {x: data}, batch_size=3)() == [15, 51, 87]  # without rows 18 to 21
