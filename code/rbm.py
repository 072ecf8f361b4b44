"""Lesson 9: a restricted Boltzmann machine.

The model (RBM)
    An autoencoder turns an image into a code and back. A restricted Boltzmann machine [1] has the same units and
    weights, and is a probability distribution. An image v and a code h, of zeros and ones, have an energy together.
    The lower it is, the more probable they are:

        E(v, h) = −v·b − h·c − v W hᵀ,    p(v, h) = exp(−E(v, h)) / Z,    Z = Σ exp(−E(v, h)) over all v and h.

    In the code b is `vbias`, the visible bias, and c is `hbias`, the hidden one. "Restricted" says that no weight
    joins two units of one layer. So, given v, the hidden units are independent of each other, and, given h, the
    visible ones:

        P(hⱼ = 1 | v) = σ(v W + c)ⱼ,    P(vᵢ = 1 | h) = σ(h Wᵀ + b)ᵢ.

    These are the two maps of lesson 3. The sum of exp(−E(v, h)) over all h is a product with a factor for each hidden
    unit, 1 + exp(v W + c)ⱼ. Its negative logarithm is the free energy of v:

        p(v) = exp(−F(v)) / Z,    F(v) = −v·b − Σⱼ log(1 + exp(v W + c)ⱼ).

    F is easy to compute. Z is a sum over 2^784 images, or over 2^500 codes. Nobody can compute it.

The gradient
    Training should raise log p(x) of the training images. Let θ be any parameter. Since Z = Σ exp(−F(v)),

        −∂log p(x)/∂θ = ∂F(x)/∂θ + ∂log Z/∂θ = ∂F(x)/∂θ − Σ p(v) ∂F(v)/∂θ over all v,
        −∂F(v)/∂Wᵢⱼ = vᵢ P(hⱼ = 1 | v),    −∂F(v)/∂cⱼ = P(hⱼ = 1 | v),    −∂F(v)/∂bᵢ = vᵢ.

    The sum over v is a mean over the images that the machine itself makes, each with its probability p(v). If v is
    drawn from them, F(x) − F(v), with v as a constant, has the right gradient in the mean. Its step is the rule of
    contrastive divergence:

        W ← W + rate (xᵀ P(h = 1 | x) − vᵀ P(h = 1 | v)),    c ← c + rate (P(h = 1 | x) − P(h = 1 | v)),
        b ← b + rate (x − v).

    The first part makes the training image more probable. The second part makes the machine's own images less probable.
    So `get_cost_updates` takes the difference of two free energies, and leaves the derivatives to `pt.grad`.

The chain (gibbs_hvh)
    Where does v come from? A Gibbs step draws all visible units, given the hidden ones, and then all hidden units,
    given the visible ones. Repeated long enough, it gives v and h with the probability p(v, h), from any start. There
    are two ways not to wait that long:

        CD-k [1]     Start at the minibatch, and take k steps. The v are still near the training images.
        PCD-k [2]    Start where the chains ended in the last step of training. The weights have hardly changed since
                     then, so the chains stay near the distribution of the machine.

    The published recipe is PCD-15; `--contrastive-divergence --k 1` is CD-1.

One example, with numbers
    Two pixels, one hidden unit. W = (2 ln 3, 0)ᵀ, c = −ln 3, b = (0, 0); x = (1, 0).

        v        exp(−F(v)) = 1 + exp(v W + c)      p(v)      P(h = 1 | v)
        (0, 0)   1 + 1/3 = 4/3                      1/8       1/4
        (1, 0)   1 + 3 = 4                          3/8       3/4
        (0, 1)   4/3                                1/8       1/4
        (1, 1)   4                                  3/8       3/4

        Z = 4/3 + 4 + 4/3 + 4 = 32/3                          log p(x) = ln 3/8 = −0.981
        ∂F(x)/∂W = −xᵀ 3/4 = (−0.75, 0)ᵀ
        Σ p(v) ∂F(v)/∂W = −(3/8 · 3/4 + 3/8 · 3/4, 1/8 · 1/4 + 3/8 · 3/4)ᵀ = (−0.5625, −0.3125)ᵀ
        −∂log p(x)/∂W = (−0.75 + 0.5625, 0 + 0.3125)ᵀ = (−0.1875, 0.3125)ᵀ

    Now CD-1. The hidden unit is 1 with probability 3/4. If it is 1, the pixels are on with the probabilities
    σ(2 ln 3) = 9/10 and 1/2, else with 1/2 and 1/2. So the first pixel of v is on with probability
    3/4 · 9/10 + 1/4 · 1/2 = 0.8, while in the machine it is on with 3/4: one step has not led far away from x. The mean
    of the steps' gradients is (−0.15, 0.325)ᵀ, not (−0.1875, 0.3125)ᵀ.

The graph (get_cost_updates)
    The chain is a loop in the graph, `pytensor.scan`. Its body is `gibbs_hvh`. Two of its results go into the next
    step: the hidden units, and the state of the generator of random numbers. `scan` stacks the others, a row for each
    step, and PyTensor keeps only the rows that are read. After the last step, the state goes into the updates, as in
    lesson 3. No gradient goes through the chain, as `disconnected_grad` says.

The loop (get_pseudo_likelihood_cost)
    The likelihood cannot be printed after each epoch, because of Z. The pseudo-likelihood [3] can. It is the product,
    over all pixels, of the probability of a pixel, given all others. If x̃ᵢ is x with pixel i flipped, then

        P(xᵢ | the others) = p(x) / (p(x) + p(x̃ᵢ)) = σ(F(x̃ᵢ) − F(x)),    log PL(x) = Σᵢ log σ(F(x̃ᵢ) − F(x)),

    without Z. In the example both terms together are ln 3/4 + ln 1/2 = −0.981. That is log p(x), because the two pixels
    are independent there. For MNIST the sum has 784 terms, so a step looks at one pixel, the next step at the next one,
    and the term is multiplied by 784. An epoch has 2,500 steps, which is no multiple of 784. So each epoch looks at
    some pixels more often than at others, and these differ from epoch to epoch. An epoch that is lower than the one
    before need not be worse. Compare epoch n of one run with epoch n of another run. CD-k prints the cross-entropy of
    its last probabilities instead, with its sign turned.

    After the training, chains start from test images. Every 1,000 Gibbs steps a row of images is kept, one for each
    chain. An image shows the probabilities of the pixels. The chain itself goes on with zeros and ones drawn from them.

    At the end log Z is estimated by annealed importance sampling [4]. A machine without weights, whose pixels are on as
    often as in the training images, has a Z that is known. A hundred chains start there and go to the trained machine
    in 14,500 small steps of β from 0 to 1. The machine at β has the weights β W and the hidden bias β c, and its
    visible bias goes from the first machine's to the trained one's. Each chain has an importance weight w, which is 1
    at first. Before each step, w is multiplied by the ratio of exp(−F(v)) in the next machine to exp(−F(v)) in the
    present one. The mean of w estimates Z of the trained machine, divided by that of the first one. In the example,
    with a single step and a chain at each v, the values of w are 2/3, 2, 2/3 and 2. Their mean is 4/3, and Z of the
    first machine is 8: 8 · 4/3 = 32/3.

    How good is the estimate? (Σw)² / Σw² is the effective number of chains, here 3.2 of 4. If it is near 1, a single
    chain makes the estimate. Then log Z is likely to be too low, because the rare large w are missing, and the
    log-likelihood, −F(x) − log Z, too high. The last printed line says so. There are three runs, so that one sees how
    they differ. A machine with at most 16 hidden units is small enough to sum over; then the exact log Z is used.

What to look at (plot)
    The first cost, −424.8. With weights of zero, every pixel would be guessed at 1/2, at −784 ln 2 = −543.4. The first
    step looks at one pixel of 20 images, so this cost says little about the machine. The published run goes from
    −90.65 in its first epoch to −62.76 in its fifteenth.

    `filters`, after the first epoch, after two others and after the last. The strokes become shorter and sharper. In
    `samples`, see how long a chain stays with one digit: a chain that never leaves it explores only one part of the
    distribution.

    The log-likelihood. MNIST's pixels are grey, and the machine's are black or white. So each figure says how the test
    images were made black and white: drawn, each pixel with its grey value as probability, or rounded. Rounded images
    are smoother and more probable, by more than ten nats. Training has seen neither: there a grey value enters as it
    is, a probability.

Exercises stand at the foot of this file, their answers in tests/exercises/rbm.md.

References
    [1] G. E. Hinton, Training Products of Experts by Minimizing Contrastive Divergence, Neural Computation 14, 2002.
    [2] T. Tieleman, Training Restricted Boltzmann Machines using Approximations to the Likelihood Gradient, ICML 2008.
    [3] J. Besag, Statistical Analysis of Non-Lattice Data, The Statistician 24, 1975.
    [4] R. Salakhutdinov, I. Murray, On the Quantitative Analysis of Deep Belief Networks, ICML 2008.
"""

