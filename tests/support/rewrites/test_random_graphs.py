"""Updates of a weight matrix, put together at random: rewritten, each must give what it gives without the rewrites.

python -m pytest tests/support/rewrites/test_random_graphs.py --graphs 5000 --compiled-graphs 300 --graph-seed 1
"""

from io import StringIO

from graphs import has_ours, interpreted_mode, kernel_mode
from support.rewrites import TAG

import numpy as np
import pytensor
import pytensor.tensor as pt

SIZES = {"n": 6, "m": 20, "narrow": 5}
BATCHES = [0, 1, 2, 5, 30]
SCALARS = ["bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64", "matrix", "constant"]


class Expression:
    """A symbolic matrix, its value by NumPy in double precision, and the size of the terms that it is a sum of."""

    def __init__(self, symbol, value, size):
        self.symbol, self.value, self.size = symbol, value, size


class RandomGraph:
    """One graph: W, what it is updated to, and outputs beside it.

    The grammar of `matrix` is: W | X'D | (s X)'D | x' * d | M + M | M - M | M + M + M | -M | s M | M s | M / s | one of
    the matrices so far. The same few X, D and scalars s are drawn again and again, so that they repeat.
    """

    def __init__(self, seed):
        self.rng = rng = np.random.RandomState(seed)
        self.dtype = rng.choice(["float32", "float64"])
        self.batch = rng.choice(BATCHES)
        self.static = rng.uniform() < 0.7
        self.n, self.m = SIZES["n"], SIZES["narrow" if rng.uniform() < 0.2 else "m"]
        self.inputs, self.arguments, self.so_far = [], [], []
        with pytensor.config.change_flags(floatX=self.dtype):
            start = rng.normal(size=(self.n, self.m)).astype(self.dtype)
            shape = start.shape if rng.uniform() < 0.8 else (None, None)
            self.start = start
            self.shared = pytensor.shared(start, "W", shape=shape)
            self.W = self.known(self.shared, start)
            self.scalars = [self.new_scalar(kind) for kind in rng.choice(SCALARS, size=3)]
            self.X = [self.minibatch(f"X{i}", self.n) for i in range(2)]
            self.D = [self.minibatch(f"D{i}", self.m) for i in range(2)]
            self.narrow_X = self.minibatch("X_column", 1)
            self.build()

    def known(self, symbol, value):
        value = np.asarray(value, "float64")
        return Expression(symbol, value, np.abs(value))

    def minibatch(self, name, columns):
        """A minibatch as an argument; most of its entries are zero, or none."""
        value = self.rng.normal(size=(self.batch, columns))
        if self.rng.uniform() < 0.5:
            value *= self.rng.uniform(size=value.shape) < 0.15
        shape = value.shape if self.static else (None, 1 if columns == 1 else None)
        symbol = pt.matrix(name, shape=shape, dtype=self.dtype)
        self.inputs.append(symbol)
        self.arguments.append(value.astype(self.dtype))
        return self.known(symbol, self.arguments[-1])

    def new_scalar(self, kind):
        """A scalar of this kind, as an argument or a constant."""
        value = self.rng.choice([0.5, 3, -2, 100, 7])
        if kind == "constant":
            kind = self.rng.choice(["int8", "uint8", "float32", "python"])
            number = float(value) if kind == "python" else np.dtype(kind).type(abs(value))
            return self.known(pt.constant(number) if self.rng.uniform() < 0.5 else number, number)
        dtype = self.dtype if kind == "matrix" else kind
        number = np.asarray(abs(value) if kind in ("bool", "uint8") else value, dtype)
        if number == 0:
            number = number + number.dtype.type(1)
        number = number.reshape(1, 1) if kind == "matrix" else number
        symbol = pt.tensor(f"s{len(self.inputs)}", dtype=str(number.dtype), shape=number.shape)
        self.inputs.append(symbol)
        self.arguments.append(number)
        return self.known(symbol, number)

    def scalar(self):
        return self.scalars[self.rng.randint(len(self.scalars))]

    def product(self):
        """X'D, in one of the ways to write it; rarely one of a single row, which is added to each row of W."""
        rng = self.rng
        X = self.X[rng.randint(2)] if rng.uniform() < 0.95 else self.narrow_X
        D = self.D[rng.randint(2)]
        value, size = X.value.T @ D.value, X.size.T @ D.size
        if (way := rng.uniform()) < 0.2:
            s = self.scalar()
            scaled = s.symbol * X.symbol if way < 0.1 else X.symbol, D.symbol if way < 0.1 else D.symbol * s.symbol
            return Expression(pt.dot(scaled[0].T, scaled[1]), s.value * value, s.size * size)
        if self.batch == 1 and self.static and way < 0.5:
            return Expression(X.symbol.T * D.symbol, value, size)
        if way < 0.6 and self.batch:
            rows = [pt.outer(X.symbol[i], D.symbol[i]) for i in (0, self.batch - 1)]
            values = [np.outer(X.value[i], D.value[i]) for i in (0, self.batch - 1)]
            return Expression(rows[0] + rows[1], values[0] + values[1], np.abs(values[0]) + np.abs(values[1]))
        return Expression(pt.dot(X.symbol.T, D.symbol), value, size)

    def matrix(self, depth):
        rng = self.rng
        choice = rng.uniform()
        if depth == 0 or choice < 0.25:
            result = self.product() if choice < 0.2 or rng.uniform() < 0.75 else self.W
        elif choice < 0.3 and self.so_far:
            result = self.so_far[rng.randint(len(self.so_far))]
        elif choice < 0.65:
            result = self.combined(*(self.matrix(depth - 1) for _ in range(3 if choice < 0.4 else 2)))
        else:
            result = self.scaled(self.matrix(depth - 1))
        self.so_far.append(result)
        return result

    def combined(self, first, *others):
        symbol, value, size = first.symbol, first.value, first.size
        for other in others:
            if self.rng.uniform() < 0.5:
                symbol, value = symbol + other.symbol, value + other.value
            else:
                symbol, value = symbol - other.symbol, value - other.value
            size = size + other.size
        return Expression(symbol, value, size)

    def scaled(self, M):
        s, way = self.scalar(), self.rng.randint(5)
        if way == 0:
            return Expression(-M.symbol, -M.value, M.size)
        if way == 1 and np.all(s.value != 0):
            return Expression(M.symbol / s.symbol, M.value / s.value, M.size / s.size)
        symbol = s.symbol * M.symbol if way < 4 else M.symbol * s.symbol
        return Expression(symbol, s.value * M.value, s.size * M.size)

    def build(self):
        rng = self.rng
        W = self.W if rng.uniform() < 0.7 else self.scaled(self.W)
        updated = self.combined(*([W, self.matrix(3)] if rng.uniform() < 0.8 else [self.matrix(3), W]))
        symbol = updated.symbol.astype(self.dtype)
        self.update = Expression(symbol, updated.value, updated.size)
        self.outputs = []
        D = self.D[rng.randint(2)]
        if rng.uniform() < 0.3:
            self.outputs.append(self.W)
        if rng.uniform() < 0.4:
            s = self.scalar() if rng.uniform() < 0.3 else self.known(1, 1)
            value, size = s.value * (D.value @ self.W.value.T), s.size * (D.size @ self.W.size.T)
            self.outputs.append(Expression(pt.dot(s.symbol * D.symbol, self.W.symbol.T), value, size))
        if rng.uniform() < 0.2:
            X = self.X[rng.randint(2)]
            value, size = X.value @ self.W.value, X.size @ self.W.size
            self.outputs.append(Expression(pt.dot(X.symbol, self.W.symbol), value, size))
        # Where W's type cannot hold the update, as one row may not become many, it is an output only.
        self.in_place = rng.uniform() < 0.75 and self.shared.type.is_super(symbol.type)
        if not self.in_place or rng.uniform() < 0.15:
            self.outputs.append(self.update)
        self.expected = [*self.outputs, self.update] if self.in_place else self.outputs

    def run(self, mode):
        """The function compiled in this mode, and its values: the outputs, and W where it is updated."""
        self.shared.set_value(self.start)
        fn = pytensor.function(
            self.inputs,
            [output.symbol for output in self.outputs],
            updates={self.shared: self.update.symbol} if self.in_place else None,
            mode=mode,
            on_unused_input="ignore",
        )
        values = fn(*self.arguments)
        return fn, [*values, self.shared.get_value()] if self.in_place else values

    def difference(self, fn, actual, plain):
        """What is wrong with the values of a rewritten function, beside those of the plain one; None where nothing is.

        Where the two differ by more than rounding, NumPy is the judge: interpreted, PyTensor's own graphs can lose more
        digits, too, as in W - s (X'D + W).
        """
        for i, (ours, theirs, expected) in enumerate(zip(actual, plain, self.expected, strict=True)):
            if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
                return f"{ours.dtype} {ours.shape} instead of {theirs.dtype} {theirs.shape}"
            tolerance = 100 * np.finfo(self.dtype).eps * (expected.size + 1e-30)
            if not any(np.all(np.abs(ours - value) <= tolerance) for value in (theirs, expected.value)):
                return f"value {i} differs by {np.abs(ours - theirs).max()}"
        return None


