"""Lesson 11: a generative adversarial network.

The model (GAN)
    Two networks play against each other [1]. The generator G turns noise z into an image. The discriminator D looks at
    an image, and gives the probability that it comes from the data, and not from G:

        g = relu(z W₁ + b₁),      h = relu(g W₂ + b₂),      G(z) = σ(h W₃ + b₃)
        u = maxout(x V₁ + c₁),    v = maxout(u V₂ + c₂),    D(x) = σ(a),  a = v V₃ + c₃

    The noise z has 100 entries, uniform in ±√3, so that their variance is 1. A maxout unit [2] has five weight vectors,
    and its value is the largest of its five sums. It can approximate any convex function of its input.

    D is trained to be right, and G is trained to make D err. Their costs, for an image of the data and an image of G,
    are averaged over a minibatch:

        cost of D = ½ (−log D(x) − log(1 − D(G(z)))),        cost of G = −log D(G(z)).

    G never sees an image of the data. All that it knows comes from the gradient of D.

What the best D measures
    For a fixed G, write p(x) for the density of the data, and q(x) for that of G's images. The cost of D is the sum of
    −½ (p log D + q log(1 − D)) over all x. Its derivative by D is zero where p / D = q / (1 − D), so that the best D is

        D*(x) = p(x) / (p(x) + q(x)).

    If q is p, then D* = ½ everywhere, and the cost of D is log 2 = 0.693. Otherwise the cost of D* is lower, by the
    Jensen-Shannon divergence of p and q [1, theorem 1]. So a G that tries to raise the cost of D makes this divergence
    small, if D is always at its best. In training, both move at once, and neither is at its best for the other.

Why G does not minimise log(1 − D)
    With D = σ(a), the two costs that G could have are log(1 − D(G(z))) and −log D(G(z)). Their derivatives are

        ∂ log(1 − σ(a)) / ∂a = −D,        ∂ (−log σ(a)) / ∂a = D − 1.

    At first D recognises the images of G, with a D(G(z)) such as 0.01. The first derivative is −0.01 then, and G learns
    next to nothing. The second one is −0.99. Both push a upwards. The first vanishes where D is surest that the image
    is G's, at D = 0. The second vanishes only where D takes it for an image of the data, at D = 1.

One example, with numbers
    There are two images, A and B. The data show A with probability 3/4, and G makes each with probability 1/2:

        D*(A) = 0.75 / (0.75 + 0.5) = 0.6        D*(B) = 0.25 / (0.25 + 0.5) = 1/3

        cost of D* = −½ (0.75 ln 0.6 + 0.25 ln 1/3 + 0.5 ln 0.4 + 0.5 ln 2/3) = 0.659, less than ln 2 = 0.693

        cost of G  = −0.5 ln 0.6 − 0.5 ln 1/3 = 0.805; with A alone it would be −ln 0.6 = 0.511

    So G makes A more often. But G would not stay at A alone: D would learn that the data show A less often than G does.
    Nothing in the cost of G asks for B. It is D's answer that brings B back, if D learns it in time.

Collapse
    Often D does not learn it in time. G makes one kind of image, D learns to refuse it, and G makes another kind. Or G
    maps all noises to a few images, and stays there. This is called mode collapse. Its signs are these. The rows of
    `samples.png` are alike, and each epoch's differ from the last one's. In the curve, D(G(z)) swings, or the cost of D
    is near zero and that of G grows. Some classes have few or no samples. Watch the cost of D: near 0.693 nobody wins,
    and near 0 the gradient that G gets is of little use.

    The recorded run of seed 123 begins like this. The cost of D is 0.408 in the first epoch, and 0.012 in the fifth. By
    then G makes a 1 of nearly every noise: see the third row of `epochs.png`. But this collapse does not last: D(G(z))
    rises from 0.005 to 0.24 in epoch 20, and the other digits come one after the other. With seeds 1 and 2 there are
    several digits in epoch 5. There the cost of D never falls below 0.049.

The graph (get_costs)
    D stands in the graph twice, for the data and for G's images, with the same weights. Each player's gradient is taken
    with respect to its own parameters, and both take their step from the same old values. The gradient of G's cost
    passes through D, with the same dropped entries. Unlike in lesson 9, no part of the graph counts as a constant. In
    the page of `--show-graph`, look for `D_x`, `D_Gz`, and for the two costs.

    In training, D drops entries [3]: each entry of its input is kept with probability 0.8, and each hidden unit with
    0.5. Kept entries are divided by that probability, so that sums keep their mean. Outside of training nothing is
    dropped.

    A step has momentum. Each parameter has a velocity v, which becomes m v − rate · gradient. Then the parameter moves
    by the new v. The momentum m grows from 0.5 in the first epoch to 0.7 in epoch 250. The rate is divided by 1.000004
    after each step.

The loop (parzen_log_likelihoods)
    After each epoch, 10,000 images are made from the same noises, and one number judges them. A Gaussian kernel is put
    on each of the 10,000 images (a Parzen window). The figure is the mean log-density of this mixture at the validation
    images. The kernel's width is the best of ten for the first 1,000 validation images. No rule for stopping is
    published. So the epoch with the best figure on these images is kept.

    At the end the mean over the test images is taken. The published figure is 225 ± 2 nats, where 2 is the standard
    error over the test images. The first 10,000 training images, in the place of samples, have 244.6 ± 2.1 here. This
    is the control: a model that copies scores well. The measure is known to be poor [4]. It rewards images near to the
    data. It hardly sees whether they are sharp, or whether they differ from each other. So look at the samples, at the
    nearest training images, and at the classes.

What to look at (plot)
    `epochs.png`: the images of the same noises after some epochs, a row each. `samples.png`: a hundred images of the
    epoch that was kept. `nearest.png`: images, and below each the training image that is nearest to it. If G copied,
    the two would be equal. `walks.png`: on straight lines between two noises, digits should turn into each other.
    `costs.png`: the costs of both players, D(x) and D(G(z)).

    Which digits do the samples show? `--sample runs/gan/model.npz` writes 10,000 of them as a data set. The network of
    lesson 4 can classify it: `SdA.py --predict runs/SdA/model.npz --dataset runs/gan/model_samples_0.npz` prints how
    many images it takes for each digit.

Exercises stand at the foot of this file, their answers in tests/exercises/gan.md.

References
    [1] I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville, Y. Bengio,
        Generative Adversarial Nets, NIPS 2014.
    [2] I. Goodfellow, D. Warde-Farley, M. Mirza, A. Courville, Y. Bengio, Maxout Networks, ICML 2013.
    [3] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, Dropout, JMLR 15 (2014) 1929-1958.
    [4] L. Theis, A. van den Oord, M. Bethge, A note on the evaluation of generative models, ICLR 2016.
"""