import sys

from logistic_sgd import minibatch_function, parameter, score_function, sgd_updates
from mlp import uniform_weights
from support import rewrites
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import symbolic_generator, value_of
from support.pictures import Pictures, save_samples
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
        """A Gibbs step from hidden units: the results of `sample_v_given_h`, then those of `sample_h_given_v`."""
        *visible, rng = self.sample_v_given_h(h0_sample, rng)
        *hidden, rng = self.sample_h_given_v(visible[-1], rng)
        return [*visible, *hidden, rng]

    def gibbs_vhv(self, v0_sample, rng):
        """A Gibbs step from visible units: the results of `sample_h_given_v`, then those of `sample_v_given_h`."""
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
        updates : dict of the new values of the parameters, the generator, the persistent chains and `pixel`
        """
        if persistent is None:
            _, _, chain_start, rng = self.sample_h_given_v(self.input, self.theano_rng)
        else:
            chain_start, rng = persistent, self.theano_rng
        # The step gets the two that go from step to step, and returns seven, of which `scan` stacks all steps.
        [pre_sigmoid_nvs, _, nv_samples, _, _, nh_samples, next_rng] = pytensor.scan(
            self.gibbs_hvh, outputs_info=[None] * 5 + [chain_start, rng], n_steps=k, return_updates=False, name="chain"
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


class Samples:
    """Chains of Gibbs steps that go on from call to call, and the images that they have reached.

    Parameters
    ----------
    rbm : RBM
    start : array, (n_chains, n_visible)
        Images that the chains start from.
    n_rows : int
        Calls whose images are kept.
    rng : shared generator, optional
        By default the machine's.

    Attributes
    ----------
    v : shared matrix, (n_chains, n_visible)
        Where the chains are.
    images : shared matrix, (n_visible, (1 + n_rows) n_chains)
        A column for each image, as W has one for each filter: those of the start, and then row by row the
        probabilities of the pixels in the last step of each call.
    params : [images]
    """

    def __init__(self, rbm, start, n_rows, rng=None):
        self.rbm = rbm
        self.rng = rbm.theano_rng if rng is None else rng
        self.v = parameter(start, "v")
        self.images = parameter(np.zeros((start.shape[1], (1 + n_rows) * len(start))), "images")
        self.images.get_value(borrow=True)[:, : len(start)] = start.T
        self.params = [self.images]

    def step_function(self, n_steps):
        """A compiled function of a row's number, from 0. It returns the mean free energy of the chains, in nats."""
        index = pt.lscalar("index")
        [_, _, _, _, means, samples, next_rng] = pytensor.scan(
            self.rbm.gibbs_vhv, outputs_info=[None] * 5 + [self.v, self.rng], n_steps=n_steps, return_updates=False
        )
        n_chains = self.v.shape[0]
        columns = self.images[:, (1 + index) * n_chains : (2 + index) * n_chains]
        updates = {self.v: samples[-1], self.images: pt.set_subtensor(columns, means[-1].T), self.rng: next_rng}
        free_energy = pt.mean(self.rbm.free_energy(samples[-1]))
        return pytensor.function([index], free_energy, updates=updates, mode=rewrites.mode())


