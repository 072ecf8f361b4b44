"""What the lessons' classes have alike: draws, gradients, the precision of a step, and what they can be given."""

import warnings

import cA
import dA
import logistic_sgd
import mlp
import numpy_reference
import pca
import rbm
import SdA
import vae
from sA import activation_function, sA
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile import Mode

pytestmark = pytest.mark.usefixtures("interpreted")

# {class: (its gradients in NumPy, the numbers that its cost takes)}
AUTOENCODERS = {
    dA.dA: (numpy_reference.autoencoder_cost_and_gradients, [[0.0], [0.4]]),
    sA: (numpy_reference.sparse_autoencoder_cost_and_gradients, [[0.2, 0.0], [0.2, 3.0]]),
    cA.cA: (numpy_reference.contractive_autoencoder_cost_and_gradients, [[0.0], [0.3]]),
}
CASES = [(kind, numbers) for kind, (_, several) in AUTOENCODERS.items() for numbers in several]
# {class: the factor of its initial weights' range}
MODELS = {dA.dA: 4, sA: 4, cA.cA: 4, pca.LinearAutoencoder: 1, vae.VAE: 1, rbm.RBM: 4, SdA.SdA: 4, mlp.MLP: 1}
EACH_MODEL = pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
BOTH_PRECISIONS = pytest.mark.parametrize("floatX", ["float32", "float64"])


def make(kind, rng=None, **named):
    """A small model of a class, with these generators."""
    rng = np.random.RandomState(0) if rng is None else rng
    if kind is mlp.MLP:
        return mlp.MLP(rng, pt.matrix("x"), 6, 4, 3)
    if kind is SdA.SdA:
        return SdA.SdA(rng, n_ins=6, hidden_layers_sizes=[4, 3], n_outs=2, **named)
    if kind is rbm.RBM:
        return rbm.RBM(None, 6, 4, numpy_rng=rng, **named)
    return kind(rng, n_visible=6, n_hidden=4, **named)


def with_random_parameters(model, rng):
    for param in model.params:
        param.set_value(rng.randn(*param.get_value().shape))
    return [param.get_value() for param in model.params]


def sets(y):
    """Training, validation and test set, the same: 4 examples of 6 values in 0..1, with these labels."""
    x = np.random.RandomState(0).uniform(size=(4, 6)).astype(pytensor.config.floatX)
    return [(shared(x), y)] * 3


def shared(value):
    return pytensor.shared(np.array(value))


# Gradients