import sys
from functools import partial

from logistic_sgd import minibatch_function, parameter
from support.command import command
from support.console import say
from support.data import Datasets
from support.files import replacing
from support.inputs import scalar, symbolic_generator, value_of
from support.pictures import Pictures, save_samples
from support.runs import open_run
from support.runs.models import SavedModel, outputs_for
from support.settings import checked
from support.start import UserError
from vae import affine

import numpy as np
import pytensor.tensor as pt
from scipy.special import logit

EVALUATION_SEED = 0  # of the noises for scores and pictures, so that all epochs and seeds see the same
N_SAMPLES = 10_000  # images under the kernels
N_VALIDATION = 1000  # validation images that choose the width of the kernel, and the epoch
WIDTHS = np.logspace(-1, 0, 10)  # of the kernel
KEEP_INPUT, KEEP_HIDDEN = 0.8, 0.5  # probabilities
RATE_DECAY, LOWEST_RATE = 1.000004, 1e-6
FIRST_MOMENTUM, LAST_MOMENTUM, LAST_MOMENTUM_EPOCH = 0.5, 0.7, 250
SHOWN_EPOCHS = 1, 2, 5, 10, 20, 50, 100, 200  # after which the images of the same noises are kept for a picture


class GAN:
    """A generator of two layers of ReLU units, and a discriminator of two layers of maxout units.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of the symbolic generator, where none is given, and then the weights, in the order of
        `generator_params` and `discriminator_params`.
    theano_rng : shared generator, optional
        The symbolic generator of noise and dropout (the name is the tutorial's), a `pt.random.shared_rng`.
    input : symbolic matrix, (batch, n_visible), optional
        Images of the data, values in 0..1; by default a new one.
    n_visible : int
        Number of inputs.
    n_noise : int
        Entries of the noise.
    n_hidden : int
        Units of each hidden layer of the generator.
    n_maxout, n_pieces : int
        Units of each hidden layer of the discriminator, and weight vectors of each unit.
    marginals : array, (n_visible,), optional
        Mean of each input over the training set, from which the generator's output bias starts; by default 1/2.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_visible), the input
    theano_rng : shared generator
    generator, discriminator : lists of three pairs (W, b) of shared variables, from the input up
        W is uniform in +-0.05 in the generator, in +-0.005 in the discriminator; b is zero, but for the output bias.
    generator_params, discriminator_params : lists of six shared variables
    params : list of both, the discriminator's first
    """

    def __init__(
        self, numpy_rng, theano_rng=None, input=None, n_visible=784, n_noise=100, n_hidden=1200, n_maxout=240,
        n_pieces=5, marginals=None,
    ):  # fmt: skip
        self.theano_rng = symbolic_generator(theano_rng, numpy_rng)
        self.x = pt.matrix("x") if input is None else input
        self.n_visible, self.n_noise, self.n_pieces = n_visible, n_noise, n_pieces

        def layers(name, bound, *sizes):
            pairs = []
            for number, (n_in, n_out) in enumerate(sizes):
                W = parameter(numpy_rng.uniform(-bound, bound, size=(n_in, n_out)), f"W_{name}_{number}")
                pairs.append((W, parameter(np.zeros(n_out), f"b_{name}_{number}")))
            return pairs

        self.generator = layers("G", 0.05, (n_noise, n_hidden), (n_hidden, n_hidden), (n_hidden, n_visible))
        n_sums = n_maxout * n_pieces
        self.discriminator = layers("D", 0.005, (n_visible, n_sums), (n_maxout, n_sums), (n_maxout, 1))
        if marginals is not None:  # clipped, as a pixel that is never lit has an infinite logit
            output_bias = self.generator[-1][1]
            output_bias.set_value(logit(np.clip(marginals, 1e-7, 1 - 1e-7)).astype(output_bias.dtype))
        self.generator_params = [param for layer in self.generator for param in layer]
        self.discriminator_params = [param for layer in self.discriminator for param in layer]
        self.params = self.discriminator_params + self.generator_params

    def draw_noise(self, n, rng=None):
        """Noise of variance 1 for n images, uniform in +-sqrt(3): the generator's next state, and (n, n_noise)."""
        rng = self.theano_rng if rng is None else rng
        bound = np.sqrt(3.0)
        return rng.uniform(-bound, bound, size=(n, self.n_noise), dtype=self.x.dtype)

    def generate(self, noise):
        """The images of noises, (batch, n_visible), values in 0..1."""
        h = pt.maximum(affine(noise, self.generator[0]), 0)  # (batch, n_hidden)
        h = pt.maximum(affine(h, self.generator[1]), 0)  # (batch, n_hidden)
        return pt.sigmoid(affine(h, self.generator[2]))

    def discriminate(self, x):
        """The logit of the probability that an image comes from the data, (batch,). Nothing is dropped."""
        return self.logit_of(x, drop=lambda values, keep: values)

    def discriminate_with_dropout(self, x, rng=None):
        """The logit, (batch,), where entries and hidden units are dropped [3].

        Parameters
        ----------
        x : symbolic matrix, (batch, n_visible)
        rng : symbolic generator, optional
            By default `theano_rng`.

        Returns
        -------
        next_rng : symbolic generator
            Its state after the draws, for the next draw or the updates.
        logit : symbolic vector, (batch,)
        """
        rng = self.theano_rng if rng is None else rng

        def drop(values, keep):
            nonlocal rng
            rng, mask = rng.binomial(n=1, p=pt.full_like(values, keep))
            return mask.astype(values.dtype) * values / keep

        logit = self.logit_of(x, drop)
        return rng, logit

    def logit_of(self, x, drop):
        """The logit of images, (batch,), with values dropped by `drop(values, probability of being kept)`."""
        h = drop(x, KEEP_INPUT)  # (batch, n_visible)
        for layer in self.discriminator[:2]:
            sums = affine(h, layer)  # (batch, n_maxout * n_pieces), the pieces of a unit side by side
            h = drop(sums.reshape((x.shape[0], -1, self.n_pieces)).max(axis=2), KEEP_HIDDEN)  # (batch, n_maxout)
        return affine(h, self.discriminator[2])[:, 0]

    def get_costs(self, batch_size):
        """The costs of both players on the input and as many new images. Sets `D_x` and `D_Gz`.

        Returns
        -------
        next_rng : symbolic generator
        discriminator_cost, generator_cost : symbolic scalars, in nats
        """
        rng, noise = self.draw_noise(batch_size)
        rng, logit_x = self.discriminate_with_dropout(self.x, rng)  # (batch,)
        rng, logit_Gz = self.discriminate_with_dropout(self.generate(noise), rng)  # (batch,)
        self.D_x, self.D_Gz = pt.mean(pt.sigmoid(logit_x)), pt.mean(pt.sigmoid(logit_Gz))
        self.D_x.name, self.D_Gz.name = "D_x", "D_Gz"
        # -log sigmoid(a) is softplus(-a), and -log(1 - sigmoid(a)) is softplus(a): both are finite for each finite a.
        discriminator_cost = pt.mean(pt.softplus(-logit_x) + pt.softplus(logit_Gz)) / 2
        generator_cost = pt.mean(pt.softplus(-logit_Gz))
        return rng, discriminator_cost, generator_cost

    def get_cost_updates(self, learning_rate, momentum, batch_size):
        """The costs and the updates of one step of training, in which both players move.

        Parameters
        ----------
        learning_rate : float
            The first one; it is part of the state of the method, and falls.
        momentum : float or symbolic scalar, in [0, 1)
        batch_size : int
            Images of the data in a minibatch, and images that the generator makes beside them.

        Returns
        -------
        discriminator_cost, generator_cost : symbolic scalars, in nats
        updates : dict of the new values of the parameters, their velocities, the rate and the generator
        """
        next_rng, discriminator_cost, generator_cost = self.get_costs(batch_size)
        rate = parameter(learning_rate, "rate")
        updates = momentum_updates(discriminator_cost, self.discriminator_params, rate, momentum)
        updates |= momentum_updates(generator_cost, self.generator_params, rate, momentum)
        updates[rate] = pt.maximum(rate / RATE_DECAY, LOWEST_RATE).astype(rate.dtype)
        updates[self.theano_rng] = next_rng
        return discriminator_cost, generator_cost, updates