class Annealing:
    """Annealed importance sampling [4]: chains on their way from a machine without weights to a given machine.

    Parameters
    ----------
    rbm : RBM
    images : array, (n, n_visible)
        Training images. Their means are the probabilities of the pixels in the machine without weights.
    n_temperatures : int
        Steps of beta from 0 to 1. 14,500 of them are 0.001 up to 0.5, 0.0001 up to 0.9 and 0.00001 up to 1 [4].
    n_chains : int

    Attributes
    ----------
    base_vbias : array, (n_visible,), the visible bias of the machine without weights
    betas : array, (1 + n_temperatures, 2)
        A row for each step: beta before it and after it. In the first one both are 0: it draws the chains' start.
    v : shared matrix, (n_chains, n_visible), where the chains are
    log_weights : shared vector, (n_chains,)
    """

    def __init__(self, rbm, images, n_temperatures, n_chains=N_ANNEALED):
        self.rbm = rbm
        means = np.clip(images.mean(axis=0), 0.01, 0.99)
        self.base_vbias = np.log(means / (1 - means)).astype(pytensor.config.floatX)
        share = np.linspace(0, 1, n_temperatures + 1)
        betas = np.interp(share, np.array([0, 500, 4500, 14500]) / 14500, [0, 0.5, 0.9, 1])
        self.betas = np.stack([np.append(0, betas[:-1]), betas], axis=1).astype(pytensor.config.floatX)
        self.rng = pt.random.shared_rng(seed=EVALUATION_SEED)
        self.v = parameter(np.zeros((n_chains, rbm.n_visible)), "v")
        self.log_weights = pytensor.shared(np.zeros(n_chains), name="log_weights")

    def step_function(self):
        """A compiled function of a step's number, from 0, that moves the chains and their weights on."""
        step = pt.matrix("step")  # (1, 2)
        before, beta = step[0, 0], step[0, 1]
        bias = self.rbm.vbias - self.base_vbias
        pre_sigmoid_h, _ = self.rbm.propup(self.v)  # (n_chains, n_hidden)
        rise = pt.softplus(beta * pre_sigmoid_h) - pt.softplus(before * pre_sigmoid_h)
        log_ratio = (beta - before) * pt.dot(self.v, bias) + pt.sum(rise, axis=1)  # (n_chains,)

        rng, h = self.rbm.sample(pt.sigmoid(beta * pre_sigmoid_h), self.rng)
        pre_sigmoid_v, _ = self.rbm.propdown(h)  # (n_chains, n_visible)
        rng, v = self.rbm.sample(pt.sigmoid((1 - beta) * self.base_vbias + beta * pre_sigmoid_v), rng)
        log_weights = pt.switch(pt.eq(beta, 0), 0, self.log_weights + log_ratio)
        updates = {self.rng: rng, self.v: v, self.log_weights: log_weights}
        return minibatch_function([], {step: self.betas}, 1, updates)

    @property
    def log_z(self):
        """The estimate of log Z, in nats, after the last step."""
        log_z_of_base = self.rbm.n_hidden * np.log(2) + np.sum(np.logaddexp(0, self.base_vbias.astype(np.float64)))
        weights = self.log_weights.get_value()
        return float(log_z_of_base + logsumexp(weights) - np.log(len(weights)))

    @property
    def effective_chains(self):
        """(sum of w)^2 / (sum of w^2): as many chains of equal weights would be worth these."""
        weights = self.log_weights.get_value()
        return float(np.exp(2 * logsumexp(weights) - logsumexp(2 * weights)))


