"""Graph rewrites that let a step of gradient descent pass over each weight as few times as it has to.

PyTensor turns a graph into a faster graph with the same values, one rewrite after the other, before it compiles it. A
mode says which rewrites, and what runs the graph that comes out. This package has the rewrites that training with small
minibatches gains most from, and `mode()`, PyTensor's own mode with these rewrites included:

    step = pytensor.function([index], cost, updates=updates, mode=rewrites.mode())

A function that is compiled without this argument is compiled as if this package were not there.

With a batch of 1 a step does next to no arithmetic: its time is the time to move the weights between memory and
processor, so what counts is the number of passes over each weight matrix W (n, m).

| name               | source                               | result                       | passes over W        |
|--------------------|--------------------------------------|------------------------------|----------------------|
| rank_update        | W - lr X'D, with two products as sum | RankUpdate(W, X, D, -lr, 1)  | 2 or more -> 1       |
| backprop_update    | D W' and RankUpdate(W, X, D, ...)    | BackpropUpdate(W, X, D, ...) | 2 -> 1               |
| tied_decoder       | LogLikelihood(x, a), (z - x) W       | TiedDecoder(W, h, c, x)      | 2 -> 1               |
| tied_update        | that, and W + s (z - x)'h + t X'D    | TiedDecoder(W, h, c, x, s)   | 2 -> 1               |
|                    |                                      | and RankUpdate of its result | and share of X != 0  |
| sparse_product     | X W, for a small minibatch           | SparseProduct(X, W)          | 1 -> share of X != 0 |
| narrow_product     | X W, for a W of up to 16 columns     | NarrowProduct(X, W)          | BLAS is slow there   |
| transposed_product | D W'                                 | TransposedProduct(D, W)      | 2 -> 1, no copy of W |
| factored_sum       | sum of (S_bj W_ij)^2                 | sums of each factor alone    | batch -> 1           |
| shrinking_update   | W - lr (X'D + W r), r a row          | RankUpdate(W (1 - lr r), ..) | 2 or more -> 2       |
| log_likelihood     | sum of x log z + (1 - x) log(1 - z)  | LogLikelihood(x, a)          | none, few logarithms |
| single_entries     | row sums of 0s with one v_r in row r | v                            | none, no sum         |
| vector_sigmoid     | sigmoid(a), single precision         | VectorSigmoid(a)             | none, fewer cycles   |
| vector_tanh        | tanh(a), single precision            | VectorTanh(a)                | none, fewer cycles   |
| coin_flips         | binomial(n=1, p)                     | CoinFlips(p)                 | none, fewer cycles   |

Beside them, `positional_arguments` (`linker.py`) spares each call of a function that draws random numbers a detour.

X' stands for X transposed, z for sigmoid(a), and in a tied decoder, of one example or a few, a for h W' + c. Each
rewrite stands in a module of its own kind with the operation that it puts in. Each operation has a `perform` in NumPy,
which says what it computes, and a Numba implementation, which runs.

The values are equal but for rounding, infinity and NaN included, with two exceptions. Zero times infinity or NaN adds
nothing to a SparseProduct, which does not read what is multiplied by zero. And a factored sum can be infinite where one
of the products that it does not make would be zero times infinity.

A rewrite that a graph does not fit leaves it alone. Each has its name and `TAG` in PyTensor's database, so that
`mode().excluding("rank_update")` or `mode().excluding(TAG)` leaves it, or all of them, out of one function.
"""

from support.errors import UserError
from support.rewrites import activations, coin_flips, decoder, entropy, jacobian, products, updates  # noqa: F401
from support.rewrites.linker import NAME as LINKER_NAME
from support.rewrites.linker import PositionalNumbaLinker
from support.rewrites.registry import INPLACE_NAMES, NAMES, TAG  # noqa: F401

from pytensor.compile.mode import Mode, get_default_mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import JITLinker, PerformLinker
from pytensor.link.numba.linker import NumbaLinker

_selected = NAMES


def mode():
    """PyTensor's default mode, with the selected rewrites and our linker included.

    The default is the mode for Numba, unless the user chose another one: by PYTENSOR_FLAGS, by .pytensorrc or by
    `pytensor.config.change_flags`. Ours join any default mode that applies PyTensor's own rewrites for a fast step,
    "fast_run", and runs the graph by Numba, or node by node by NumPy (linker=py). Any other mode is returned as it is:
    FAST_COMPILE, NanGuardMode, DebugMode, JAX, one with optimizer=None.
    """
    chosen = get_default_mode()
    query, linker = chosen.provided_optimizer, chosen.linker
    runs = isinstance(linker, NumbaLinker) or isinstance(linker, PerformLinker) and not isinstance(linker, JITLinker)
    fast = isinstance(query, RewriteDatabaseQuery) and "fast_run" in query.include
    if not (_selected and type(chosen) is Mode and runs and fast):
        return chosen
    if type(linker) is NumbaLinker and LINKER_NAME in _selected:
        linker = PositionalNumbaLinker()
    names = [name for name in _selected if name != LINKER_NAME]
    return Mode(linker, query.including(*names, *(INPLACE_NAMES if names else [])))


def select(names):
    """Have `mode()` include these rewrites only, from now on.

    Parameters
    ----------
    names : list of str
        Some of `NAMES`, or ["all"], or ["none"], with which `mode()` is PyTensor's own mode.

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


def selected():
    """The names of the rewrites that `mode()` includes now."""
    return _selected