def momentum_updates(cost, params, rate, momentum):
    """One step with momentum: v <- momentum v - rate gradient, and each parameter moves by its new v."""
    momentum, updates = scalar(momentum), {}
    for param, gradient in zip(params, pt.grad(cost, params)):
        velocity = parameter(np.zeros(param.get_value(borrow=True).shape), f"{param.name}/velocity")
        new = momentum * velocity - rate * gradient
        updates[velocity] = new.astype(velocity.dtype)
        updates[param] = param + updates[velocity]
    return updates


def momentum_of(epoch):
    """The momentum of an epoch, counted from 1: it grows by equal steps, and then stays."""
    share = min((epoch - 1) / (LAST_MOMENTUM_EPOCH - 1), 1)
    return FIRST_MOMENTUM + share * (LAST_MOMENTUM - FIRST_MOMENTUM)


def draw_noises(gan, n, seed=EVALUATION_SEED):
    """Noises for scores and pictures, (n, n_noise), outside the graph: the same for each model and epoch."""
    return np.random.default_rng(seed).uniform(-np.sqrt(3), np.sqrt(3), (n, gan.n_noise))


def images_of(gan, noises):
    """The images that the generator makes of noises, arrays of (n, n_visible) and (n, n_noise)."""
    noise = pt.matrix("noise")
    return outputs_for(noise, [gan.generate(noise)], noises.astype(noise.dtype))[0]