def exact_log_z(rbm):
    """log Z, in nats, by a sum over all states of the smaller layer; None if it has more than `MOST_SUMMED` units."""
    n = min(rbm.n_visible, rbm.n_hidden)
    if n > MOST_SUMMED:
        return None
    if rbm.n_hidden < rbm.n_visible:  # with its layers exchanged, a machine has the same Z
        rbm = RBM(None, rbm.n_hidden, rbm.n_visible, rbm.W.T, rbm.vbias, rbm.hbias)
    states = (np.arange(2**n)[:, None] >> np.arange(n)) & 1  # (2^n, n)
    states = states.astype(rbm.input.dtype)
    free_energies = score_function(rbm.free_energy(rbm.input), {rbm.input: states}, min(2**n, 1024))
    return float(logsumexp(-np.concatenate(free_energies(), dtype=np.float64)))


def mean_free_energy(rbm, images):
    """The mean free energy of images, (n, n_visible), of zeros and ones, in nats."""
    free_energy = pytensor.function([rbm.input], rbm.free_energy(rbm.input), mode=rewrites.mode())
    return float(np.mean(free_energy(images), dtype=np.float64))


def shown_epochs(training_epochs):
    """{epoch: the name of its model's file} for the epochs whose filters are shown: the first, two others, the last."""
    epochs = np.linspace(0, training_epochs - 1, 4).round().astype(int).tolist()
    return {epoch: f"model_epoch_{epoch}" for epoch in epochs[:-1]} | {epochs[-1]: "model"}