@pytest.mark.parametrize("kind, numbers", CASES)
def test_an_autoencoders_step_is_that_of_numpy(kind, numbers, float64):
    rng = np.random.RandomState(0)
    model = make(kind, rng)
    before = with_random_parameters(model, rng)
    x = rng.uniform(size=(5, 6))
    first = [x, *numbers]
    if kind is dA.dA:  # the mask that PyTensor is going to draw
        mask = model.theano_rng.get_value().binomial(1, 1 - numbers[0], size=x.shape)
        assert numbers[0] == 0 or 0 < mask.mean() < 1
        first = [x, mask * x]
    cost, updates = model.get_cost_updates(*numbers, learning_rate=1.0)
    expected, gradients = AUTOENCODERS[kind][0](*first, *before)
    np.testing.assert_allclose(pytensor.function([model.x], cost, updates=updates)(x), expected, rtol=1e-13)
    for param, value, gradient in zip(model.params, before, gradients, strict=True):
        np.testing.assert_allclose(value - param.get_value(), gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("kind", [logistic_sgd.LogisticRegression, mlp.MLP])
def test_a_classifiers_gradients_are_those_of_numpy(kind, float64):
    rng, y = np.random.RandomState(0), pt.ivector("y")
    model = make(kind, rng) if kind is mlp.MLP else kind(pt.matrix("x"), 6, 3)
    params = with_random_parameters(model, rng)
    x, labels = rng.randn(7, 6), rng.randint(0, 3, 7).astype("int32")
    cost = model.negative_log_likelihood(y)
    actual = pytensor.function([model.input, y], [cost, *pt.grad(cost, model.params)])(x, labels)
    reference = numpy_reference.classifier_cost_and_gradients
    expected, gradients = reference(x, labels, params, np.tanh, lambda h: 1 - h**2)
    for value, by_hand in zip(actual, [expected, *gradients], strict=True):
        np.testing.assert_allclose(value, by_hand, rtol=1e-11, atol=1e-15)


# Draws


@EACH_MODEL
def test_the_seed_of_the_generator_is_drawn_first_then_the_weights_and_nothing_else(kind, float64):
    rng, same = np.random.RandomState(7), np.random.RandomState(7)
    model = make(kind, rng)
    if kind in (dA.dA, vae.VAE, rbm.RBM, SdA.SdA):
        generator = np.random.default_rng(same.randint(2**30))
        if kind is not SdA.SdA:
            assert model.theano_rng.get_value().bit_generator.state == generator.bit_generator.state
    for param in model.params:
        value, expected = param.get_value(), 0
        if value.ndim == 2 and not (kind in (SdA.SdA, mlp.MLP) and param is model.params[-2]):
            bound = MODELS[kind] * np.sqrt(6 / sum(value.shape))
            expected = same.uniform(-bound, bound, value.shape)
        np.testing.assert_allclose(value, expected, rtol=1e-15)
    assert rng.randint(2**30) == same.randint(2**30)
    if hasattr(model, "W_prime"):
        assert model.params == ([model.W] if kind is pca.LinearAutoencoder else [model.W, model.b, model.b_prime])
        np.testing.assert_array_equal(model.W_prime.eval(), model.W.get_value().T)
        np.testing.assert_array_equal(model.b_prime.get_value(), np.zeros(6))


@EACH_MODEL
def test_a_numpy_generator_draws_and_what_is_none_is_told(kind):
    first, second = (make(kind, np.random.default_rng(1)) for _ in range(2))
    for one, other in zip(first.params, second.params, strict=True):
        np.testing.assert_array_equal(one.get_value(), other.get_value())
    assert np.ptp(first.params[0].get_value()) > 0
    for wrong in 3, pt.random.shared_rng(seed=1):
        with pytest.raises(UserError, match="drawn by a numpy.random.RandomState or Generator, not by"):
            make(kind, wrong)


@pytest.mark.parametrize("kind", [dA.dA, vae.VAE, rbm.RBM, SdA.SdA])
def test_any_generator_serves_as_theano_rng_and_what_is_none_is_told(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTensor wants RandomStream no more
        stream = pt.random.utils.RandomStream(5)
    for generator in stream, np.random.default_rng(5), pt.random.shared_rng(seed=5):
        model = make(kind, theano_rng=generator)
        if kind is not SdA.SdA:
            cost, updates = model.get_cost_updates(*([0.5] if kind is dA.dA else []), 0.0)
            step = pytensor.function([model.input if kind is rbm.RBM else model.x], cost, updates=updates)
            x = np.full((2, 6), 0.5, pytensor.config.floatX)
            assert step(x) != step(x)  # the generator's state went on
    for wrong in 5, np.random.RandomState(5):
        with pytest.raises(UserError, match="theano_rng must be a generator such as pt.random.shared_rng"):
            make(kind, theano_rng=wrong)


# Precision


NUMBERS = {
    "float": lambda value: value,
    "float64": np.float64,
    "array": lambda value: np.array([value]),
    "shared": shared,
    "symbolic": lambda value: pt.constant(np.float64(value)),
}


def steps(number):
    """(cost, updates) of a step of each class, whose numbers are all `number(value)`."""
    y, classifier = pt.ivector("y"), logistic_sgd.LogisticRegression(pt.matrix("x"), 6, 3)
    cost = classifier.negative_log_likelihood(y)
    yield cost, logistic_sgd.sgd_updates(cost, classifier.params, number(0.1))
    for kind, numbers in (dA.dA, [0.3]), (sA, [0.2, 3.0]), (cA.cA, [0.3]), (vae.VAE, []), (rbm.RBM, []):
        yield make(kind).get_cost_updates(*map(number, [*numbers, 0.1]))
    cost = pt.sum(classifier.W**2)
    yield cost, vae.adam_updates(cost, [classifier.W], *map(number, [0.1, 0.9, 0.999, 1e-8]))


@BOTH_PRECISIONS
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_all_is_of_floatX_whatever_the_precision_of_the_numbers(number, floatX):
    with pytensor.config.change_flags(floatX=floatX):
        for cost, updates in steps(number):
            tensors = {variable: new for variable, new in updates.items() if hasattr(new, "dtype")}
            assert {cost.dtype} | {each.dtype for pair in tensors.items() for each in pair} == {floatX}


def test_a_step_has_the_type_of_its_parameter_where_floatX_is_another(float64):
    W = pytensor.shared(np.ones(3, "float32"))
    for update in logistic_sgd.sgd_updates, vae.adam_updates:
        assert update(pt.sum(pt.vector("x") * W), [W], 0.1)[W].dtype == "float32"


@BOTH_PRECISIONS
def test_a_rate_of_double_precision_takes_the_very_step_of_a_plain_one(floatX):
    found = []
    with pytensor.config.change_flags(floatX=floatX):
        for number in NUMBERS["float"], NUMBERS["float64"], NUMBERS["shared"]:
            model = make(dA.dA)
            cost, updates = model.get_cost_updates(number(0.3), number(0.1))
            pytensor.function([model.x], cost, updates=updates)(np.full((2, 6), 0.3, floatX))
            found.append(model.W.get_value().tolist())
    assert found[0] == found[1] == found[2] and model.W.dtype == floatX


@pytest.mark.slow  # it compiles
@BOTH_PRECISIONS
def test_compiled_steps_with_numbers_of_double_precision_are_the_interpreted_ones(floatX):
    found = []
    for mode in "NUMBA", Mode("py", None):
        with pytensor.config.change_flags(mode=mode, floatX=floatX):
            sda = make(SdA.SdA)
            data = sets(shared(np.array([0, 1, 1, 0], "int32")))
            costs = [fn(0, np.array(0.3), lr=np.float64(0.1)) for fn in sda.pretraining_functions(data[0][0], 2)]
            train_fn, *scores = sda.build_finetune_functions(data, 2, shared(0.1))
            costs += [train_fn(0), train_fn(1), *(error for score in scores for error in score())]
            found.append([*costs, *(param.get_value() for param in sda.params)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5 if floatX == "float32" else 1e-12, atol=1e-7)


# Data


@pytest.mark.parametrize("place, name", [(0, "training"), (1, "validation"), (2, "test")])
def test_a_label_without_an_output_is_told_in_each_set(place, name):
    for low, high, dtype in (0, 2, "int32"), (-1, 1, "int32"), (0, 2**32, "int64"):
        datasets = sets(shared(np.array([0, 1, 0, 1], "int32")))
        datasets[place] = datasets[place][0], shared(np.array([low, 0, 0, high], dtype))
        told = f"the {name} set has labels from {low} to {high}, but 2 outputs take labels from 0 to 1"
        with pytest.raises(UserError, match=told):
            make(SdA.SdA).build_finetune_functions(datasets, 2, 0.1)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda x, y: (x, y),
        lambda x, y: (x.tolist(), y.tolist()),
        lambda x, y: (shared(x.astype("float64")), shared(y.astype("int64"))),
        lambda x, y: (pt.cast(shared(x.astype("float64")), x.dtype), pt.cast(shared(y.astype("float32")), "int32")),
        lambda x, y: (pt.constant(x), pt.constant(y)),
    ],
)
def test_data_serve_as_arrays_lists_shared_variables_and_expressions(as_given):
    rng = np.random.RandomState(1)
    x, y = rng.uniform(size=(4, 6)).astype(pytensor.config.floatX), np.array([0, 1, 1, 0], "int32")
    found = []
    for given in (shared(x), shared(y)), as_given(x, y):
        sda = make(SdA.SdA)
        functions = sda.build_finetune_functions([given] * 3, 2, 0.1)
        found.append([fn(1) for fn in (functions[0], *sda.pretraining_functions(given[0], 2))])
        found[-1] += [score() for score in functions[1:]]
    assert found[0] == found[1]


def test_an_expression_of_shared_data_follows_them():
    y = pt.ivector("y")
    labels = shared([0.0, 1.0, 2.0, 3.0])
    total = logistic_sgd.minibatch_function(y.sum(), {y: pt.cast(labels, "int32")}, 2)
    assert total(1) == 5
    labels.set_value(np.array([0.0, 1.0, 2.0, 30.0]))
    assert total(1) == 32


@pytest.mark.parametrize("labels", [[0.0, 1.0, 1.0, 0.0], [[1, 0], [0, 1], [0, 1], [1, 0]]])
def test_labels_of_another_kind_are_told(labels):
    with pytest.raises(UserError, match=r"y must be int32 in 1 dimension, but its data are \S+ in \d dimensions?: "):
        make(SdA.SdA).build_finetune_functions(sets(labels), 2, 0.1)


def test_evaluating_functions_take_arrays_too():
    x, sparse, model = sets(None)[0][0].get_value(), make(sA), make(vae.VAE)
    for evaluate in (
        lambda data: activation_function(sparse, data)()[0],
        lambda data: [vae.bound_function(model, data, 2)(), vae.estimate_log_likelihood(model, data, 3)],
    ):
        assert evaluate(x) == evaluate(shared(x))


# What an autoencoder cannot rebuild


@pytest.mark.parametrize("activation, name", [(pt.tanh, "Tanh"), (None, "Add")])
def test_a_layer_whose_inputs_cannot_be_rebuilt_is_named_before_it_is_trained(activation, name, monkeypatch):
    hidden = SdA.HiddenLayer
    monkeypatch.setattr(SdA, "HiddenLayer", lambda **named: hidden(**{**named, "activation": activation}))
    sda = make(SdA.SdA)
    with pytest.raises(UserError, match=f"layer 1 gets values from -.* to .* from the {name} below it: .*sigmoid"):
        sda.pretraining_functions(sets(None)[0][0], 2)
    with pytest.raises(UserError, match="layer 0 gets values from .* from the data: .*scale the data"):
        sda.pretraining_functions(shared(np.full((4, 6), 255.0, pytensor.config.floatX)), 2)


def test_a_cost_below_zero_is_told_as_what_it_is():
    # Rectified layers may leave 0..1 only while they are trained. The second minibatch stands for that here.
    x = shared(np.concatenate([np.full((100, 6), 0.5), np.full((100, 6), 9.0)]).astype(pytensor.config.floatX))
    pretrain = make(SdA.SdA).pretraining_functions(x, 100)[0]
    assert pretrain(0) > 0
    with pytest.raises(UserError, match="the cost of minibatch 1 is -.*, below zero: .*values from 0 to 1"):
        for _ in range(20):
            pretrain(1)


def test_a_pretraining_function_is_one_of_pytensor():
    pretrain = make(SdA.SdA).pretraining_functions(sets(None)[0][0], 2)[0]
    assert "corruption" in pytensor.dprint(pretrain, file="str") and pretrain.maker.fgraph.toposort()
    assert np.isfinite(pretrain(np.int32(1), np.array(0.3), lr=np.float64(0.1)))
