"""This port, by the lessons' own classes and functions, with all graph rewrites or none."""

from functools import partial

from cA import cA
from contestants import common
from contestants.common import beginning, initial_layers, make_data
from gan import GAN
from logistic_sgd import LogisticRegression, minibatch_function, parameter, sgd_updates
from mlp import MLP
from pca import LinearAutoencoder
from rbm import RBM
from sA import sA
from SdA import SdA
from support import rewrites as graph_rewrites
from support.start import aligned
from vae import VAE

import numpy as np
import pytensor
import pytensor.tensor as pt


def runner(phase, rewrites):
    graph_rewrites.select([rewrites])
    with pytensor.config.change_flags(floatX=phase["dtype"]):
        if phase["kind"] == "linear":
            return linear(phase)
        step, params = BUILDERS[phase["kind"]](phase)

    def run(steps):
        for index in range(steps):
            cost = step(index % (common.EXAMPLES // phase["batch"]))
        return float(cost)

    return run, lambda: [param.get_value() for param in params]


def begin_with(params, arrays):
    """Give parameters these values, in the memory that they have."""
    for param, array in zip(params, arrays, strict=True):
        param.get_value(borrow=True)[...] = array


def train_set(phase):
    x, y = make_data(phase)
    return pytensor.shared(aligned(x, x.dtype), borrow=True), pytensor.shared(y)


def train_function(phase, x, cost, updates):
    """Compile f(index) as the lessons without labels do."""
    data, _ = train_set(phase)
    return minibatch_function(cost, {x: data}, phase["batch"], updates)


def classifier(phase):
    n_in, *hidden, n_out = phase["sizes"]
    rng = np.random.RandomState(0)
    if phase["activation"] == "tanh" or not hidden:
        x, y = pt.matrix("x"), pt.ivector("y")
        if hidden:
            model = MLP(rng, x, n_in, *hidden, n_out)
            cost = model.negative_log_likelihood(y) + phase["l2"] * model.L2_sqr
        else:
            model = LogisticRegression(x, n_in, n_out)
            cost = model.negative_log_likelihood(y)
        updates = sgd_updates(cost, model.params, common.LEARNING_RATE)
        step = minibatch_function(cost, dict(zip((x, y), train_set(phase))), phase["batch"], updates)
    else:
        model = SdA(rng, n_ins=n_in, hidden_layers_sizes=hidden, n_outs=n_out)
        step, _, _ = model.build_finetune_functions([train_set(phase)] * 3, phase["batch"], common.LEARNING_RATE)
    begin_with(model.params, initial_layers(phase))
    return step, model.params


def denoising(phase):
    n_in, *hidden = phase["sizes"]
    sda = SdA(np.random.RandomState(0), n_ins=n_in, hidden_layers_sizes=hidden)
    begin_with([param for layer in sda.sigmoid_layers for param in layer.params], initial_layers(phase))
    data, _ = train_set(phase)
    step = sda.pretraining_functions(data, phase["batch"])[-1]
    return partial(step, corruption=common.CORRUPTION, lr=common.LEARNING_RATE), sda.dA_layers[-1].params


def tied(phase, model_class, numbers):
    """A sparse or contractive autoencoder; `numbers` are those of its penalty."""
    model = model_class(np.random.RandomState(0), None, *phase["sizes"])
    begin_with(model.params[:2], initial_layers(phase))
    return train_function(phase, model.x, *model.get_cost_updates(*numbers, common.LEARNING_RATE)), model.params


def variational(phase):
    n_visible, n_hidden, n_latent, *_ = phase["sizes"]
    vae = VAE(np.random.RandomState(0), None, None, n_visible, n_hidden, n_latent)
    begin_with(vae.params, initial_layers(phase))
    return train_function(phase, vae.x, *vae.get_cost_updates(common.LEARNING_RATE)), vae.params


def boltzmann(phase):
    """Persistent or not: the first constant is the chains, where these persist."""
    rbm, (params, constants) = RBM(None, *phase["sizes"]), beginning(phase)
    begin_with(rbm.params, params)
    chains = parameter(constants[0], "chains") if constants else None
    step = rbm.get_cost_updates(common.LEARNING_RATE, chains, common.GIBBS_STEPS[phase["kind"]])
    return train_function(phase, rbm.input, *step), rbm.params


def adversarial(phase):
    n_visible, n_maxout, n_hidden, n_noise = phase["sizes"]
    gan = GAN(np.random.RandomState(0), None, None, n_visible, n_noise, n_hidden, n_maxout)
    begin_with(gan.params, initial_layers(phase))
    cost, _, updates = gan.get_cost_updates(common.LEARNING_RATE, common.MOMENTUM, phase["batch"])
    return train_function(phase, gan.x, cost, updates), gan.params


def linear(phase):
    """`run` and `values`, which differ from the others' because there is no update."""
    x = make_data(phase)[0][: phase["batch"]]
    (W,), (mean,) = beginning(phase)
    model = LinearAutoencoder(None, None, *phase["sizes"], parameter(W, "W"), parameter(mean, "b_prime"))
    weights = pt.matrix("weights", shape=W.shape)
    data = pytensor.shared(aligned(x, x.dtype), borrow=True)
    cost_and_gradient = pytensor.function(
        [weights],
        model.get_cost_gradient(),
        givens={model.x: pt.specify_shape(data, x.shape), model.W: weights},
        mode=graph_rewrites.mode(),
    )

    def run(steps):
        nonlocal gradient
        for _ in range(steps):
            cost, gradient = cost_and_gradient(W)
        return float(cost)

    gradient = None
    return run, lambda: [gradient]


BUILDERS = {  # {kind: function of a phase that returns f(index) and the parameters}
    "classifier": classifier,
    "autoencoder": denoising,
    "sparse": partial(tied, model_class=sA, numbers=(common.SPARSITY_TARGET, common.SPARSITY_WEIGHT)),
    "contractive": partial(tied, model_class=cA, numbers=(common.CONTRACTION,)),
    "variational": variational,
    "boltzmann": boltzmann,
    "contrastive": boltzmann,
    "adversarial": adversarial,
}
