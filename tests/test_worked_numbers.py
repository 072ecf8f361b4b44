"""The numbers in the docstrings of the lessons, computed again; in the worked examples by the lessons' own classes.

Each test reads its numbers from the text, so that a digit that is changed in either place turns it red.
"""

import ast
import json
import re
from itertools import zip_longest

import cA
import dA
import logistic_sgd
import mlp
import pca
import rbm
import sA
import SdA
import vae
from lessons import short_schedules
from support.data import load_data
from support.start import ROOT

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor import function

pytestmark = pytest.mark.usefixtures("interpreted", "float64")
LN2, LN3 = np.log(2), np.log(3)


def head(lesson):
    """The docstring of a lesson on one line, with the signs that Python reads."""
    text = ast.get_docstring(ast.parse((ROOT / "code" / f"{lesson}.py").read_text(encoding="utf-8")))
    return re.sub(r"\s+", " ", text.replace("−", "-"))


def check(lesson, pattern, *expected):
    """Each # of a pattern is a number in the text; it must be the expected one, rounded to the digits that it has."""
    escaped = re.escape(pattern).replace(r"\#", r"(-?[\d,]*\.?\d+(?:e-?\d+)?)")
    found = re.search(escaped, head(lesson))
    assert found, f"{lesson} does not say: {pattern}"
    for shown, value in zip(found.groups(), expected, strict=True):
        digits = shown.replace(",", "").split("e")[0].partition(".")[2]
        assert float(shown.replace(",", "")) == pytest.approx(value, abs=0.5000001 * 10.0 ** -len(digits)), pattern