@checked
def test_rbm(
    learning_rate=0.1, training_epochs=15, dataset="mnist.pkl.gz", batch_size=20, n_chains=20, n_samples=10,
    output_folder=None, n_hidden=500, seed=123, k=15, contrastive_divergence=False, n_temperatures=14500, fresh=False,
    show_graph=False,
):  # fmt: skip
    """Train a restricted Boltzmann machine, draw samples from it, and estimate its log-likelihood.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    training_epochs : int, at least 1
        Passes over the training set.
    n_chains : int, at least 1
        Chains that samples are drawn from after the training.
    n_samples : int, at least 1
        Rows of samples, 1,000 Gibbs steps apart.
    n_hidden : int, at least 1
        Hidden units.
    k : int, at least 1
        Gibbs steps of the chains in a step of training.
    contrastive_divergence : bool
        In each step of training, start the chains from its minibatch (CD-k), not from where they ended (PCD-k).
    n_temperatures : int, at least 1
        Steps of annealed importance sampling, which estimates the log-likelihood at the end.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `Result`. A ValueError says which argument cannot be used, and why.
    """
    with open_run(test_rbm, locals(), check=Datasets.check_that_they_can_be_rebuilt) as run:
        train_x, test_x = (value_of(x) for x in (run.data.train_x, run.data.test_x))
        if n_chains >= len(test_x):
            raise UserError(f"n_chains must be below {len(test_x)}, the number of test images, not {n_chains}")
        say("... building the model")
        rng = np.random.RandomState(seed)
        rbm = RBM(None, run.data.n_in, n_hidden, numpy_rng=rng)
        chains = None if contrastive_divergence else parameter(np.zeros((batch_size, n_hidden)), "persistent_chains")
        cost, updates = rbm.get_cost_updates(learning_rate, chains, k)
        train_rbm = minibatch_function(cost, {rbm.input: run.data.train_x}, batch_size, updates)

        run.say("... training")
        # By chance, every pixel is guessed at 1/2.
        training = run.stage(rbm, train_rbm, chance_cost=-run.data.n_in * np.log(2))
        for epoch in training.epochs(training_epochs, first=0):
            for minibatch_index in epoch:
                epoch.add(cost=train_rbm(minibatch_index))
            say(f"Training epoch {epoch.number}, cost is {epoch.mean('cost'):f}")
            training.keep()
            if (name := shown_epochs(training_epochs).get(epoch.number, "model")) != "model":
                run.save_model(name, rbm.params, {"epoch": epoch.number})

        first = rng.randint(len(test_x) - n_chains)
        draw_samples(run, rbm, test_x[first : first + n_chains], n_samples)
        annealing = anneal(run, rbm, train_x, n_temperatures)
        run.finish(closing, lambda: final_figures(rbm, training.curve, annealing.curve, test_x))
        return run.draw(plot)


