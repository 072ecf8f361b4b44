"""Graph rewrites that let a step of gradient descent pass over each weight as few times as it has to.

PyTensor rewrites a graph to a faster one with the same values before it compiles it. A mode says by which rewrites, and
what runs the result. `mode()` is PyTensor's own mode with the rewrites of this package, which training with small
minibatches gains most from. A function that is compiled without it is compiled as if this package were not there.

    step = pytensor.function([index], cost, updates=updates, mode=rewrites.mode())

With a batch of 1 a step does next to no arithmetic: its time is the time to move the weights between memory and
processor. It is proportional to the number of passes over each weight matrix W (n, m).

| name               | source                               | result                       | passes over W        |
|--------------------|--------------------------------------|------------------------------|----------------------|
| unit_draws         | binomial(n=1, sigmoid(a))            | UnitDraws(sigmoid(a))        | none, fewer cycles   |
| coin_flips         | binomial(n=1, p)                     | CoinFlips(p)                 | none, fewer cycles   |
| factored_sum       | sum of (S_bj W_ij)^2                 | sums of each factor alone    | batch -> 1           |
| log_likelihood     | sum of x log z + (1 - x) log(1 - z)  | LogLikelihood(x, a)          | none, few logarithms |
| single_entries     | row sums of 0s with one v_r in row r | v                            | none, no sum         |
| rank_update        | W - lr X'D, with two products as sum | RankUpdate(W, X, D, -lr, 1)  | 2 or more -> 1       |
|                    | W - lr (X'D + W r), r a row          | RankUpdate(W (1 - lr r), ..) | 2 or more -> 2       |
| backprop_update    | D W' and RankUpdate(W, X, D, ...)    | BackpropUpdate(W, X, D, ...) | 2 -> 1               |
| tied_decoder       | a, (z - x) W, of LogLikelihood(x, a) | TiedDecoder(W, h, c, x)      | 2 -> 1               |
| tied_update        | that, and W + s (z - x)'h + t X'D    | TiedDecoder(W, h, c, x, s)   | 2 -> 1               |
|                    |                                      | and RankUpdate of its result | and share of X != 0  |
| changed_column     | X W, Y W, where Y is X with y as X_i | X W, X W + (y - X_i) W_i     | 2 -> 1 and a row     |
| transposed_copy    | a scan whose steps have products D W'| the scan of Transposed(W)    | steps -> 1, and as a |
|                    |                                      |                              | sparse_product does  |
| narrow_product     | X W, for a W of up to 16 columns     | NarrowProduct(X, W)          | BLAS is slow there   |
| transposed_product | D W'                                 | TransposedProduct(D, W)      | 2 -> 1, no copy of W |
| sparse_product     | X W, for a small minibatch           | SparseProduct(X, W)          | 1 -> share of X != 0 |
| vector_sigmoid     | sigmoid(a), single precision         | VectorSigmoid(a)             | none, fewer cycles   |
| vector_softplus    | log(1 + exp(a)), single precision    | VectorSoftplus(a)            | none, fewer cycles   |
| vector_tanh        | tanh(a), single precision            | VectorTanh(a)                | none, fewer cycles   |

X' is X transposed, X_i its column i, z is sigmoid(a), and in a tied decoder, of one example, a is h W' + c. They are
applied in this order. Then `update_inplace` lets the operations that update W write over it. `positional_arguments`, a
linker, spares each call of a function that draws random numbers a detour. And three let a function be compiled in two
thirds of the time: before the others, `static_shapes` infers the sizes that follow from `givens`; after them,
`reductions` and `checked_shape` put in shorter loops for some sums and argmax, and shorter checks.

The steps of a `scan` are rewritten with the function that has the scan; but PyTensor 3.0 compiles them in its own mode.

`f.copy(delete_updates=True)` evaluates without training: where nobody takes the updated W, W stays as it is, although
PyTensor warns of the opposite. Where the updated W is an output of the function, PyTensor itself overwrites W: there,
compile another function without updates.

`unit_draws` changes the numbers that are drawn, not their probabilities: they come from another generator, whose keys
the one in the graph draws. A seed still gives the same numbers each time, but others than `binomial` gives without it.
It is for the units of a network, whose probabilities are sigmoids; a mask of other probabilities stays as it was.

The values are equal but for rounding, infinity and NaN included, with two exceptions. Zero times infinity or NaN adds
nothing to a SparseProduct, which does not read what is multiplied by zero. And a factored sum can be infinite where one
of the products that it does not make would be zero times infinity.

Each rewrite has its name and `TAG` in PyTensor's database: `mode().excluding("rank_update")` or `mode().excluding(TAG)`
leaves it, or all of them, out of one function. It stands beside the operation that it puts in, which has `compute` in
NumPy, to say what it computes, and `loops` for Numba, which run.
"""