def check(seeds, mode):
    """How many of these graphs the rewrites changed; an AssertionError shows the first that then gave other values."""
    changed = 0
    for seed in seeds:
        graph = RandomGraph(seed)
        with pytensor.config.change_flags(floatX=graph.dtype, on_opt_error="raise"):
            fn, actual = graph.run(mode)
            plain_fn, plain = graph.run(interpreted_mode().excluding(TAG))
        assert not has_ours(plain_fn)
        changed += has_ours(fn)
        wrong = graph.difference(fn, actual, plain)
        assert wrong is None, f"graph {seed}: {wrong}\n{printed(graph)}\nrewritten:\n{printed(fn)}"
    return changed


def printed(graph):
    file = StringIO()
    if isinstance(graph, RandomGraph):
        pytensor.dprint([expression.symbol for expression in graph.expected], print_type=True, file=file)
    else:
        pytensor.dprint(graph, print_type=True, file=file)
    return file.getvalue()


def seeds(config, option):
    first = config.getoption("graph_seed") * 1_000_000
    return range(first, first + config.getoption(option))


def test_interpreted(request):
    chosen = seeds(request.config, "graphs")
    changed = check(chosen, interpreted_mode())
    print(f"{changed} of {len(chosen)} interpreted graphs were rewritten")
    assert changed >= len(chosen) / 2


def test_compiled(request):
    chosen = seeds(request.config, "compiled_graphs")
    changed = check(chosen, kernel_mode())
    print(f"{changed} of {len(chosen)} graphs with compiled operations were rewritten")
    assert changed >= len(chosen) / 2