def draw_samples(run, rbm, start, n_samples):
    """The stage of a run that draws rows of samples. `start`, (n_chains, n_visible), are images."""
    run.say("... sampling")
    samples = Samples(rbm, start, n_samples)
    draw = samples.step_function(GIBBS_STEPS)
    stage = run.stage(samples, draw, name="sampling", file="samples", chains=len(start))
    for epoch in stage.epochs(n_samples, first=0):
        say(f" ... plotting sample {epoch.number}")
        epoch.note(free_energy=draw(epoch.number))
        stage.keep()


def anneal(run, rbm, images, n_temperatures):
    """The stage of a run that estimates log Z, which is returned. `images`, (n, n_visible), are for training."""
    run.say("... estimating log Z by annealed importance sampling")
    annealing = Annealing(rbm, images, n_temperatures)
    move = annealing.step_function()
    stage = run.stage(rbm, move, name="annealing", n_minibatches=len(annealing.betas), temperatures=n_temperatures)
    for epoch in stage.epochs(N_ANNEALINGS):
        for index in epoch:
            move(index)
        log_z, effective = annealing.log_z, annealing.effective_chains
        epoch.note(log_z=log_z, effective_chains=effective)
        say(f"Annealing run {epoch.number}, log Z {log_z:f}, {effective:.1f} effective chains of {N_ANNEALED}")
    return stage


def final_figures(rbm, training, annealings, test_x):
    """The figures of a trained machine, from the curves of its stages and from the test images."""
    # Each run of annealing has as many chains: the mean of their estimates of Z is that of all chains together.
    log_z = float(logsumexp([line["log_z"] for line in annealings]) - np.log(len(annealings)))
    figures = {
        "epochs": len(training),
        "cost": training[-1]["cost"],
        "log_z": log_z,
        "fewest_effective_chains": min(line["effective_chains"] for line in annealings),
    }
    if (exact := exact_log_z(rbm)) is not None:
        figures["exact_log_z"] = log_z = exact
    drawn = test_x > np.random.default_rng(EVALUATION_SEED).uniform(size=test_x.shape)
    figures["test_log_likelihood"] = -mean_free_energy(rbm, drawn.astype(test_x.dtype)) - log_z
    figures["test_log_likelihood_of_rounded"] = -mean_free_energy(rbm, np.round(test_x)) - log_z
    return figures


def closing(figures):
    """The line that is printed at the end."""
    line = (
        "Optimization complete with cost {cost:f} in the last epoch, and with a log-likelihood of "
        "{test_log_likelihood:f} nats for test images drawn black and white, {test_log_likelihood_of_rounded:f} for "
        "rounded ones"
    )
    if "exact_log_z" in figures:
        line += "; log Z is exact, {exact_log_z:f}, and was estimated as {log_z:f}"
    elif figures["fewest_effective_chains"] < FEW:
        line += (
            "; from {fewest_effective_chains:.1f} effective chains, log Z is probably estimated too low, and both "
            "log-likelihoods too high"
        )
    return line.format_map(figures)


def load_model(saved):
    """A machine with the parameters of a saved model."""
    n_visible, n_hidden = saved.layer_sizes(1, saved.arrays[:2])
    rbm = RBM(None, n_visible, n_hidden)
    saved.restore(rbm.params)
    return rbm


