"""The worked numbers in the docstrings of the lessons, computed again in plain NumPy.

Each test reads its numbers from the text, so that a digit that is changed in either place turns it red.
"""

import ast
import json
import re
from pathlib import Path

from support.start import ROOT

import numpy as np
import pytest

LN2, LN3 = np.log(2), np.log(3)


def head(lesson):
    """The docstring of a lesson on one line, with the signs that Python reads."""
    text = ast.get_docstring(ast.parse((ROOT / "code" / f"{lesson}.py").read_text(encoding="utf-8")))
    return re.sub(r"\s+", " ", text.replace("−", "-"))


def check(lesson, pattern, *expected):
    """Each # of a pattern is a number in the text; it must be the expected one, rounded to the digits that it has."""
    escaped = re.escape(re.sub(r"\s+", " ", pattern)).replace(r"\#", r"(-?[\d,]*\.?\d+(?:e-?\d+)?)")
    found = re.search(escaped, head(lesson))
    assert found, f"{lesson} does not say: {pattern}"
    for shown, value in zip(found.groups(), expected, strict=True):
        digits = shown.replace(",", "").split("e")[0].partition(".")[2]
        assert float(shown.replace(",", "")) == pytest.approx(value, abs=0.5000001 * 10.0 ** -len(digits)), pattern


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def cross_entropy(x, z):
    return -np.sum(x * np.log(z) + (1 - x) * np.log(1 - z))


def slopes(function, at, step=1e-6):
    """Central differences of a function of a vector."""
    return np.array([(function(at + e) - function(at - e)) / (2 * step) for e in step * np.eye(len(at))])


