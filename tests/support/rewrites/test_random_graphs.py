"""Steps of training, put together at random: rewritten, each must give what it gives as it was written.

python -m pytest tests/support/rewrites/test_random_graphs.py -m "" --graphs 2000 --compiled-graphs 200 --graph-seed 1
"""

from collections import Counter

from graphs import checked, has_ours, interpreted_mode, kernel_mode, nodes, parameter
from support.rewrites.decoder import TiedDecoder

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

AS_WRITTEN = Mode("py", None)
SCALARS = ["bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64", "constant"]


class Step:
    """A random step: its arguments, outputs and updates. A seed gives the same step, and numbers, in both precisions.

    With `noise`, each number is changed by that share of it, at random.
    """

    def __init__(self, seed, dtype, noise=0.0):
        self.rng, self.dtype = np.random.RandomState(seed), dtype
        self.noise, self.noise_rng = noise, np.random.RandomState(seed)
        self.inputs, self.arguments, self.outputs, self.updates = [], [], [], {}

    def chance(self, probability):
        return self.rng.uniform() < probability

    def one_of(self, *choices):
        return choices[self.rng.randint(len(choices))]

    def number(self, value):
        """Numbers that single precision can hold, in this step's precision."""
        value = np.asarray(value).astype("float32").astype(self.dtype)
        return value * (1 + self.noise * self.noise_rng.uniform(-1, 1, value.shape)).astype(self.dtype)

    def argument(self, value, shape=None, dtype=None):
        value = self.number(value) if dtype is None else np.asarray(value, dtype)
        symbol = pt.tensor(
            f"x{len(self.inputs)}", dtype=str(value.dtype), shape=value.shape if shape is None else shape
        )
        self.inputs.append(symbol)
        self.arguments.append(value)
        return symbol

    def weights(self, *shape):  # small ones: as it is written, a cross-entropy is infinite where a sigmoid is 1
        return parameter(self.number(0.3 * self.rng.normal(size=shape)), "W" if len(shape) == 2 else "b")

    def results(self, mode, calls):
        """The function in this mode; the outputs of some calls, one after the other, and then what is updated."""
        start = [shared.get_value() for shared in self.updates]
        arguments = dict(mode=mode, updates=self.updates, on_unused_input="ignore", accept_inplace=True)
        fn = pytensor.function(self.inputs, self.outputs, **arguments)
        values = [value for _ in range(calls) for value in fn(*self.arguments)]
        values += [shared.get_value() for shared in self.updates]
        for shared, value in zip(self.updates, start):
            shared.set_value(value)
        return fn, values