def read(run, name):
    text = (ROOT / "data" / "results" / run / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if name == "curve.jsonl" else json.loads(text)


def make(kind, *values, **named):
    """A model of two inputs and one hidden unit, whose first parameters have these values; the others are zero."""
    return with_params(kind(np.random.RandomState(0), n_visible=2, n_hidden=1, **named), *values)


def with_params(model, *values):
    for param, value in zip_longest(model.params, values, fillvalue=0):
        shape = param.get_value().shape
        param.set_value(np.broadcast_to(value, np.prod(shape)).reshape(shape).astype(float))
    return model


def classifier_step(model, *more):
    """A step at the rate 0.1 by x of label 0; its values are from before: NLL, probabilities, more, and gradients."""
    y = pt.ivector("y")
    cost = model.negative_log_likelihood(y)
    outputs = [cost, model.p_y_given_x[0], *more, *pt.grad(cost, [*more, *model.params])]
    step = function([model.input, y], outputs, updates=logistic_sgd.sgd_updates(cost, model.params, 0.1))
    return lambda *x: step([x], np.zeros(1, "int32"))


def test_lesson_1():
    model = logistic_sgd.LogisticRegression(pt.matrix("x"), 2, 2)
    step = classifier_step(model)
    cost, p, dW, db = step(1.0, 2.0)
    check("logistic_sgd", "NLL = -ln 1/2 = #", cost)
    np.testing.assert_allclose([*p, *db, *dW.ravel()], [0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -1, 1])
    W, b = (param.get_value() for param in model.params)
    check("logistic_sgd", "makes W = [[#, #], [#, #]], and b = (#, #)", *W.ravel(), *b)
    cost, p, *_ = step(1.0, 2.0)
    check("logistic_sgd", "a = (#, #) P = (#, #) NLL = -ln # = #", *([1, 2] @ W + b), *p, p[0], cost)
    check("logistic_sgd", "ln 10 = #", np.log(10))
    errors = (100 * read("logistic_sgd", "result.json")[f"{name}_error"] for name in ("validation", "test"))
    check("logistic_sgd", "ends with # % validation and # % test error", *errors)


def test_lesson_2():
    model = mlp.MLP(np.random.RandomState(0), pt.matrix("x"), 2, 2, 2)
    with_params(model, [LN2, -LN3, 0.5, 0.5], 0, [1, 0, -1, 0])
    step = classifier_step(model, model.hiddenLayer.output)
    cost, p, [h], [dh], dW, db, _, delta = step(1.0, 0.0)
    check("mlp", "h = tanh(ln 2, -ln 3) = (#, #) h W₂ = (# + #, 0)", *h, *abs(h))
    check("mlp", "= (#, 0) P = (#, #) NLL = -ln # = #", h[0] - h[1], *p, p[0], cost)
    check("mlp", "∂NLL/∂(h W₂) = P - (1, 0) = (#, #) ∂NLL/∂h = (#, #) W₂ᵀ = (#, #)", *delta, *delta, *dh)
    check("mlp", "= (# · #, # · #) = (#, #)", dh[0], 1 - h[0] ** 2, dh[1], 1 - h[1] ** 2, *db)
    check("mlp", "xᵀ (#, #) = [[#, #], [0, 0]] a dark pixel", *db, *dW[0])
    cost, _, [h], *_ = step(1.0, 0.0)
    check("mlp", "makes h = (#, #) and NLL = #", *h, cost)
    check("mlp", "The network has # more weights", round(784 * 500 + 500 + 5010 - 7850, -4))
    errors = (100 * read(lesson, "result.json")["test_error"] for lesson in ("mlp", "logistic_sgd"))
    check("mlp", "The test error is # %, where lesson 1 has # %", *errors)


def test_penalties_and_early_stopping_in_lesson_2():
    eta, t, penalty, grid, columns = 0.1, 100, 0.05, np.linspace(0, 1, 200001), []
    for c in (1, 0.001):
        w, nll = 0.0, c * (grid - 1) ** 2 / 2
        for _ in range(t):
            w -= eta * c * (w - 1)
        columns.append([w, *(grid[np.argmin(nll + penalty * size)] for size in (grid**2, grid))])
    stopped, shrunk, cut = zip(*columns)
    check("mlp", "Say η = #, t = #, λ = #", eta, t, penalty)
    check("mlp", "stopped after 100 steps # w* # w* penalty λ w² # w* # w*", *stopped, *shrunk)
    check("mlp", "penalty λ |w|, for w* = 1 # #", *cut)
    check("mlp", "λ = 1 / (2 η t), here #", 1 / (2 * eta * t))


def test_lesson_3():
    model = make(dA.dA, [2 * LN3, 0], -2 * LN3)
    model.get_corrupted_input = lambda input, level: (model.theano_rng, input * [1.0, 0.0])
    before = [param.get_value() for param in model.params]
    cost, updates = model.get_cost_updates(0.5, 0.8)
    step = function([model.x], cost, updates=updates)
    check("dA", "L = -ln 3/4 - ln 1/2 = #", step([[1.0, 1.0]]))
    dW, db, db_prime = ((old - param.get_value()).ravel() / 0.8 for old, param in zip(before, model.params))
    np.testing.assert_allclose([*db, *db_prime], [-LN3 / 8, -1 / 4, -1 / 2], rtol=1e-14)
    check("dA", "· 1/2 · 1/2 = #", *db)
    check("dA", "x̃ᵀ (#) + (z - x)ᵀ 1/2 = (# - #, 0 - #)ᵀ = (#, #)ᵀ", *db, *db, 0.125, 0.25, *dW)
    check("dA", "After a step of 0.8 on all parameters, L = #", step([[1.0, 1.0]]))
    last = {line["corruption"]: line["cost"] for line in read("dA", "curve.jsonl")}
    check("dA", "after 15 epochs: # without corruption, # with 30 %", last[0.0], last[0.3])


def test_the_first_cost_of_lesson_3():
    check("dA", "784 ln 2 = #", 784 * LN2)
    for lesson in "sA", "cA":
        check(lesson, "An untrained guess of 1/2 for every pixel has a cross-entropy of #", 784 * LN2)
    a = np.linspace(-20, 20, 400001)
    mean = np.average(np.logaddexp(0, a), weights=np.exp(-(a**2) / 8))
    check("dA", "it is ln 2 = #. Its mean over normal a of mean 0 and deviation 2 is #", LN2, mean)
    check("dA", "and 784 times that is #", 784 * mean)


def test_tied_weights_can_copy():
    """Each pattern of eight signs gives one in 256 of the units its weights."""
    images = (np.arange(256)[:, None] >> np.arange(8)) & 1  # (256, 8): all of them
    W = 0.1 * np.tile(2 * images.T - 1, 32)  # (8, 8192)
    y = 1 / (1 + np.exp(-images @ W))
    z = 1 / (1 + np.exp(8192 * 0.1**2 / 8 - (y - 0.5) @ W.T))  # a b_prime that is -1/2 sum_j W_kj - 10.24
    check("dA", "# units with weights of ±# copy every black and white image of eight pixels to", 8192, 0.1)
    stated = float(re.search(r"of eight pixels to (\S+)\. ", head("dA"))[1])
    assert 0.9 * stated < abs(z - images).max() < 1.05 * stated


def test_lesson_4():
    """The layer below gives 1/2 because its weights are zero."""
    model = SdA.SdA(np.random.RandomState(0), n_ins=1, hidden_layers_sizes=[1, 1], n_outs=2)
    with_params(model, 0, 0, 2 * LN3)
    h = function([model.x], model.sigmoid_layers[1].output)
    assert h([[1.0]]) == pytest.approx(3 / 4)
    cost = model.pretraining_functions(np.ones((1, 1)), 1)[1](0, corruption=1.0, lr=0.8)
    check("SdA", "L = -1/2 ln 3/4 - 1/2 ln 1/4 = #", cost)
    check("SdA", "with z = 1/2 it would be ln 2 = #", LN2)
    [[W]], [b] = (param.get_value() for param in model.params[2:4])
    check("SdA", "· 1/4 = #, ∂L/∂W₁ = 0 · # + (3/4 - 1/2) · 1/2 = #", -b / 0.8, -b / 0.8, (2 * LN3 - W) / 0.8)
    check("SdA", "makes b₁ = # and W₁ = # - 0.1 = #", b, 2 * LN3, W)
    check("SdA", "h₁ = σ(1/2 · # - #) = #", W, -b, h([[1.0]]).item())


def test_the_records_in_lesson_4():
    with_pretraining = ["SdA", *(f"SdA-seed-{seed}" for seed in range(1, 10))]
    without = ["SdA-no-pretraining", *(f"SdA-no-pretraining-seed-{seed}" for seed in (1, 2))]
    levels = 0.1, 0.03, 0.01, 0.003, 0.001
    check("SdA", "training cost below # # # # #", *levels)
    groups = (
        ("with", "with pre-training, 10 runs", "The runs with pre-training were at their best", with_pretraining),
        ("without", "without, 3 runs", "those without", without),
    )
    for name, title, subject, group in groups:
        runs = [[line for line in read(run, "curve.jsonl") if "validation_error" in line] for run in group]
        best = [np.minimum.accumulate([100 * line["validation_error"] for line in run]) for run in runs]
        columns = [[run[min(epoch, len(run)) - 1] for run in best] for epoch in (1, 2, 5, 10, 20, 30, 1000)]
        ends = [end for column in columns for end in (min(column), max(column))]
        check("SdA", f"{title} # # # # # # # lowest and highest" + " #, #" * 7, *map(np.mean, columns), *ends)
        at_best = [np.argmin([line["validation_error"] for line in run]) + 1 for run in runs]
        check("SdA", f"{subject} in epochs # to #", min(at_best), max(at_best))

        firsts = [[next((line for line in run if line["cost"] < level), None) for run in runs] for level in levels]
        means = {
            field: [np.mean([line[field] for line in lines if line]) for lines in firsts]
            for field in ("epoch", "validation_error")
        }
        check("SdA", f"{name}: in epoch # # # # #", *means["epoch"])
        check("SdA", f"{name}: validation error # # # # # %", *(100 * mean for mean in means["validation_error"]))


def test_lesson_5():
    model = make(pca.LinearAutoencoder, 1, bvis=pytensor.shared(np.ones(2)))
    cost_and_gradient = function([model.x], model.get_cost_gradient())
    images = np.array([[2.0, 1.0], [1.0, 3.0]])
    (cost, gradient), (_, first), (_, second) = map(cost_and_gradient, (images, images[:1], images[1:]))
    check("pca", "cost = #/#", 2 * cost, 2)
    check("pca", "= (#, #)ᵀ -2 ((-2", *first.ravel())
    check("pca", "= (#, #)ᵀ ∂cost/∂W = (#, #)ᵀ", *second.ravel(), *gradient.ravel())
    with_params(model, 1 / np.sqrt(2))
    check("pca", "W = (1, 1)ᵀ / √2, the cost is #/#", 4 * cost_and_gradient(images)[0], 4)


def test_lesson_6():
    model = make(sA.sA, [2 * LN3, 0], -LN3)
    model.get_cost_updates(0.25, 1.0, 0.1)
    derivatives = pt.grad(model.sparsity_penalty, [model.mean_activation, model.b])
    outputs = [model.mean_activation, model.sparsity_penalty, *derivatives]
    [activation], penalty, [slope], [through] = function([model.x], outputs)(np.eye(2))
    assert activation == pytest.approx(1 / 2)
    check("sA", "1/4 ln 1/2 + 3/4 ln 3/2 = #", penalty)
    check("sA", "(3/4)/(1/2) = #", slope)
    check("sA", "y (1 - y) = #/# it adds #/#", 3, 16, 32 * through / 2, 32)  # to each of the two images


def test_lesson_7():
    model, y = make(cA.cA, [2, 1], -2), pt.matrix("y")
    model.get_cost_updates(1.0, 0.1)
    hidden = model.get_hidden_values(model.x)
    outputs = [hidden, model.get_reconstructed_input(hidden)[0], model.L_rec[0], model.L_jacob]
    hidden, z, cost, norm = function([model.x], outputs)([[1.0, 0.0]])
    check("cA", "|J|² = 1/4 + 1/16 = #/#", 16 * norm, 16)
    check("cA", "(σ(1), σ(1/2)) = (#, #) L = -ln # - ln(1 - #) = #", *z, *z, cost)
    gradients = pt.grad(pt.sum(model.get_jacobian(y, model.W) ** 2), [model.W, y])
    by_weights, by_hidden = function([y], gradients)(hidden)
    check("cA", "∂|J|²/∂W = 2 (1/4)² W = (1/#, 1/#)ᵀ", *1 / by_weights.ravel())
    assert by_hidden == 0
    check("cA", "# numbers an example with 784 pixels and 500 units", 784 * 500)


def test_lesson_8():
    """The biases that are not zero are those of the mean, of the log-variance and of the output."""
    model = make(vae.VAE, 0, 0, 0, 1, 0, np.log(4), 0, 0, 0, [LN3, 0], n_latent=1)
    mean, log_variance = model.encode(model.x)
    _, z = model.sample_latent(mean, log_variance, rng=pt.random.shared_rng(seed=5))
    outputs = [z[0], vae.kl_to_standard_normal(mean, log_variance), model.get_log_likelihood(model.x, z)]
    outputs.append(model.elbo(model.x)[1])
    [z], [divergence], [log_likelihood], [bound] = function([model.x], outputs)([[1.0, 0.0]])
    assert z == pytest.approx(1 + 2 * np.random.default_rng(5).normal(), rel=1e-14)
    assert bound == pytest.approx(np.log(3 / 4) - 2, rel=1e-14)
    check("vae", "= 2 - ln 2 = #", divergence)
    check("vae", "= ln 3/4 + ln 1/2 = #", log_likelihood)
    check("vae", "bound = # - # = #", log_likelihood, divergence, bound)
    check("vae", "Here the encoder spends # nats", divergence)
    check("vae", "the bound would be log p(x) itself, #", log_likelihood)
    figures = (
        read("vae", "result.json")[name] for name in ("test_bound", "bound_where_estimated", "test_log_likelihood")
    )
    check("vae", "of all test images is #, that of the first 1,000 is #, and the estimate for these is #", *figures)


def test_lesson_9():
    model = with_params(rbm.RBM(n_visible=2, n_hidden=1), [2 * LN3, 0], -LN3)
    F, [_, up], hidden = model.free_energy(model.input), model.propup(model.input), pt.matrix("hidden")
    mean_gradient = pt.grad(pt.dot(p := pt.vector("p"), F), model.W)  # the mean of a distribution of the four images
    v = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    free_energy, on = (each.ravel() for each in function([model.input], [F, up])(v))
    np.testing.assert_allclose([np.exp(-free_energy), on], [[4 / 3, 4, 4 / 3, 4], [1 / 4, 3 / 4, 1 / 4, 3 / 4]])
    probabilities = np.exp(-free_energy - rbm.exact_log_z(model))
    assert rbm.exact_log_z(model) == pytest.approx(np.log(32 / 3))
    check("rbm", "1/8 1/4 (1, 0) 1 + 3 = 4 #/# 3/4", 8 * probabilities[1], 8)
    check("rbm", "log p(x) = ln 3/8 = #", np.log(probabilities[1]))
    gradient = function([model.input, p], mean_gradient)
    of_x, of_all = gradient(v, [0, 1, 0, 0]).ravel(), gradient(v, probabilities).ravel()
    check("rbm", "∂F(x)/∂W = -xᵀ 3/4 = (#, 0)ᵀ", of_x[0])
    check("rbm", "1/8 · 1/4 + 3/8 · 3/4)ᵀ = (#, #)ᵀ", *of_all)
    check("rbm", "= (# + #, 0 + #)ᵀ = (#, #)ᵀ Now CD-1", of_x[0], *-of_all, *(of_x - of_all))

    [off, lit] = function([hidden], model.propdown(hidden)[1])(np.array([[0.0], [1]]))  # given that the unit is 0, or 1
    first, second = 0.75 * lit + 0.25 * off
    check("rbm", "σ(2 ln 3) = #/# and 1/2", 10 * lit[0], 10)
    check("rbm", "3/4 · 9/10 + 1/4 · 1/2 = #, while", first)
    after_cd = [(1 - first) * (1 - second), first * (1 - second), (1 - first) * second, first * second]
    check("rbm", "gradients is (#, #)ᵀ, not (#, #)ᵀ", *(of_x - gradient(v, after_cd).ravel()), *(of_x - of_all))

    terms = []
    for _ in range(2):
        updates = {}
        watch = function([model.input], model.get_pseudo_likelihood_cost(updates), updates=updates)
        terms.append(watch(v[1:2]) / 2)
    np.testing.assert_allclose(terms, [np.log(3 / 4), np.log(1 / 2)])
    check("rbm", "both terms together are ln 3/4 + ln 1/2 = #", sum(terms))

    annealing = rbm.Annealing(model, np.full((1, 2), 0.5), n_temperatures=1, n_chains=4)
    annealing.v.set_value(v)
    annealing.step_function()(1)
    np.testing.assert_allclose(np.exp(annealing.log_weights.get_value()), [2 / 3, 2, 2 / 3, 2])
    check("rbm", "first machine is 8: 8 · 4/3 = #/3", 3 * np.exp(annealing.log_z))
    check("rbm", "number of chains, here # of 4", annealing.effective_chains)


def test_lesson_10():
    first, third = rbm.RBM(n_visible=1, n_hidden=1), np.array([1 / 4, 3 / 4])
    with_params(first, [2 * LN3], -LN3, -LN3)
    F, [_, up] = first.free_energy(first.input), first.propup(first.input)
    free_energy, on = (each.ravel() for each in function([first.input], [F, up])([[0.0], [1]]))
    np.testing.assert_allclose(np.exp(-free_energy), [4 / 3, 4 / 3])  # both values of x are as probable
    np.testing.assert_allclose(on, third)
    shares = np.array([1 / 4, 3 / 4])  # of the examples with x = 0 and 1
    q = shares @ on
    check("DBN", "ln 1/2 = #.", np.log(1 / 2))
    check("DBN", "1/4 · 1/4 = # of these codes", q)
    rise = q * np.log(2 * q) + (1 - q) * np.log(2 * (1 - q))
    check("DBN", "# ln (# / 0.5) + # ln (# / 0.5) = #, from # to #", q, q, 1 - q, 1 - q, rise, -LN2, rise - LN2)
    p = q * third[1] + (1 - q) * third[0]
    reached = shares @ np.log([1 - p, p])
    check("DBN", "P(x = 1) = # · 3/4 + # · 1/4 = #.", q, 1 - q, p)
    check("DBN", "3/4 ln # + 1/4 ln # = #. That", p, 1 - p, reached)
    check("DBN", "the best possible #.", shares @ np.log(shares))
    assert rise - LN2 < reached
    check("DBN", "-784 ln 2 = # for a guess", -784 * LN2)


def test_lesson_11():
    p, q, D = np.array([3 / 4, 1 / 4]), np.array([1 / 2, 1 / 2]), np.array([0.6, 1 / 3])
    np.testing.assert_allclose(p / (p + q), D)
    check("gan", "0.75 / (0.75 + 0.5) = #", D[0])
    cost = -0.5 * np.sum(p * np.log(D) + q * np.log(1 - D))
    check("gan", "2/3) = #, less than ln 2 = #", cost, LN2)
    check("gan", "- 0.5 ln 1/3 = #; with A alone it would be -ln 0.6 = #", -np.sum(q * np.log(D)), -np.log(0.6))
    a = pt.scalar("a")
    slopes = [pt.grad(cost, a) for cost in (pt.log(1 - pt.sigmoid(a)), -pt.log(pt.sigmoid(a)))]
    check("gan", "The first derivative is # then", function([a], slopes[0])(np.log(0.01 / 0.99)))
    check("gan", "The second one is #.", function([a], slopes[1])(np.log(0.01 / 0.99)))


@pytest.mark.slow
@pytest.mark.mnist
def test_a_long_run_of_lesson_1():
    with pytensor.config.change_flags(mode="NUMBA", floatX="float32"):
        datasets, x, y = load_data("mnist"), pt.matrix("x"), pt.ivector("y")
        model = logistic_sgd.LogisticRegression(x, 784, 10)
        cost, errors = model.negative_log_likelihood(y), model.errors(y)
        train, *_ = logistic_sgd.supervised_functions(model, cost, errors, y, datasets, 600, 1.3)
        evaluate = function([x, y], [cost, 100 * errors])
    rows = []
    for epoch in range(1, 201):
        for index in range(83):
            train(index)
        if epoch in (1, 10, 30, 76, 200):
            rows.append([figure for xs, ys in datasets[:2] for figure in evaluate(xs.get_value(), ys.get_value())])
    names = "training NLL", "training error", "validation NLL", "validation error"
    for name, values in zip(names, zip(*rows), strict=True):
        check("logistic_sgd", f"{name} # # # # #", *values)


@pytest.mark.mnist
def test_first_costs_and_those_of_a_copy_and_of_the_mean_image():
    images = load_data("mnist")[0][0].get_value(borrow=True)

    def entropy(p):
        inside = p[(p > 0) & (p < 1)]
        return -np.sum(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))

    check("dA", "such costs add up to # nats", entropy(images) / len(images))
    check("dA", "Guessing each pixel's mean costs #", entropy(images.mean(axis=0)))

    machine = rbm.RBM(numpy_rng=np.random.RandomState(123))
    cost = machine.get_pseudo_likelihood_cost({})
    check("rbm", "The first cost, #.", function([machine.input], cost)(images[:20]))
    check("rbm", "at -784 ln 2 = #", -784 * LN2)

    da, sparse, contractive = (
        kind(np.random.RandomState(123), n_hidden=n) for kind, n in ((dA.dA, 500), (sA.sA, 196), (cA.cA, 500))
    )
    z = da.get_reconstructed_input(da.get_hidden_values(da.x))
    cost, z = function([da.x], [pt.mean(da.get_reconstruction_cost(z)), z])(images[:20])
    assert float(re.search(r"It is some (\d+) nats", head("dA"))[1]) == pytest.approx(cost, abs=5)
    check("dA", "with a standard deviation of about #", np.log(z / (1 - z)).std())
    costs = sparse.get_cost_updates(0.1, 5.0, 0.0)[0], contractive.get_cost_updates(0.1, 0.0)[0]
    found = function([sparse.x], [costs[0], pt.mean(sparse.L_rec), sparse.sparsity_penalty])(images[:100])
    check("sA", "it is # nats: # of cross-entropy, and a penalty of 5 · #", *found)
    found = function([contractive.x], [costs[1], pt.mean(contractive.L_rec), contractive.L_jacob])(images[:10])
    check("cA", "it is # nats: # of cross-entropy, and a penalty of 0.1 · #", *found)


@pytest.mark.parametrize("lesson", short_schedules())
def test_answers_stand_where_the_lesson_says(lesson):
    path = f"tests/exercises/{lesson}.md"
    foot = (ROOT / "code" / f"{lesson}.py").read_text(encoding="utf-8").rpartition('"""Exercises')[2]
    assert f"their answers in {path}" in head(lesson) and path in re.sub(r"\s+", " ", foot)
    questions = re.findall(r"^(\d)\. ", foot, re.MULTILINE)
    assert questions == re.findall(r"^## (\d)\. ", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