def squared_distances(x, samples):
    """(n, n_samples), of each row of x, (n, n_in), from each sample, (n_samples, n_in)."""
    return np.maximum(np.sum(x**2, axis=1)[:, None] + np.sum(samples**2, axis=1) - 2 * x @ samples.T, 0)


def parzen_log_likelihoods(x, samples, widths):
    """The log-density of examples in a mixture of Gaussian kernels, one on each sample.

    Parameters
    ----------
    x : array, (n, n_in)
    samples : array, (n_samples, n_in)
    widths : list of float
        Standard deviations of the kernels, the same in all directions.

    Returns
    -------
    array, (len(widths), n), in nats
    """
    log_densities = np.zeros((len(widths), len(x)))
    for start in range(0, len(x), 1000):
        squares = squared_distances(x[start : start + 1000], samples)
        nearest = squares.min(axis=1, keepdims=True)  # taken out of the sum, whose terms could all be 0 otherwise
        further, kernels = nearest - squares, np.empty_like(squares)
        for row, width in zip(log_densities, widths):
            np.exp(np.multiply(further, 1 / (2 * width**2), out=kernels), out=kernels)
            highest = -nearest[:, 0] / (2 * width**2) - x.shape[1] / 2 * np.log(2 * np.pi * width**2)
            row[start : start + 1000] = highest + np.log(kernels.mean(axis=1))
    return log_densities