class Autoencoder(Step):
    """A step of an autoencoder."""

    calls = 2
    usual = 0.2  # the share of steps of one example with the lessons' model

    def __init__(self, seed, dtype, noise=0.0):
        super().__init__(seed, dtype, noise)
        usual = self.chance(self.usual)
        n, m, batch = self.one_of(5, 20), self.one_of(1, 4, 17), self.rng.randint(1, 11)
        m, batch = (max(m, 2), 1) if usual else (m, batch)
        tied, static = usual or self.chance(0.6), usual or self.chance(0.5)
        target, x, h, a = self.codes(n, m, batch, static, usual)
        back = self.W.T if tied else self.weights(m, n)
        out = pt.dot(h, back) + (c := self.weights(n))
        cost = self.one_of(pt.mean, pt.sum)(self.losses(target, out, usual))
        if not usual or self.chance(0.3):
            for _ in range(self.rng.randint(3)):
                cost += pt.constant(0.1, dtype=dtype) * self.penalty(h, a)
        params = [self.W, self.b, c] if tied else [self.W, self.b, c, back]
        self.outputs = [cost, *([pt.dot(h, back)] if self.chance(0.1) else [])]
        self.descend(params, pt.grad(cost, params))

    def codes(self, n, m, batch, static, usual):
        """A minibatch, its corrupted copy, and the hidden units, after their activation and before."""
        values = self.rng.uniform(size=(batch, n)) * (self.rng.uniform(size=(batch, n)) < 0.4)
        target = self.argument(values, None if static else (None, self.one_of(None, n)))
        mask = self.argument(self.rng.uniform(size=(batch, n)) < 0.7, None if static else (None, None))
        x = mask * target if self.chance(0.7) else target
        self.W, self.b = self.weights(n, m), self.weights(m)
        a = pt.dot(x, self.W) + self.b
        self.activation = pt.sigmoid if usual else self.one_of(pt.sigmoid, pt.tanh, lambda v: pt.maximum(v, 0))
        return target, x, self.activation(a), a

    def losses(self, target, out, usual):
        """The cross-entropy or the squared error of each example."""
        if usual or self.chance(0.5):
            z = pt.sigmoid(out)
            likelihood = target * pt.log(z) + (1 - target) * pt.log(1 - z)
            return -pt.sum(likelihood, axis=1) if usual or self.chance(0.5) else pt.sum(-likelihood, axis=1)
        return pt.sum((target - self.one_of(out, pt.sigmoid(out), pt.tanh(out))) ** 2, axis=1)

    def penalty(self, h, a):
        """One of: L1, L2, activity, KL, and the norm of the Jacobian of the units, its axes summed in some order."""
        kind = self.rng.randint(5)
        if kind < 2:
            return (abs(self.W) if kind else self.W**2).sum()
        if kind == 2:
            return self.one_of(abs(h), h**2).mean(axis=self.one_of(0, 1)).sum()
        if kind == 3:
            mean = pt.sigmoid(a).mean(axis=0)
            return pt.sum(0.1 * pt.log(0.1 / mean) + 0.9 * pt.log(0.9 / (1 - mean)))
        slope = pt.grad(h.sum(), a)
        order = self.one_of((slope[:, None, :], self.W[None]), (slope.T[:, None, :], self.W.T[:, :, None]))
        squares = (order[0] * order[1]) ** 2
        return squares.sum(axis=self.one_of(0, 1, 2)).sum() if self.chance(0.5) else squares.sum() / h.shape[0]

    def descend(self, params, gradients):
        """Clipped or not; plain, with momentum, Nesterov's or Adam; the weights' columns of bounded norm or not."""
        rate = self.argument(0.1) if self.chance(0.5) else pt.constant(0.1, dtype=self.dtype)
        usual = self.chance(0.5)
        if not usual and self.chance(0.3):
            norm = pt.sqrt(sum((gradient**2).sum() for gradient in gradients))
            gradients = [gradient * pt.minimum(1, 2 / norm) for gradient in gradients]
        elif not usual and self.chance(0.3):
            gradients = [pt.clip(gradient, -0.5, 0.5) for gradient in gradients]
        rule = self.one_of("plain", "momentum", "Nesterov", "Adam") if not usual else "plain"
        for param, gradient in zip(params, gradients):
            moments = [pytensor.shared(0 * param.get_value(), shape=param.type.shape) for _ in range(2)]
            if rule == "plain":
                new = param - rate * gradient
            elif rule == "Adam":
                first, second = 0.9 * moments[0] + 0.1 * gradient, 0.99 * moments[1] + 0.01 * gradient**2
                self.updates |= {moments[0]: first, moments[1]: second}
                new = param - rate * first / (pt.sqrt(second) + 0.1)
            else:
                velocity = 0.9 * moments[0] - rate * gradient
                self.updates[moments[0]] = velocity
                new = param + (0.9 * velocity - rate * gradient if rule == "Nesterov" else velocity)
            if not usual and param is self.W and self.chance(0.3):
                new = new * pt.minimum(1, 3 / pt.sqrt((new**2).sum(axis=0) + 1e-6))
            self.updates[param] = new.astype(self.dtype)


class UsualAutoencoder(Autoencoder):
    """A step of an autoencoder, of one example and with the lessons' model, but for its penalties and its rule."""

    usual = 1


class WeightUpdate(Step):
    """A matrix W, what it is updated to, and outputs beside it.

    The grammar of `matrix` is: W | X'D | (s X)'D | x' * d | M + M | M - M | M + M + M | -M | s M | M s | M / s | one of
    the matrices so far. The same few X, D and scalars s are drawn again and again, so that they repeat.
    """

    calls = 1

    def __init__(self, seed, dtype, noise=0.0):
        super().__init__(seed, dtype, noise)
        self.batch, static = self.one_of(0, 1, 2, 5, 30), self.chance(0.7)
        n, m = 6, self.one_of(5, 20, 20, 20)
        start = self.number(self.rng.normal(size=(n, m)))
        W = self.W = pytensor.shared(start, "W", shape=start.shape if self.chance(0.8) else (None, None))
        self.scalars = [self.scalar(self.one_of(*SCALARS)) for _ in range(3)]
        X = self.X = [self.minibatch(n, static), self.minibatch(n, static), self.minibatch(1, static)]
        D = self.D = [self.minibatch(m, static) for _ in range(2)]
        self.so_far = []
        terms = [W if self.chance(0.7) else self.scaled(W), self.matrix(3)]
        new = self.combined(*(terms if self.chance(0.8) else terms[::-1])).astype(dtype)
        outputs = [W], [pt.dot(self.one_of(1, *self.scalars) * D[0], W.T)], [pt.dot(X[0], W)]
        self.outputs = [output for outputs in outputs if self.chance(0.3) for output in outputs]
        if self.chance(0.75) and W.type.is_super(new.type):
            self.updates = {W: new}
        else:
            self.outputs.append(new)

    def minibatch(self, columns, static):
        value = self.rng.normal(size=(self.batch, columns))
        value *= self.chance(0.5) or self.rng.uniform(size=value.shape) < 0.15
        return self.argument(value, None if static else (None, 1 if columns == 1 else None))

    def scalar(self, kind):
        value = self.one_of(0.5, 3, -2, 100, 7)
        dtype = self.one_of("int8", "float32") if kind == "constant" else kind
        value = np.asarray(abs(value) if dtype in ("bool", "uint8") else value).astype(dtype)
        value = value if value else np.ones_like(value)
        if kind != "constant":
            return self.argument(value, dtype=dtype)
        return pt.constant(value) if self.chance(0.5) else value.item()

    def product(self):
        """X'D, in one of the ways to write it; rarely one of a single row, which is added to each row of W."""
        X, D = self.one_of(*self.X[:2]) if self.chance(0.95) else self.X[2], self.one_of(*self.D)
        if (way := self.rng.uniform()) < 0.2:
            s = self.one_of(*self.scalars)
            return pt.dot((s * X).T, D) if way < 0.1 else pt.dot(X.T, D * s)
        if way < 0.5 and X.type.shape[0] == 1:
            return X.T * D
        if way < 0.6 and self.batch:
            return pt.outer(X[0], D[0]) + pt.outer(X[self.batch - 1], D[self.batch - 1])
        return pt.dot(X.T, D)

    def matrix(self, depth):
        choice = self.rng.uniform()
        if depth == 0 or choice < 0.25:
            result = self.product() if self.chance(0.9) else self.W
        elif choice < 0.3 and self.so_far:
            result = self.one_of(*self.so_far)
        elif choice < 0.65:
            result = self.combined(*(self.matrix(depth - 1) for _ in range(self.one_of(2, 2, 3))))
        else:
            result = self.scaled(self.matrix(depth - 1))
        self.so_far.append(result)
        return result

    def combined(self, result, *others):
        for other in others:
            result = result + other if self.chance(0.5) else result - other
        return result

    def scaled(self, M):
        s = self.one_of(*self.scalars)
        return self.one_of(lambda: -M, lambda: M / s, lambda: s * M, lambda: M * s)()


