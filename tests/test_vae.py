import vae
from graphs import interpreted_mode, nodes
from numpy_reference import sigmoid, variational_bound_and_gradients
from support.data import load_data
from support.rewrites.entropy import LogLikelihood
from support.runs.models import save_model

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.stats import norm

pytestmark = pytest.mark.usefixtures("interpreted")


def make_vae(n_visible=6, n_hidden=4, n_latent=3, seed=0, scale=None):
    model = vae.VAE(np.random.RandomState(seed), n_visible=n_visible, n_hidden=n_hidden, n_latent=n_latent)
    if scale is not None:
        rng = np.random.RandomState(seed + 1)
        for param in model.params:
            param.set_value(scale * rng.randn(*param.get_value().shape).astype(param.dtype))
    return model


def test_cost_and_gradients_are_those_of_numpy(float64):
    model = make_vae(scale=0.5)
    x = np.random.RandomState(2).uniform(size=(5, 6))
    generator = model.theano_rng.get_value()  # a copy, from which we draw what PyTensor is going to draw
    binary, epsilon = generator.binomial(1, x), generator.normal(size=(5, 3))
    assert 0 < binary.mean() < 1
    cost, updates = model.get_cost_updates(0.001)
    expected, gradients = variational_bound_and_gradients(binary, epsilon, [p.get_value() for p in model.params])
    actual = pytensor.function([model.x], [-cost, *pt.grad(-cost, model.params)], updates=updates)(x)
    for value, by_hand in zip(actual, [expected, *gradients], strict=True):
        np.testing.assert_allclose(value, by_hand, rtol=1e-10, atol=1e-14)
    assert model.theano_rng.get_value().bit_generator.state == generator.bit_generator.state  # all draws moved it on


def test_gradient_of_the_bound_agrees_with_finite_differences_for_fixed_noise(float64):
    rng = np.random.RandomState(0)
    x, epsilon = pt.constant(rng.randint(0, 2, (3, 5)).astype("float64")), pt.constant(rng.randn(3, 2))

    def bound(*params):
        model = make_vae(5, 4, 2)
        model.encoder, model.mean, model.log_variance, model.decoder, model.output = zip(params[::2], params[1::2])
        model.sample_latent = lambda mean, log_variance, rng=None: (rng, mean + pt.exp(log_variance / 2) * epsilon)
        return model.elbo(x)[1].mean()

    shapes = [param.get_value().shape for param in make_vae(5, 4, 2).params]
    pytensor.gradient.verify_grad(bound, [rng.randn(*shape) for shape in shapes], rng=rng)


def test_the_divergence_in_closed_form_is_the_mean_of_samples(float64):
    # KL = E[log q(z|x) - log p(z)]; for the constants that drop out of the difference see the two densities.
    mean, log_variance = np.array([[0.7, -0.4]]), np.array([[-1.0, 0.6]])
    closed = vae.kl_to_standard_normal(pt.constant(mean), pt.constant(log_variance)).eval()
    epsilon = np.random.RandomState(0).randn(10**6, 2)
    z = mean + np.exp(log_variance / 2) * epsilon
    ratios = np.sum((z**2 - epsilon**2 - log_variance) / 2, axis=1)
    assert closed.shape == (1,) and abs(ratios.mean() - closed[0]) < 4 * ratios.std() / 1000
    assert vae.kl_to_standard_normal(pt.zeros((2, 3)), pt.zeros((2, 3))).eval() == pytest.approx([0, 0], abs=1e-15)


def test_images_are_binarised_with_the_grey_value_as_probability():
    model = make_vae()
    next_rng, ones = model.binarise(model.x)
    draw = pytensor.function([model.x], ones, updates={model.theano_rng: next_rng})
    grey = np.array([0, 0.25, 0.75, 1], pytensor.config.floatX)
    values, others = (draw(np.tile(grey, (40_000, 1))) for _ in range(2))
    assert values.dtype == pytensor.config.floatX and set(np.unique(values)) == {0, 1}
    assert (np.abs(values.mean(axis=0) - grey) <= 4 * np.sqrt(grey * (1 - grey) / 40_000)).all()
    assert (others != values).any()


def test_importance_weights_are_those_of_numpy(float64):
    model, n = make_vae(scale=0.5), 7
    x = np.array([[1.0, 0, 0, 1, 1, 0]])
    epsilon = np.random.default_rng(5).normal(size=(n, 3))
    _, log_weights = model.get_importance_weights(model.x, n, pt.random.shared_rng(seed=5))
    We, be, Wm, bm, Wv, bv, Wd, bd, Wo, bo = (param.get_value() for param in model.params)
    h = np.tanh(x @ We + be)
    mean, deviation = h @ Wm + bm, np.exp((h @ Wv + bv) / 2)
    z = mean + deviation * epsilon
    p = sigmoid(np.tanh(z @ Wd + bd) @ Wo + bo)
    likelihood = np.sum(np.log(np.where(x == 1, p, 1 - p)), axis=1)
    expected = likelihood + (norm.logpdf(z) - norm.logpdf(z, mean, deviation)).sum(axis=1)
    np.testing.assert_allclose(pytensor.function([model.x], log_weights)(x), expected, rtol=1e-12)