def parzen_validation(data, samples):
    """(mean log-density in nats, width) of the best of the ten widths, for the first 1,000 validation images."""
    means = parzen_log_likelihoods(value_of(data.valid_x)[:N_VALIDATION], samples, WIDTHS).mean(axis=1)
    return means.max(), WIDTHS[means.argmax()]


def parzen_test(data, samples):
    """The mean log-density of the test images, and its standard error over them, in nats."""
    _, width = parzen_validation(data, samples)
    [log_densities] = parzen_log_likelihoods(value_of(data.test_x), samples, [width])
    return log_densities.mean(), log_densities.std() / np.sqrt(len(log_densities))


@checked
def test_gan(
    learning_rate=0.1, training_epochs=120, dataset="mnist.pkl.gz", batch_size=100, n_hidden=1200, n_maxout=240,
    n_noise=100, seed=123, output_folder=None, fresh=False, show_graph=False,
):  # fmt: skip
    """Train a generator against a discriminator, and keep the epoch whose samples score best.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of the first step; it falls slowly.
    training_epochs : int, at least 1
        Passes over the training set.
    n_hidden : int, at least 1
        Units of each hidden layer of the generator.
    n_maxout : int, at least 1
        Units of each hidden layer of the discriminator, each with five weight vectors.
    n_noise : int, at least 1
        Entries of the noise.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """
    with open_run(test_gan, locals(), check=Datasets.check_that_they_can_be_rebuilt) as run:
        say("... building the model")
        x = pt.matrix("x")  # (batch, n_visible)
        train_x = value_of(run.data.train_x)
        gan = GAN(np.random.RandomState(seed), None, x, run.data.n_in, n_noise, n_hidden, n_maxout,
                  marginals=train_x.mean(axis=0))  # fmt: skip
        momentum = pt.scalar("momentum")
        *costs, updates = gan.get_cost_updates(learning_rate, momentum, batch_size)
        outputs = [*costs, gan.D_x, gan.D_Gz]
        step = minibatch_function(outputs, {x: run.data.train_x}, batch_size, updates, [momentum])
        train_gan = partial(step, momentum=FIRST_MOMENTUM)
        noises = draw_noises(gan, N_SAMPLES)

        run.say("... training")
        stage = run.stage(gan, train_gan, chance_cost=np.log(2))
        for epoch in stage.epochs(training_epochs):
            for minibatch_index in epoch:
                cost, generator_cost, D_x, D_Gz = train_gan(minibatch_index, momentum=momentum_of(epoch.number))
                epoch.add(cost=cost, generator_cost=generator_cost, D_x=D_x, D_Gz=D_Gz)
            samples = images_of(gan, noises)
            parzen, width = parzen_validation(run.data, samples)
            epoch.note(validation_parzen=parzen, width=width)
            say(
                f"Training epoch {epoch.number}, costs of discriminator {epoch.mean('cost'):f} and generator "
                f"{epoch.mean('generator_cost'):f}, D(x) {epoch.mean('D_x'):f}, D(G(z)) {epoch.mean('D_Gz'):f}, "
                f"Parzen window {parzen:f} nats"
            )
            if epoch.number in SHOWN_EPOCHS:
                shown = [parameter(samples[:20], "samples")]
                run.save_model(f"samples_epoch_{epoch.number}", shown, {"epoch": epoch.number})
            if parzen > max((line["validation_parzen"] for line in run.curve), default=-np.inf):
                stage.keep(validation_parzen=parzen, best_epoch=epoch.number)

        def evaluate():
            say("... scoring 10,000 samples of the kept epoch, and as many training images")
            samples, figures = images_of(gan, noises), {}
            figures["test_parzen"], figures["standard_error"] = parzen_test(run.data, samples)
            figures["control_parzen"], figures["control_standard_error"] = parzen_test(run.data, train_x[:N_SAMPLES])
            return figures

        closing = (
            "Optimization complete with best validation Parzen window of {validation_parzen:f} nats, in epoch "
            "{best_epoch:.0f}, with test Parzen window {test_parzen:f} +- {standard_error:f}; training images have "
            "{control_parzen:f} +- {control_standard_error:f}"
        )
        run.finish(closing.format_map, evaluate)
        return run.draw(plot)