def check(step_type, seed, mode):
    """The rewritten function. An AssertionError shows the step, and a value that differs by more than rounding.

    The judge is the step as it was written, in double precision. A step may lose digits: how many is shown by the same
    step in single precision, and by another one, whose numbers differ in the last digits of single precision.
    """
    dtype = "float64" if seed % 2 else "float32"
    single, double = np.finfo("float32").eps, "float64"
    with pytensor.config.change_flags(floatX="float64", on_opt_error="raise"):
        _, judge = step_type(seed, double).results(AS_WRITTEN, step_type.calls)
        _, changed = step_type(seed, double, noise=single).results(AS_WRITTEN, step_type.calls)
    with pytensor.config.change_flags(floatX="float32", on_opt_error="raise"):
        _, rounded = step_type(seed, "float32").results(AS_WRITTEN, step_type.calls)
    with pytensor.config.change_flags(floatX=dtype, on_opt_error="raise"):
        step = step_type(seed, dtype)
        fn, values = step.results(mode, step_type.calls)
    for i, (value, right, *others) in enumerate(zip(values, judge, rounded, changed, strict=True)):
        assert value.shape == right.shape and value.dtype == (double if dtype == double else others[0].dtype), seed
        lost = max([abs(other - right).max(initial=0) for other in others] + [abs(right).max(initial=1) * single])
        difference, bound = abs(value - right).max(initial=0), 30 * lost * np.finfo(dtype).eps / single
        assert difference <= bound, f"{step_type.__name__} {seed}: value {i} differs by {difference}\n{shown(step, fn)}"
    return fn


def shown(step, fn):
    written = pytensor.dprint([*step.outputs, *step.updates.values()], print_type=True, file="str")
    return f"{written}\nrewritten:\n{pytensor.dprint(fn, print_type=True, file='str')}"


def check_many(request, option, mode, step_types, most=None):
    """Check that many steps; count those that were rewritten, and the tied decoders in them."""
    number, seen = min(request.config.getoption(option), most or 10**9), Counter()
    first = request.config.getoption("graph_seed") * 1_000_000
    for seed in range(first, first + number):
        fn = check(step_types[seed % len(step_types)], seed, mode)
        decoders = nodes(fn, TiedDecoder)
        seen.update(rewritten=has_ours(fn), decoder=bool(decoders), update=any(node.op.update for node in decoders))
    print(f"{option}: of {number} steps {dict(seen)}")
    assert seen["rewritten"] >= number / 2
    return number, seen


def test_a_dozen(request):
    check_many(request, "graphs", checked(interpreted_mode()), [Autoencoder, UsualAutoencoder, WeightUpdate], most=12)


@pytest.mark.slow
def test_interpreted(request):
    check_many(request, "graphs", checked(interpreted_mode()), [Autoencoder] * 3 + [UsualAutoencoder, WeightUpdate])


@pytest.mark.slow
def test_compiled(request):
    step_types = [UsualAutoencoder] * 6 + [Autoencoder, WeightUpdate]
    number, seen = check_many(request, "compiled_graphs", kernel_mode(), step_types)
    assert min(seen["update"], seen["decoder"] - seen["update"]) >= 0.3 * number - 5
