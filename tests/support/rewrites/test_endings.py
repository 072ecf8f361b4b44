"""Each rewrite comes to an end: once it has been applied, it finds nothing more to do."""

from graphs import RNG, assert_as_plain, interpreted_mode, normal, parameter, row_or_batch
from support import rewrites
from support.rewrites import SUPPORTING

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import optdb
from pytensor.graph.rewriting.basic import GraphRewriter

pytestmark = pytest.mark.usefixtures("float64")
BROKEN = "local_sumsqr2dot"  # of PyTensor; it raises where a factor is an input


def without_end(A, B, C):
    """Sums of products of three and more axes, of which some cannot become smaller."""
    AB = A[:, :, None] * B[None, :, :]
    return {
        "a product of matrices": AB.sum(axis=1),
        "squared distances of rows": ((A[:, None, :] * B[None, :, :]) ** 2).sum(axis=2),
        "a cycle of three": (AB * C.T[:, None, :]).sum(),
        "a cycle of four": (AB[..., None] * C[None, None] * A.T[:, None, None, :]).sum(),
        "a chain": (AB[..., None] * C[None, None]).sum(axis=(1, 2)),
    }


@pytest.mark.parametrize("case", without_end(*[pt.matrix()] * 3))
def test_sums_of_products_that_share_all_axes_are_compiled(case):
    variables = A, B, C = pt.matrices("ABC")
    assert_as_plain(variables, [without_end(A, B, C)[case]], normal(3, 3, 3))


def tied_step(batch, penalty):
    """The outputs and updates of an autoencoder with tied weights, and with a penalty on its Jacobian."""
    W, x = parameter(RNG.normal(size=(6, 20)), "W"), pt.ones((batch, 6)) / 3
    h = pt.sigmoid(pt.dot(x, W))
    z = pt.sigmoid(pt.dot(h, W.T) + parameter(RNG.normal(size=6)))
    cost = -(x * pt.log(z) + (1 - x) * pt.log(1 - z)).sum(axis=1).mean()
    jacobian = (h * (1 - h))[:, None, :] * W[None]
    cost = cost + penalty * (jacobian**2).sum()
    mask = pt.random.shared_rng(seed=1).binomial(n=1, p=0.5, size=(3,))[1]
    return [cost, mask], {W: W - 0.1 * pt.grad(cost, W)}


def classifier_step(batch, dtype):
    x, y = row_or_batch("x", batch, 6, dtype), pt.ivector("y", shape=(batch,))
    x, y = (pt.constant(np.ones(v.type.shape, v.dtype)) for v in (x, y))
    x = pt.specify_shape(pytensor.shared(x.data), x.data.shape)
    weights = [parameter(RNG.normal(size=shape).astype(dtype), "W") for shape in [(6, 50), (50, 40), (40, 4)]]
    logits = pt.dot(pt.tanh(pt.dot(pt.sigmoid(pt.dot(x, weights[0])), weights[1])), weights[2])
    cost = -pt.mean(pt.log(pt.special.softmax(logits, axis=1))[pt.arange(batch), y])
    return cost, {W: W - np.asarray(0.1, dtype) * pt.grad(cost, W) for W in weights}


def divergence_step():
    """Chains of units that are drawn, and a product before and after a column is set."""
    W, x = parameter(RNG.normal(size=(6, 20))), pt.ones((5, 6)) / 3

    def up_and_down(h, rng):
        rng, v = rng.binomial(n=1, p=pt.sigmoid(pt.dot(h, W.T)))
        rng, h = rng.binomial(n=1, p=pt.sigmoid(pt.dot(v.astype(W.dtype), W)))
        return h.astype(W.dtype), rng

    start = parameter(RNG.normal(size=(5, 20)))
    h, _ = pytensor.scan(
        up_and_down, outputs_info=[start, pt.random.shared_rng(seed=1)], n_steps=3, return_updates=False
    )
    column = pytensor.shared(0)
    flipped = pt.set_subtensor(x[:, column], 1 - x[:, column])
    return [pt.softplus(pt.dot(x, W)), pt.softplus(pt.dot(flipped, W)), h[-1]], {}


def random_sum(seed):
    """The sum, over some axes, of a product or a square of a product of tensors that lack some of three or four."""
    rng = np.random.RandomState(seed)
    ndim = rng.randint(3, 5)
    factors = []
    for _ in range(rng.randint(2, 5)):
        axes = rng.choice(ndim, size=rng.randint(1, ndim), replace=False)
        factors.append(pt.tensor(dtype="float64", shape=[None if axis in axes else 1 for axis in range(ndim)]))
    product = pt.mul(*factors) if rng.uniform() < 0.5 else pt.sqr(pt.mul(*factors))
    summed = tuple(sorted(rng.choice(ndim, size=rng.randint(1, ndim + 1), replace=False).tolist()))
    return factors, pt.sum(product, axis=summed)


class SecondTime(GraphRewriter):
    """Applies a rewrite that has just been applied once more; nothing is left for it to do."""

    def __init__(self, name):
        self.again = name

    def apply(self, fgraph):
        before = fgraph.apply_nodes.copy()
        optdb[self.again].rewrite(fgraph)
        assert fgraph.apply_nodes == before, self.again


GRAPHS = {
    "autoencoder": lambda: tied_step(1, 0),
    "contractive autoencoder": lambda: tied_step(5, 0.1),
    "classifier": lambda: classifier_step(1, "float32"),
    "minibatch": lambda: classifier_step(5, "float64"),
    "contrastive divergence": divergence_step,
    "random sums": lambda: (pt.stack([random_sum(seed)[1].sum() for seed in range(60)]), {}),
}
OF_OURS = [name for name in (*rewrites.NAMES, *SUPPORTING) if name != "positional_arguments"]


@pytest.mark.parametrize("name", GRAPHS)
def test_no_rewrite_applies_to_its_own_result(name):
    again = [(SecondTime(each), optdb.__position__[each] + 1e-9) for each in OF_OURS]
    outputs, updates = GRAPHS[name]()
    inputs = [v for v in pytensor.graph.traversal.explicit_graph_inputs(outputs)]
    with pytensor.config.change_flags(on_opt_error="raise"):
        pytensor.function(inputs, outputs, updates=updates, mode=interpreted_mode().excluding(BROKEN).register(*again))


def longest_loop(fn):
    """The most axes that a node of a function passes over: those that have more than one entry in any of its inputs."""
    shapes = [[v.type.broadcastable for v in node.inputs] for node in fn.maker.fgraph.apply_nodes]
    return max(sum(not all(axis) for axis in zip(*inputs)) for inputs in shapes)


def test_random_sums_are_those_of_pytensor_and_no_loop_is_longer():
    changed = 0
    for seed in range(60):
        factors, output = random_sum(seed)
        values = [RNG.normal(size=[1 if single else 3 for single in v.type.broadcastable]) for v in factors]
        fn, plain = assert_as_plain(factors, [output], values, without=BROKEN)
        assert longest_loop(fn) <= longest_loop(plain), seed
        changed += longest_loop(fn) < longest_loop(plain)
    assert changed > 10
