"""Graph rewrites that let a step of gradient descent pass over each weight as few times as it has to.

PyTensor turns the graph of a lesson into a faster graph with the same values, one rewrite after the other, before it
compiles it. This package adds those that training with small minibatches gains most from; importing it switches them
on, and no lesson knows of it. With a batch of 1 a step does next to no arithmetic: its time is the time to move the
weights between memory and processor, so what counts is the number of passes over each weight matrix W (n, m).

| name               | source                               | result                       | passes over W        |
|--------------------|--------------------------------------|------------------------------|----------------------|
| rank_update        | W - lr X'D, with two products as sum | RankUpdate(W, X, D, -lr, 1)  | 2 or more -> 1       |
| backprop_update    | D W' and RankUpdate(W, X, D, ...)    | BackpropUpdate(W, X, D, ...) | 2 -> 1               |
| sparse_product     | X W, for a small minibatch           | SparseProduct(X, W)          | 1 -> share of X != 0 |
| narrow_product     | X W, for a W of up to 16 columns     | NarrowProduct(X, W)          | BLAS is slow there   |
| transposed_product | D W'                                 | TransposedProduct(D, W)      | 2 -> 1, no copy of W |
| log_likelihood     | sum of x log z + (1 - x) log(1 - z)  | LogLikelihood(x, a)          | none, few logarithms |
| vector_sigmoid     | sigmoid(a), single precision         | VectorSigmoid(a)             | none, fewer cycles   |
| vector_tanh        | tanh(a), single precision            | VectorTanh(a)                | none, fewer cycles   |
| coin_flips         | binomial(n=1, p)                     | CoinFlips(p)                 | none, fewer cycles   |

Beside them, `positional_arguments` (`linker.py`) spares each call of a function that draws random numbers a detour.

X' stands for X transposed, z for sigmoid(a). Each rewrite stands in a module of its own kind with the operation that it
puts in; each operation has a `perform` in NumPy, which says what it computes, and a Numba implementation, which runs.

A rewrite that a graph does not fit leaves it alone. Each is registered under its name and `TAG`, so that
`mode.excluding("rank_update")` or `mode.excluding(TAG)` leaves it, or all of them, out of one function.
"""

from support.errors import UserError
from support.rewrites import activations, coin_flips, entropy, linker, products, updates  # noqa: F401  registers them
from support.rewrites.registry import NAMES, TAG  # noqa: F401

import pytensor
from pytensor.compile.mode import Mode, get_mode
from pytensor.link.numba.linker import NumbaLinker

_default_mode = pytensor.config.mode
_selected = NAMES


def select(names):
    """Compile from now on with these rewrites only.

    Parameters
    ----------
    names : list of str
        Some of `NAMES`, or ["all"], or ["none"], with which PyTensor does what it would do without this package.

    Raises
    ------
    UserError
        Where there is no rewrite of that name.
    """
    global _selected
    names = {("all",): NAMES, ("none",): []}.get(tuple(names), names)
    for name in names:
        if name not in NAMES:
            raise UserError(f"there is no rewrite {name}: choose all, none, or some of {', '.join(NAMES)}")
    _selected = [name for name in NAMES if name in names]
    excluded = [name for name in NAMES if name not in names]
    mode = get_mode(_default_mode).excluding(*excluded) if excluded else _default_mode
    if linker.NAME in excluded and isinstance(mode.linker, NumbaLinker):
        mode = Mode(NumbaLinker(), mode.provided_optimizer)
    pytensor.config.mode = mode


def selected():
    """The names of the rewrites with which functions are compiled now."""
    return _selected
