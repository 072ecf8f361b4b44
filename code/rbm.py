"""Lesson 9: a restricted Boltzmann machine."""

import sys

from logistic_sgd import minibatch_function, parameter, score_function, sgd_updates
from mlp import uniform_weights
from support import rewrites
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import symbolic_generator, value_of
from support.pictures import Pictures, save_tiles
from support.runs import open_run
from support.runs.models import SavedModel
from support.settings import checked
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad
from scipy.special import logsumexp

EVALUATION_SEED = 0  # of the draws for the log-likelihood and for --sample, so that runs of all seeds see the same
GIBBS_STEPS = 1000  # from one row of samples to the next
N_ANNEALED = 100  # chains of a run of annealed importance sampling
N_ANNEALINGS = 3  # runs of it
FEW = 10  # effective chains
MOST_SUMMED = 16  # units of a layer whose 2^n states are summed over


class RBM:
    """A restricted Boltzmann machine of binary units.

    Parameters
    ----------
    input : symbolic matrix, (batch, n_visible), optional
        Values in 0..1; by default a new one.
    n_visible : int
        Number of visible units.
    n_hidden : int
        Number of hidden units.
    W : shared matrix, (n_visible, n_hidden), optional
        By default uniform in +-4 sqrt(6 / (n_visible + n_hidden)). In a stack, W and hbias are the sigmoid layer's.
    hbias : shared vector, (n_hidden,), optional
        Hidden bias, by default zero.
    vbias : shared vector, (n_visible,), optional
        Visible bias, by default zero.
    numpy_rng : numpy.random.RandomState, optional
        Draws the seed of the symbolic generator, where none is given, and then W; by default one of seed 1234.
    theano_rng : shared generator, optional
        The symbolic generator of all units (the name is the tutorial's), a `pt.random.shared_rng`.

    Attributes
    ----------
    input, n_visible, n_hidden, W, hbias, vbias, theano_rng
    params : [W, hbias, vbias]
    pixel : shared integer
        The number of the pixel whose flip `get_pseudo_likelihood_cost` looks at next.
    """

    def __init__(
        self, input=None, n_visible=784, n_hidden=500, W=None, hbias=None, vbias=None, numpy_rng=None, theano_rng=None
    ):
        numpy_rng = np.random.RandomState(1234) if numpy_rng is None else numpy_rng
        self.theano_rng = symbolic_generator(theano_rng, numpy_rng)
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.input = pt.matrix("input") if input is None else input
        self.W = uniform_weights(numpy_rng, n_visible, n_hidden, factor=4) if W is None else W
        self.hbias = parameter(np.zeros(n_hidden), "hbias") if hbias is None else hbias
        self.vbias = parameter(np.zeros(n_visible), "vbias") if vbias is None else vbias
        self.params = [self.W, self.hbias, self.vbias]
        self.pixel = pytensor.shared(0, name="pixel")

    def free_energy(self, v_sample):
        """The free energy of each example, (batch,), in nats: -log of its probability, up to log Z."""
        pre_sigmoid_h, _ = self.propup(v_sample)
        return -pt.dot(v_sample, self.vbias) - pt.sum(pt.softplus(pre_sigmoid_h), axis=1)  # softplus a = log(1 + exp a)

    def propup(self, vis):
        """[input of the sigmoid, probability] of the hidden units, each (batch, n_hidden), given the visible ones."""
        pre_sigmoid = pt.dot(vis, self.W) + self.hbias
        return [pre_sigmoid, pt.sigmoid(pre_sigmoid)]

    def propdown(self, hid):
        """[input of the sigmoid, probability] of the visible units, each (batch, n_visible), given the hidden ones."""
        pre_sigmoid = pt.dot(hid, self.W.T) + self.vbias
        return [pre_sigmoid, pt.sigmoid(pre_sigmoid)]

    def sample(self, mean, rng):
        """Draw units: 1 with probability `mean`, else 0. All draws of the machine are made here.

        Parameters
        ----------
        mean : symbolic matrix, (batch, n)
        rng : symbolic generator

        Returns
        -------
        next_rng : symbolic generator
            Its state after the draw.
        units : symbolic matrix, (batch, n), of the type of `mean`
        """
        next_rng, units = rng.binomial(n=1, p=mean)
        return next_rng, units.astype(mean.dtype)

    def sample_h_given_v(self, v0_sample, rng):
        """[pre-sigmoid, probability, sample] of the hidden units, each (batch, n_hidden), and the next generator."""
        pre_sigmoid_h1, h1_mean = self.propup(v0_sample)
        next_rng, h1_sample = self.sample(h1_mean, rng)
        return [pre_sigmoid_h1, h1_mean, h1_sample, next_rng]

    def sample_v_given_h(self, h0_sample, rng):
        """[pre-sigmoid, probability, sample] of the visible units, each (batch, n_visible), and the next generator."""
        pre_sigmoid_v1, v1_mean = self.propdown(h0_sample)
        next_rng, v1_sample = self.sample(v1_mean, rng)
        return [pre_sigmoid_v1, v1_mean, v1_sample, next_rng]

    def gibbs_hvh(self, h0_sample, rng):
        """A Gibbs step from hidden units: what is drawn of the visible ones, then of the hidden ones; the generator."""
        *visible, rng = self.sample_v_given_h(h0_sample, rng)
        *hidden, rng = self.sample_h_given_v(visible[-1], rng)
        return [*visible, *hidden, rng]

    def gibbs_vhv(self, v0_sample, rng):
        """A Gibbs step from visible units: what is drawn of the hidden ones, then of the visible ones; the generator."""
        *hidden, rng = self.sample_h_given_v(v0_sample, rng)
        *visible, rng = self.sample_v_given_h(hidden[-1], rng)
        return [*hidden, *visible, rng]

    def get_cost_updates(self, lr=0.1, persistent=None, k=1):
        """The cost that is watched, and the updates of one step of training.

        Parameters
        ----------
        lr : float or symbolic scalar
        persistent : shared matrix, (batch, n_hidden), optional
            Hidden units that the chains start from; the updates put the ends of the chains there (PCD-k). By default
            the chains start from hidden units that are drawn for the minibatch (CD-k).
        k : int, at least 1
            Gibbs steps.

        Returns
        -------
        monitoring_cost : symbolic scalar, in nats an example
            The pseudo-likelihood with persistent chains; else minus the cross-entropy of the reconstruction.
        updates : dict of what the parameters, the generator, the persistent chains and `pixel` become
        """
        if persistent is None:
            _, _, chain_start, rng = self.sample_h_given_v(self.input, self.theano_rng)
        else:
            chain_start, rng = persistent, self.theano_rng
        # The step gets the two that go from step to step, and returns seven, of which `scan` stacks all steps.
        [pre_sigmoid_nvs, _, nv_samples, _, _, nh_samples, next_rng] = pytensor.scan(
            self.gibbs_hvh, outputs_info=[None] * 5 + [chain_start, rng], n_steps=k, return_updates=False
        )
        chain_end = disconnected_grad(nv_samples[-1])  # (batch, n_visible), a constant for the gradient
        chain_end.name = "chain_end"

        cost = pt.mean(self.free_energy(self.input)) - pt.mean(self.free_energy(chain_end))
        updates = sgd_updates(cost, self.params, lr)
        updates[self.theano_rng] = next_rng
        if persistent is None:
            return self.get_reconstruction_cost(updates, pre_sigmoid_nvs[-1]), updates
        updates[persistent] = nh_samples[-1]
        return self.get_pseudo_likelihood_cost(updates), updates

    def get_pseudo_likelihood_cost(self, updates):
        """The log-pseudo-likelihood, a scalar, in nats an example, estimated from one pixel of the rounded input.

        It adds to `updates` that the next step looks at the next pixel.
        """
        x = pt.round(self.input)  # (batch, n_visible); a half becomes 0
        flipped = pt.set_subtensor(x[:, self.pixel], 1 - x[:, self.pixel])
        difference = self.free_energy(flipped) - self.free_energy(x)  # (batch,)
        updates[self.pixel] = (self.pixel + 1) % self.n_visible
        return pt.mean(self.n_visible * pt.log(pt.sigmoid(difference)))

    def get_reconstruction_cost(self, updates, pre_sigmoid_nv):
        """Minus the cross-entropy of the input and the chains' last probabilities, a scalar, in nats an example.

        `pre_sigmoid_nv`, (batch, n_visible), is the input of the sigmoid that gives them. PyTensor computes
        log(sigmoid(a)) from a, which stays finite, only if it sees both functions outside of the loop of `scan`.
        """
        p = pt.sigmoid(pre_sigmoid_nv)
        return pt.mean(pt.sum(self.input * pt.log(p) + (1 - self.input) * pt.log(1 - p), axis=1))