def test_bound_and_likelihood_of_the_same_images_agree_with_sums_over_a_grid(float64):
    # With one latent entry the integrals over the codes can be taken as sums over a fine grid.
    model = make_vae(n_visible=6, n_hidden=4, n_latent=1, scale=1.0)
    x = np.array([[1.0, 0, 0, 1, 1, 0]])
    z = np.linspace(-10, 10, 20_001)[:, None]
    codes = pt.matrix("codes")
    likelihood = model.get_log_likelihood(pt.repeat(pt.constant(x), len(z), axis=0), codes)
    mean, log_variance, likelihood = pytensor.function([model.x, codes], [*model.encode(model.x), likelihood])(x, z)
    joint, guess = likelihood + norm.logpdf(z[:, 0]), norm.logpdf(z[:, 0], mean, np.exp(log_variance / 2))[0]
    bound, estimate = vae.estimate_log_likelihood(model, x, 50_000)
    assert bound == pytest.approx(np.sum(np.exp(guess) * (joint - guess)) * 0.001, abs=0.02)
    assert estimate == pytest.approx(np.log(np.sum(np.exp(joint)) * 0.001), abs=0.01)
    assert bound < estimate - 0.05


def test_adam_steps_worked_out_by_hand(float64):
    # cost = 3 w: the gradient is 3 at each step. With rate 0.1, betas 0.9 and 0.999:
    #   step 1: mean 0.3, square 0.009; corrected by 0.1 and 0.001: 3 and 9; w falls by 0.1 * 3 / (3 + epsilon)
    #   step 2: mean 0.57, square 0.017991; corrected by 0.19 and 0.001999: 3 and 9 again
    w = pytensor.shared(np.array([1.0, 1.0]), name="w")
    cost = pt.sum(3 * w)
    step = pytensor.function([], cost, updates=vae.adam_updates(cost, [w], 0.1, epsilon=0.5))
    for n in 1, 2:
        step()
        np.testing.assert_allclose(w.get_value(), 1 - 0.1 * n * 3 / 3.5, rtol=1e-12)


def test_the_compiled_bound_comes_from_the_logits_and_stays_finite_where_the_sigmoid_saturates():
    model = make_vae(2, 1, 1)
    _, bound = model.elbo(model.x)
    of_images = pytensor.function([model.x], bound, mode=interpreted_mode())
    assert len(nodes(of_images, LogLikelihood)) == 1
    for param in model.params:
        param.set_value(np.zeros_like(param.get_value()))
    model.output[1].set_value(np.array([1000, -1000], pytensor.config.floatX))  # p = (1, 0), for x = (0, 1)
    assert of_images(np.array([[0, 1]], pytensor.config.floatX)) == [-2000]


def test_the_driver_keeps_the_epoch_with_the_best_validation_bound(small_dataset, tmp_path, float64, monkeypatch):
    bound_function, found = vae.bound_function, []

    def worse_in_the_last_epoch(*arguments):
        bound = bound_function(*arguments)
        return lambda: found.append(bound() - 100 * (len(found) == 2)) or found[-1]

    arguments = {"dataset": small_dataset, "batch_size": 20, "n_hidden": 9, "n_latent": 2, "n_importance_samples": 5}
    with monkeypatch.context() as patch:
        patch.setattr(vae, "bound_function", worse_in_the_last_epoch)
        patch.setattr(vae, "plot", lambda *_: None)
        result = vae.test_vae(0.01, 3, seed=5, output_folder=tmp_path, **arguments)
    datasets = load_data(small_dataset)
    model = vae.VAE(np.random.RandomState(5), n_visible=49, n_hidden=9, n_latent=2)
    cost, updates = model.get_cost_updates(0.01)
    step = pytensor.function([model.x], cost, updates=updates)
    train_x = datasets[0][0].get_value()
    validate, test = (bound_function(model, datasets[i][0], 20) for i in (1, 2))
    bounds, tested = [], []
    for line in result.curve:
        cost = np.mean([step(train_x[i : i + 20]) for i in range(0, 300, 20)])
        assert line["cost"] == pytest.approx(cost, rel=1e-10)
        assert line["cost"] == pytest.approx(line["divergence"] - line["log_likelihood"], rel=1e-10)
        bounds.append(validate())
        tested.append(test())
    curve = [line["validation_bound"] for line in result.curve]
    assert curve == pytest.approx([*bounds[:2], bounds[2] - 100], rel=1e-10) and bounds[1] > bounds[0]
    expected = {"best_epoch": 2, "epochs": 3, "validation_bound": bounds[1], "test_bound": tested[1]}
    assert {name: result.figures[name] for name in expected} == pytest.approx(expected, rel=1e-10)
    assert result.figures["bound_where_estimated"] < result.figures["test_log_likelihood"]

    first, again, other = (vae.sample(tmp_path / "model.npz", seed).read_bytes() for seed in (0, 0, 1))
    assert first.startswith(b"\x89PNG") and first == again != other


def test_a_bound_is_taken_with_the_same_draws_each_time(small_dataset):
    model = make_vae(49, 4, 3, scale=0.3)
    bound = vae.bound_function(model, load_data(small_dataset)[1][0], 20)
    assert bound() == bound()


def test_another_networks_model_is_refused(tmp_path):
    dataset = {"name": "x", "sha256": "0"}
    about = {"lesson": "vae", "dataset": dataset, "floatX": "float32", "settings": {"dataset": "x"}}
    save_model(tmp_path / "model.npz", make_vae().params[:4], about)
    with pytest.raises(ValueError, match="it has 4 parameters, not 10"):
        vae.sample(tmp_path / "model.npz")