def load_model(saved):
    """A GAN with the parameters of a saved model."""
    shapes = [array.shape for array in saved.arrays]
    if len(shapes) != 12 or any(len(shape) != 2 for shape in shapes[::2]) or not shapes[2][0]:
        raise UserError(f"{saved.path} fits another network: its shapes are {shapes}")
    n_noise, n_hidden, _, n_visible = saved.layer_sizes(3, saved.arrays[6:])
    n_maxout, n_sums = shapes[2]
    gan = GAN(np.random.RandomState(0), None, None, n_visible, n_noise, n_hidden, n_maxout, n_sums // n_maxout)
    saved.restore(gan.params)
    return gan


def sample(model, seed=EVALUATION_SEED):
    """Make 10,000 new images by a saved model, into a data set beside it, and a hundred of them into a picture.

    `SdA.py --predict MODEL --dataset SAMPLES` prints how many of them lesson 4's network takes for each digit.

    Parameters
    ----------
    model : path
        The model.npz of a run.
    seed : int
        Seed of the draw of the noises.

    Returns
    -------
    Path
        The picture's place.
    """
    saved = SavedModel(model, "gan")
    gan = load_model(saved)
    images = images_of(gan, draw_noises(gan, N_SAMPLES, seed))
    caption = "A hundred images that the generator has made."
    path = save_samples(saved, saved.load_data(), images, seed, caption)
    with replacing(path.with_suffix(".npz")) as file:
        np.savez_compressed(file, x=np.minimum(256 * images, 255).astype(np.uint8))  # pixels as MNIST has them
    say(f"data set: {path.with_suffix('.npz')}")
    return path


def nearest_images(images, data):
    """The row of `data` that is nearest to each image, (n, n_in)."""
    return data[squared_distances(images, data).argmin(axis=1)]


def plot(folder, datasets=None):
    """Draw the pictures of a run: both players' costs, new images, the nearest training images, walks between noises.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_gan, datasets)
    costs = {"discriminator": pictures.series("cost"), "generator": pictures.series("generator_cost")}
    answers = {"D(x)": pictures.series("D_x"), "D(G(z))": pictures.series("D_Gz")}
    parzen = {"validation images": pictures.series("validation_parzen")}
    panels = [("", "cost (nats)", costs), ("", "answer of D, mean", answers), ("", "Parzen window (nats)", parzen)]
    title = "The two players, and the score of the generator's images"
    caption = "Costs by epoch: near ln 2 = 0.69 the discriminator cannot tell images apart; near 0 it always can."
    pictures.draw_curves("costs", title, panels, caption, clip=True)
    files = {f"epoch {epoch}": pictures.folder / f"samples_epoch_{epoch}.npz" for epoch in SHOWN_EPOCHS}
    strips = [(name, SavedModel(file, "gan").arrays[0]) for name, file in files.items() if file.exists()]
    caption = "Each row shows the images of the same twenty noises: noise becomes strokes, and strokes become digits."
    pictures.draw_images("epochs", "The same noises after some epochs", strips, caption, columns=20)
    for gan in pictures.models(load_model).values():
        images = images_of(gan, draw_noises(gan, 100))
        pictures.draw_images("samples", "New images", images, "A hundred images that the generator has made.")
        pairs = [("made", images[:20]), ("nearest", nearest_images(images[:20], value_of(pictures.datasets.train_x)))]
        caption = "New images, and below each the training image that is nearest to it: a copy would be equal."
        pictures.draw_images("nearest", "New images and training images", pairs, caption, columns=20)
        start, end = draw_noises(gan, 20).reshape(2, 10, -1)
        steps = np.linspace(0, 1, 11)[:, None]
        walks = images_of(gan, np.concatenate([(1 - steps) * a + steps * b for a, b in zip(start, end)]))
        caption = "From the left to the right of each row, the noise moves on a straight line between two noises."
        pictures.draw_images("walks", "Walks between two noises", walks, caption, columns=len(steps))


QUICK = {"training_epochs": 2}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9, "n_maxout": 8, "n_noise": 5}  # for tests

if __name__ == "__main__":
    sys.exit(command(test_gan, quick=QUICK, plot=plot, sample=sample))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. Figures are means of an epoch
on MNIST, in single precision. The answers are in tests/exercises/gan.md.

1. The other cost. In `get_costs`, let the generator minimise log(1 − D(G(z))). With D(G(z)) = σ(a) this is
   −softplus(a), so set `generator_cost = -pt.mean(pt.softplus(logit_Gz))`. Run `--quick --fresh`. Compare D(G(z)) in
   the second epoch.
2. Dropout. Set `KEEP_INPUT, KEEP_HIDDEN = 1.0, 1.0`, and run `--quick --fresh`. Compare the second epochs. How much
   can two epochs of one seed say?
3. The measure. Take the first 10,000 training images. Average each of them with the four that are nearest to it, and
   put these means in the place of samples. Do you expect a higher figure than that of training images, 244.6? Which
   images would you rather look at?
"""