def sample(model, seed=EVALUATION_SEED):
    """Draw a hundred images from a saved model, by Gibbs steps from test images, into a picture beside it.

    Parameters
    ----------
    model : path
        The model.npz of a run.
    seed : int
        Seed of the choice of the test images, and of the draws.

    Returns
    -------
    Path
        The picture's place.
    """
    saved = SavedModel(model, "rbm")
    rbm, data = load_model(saved), saved.load_data()
    rng, test_x = np.random.RandomState(seed), value_of(data.test_x)
    start = test_x[rng.choice(len(test_x), 100, replace=len(test_x) < 100)]
    samples = Samples(rbm, start, 1, pt.random.shared_rng(seed=rng.randint(2**30)))
    samples.step_function(GIBBS_STEPS)(0)
    caption = f"Images of chains that started from test images, {GIBBS_STEPS:,} Gibbs steps before."
    return save_samples(saved, data, samples.images.get_value()[:, len(start) :].T, seed, caption)


def plot(folder, datasets=None):
    """Draw the pictures of a run: the cost, filters of several epochs, samples.

    The parameters are those of `logistic_sgd.plot`.
    """
    stages = {None: "training", "chains": "sampling", "temperatures": "annealing"}
    pictures = Pictures(folder, test_rbm, datasets, stages)
    watched = "Reconstruction" if pictures.settings["contrastive_divergence"] else "Pseudo-likelihood"
    panels = [("", "nats an image", {"": pictures.series("cost")})]
    caption = f"{watched}, mean of each epoch: compare an epoch with the same epoch of another run."
    pictures.draw_curves("costs", f"{watched}, mean of each epoch", panels, caption)
    names = {f"after epoch {n}": name for n, name in shown_epochs(pictures.settings["training_epochs"]).items()}
    filters = {name: rbm.W for name, rbm in pictures.models(load_model, names).items()}
    caption = "Weights of the hidden units after some epochs: the strokes become shorter and sharper."
    pictures.draw_filters(filters, caption, title="Filters")
    for images in pictures.models(lambda saved: saved.arrays[0], {"samples": "samples"}).values():
        title = f"Test images, and below them the chains that start there, every {GIBBS_STEPS:,} Gibbs steps"
        caption = "Test images in the first row; in each further row, their chains after 1,000 more Gibbs steps."
        pictures.draw_images("samples", title, images.T, caption, columns=pictures.settings["n_chains"])


QUICK = {"training_epochs": 1, "n_samples": 3, "n_temperatures": 1000}
SHORT = {
    "training_epochs": 2, "batch_size": 20, "n_chains": 3, "n_samples": 2, "n_hidden": 9, "k": 2, "n_temperatures": 10
}  # fmt: skip  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_rbm, quick=QUICK, plot=plot, sample=sample))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. The answers are in
tests/exercises/rbm.md. A machine of 16 hidden units is small enough for the exact log Z.

1. The temperatures. Run `--quick --n-hidden 16 --training-epochs 5` with `--n-temperatures` 10, 100, 1000 and 10000.
   How far is each estimate of log Z from the exact one, and in which direction? Does the effective number of chains
   say so?
2. The chain. Run `--quick --n-hidden 16 --training-epochs 5` four times: as it is, with `--k 1`, with
   `--contrastive-divergence`, and with both. Order the four machines by their printed costs, then by their
   log-likelihoods. Why are the machines whose chains go on from step to step worse here?
3. The rate. Run the first of these with `--learning-rate 0.01`, too. What has the larger rate gained?
4. Code: real-valued images. Let the visible units of `RBM` be real numbers, normally distributed with mean b + h Wᵀ
   and variance 1, given the hidden ones. The energy is |v − b|² / 2 − h·c − v W hᵀ. Change `free_energy` and
   `sample_v_given_h`. Why do the probabilities of the hidden units stay as they are? Check it by
   `python -m pytest tests/exercises -k real_valued`.
"""
