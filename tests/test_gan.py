import gan
from numpy_reference import adversarial_costs_and_gradients, sigmoid
from support.data import load_data

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.stats import multivariate_normal

pytestmark = pytest.mark.usefixtures("interpreted")


def make_gan(seed=0, scale=None, n_visible=6, **sizes):
    sizes = {"n_noise": 3, "n_hidden": 5, "n_maxout": 4, "n_pieces": 2, **sizes}
    model = gan.GAN(np.random.RandomState(seed), n_visible=n_visible, **sizes)
    if scale is not None:
        rng = np.random.RandomState(seed + 1)
        for param in model.params:
            param.set_value(scale * rng.randn(*param.get_value().shape).astype(param.dtype))
    return model


def test_costs_and_gradients_of_both_players_are_those_of_numpy(float64):
    model, batch = make_gan(scale=0.7), 8
    x = np.random.RandomState(2).uniform(size=(batch, 6))
    rng = model.theano_rng.get_value()  # a copy, from which we draw what PyTensor is going to draw
    z = rng.uniform(-np.sqrt(3), np.sqrt(3), (batch, 3))
    keep = [(gan.KEEP_INPUT, 6), (gan.KEEP_HIDDEN, 4), (gan.KEEP_HIDDEN, 4)]
    masks_x, masks_Gz = ([rng.binomial(1, np.full((batch, n), p)) / p for p, n in keep] for _ in range(2))
    params = [param.get_value() for param in model.params]
    outputs, gradients = adversarial_costs_and_gradients(x, z, masks_x, masks_Gz, params, 2)

    *symbols, updates = model.get_cost_updates(0.5, 0.9, batch)
    step = pytensor.function([model.x], [*symbols, model.D_x, model.D_Gz], updates=updates)
    np.testing.assert_allclose(step(x), outputs, rtol=1e-10)
    for param, value, gradient in zip(model.params, params, gradients, strict=True):
        np.testing.assert_allclose((value - param.get_value()) / 0.5, gradient, rtol=1e-9, atol=1e-13)
    assert model.theano_rng.get_value().bit_generator.state == rng.bit_generator.state  # all draws moved it on


def test_momentum_steps_and_the_falling_rate_worked_out_by_hand(float64):
    # cost = 3 w, rate 0.1, momentum 0.5: v = -0.3, then -0.15 - 0.3 = -0.45; w = 1, 0.7, 0.25.
    w = pytensor.shared(np.array([1.0, 1.0]), name="w")
    step = pytensor.function([], [], updates=gan.momentum_updates(pt.sum(3 * w), [w], pt.constant(0.1), 0.5))
    for expected in 0.7, 0.25:
        step()
        np.testing.assert_allclose(w.get_value(), expected, rtol=1e-12)
    momenta = [gan.momentum_of(epoch) for epoch in (1, 84, 250, 251)]
    np.testing.assert_allclose(momenta, [0.5, 0.5 + 0.2 / 3, 0.7, 0.7], rtol=1e-12)  # 83 of 249 steps are a third

    model = make_gan()
    *_, updates = model.get_cost_updates(0.1, 0.5, 2)
    rate = next(variable for variable in updates if variable.name == "rate")
    step = pytensor.function([], [], updates={rate: updates[rate]})
    step()
    assert rate.get_value() == pytest.approx(0.1 / 1.000004, rel=1e-12)
    rate.set_value(1e-6)
    step()
    assert rate.get_value() == 1e-6


def test_where_the_discriminator_knows_nothing_it_answers_a_half(float64):
    model = make_gan(scale=0.7)
    for param in model.discriminator_params:
        param.set_value(0 * param.get_value())
    _, discriminator_cost, generator_cost = model.get_costs(5)
    x = np.random.RandomState(0).uniform(size=(5, 6))
    outputs = pytensor.function([model.x], [discriminator_cost, generator_cost, model.D_x, model.D_Gz])(x)
    np.testing.assert_allclose(outputs, [np.log(2), np.log(2), 0.5, 0.5], rtol=1e-14)


def test_dropout_keeps_the_mean_of_a_sum_and_drops_by_its_probability(float64):
    # Maxout units of one piece that add up their inputs: the logit is the sum of 0.3 over 400 entries, 120. Each entry
    # is kept with probability 0.8 and divided by it. So are the two units, with 0.5.
    model = make_gan(n_visible=400, n_maxout=1, n_pieces=1)
    for param, value in zip(model.discriminator_params, [1, 0, 1, 0, 1, 0]):
        param.set_value(np.full_like(param.get_value(), value))
    x = np.full((4000, 400), 0.3)
    np.testing.assert_allclose(model.discriminate(pt.constant(x[:2])).eval(), 120, rtol=1e-12)
    logits = model.discriminate_with_dropout(pt.constant(x))[1].eval()
    share = (logits > 0).mean()  # both units kept: 1/4
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(x))
    kept = logits[logits > 0] / 4  # 0.3 / 0.8 for each entry that is kept
    assert kept.mean() == pytest.approx(120, abs=4 * kept.std() / np.sqrt(len(kept)))
    assert kept.std() == pytest.approx(0.3 / 0.8 * np.sqrt(400 * 0.8 * 0.2), rel=0.05)


def test_draws_come_in_the_documented_order_and_the_output_starts_at_the_marginals(float64):
    marginals = np.array([0, 0.25, 0.5, 0.75, 1, 0.5])
    model, rng = make_gan(3, marginals=marginals), np.random.RandomState(3)
    rng.randint(2**30)
    for pairs, bound in (model.generator, 0.05), (model.discriminator, 0.005):
        for W, _ in pairs:
            np.testing.assert_array_equal(W.get_value(), rng.uniform(-bound, bound, W.get_value().shape))
    np.testing.assert_allclose(sigmoid(model.generator[-1][1].get_value()), marginals, atol=1.01e-7)
    noise = model.draw_noise(10_000)[1].eval()
    assert noise.shape == (10_000, 3) and np.abs(noise).max() <= np.sqrt(3)
    assert noise.var() == pytest.approx(1, abs=0.02)


def test_the_parzen_window_is_a_mixture_of_normal_densities(float64):
    rng = np.random.RandomState(0)
    x, samples, widths = rng.uniform(size=(1203, 5)), rng.uniform(size=(7, 5)), [0.1, 0.7]
    for row, width in zip(gan.parzen_log_likelihoods(x, samples, widths), widths):
        densities = [multivariate_normal(sample, width**2 * np.eye(5)).pdf(x) for sample in samples]
        np.testing.assert_allclose(row, np.log(np.mean(densities, axis=0)), rtol=1e-9)
    far = gan.parzen_log_likelihoods(np.full((1, 784), 9.0), np.zeros((2, 784)), [0.1])  # each density underflows
    np.testing.assert_allclose(far, -81 * 784 / 0.02 - 784 / 2 * np.log(2 * np.pi * 0.01), rtol=1e-12)


@pytest.mark.mnist
@pytest.mark.slow  # ten billion distances' terms
def test_training_images_as_samples_score_as_published():
    data = load_data("mnist")
    train_x = data.train_x.get_value(borrow=True)
    mean, error = gan.parzen_test(data, train_x[: gan.N_SAMPLES])
    assert (round(mean, 1), round(error, 1)) == (244.6, 2.1)
    assert gan.parzen_validation(data, train_x[: gan.N_SAMPLES])[1] == pytest.approx(0.167, abs=5e-4)


def test_nearest_images_are_found():
    data = np.eye(4, dtype="float32")
    np.testing.assert_array_equal(gan.nearest_images(data[[2, 0]] * 0.9, data), data[[2, 0]])