def curve(run):
    lines = (ROOT / "data" / "results" / run / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def figure(run, name):
    return json.loads((ROOT / "data" / "results" / run / "result.json").read_text(encoding="utf-8"))[name]


def test_softmax_and_likelihood_have_the_gradient_of_lesson_1():
    a = np.array([0.3, -1.2, 0.7])
    p = np.exp(a) / np.exp(a).sum()
    np.testing.assert_allclose(slopes(lambda a: -a[2] + np.log(np.exp(a).sum()), a), p - [0, 0, 1], atol=1e-8)
    check("logistic_sgd", "∂NLL/∂aᵢ = exp(aᵢ) / Σⱼ exp(aⱼ) - [i = y]")


def test_lesson_1():
    x, W, b = np.array([1.0, 2.0]), np.zeros((2, 2)), np.zeros(2)
    p = np.array([0.5, 0.5])
    check("logistic_sgd", "NLL = -ln 1/2 = #", -np.log(p[0]))
    W, b = W - 0.1 * np.outer(x, p - [1, 0]), b - 0.1 * (p - [1, 0])
    check("logistic_sgd", "makes W = [[#, #], [#, #]], and b = (#, #)", *W.ravel(), *b)
    a = x @ W + b
    p = np.exp(a) / np.exp(a).sum()
    check("logistic_sgd", "a = (#, #) P = (#, #) NLL = -ln # = #", *a, *p, p[0], -np.log(p[0]))
    check("logistic_sgd", "ln 10 = #", np.log(10))
    errors = (100 * figure("logistic_sgd", f"{name}_error") for name in ("validation", "test"))
    check("logistic_sgd", "ends with # % validation and # % test error", *errors)


def test_lesson_2():
    x, W1 = np.array([1.0, 0.0]), np.array([[LN2, -LN3], [0.5, 0.5]])
    W2, b1, b2 = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros(2), np.zeros(2)

    def forward(W1, b1, W2, b2):
        h = np.tanh(x @ W1 + b1)
        a = h @ W2 + b2
        return h, a, np.exp(a) / np.exp(a).sum()

    h, a, p = forward(W1, b1, W2, b2)
    check("mlp", "h = tanh(ln 2, -ln 3) = (#, #) h W₂ = (# + #, 0)", *h, *abs(h))
    check("mlp", "= (#, 0) P = (#, #) NLL = -ln # = #", a[0], *p, p[0], -np.log(p[0]))
    delta = p - [1, 0]
    down = (delta @ W2.T) * (1 - h**2)
    check("mlp", "∂NLL/∂(h W₂) = P - (1, 0) = (#, #)", *delta)
    check("mlp", "∂NLL/∂h = (#, #) W₂ᵀ = (#, #)", *delta, *(delta @ W2.T))
    check("mlp", "= (# · #, # · #) = (#, #)", delta[0], 1 - h[0] ** 2, delta[1], 1 - h[1] ** 2, *down)
    check("mlp", "xᵀ (#, #) = [[#, #], [0, 0]] a dark pixel", *down, *down)
    h, _, p = forward(W1 - 0.1 * np.outer(x, down), b1 - 0.1 * down, W2 - 0.1 * np.outer(h, delta), b2 - 0.1 * delta)
    check("mlp", "makes h = (#, #) and NLL = #", *h, -np.log(p[0]))
    check("mlp", "It takes # more weights", round(784 * 500 + 500 + 5010 - 7850, -4))
    check(
        "mlp",
        "The test error is # %, where lesson 1 has # %",
        *(100 * figure(n, "test_error") for n in ("mlp", "logistic_sgd")),
    )


def test_penalties_and_early_stopping_in_lesson_2():
    eta, t, penalty = 0.1, 100, 0.05
    stopped, shrunk, cut = [], [], []
    for c in (1, 0.001):
        w = 0.0
        for _ in range(t):
            w -= eta * c * (w - 1)
        grid = np.linspace(0, 1, 200001)
        stopped.append(w)
        shrunk.append(grid[np.argmin(c * (grid - 1) ** 2 / 2 + penalty * grid**2)])
        cut.append(grid[np.argmin(c * (grid - 1) ** 2 / 2 + penalty * grid)])
    check("mlp", "Say η = #, t = #, λ = #", eta, t, penalty)
    check("mlp", "stopped after 100 steps # w* # w*", *stopped)
    check("mlp", "penalty λ w² # w* # w*", *shrunk)
    check("mlp", "penalty λ |w|, for w* = 1 # #", *cut)
    check("mlp", "λ = 1 / (2 η t), here #", 1 / (2 * eta * t))


def test_sigmoid_and_cross_entropy_have_the_gradient_of_lesson_3():
    a, x = np.array([0.4, -1.3]), np.array([0.2, 1.0])
    np.testing.assert_allclose(slopes(lambda a: cross_entropy(x, sigmoid(a)), a), sigmoid(a) - x, atol=1e-8)
    np.testing.assert_allclose(cross_entropy(x, sigmoid(a)), np.sum(np.log(1 + np.exp(a)) - x * a))
    check("dA", "∂L/∂aₖ = exp aₖ / (1 + exp aₖ) - xₖ = zₖ - xₖ")


def test_lesson_3():
    x, corrupted, W = np.ones(2), np.array([1.0, 0.0]), np.array([2 * LN3, 0.0])
    b, b_prime = -2 * LN3, np.zeros(2)
    y = sigmoid(corrupted @ W + b)
    z = sigmoid(y * W + b_prime)
    check("dA", "L = -ln 3/4 - ln 1/2 = #", -np.log(z).sum())
    down = (z - x) @ W * y * (1 - y)
    gradient = corrupted * down + (z - x) * y
    check("dA", "· 1/2 · 1/2 = #", down)
    check("dA", "x̃ᵀ (#) + (z - x)ᵀ 1/2 = (# - #, 0 - #)ᵀ = (#, #)ᵀ", down, down, 0.125, 0.25, *gradient)
    W, b, b_prime = W - 0.8 * gradient, b - 0.8 * down, b_prime - 0.8 * (z - x)
    z = sigmoid(sigmoid(corrupted @ W + b) * W + b_prime)
    check("dA", "After a step of 0.8 on all parameters, L = #", -np.log(z).sum())
    last = {line["corruption"]: line["cost"] for line in curve("dA")}
    check("dA", "after 15 epochs: # without corruption, # with 30 %", last[0.0], last[0.3])


def test_the_first_cost_of_lesson_3():
    check("dA", "784 ln 2 = #", 784 * LN2)
    for lesson in "sA", "cA":
        check(lesson, "An untrained guess of 1/2 for every pixel has a cross-entropy of #", 784 * LN2)
    a = np.linspace(-20, 20, 400001)
    density = np.exp(-(a**2) / 8)
    mean = np.sum(np.logaddexp(0, a) * density) / density.sum()
    check(
        "dA",
        "it is ln 2 = #. Its mean over normal a of mean 0 and deviation 2 is #, and 784 times that is #",
        LN2,
        mean,
        784 * mean,
    )


def test_tied_weights_can_copy():
    """Each pattern of eight signs gives one in 256 of the units its weights."""
    images = (np.arange(256)[:, None] >> np.arange(8)) & 1  # (256, 8): all of them
    W = 0.1 * np.tile(2 * images.T - 1, 32)  # (8, 8192)
    y = sigmoid(images @ W)
    z = sigmoid((y - 0.5) @ W.T - 8192 * 0.1**2 / 8)  # a b_prime that is -1/2 sum_j W_kj - 10.24
    check("dA", "# units with weights of ±# copy every black and white image of eight pixels to", 8192, 0.1)
    stated = float(re.search(r"of eight pixels to (\S+)\. ", head("dA"))[1])
    assert 0.9 * stated < abs(z - images).max() < 1.05 * stated


def test_lesson_4():
    W, b, b_prime, target = 2 * LN3, 0.0, 0.0, 0.5
    y = sigmoid(0 * W + b)
    z = sigmoid(y * W + b_prime)
    check("SdA", "L = -1/2 ln 3/4 - 1/2 ln 1/4 = #", cross_entropy(target, z))
    check("SdA", "with z = 1/2 it would be ln 2 = #", cross_entropy(target, 0.5))
    down = (z - target) * W * y * (1 - y)
    check("SdA", "· 1/4 = #, ∂L/∂W₁ = 0 · # + (3/4 - 1/2) · 1/2 = #", down, down, 0 * down + (z - target) * y)
    before, b, W = W, b - 0.8 * down, W - 0.8 * (z - target) * y
    check("SdA", "makes b₁ = # and W₁ = # - 0.1 = #", b, before, W)
    check("SdA", "h₁ = σ(1/2 · # - #) = #", W, -b, sigmoid(0.5 * W + b))


def finetuning(*runs):
    return [[line for line in curve(run) if "validation_error" in line] for run in runs]


@pytest.fixture(scope="module")
def runs():
    return (
        finetuning("SdA", *(f"SdA-seed-{seed}" for seed in range(1, 10))),
        finetuning("SdA-no-pretraining", *(f"SdA-no-pretraining-seed-{seed}" for seed in (1, 2))),
    )


def test_the_best_so_far_in_lesson_4(runs):
    for first, group in zip(("with pre-training, 10 runs", "without, 3 runs"), runs):
        best = [np.minimum.accumulate([100 * line["validation_error"] for line in run]) for run in group]
        columns = [[run[min(epoch, len(run)) - 1] for run in best] for epoch in (1, 2, 5, 10, 20, 30, 1000)]
        check("SdA", f"{first} # # # # # # #", *map(np.mean, columns))
        ends = [end for column in columns for end in (min(column), max(column))]
        check("SdA", f"{first} # # # # # # # lowest and highest" + " #, #" * 7, *map(np.mean, columns), *ends)


def test_errors_at_the_same_training_cost_in_lesson_4(runs):
    levels = 0.1, 0.03, 0.01, 0.003, 0.001
    check("SdA", "training cost below # # # # #", *levels)
    for name, group in zip(("with", "without"), runs):
        epochs, errors = [], []
        for level in levels:
            first = [next((line for line in run if line["cost"] < level), None) for run in group]
            epochs.append(np.mean([line["epoch"] for line in first if line]))
            errors.append(np.mean([100 * line["validation_error"] for line in first if line]))
        check("SdA", f"{name}: in epoch # # # # #", *epochs)
        check("SdA", f"{name}: validation error # # # # # %", *errors)


def test_lesson_5():
    m, W, images = np.ones(2), np.ones((2, 1)), np.array([[2.0, 1.0], [1.0, 3.0]])

    def cost(W):
        W = W.reshape(2, 1)
        return np.mean(np.sum((images - m - (images - m) @ W @ W.T) ** 2, axis=1))

    check("pca", "cost = #/#", 5, 2)
    assert cost(W.ravel()) == 5 / 2
    each = [
        -2 * (np.outer(e, y) + np.outer(x, e @ W)).ravel() for x in images - m for y in [x @ W] for e in [x - y @ W.T]
    ]
    check("pca", "= (#, #)ᵀ -2 ((-2", *each[0])
    check("pca", "= (#, #)ᵀ ∂cost/∂W = (#, #)ᵀ", *each[1], *slopes(cost, W.ravel()))
    check("pca", "W = (1, 1)ᵀ / √2, the cost is #/#", *(cost(W.ravel() / np.sqrt(2)) * np.array([4, 0]) + [0, 4]))


def test_lesson_6():
    target, x, W, b = 0.25, np.eye(2), np.array([2 * LN3, 0.0]), -LN3
    y = sigmoid(x @ W + b)
    np.testing.assert_allclose(y, [0.75, 0.25])

    def divergence(a):
        return target * np.log(target / a) + (1 - target) * np.log((1 - target) / (1 - a))

    check("sA", "1/4 ln 1/2 + 3/4 ln 3/2 = #", divergence(y.mean()))
    slope = (divergence(0.5 + 1e-6) - divergence(0.5 - 1e-6)) / 2e-6
    check("sA", "(3/4)/(1/2) = #", slope)
    through = slopes(lambda input: divergence(sigmoid(input).mean()), x @ W + b)
    np.testing.assert_allclose(through, 3 / 32, rtol=1e-6)
    check("sA", "y (1 - y) = #/# it adds #/#", 3, 16, 3, 32)


def test_lesson_7():
    x, W, b = np.array([1.0, 0.0]), np.array([2.0, 1.0]), -2.0

    def squared_norm(W, y):
        return np.sum((y * (1 - y) * W) ** 2)

    y = sigmoid(x @ W + b)
    z = sigmoid(y * W)
    check("cA", "|J|² = 1/4 + 1/16 = #/#", 5, 16)
    assert squared_norm(W, y) == 5 / 16
    check("cA", "(σ(1), σ(1/2)) = (#, #) L = -ln # - ln(1 - #) = #", *z, *z, cross_entropy(x, z))
    np.testing.assert_allclose(slopes(lambda W: squared_norm(W, y), W), [1 / 4, 1 / 8], rtol=1e-6)
    assert slopes(lambda y: squared_norm(W, y[0]), np.array([y])) == pytest.approx(0, abs=1e-8)
    check("cA", "∂|J|²/∂W = 2 (1/4)² W = (1/#, 1/#)ᵀ", 4, 8)
    check("cA", "# numbers an example with 784 pixels and 500 units", 784 * 500)


def test_lesson_8():
    x, mean, variance = np.array([1, 0]), 1.0, 4.0
    divergence = (mean**2 + variance - 1 - np.log(variance)) / 2
    log_likelihood = -cross_entropy(x, np.array([3 / 4, 1 / 2]))
    z = np.linspace(-40, 40, 800001)
    q = np.exp(-((z - mean) ** 2) / 2 / variance) / np.sqrt(2 * np.pi * variance)
    ratio = -((z - mean) ** 2) / 2 / variance - np.log(variance) / 2 + z**2 / 2
    assert np.sum(q * ratio) * (z[1] - z[0]) == pytest.approx(divergence)  # the closed form, by its definition
    check("vae", "= 2 - ln 2 = #", divergence)
    check("vae", "= ln 3/4 + ln 1/2 = #", log_likelihood)
    check("vae", "bound = # - # = #", log_likelihood, divergence, log_likelihood - divergence)
    check("vae", "Here the encoder spends # nats", divergence)
    check("vae", "the bound would be log p(x) itself, #", log_likelihood)


@pytest.fixture(scope="module")
def mnist():
    """Images and labels of the three sets."""
    from support.data import load_data

    return [(x.get_value(borrow=True).astype(np.float64), y.get_value(borrow=True)) for x, y in load_data("mnist")]


@pytest.fixture(scope="module")
def images(mnist):
    """The 50,000 training images of MNIST."""
    return mnist[0][0]


@pytest.mark.slow
@pytest.mark.mnist
def test_a_long_run_of_lesson_1(mnist):
    sets = [(images.astype(np.float32), labels) for images, labels in mnist[:2]]
    W, b, rows = np.zeros((784, 10), np.float32), np.zeros(10, np.float32), {}
    for epoch in range(1, 201):
        for start in range(0, 49_800, 600):
            batch, labels = (each[start : start + 600] for each in sets[0])
            a = batch @ W + b
            p = np.exp(a - a.max(axis=1, keepdims=True))
            delta = (p / p.sum(axis=1, keepdims=True) - np.eye(10, dtype=np.float32)[labels]) / np.float32(600)
            W, b = W - np.float32(1.3) * (batch.T @ delta), b - np.float32(1.3) * delta.sum(axis=0)
        if epoch in (1, 10, 30, 76, 200):
            for name, (each, labels) in zip(("training", "validation"), sets):
                a = each @ W + b
                nll = np.mean(np.logaddexp.reduce(a, axis=1) - a[np.arange(len(a)), labels])
                rows.setdefault(f"{name} NLL", []).append(nll)
                rows.setdefault(f"{name} error", []).append(100 * np.mean(a.argmax(axis=1) != labels))
    for name, values in rows.items():
        check("logistic_sgd", f"{name} # # # # #", *values)


@pytest.mark.mnist
def test_costs_of_a_copy_and_of_the_mean_image(images):
    def entropy(p):
        inside = p[(p > 0) & (p < 1)]
        return cross_entropy(inside, inside)

    check("dA", "such costs add up to # nats", entropy(images) / len(images))
    check("dA", "Guessing each pixel's mean costs #", entropy(images.mean(axis=0)))


@pytest.mark.mnist
def test_first_costs(images):
    def first(n_hidden, batch_size, seeded=False):
        rng = np.random.RandomState(123)
        if seeded:
            rng.randint(2**30)
        bound = 4 * np.sqrt(6 / (784 + n_hidden))
        W, x = rng.uniform(-bound, bound, size=(784, n_hidden)), images[:batch_size]
        y = sigmoid(x @ W)
        a = y @ W.T
        return y, W, np.mean(np.sum(np.logaddexp(0, a) - x * a, axis=1)), a

    *_, cost, a = first(500, 20, seeded=True)
    assert cost == pytest.approx(float(re.search(r"It is some (\d+) nats", head("dA"))[1]), abs=5)
    check("dA", "with a standard deviation of about #", a.std())
    y, W, cost, _ = first(196, 100)
    mean = y.mean(axis=0)
    penalty = np.sum(0.1 * np.log(0.1 / mean) + 0.9 * np.log(0.9 / (1 - mean)))
    check("sA", "it is # nats: # of cross-entropy, and a penalty of 5 · #", cost + 5 * penalty, cost, penalty)
    y, W, cost, _ = first(500, 10)
    penalty = np.mean((y * (1 - y)) ** 2, axis=0) @ np.sum(W**2, axis=0)
    check("cA", "it is # nats: # of cross-entropy, and a penalty of 0.1 · #", cost + 0.1 * penalty, cost, penalty)


@pytest.mark.parametrize("lesson", ["logistic_sgd", "mlp", "dA", "SdA", "pca", "sA", "cA", "vae"])
def test_answers_stand_where_the_lesson_says(lesson):
    path = f"tests/exercises/{lesson}.md"
    assert Path(ROOT / path).is_file()
    foot = (ROOT / "code" / f"{lesson}.py").read_text(encoding="utf-8").rpartition('"""Exercises')[2]
    assert f"their answers in {path}" in head(lesson) and path in re.sub(r"\s+", " ", foot)
    questions = re.findall(r"^(\d)\. ", foot, re.MULTILINE)
    answers = re.findall(r"^## (\d)\. ", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert questions == answers