from support.rewrites.activations import sigmoid_to_vector_sigmoid, softplus_to_vector_softplus, tanh_to_vector_tanh
from support.rewrites.chains import product_of_changed_column, scan_to_transposed, sigmoid_to_unit_draws
from support.rewrites.coin_flips import binomial_to_coin_flips
from support.rewrites.compilation import StaticShapes, reduction_to_loops, specify_to_checked_shape
from support.rewrites.decoder import decoder_to_tied_decoder, rank_update_to_tied_decoder
from support.rewrites.entropy import sum_of_single_entries, sum_to_log_likelihood
from support.rewrites.internals import CompilingLinker, InterpretingLinker, PositionalLinker
from support.rewrites.jacobian import sum_to_factored_sum
from support.rewrites.products import dot_to_narrow_product, dot_to_sparse_product, dot_to_transposed_product
from support.rewrites.updates import descent_to_rank_update, rank_update_to_backprop_update, update_inplace
from support.start import UserError

from pytensor.compile.mode import Mode, get_default_mode, optdb
from pytensor.graph.rewriting.basic import GraphRewriter, dfs_rewriter
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import PerformLinker
from pytensor.link.numba.linker import NumbaLinker

TAG = "sgd"  # no mode of PyTensor's includes it
LINKER, INPLACE = "positional_arguments", "update_inplace"
SUPPORTING = "static_shapes", INPLACE, "reductions", "checked_shape"  # applied with any of the others, never chosen

# {position among PyTensor's own rewrites: ours there, in their order}. To add one, write a line: its name, and a
# rewriter of nodes or of a whole graph. A row of the table above says what it does.
REWRITES = {
    # After PyTensor has computed the shapes that are constant.
    1.65: {"static_shapes": StaticShapes()},
    # After the canonical forms and before the specialised ones, which hide products in fused loops.
    1.66: {
        "unit_draws": sigmoid_to_unit_draws,
        "coin_flips": binomial_to_coin_flips,
        "factored_sum": sum_to_factored_sum,
        "log_likelihood": sum_to_log_likelihood,
        "single_entries": sum_of_single_entries,
        "rank_update": descent_to_rank_update,
        "backprop_update": rank_update_to_backprop_update,
        "tied_decoder": decoder_to_tied_decoder,
        "tied_update": rank_update_to_tied_decoder,
        "changed_column": product_of_changed_column,
        "transposed_copy": scan_to_transposed,
        "narrow_product": dot_to_narrow_product,
        "transposed_product": dot_to_transposed_product,
        "sparse_product": dot_to_sparse_product,
        "vector_sigmoid": sigmoid_to_vector_sigmoid,
        "vector_softplus": softplus_to_vector_softplus,
        "vector_tanh": tanh_to_vector_tanh,
    },
    # After PyTensor has begun to watch for overwritten inputs, beside its own in-place rewrites. It refuses to
    # overwrite what another node has still to read; then the operation that copies stays.
    50.2: {INPLACE: update_inplace},
    # After all of PyTensor's, which look for its own reductions when they fuse loops.
    101: {"reductions": reduction_to_loops, "checked_shape": specify_to_checked_shape},
}

for position, rewriters in REWRITES.items():
    for place, (name, rewriter) in enumerate(rewriters.items()):
        if not isinstance(rewriter, GraphRewriter):
            # Each node is looked at once: a rewrite that matched its own result would not end otherwise.
            rewriter = dfs_rewriter(rewriter, ignore_newtrees=True)
        tags = [TAG, "inplace"] if name == INPLACE else [TAG]
        optdb.register(name, rewriter, *tags, position=position + place / 1000)

NAMES = [name for rewriters in REWRITES.values() for name in rewriters if name not in SUPPORTING] + [LINKER]
_selected = NAMES


def mode():
    """PyTensor's default mode, with the selected rewrites and our linker included.

    Ours join a default mode that applies PyTensor's rewrites for a fast step, "fast_run", and runs the graph by Numba,
    or node by node by NumPy (linker=py). Any other mode that the user chose by PYTENSOR_FLAGS, by .pytensorrc or by
    `pytensor.config.change_flags` is returned as it is: FAST_COMPILE, NanGuardMode, DebugMode, one with optimizer=None.
    """
    chosen = get_default_mode()
    query = chosen.provided_optimizer
    fast = isinstance(query, RewriteDatabaseQuery) and "fast_run" in query.include
    numba_linker = PositionalLinker if LINKER in _selected else CompilingLinker
    linkers = {NumbaLinker: numba_linker, PerformLinker: InterpretingLinker}
    if not _selected or not fast or type(chosen) is not Mode or type(chosen.linker) not in linkers:
        return chosen
    names = [name for name in _selected if name != LINKER]
    return Mode(linkers[type(chosen.linker)](), query.including(*names, *(SUPPORTING if names else [])))


def select(names):
    """Have `mode()` include these rewrites only: some of `NAMES`, ["all"], or ["none"], for PyTensor's own mode.

    An unknown name is a UserError.
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
