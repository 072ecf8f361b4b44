"""Lesson 8: a variational autoencoder.

The model
    The autoencoders before this one turn an image into a code, and that code back into the image. None of them can
    make an image that nobody has drawn: we do not know which codes are codes of digits. A variational autoencoder [1]
    is a model of how images come about. First a code z is drawn from the standard normal distribution. Then the
    decoder turns it into a probability for each pixel, and the pixels are drawn, black or white:

        p(z) = N(0, I),    p(x | z) = Πₖ πₖ^xₖ (1 − πₖ)^(1 − xₖ),    π = sigmoid(tanh(z W₄ + b₄) W₅ + b₅).

    Training should raise log p(x), the log-likelihood of the training images. Here p(x) is an integral over all codes,
    which nobody can take. So we add an encoder, which guesses, for an image x, which codes it may have come from. Its
    answer is a normal distribution, too, with a mean μ and a variance σ² for each entry of the code:

        q(z | x) = N(μ, σ²),    h = tanh(x W₁ + b₁),    μ = h W₂ + b₂,    log σ² = h W₃ + b₃.

    In the code these are `mean` and `log_variance`. With any encoder, the following number is at most log p(x)
    [1, equation 3]:

        bound(x) = E_q [log p(x | z)] − KL(q(z | x) ‖ p(z)) ≤ log p(x).

    The first term asks for a good reconstruction. The second one asks that the codes of each image look like draws
    from p(z). It is the number of nats that the encoder spends on the code of the image, and it has a closed form:

        KL = −½ Σⱼ (1 + log σⱼ² − μⱼ² − σⱼ²).

    Training raises the bound. The gap between the two sides is KL(q(z | x) ‖ p(z | x)), the divergence of the
    encoder's guess from the true distribution of the codes of x.

One example, with numbers
    Two pixels, one hidden unit in each network, one entry in the code; x = (1, 0). Say all weights are zero, and so
    are the biases but for b₂ = 1, b₃ = ln 4, and b₅ = (ln 3, 0).

        μ = 1, σ² = 4                        z = 1 + 2 ε; a decoder without weights ignores it
        KL = (1² + 4 − 1 − ln 4) / 2 = 2 − ln 2 = 1.307
        π = (sigmoid(ln 3), sigmoid(0)) = (3/4, 1/2)                 log p(x | z) = ln 3/4 + ln 1/2 = −0.981
        bound = −0.981 − 1.307 = −2.288

    Here the encoder spends 1.307 nats on a code that the decoder ignores. With μ = 0 and σ² = 1 it would spend
    nothing, and the bound would be log p(x) itself, −0.981. A code that differs between images raises the bound only
    if the first term gains more by it than the KL.

The graph
    The first term is a mean over draws of z, and no gradient goes through a draw. The paper's solution is to draw
    standard normal noise instead, and to let the encoder shift and scale it [1, equation 10]:

        z = μ + σ ε,    ε from N(0, I).

    Now the draw is an input of the graph, like a pixel, and `pt.grad` goes past it to μ and σ. A single draw for each
    image is enough: the noise of the gradient averages out over the steps, as that of minibatches does.

    MNIST's pixels are grey, and the model's are black or white. The graph of a step therefore begins with a draw of
    zeros and ones, with the grey value as the probability of a one. It is done afresh each time, so that an image is
    hardly ever seen twice in the same form. The log-likelihood is computed from the input of the last sigmoid, and so
    it is finite for every finite input.

    Steps are made by Adam [2] instead of plain gradient descent; see `adam_updates`. The paper used Adagrad.

The loop
    After each epoch the bound of the validation set is taken, always with the same draws. The model of the best epoch
    is kept. At the end two numbers are measured for it: the bound of the test set, and an estimate of log p(x) itself.
    The estimate draws many codes for each image from the encoder, gives each code the weight
    w = p(x | z) p(z) / q(z | x), and takes the logarithm of the mean weight [3]. The bound is the mean of the
    logarithms of such weights. The logarithm is concave, so the bound is the lower one of the two.

    The estimate takes long, so it is made for the first 1,000 test images only, while the bound is over all of them.
    The two sets differ a little. After five epochs the bound of the first 1,000 is −113.72, that of all −114.16.

What to look at
    `samples`, images that nobody has drawn. `walks`: between the codes of two digits lie, mostly, codes of things that
    look like digits, too. `bound`: the two terms, and which of them moves when. With `--n-latent 2`, `plane` is a map
    of the images that the model can make, and `codes` shows where the test images are on it.

    The figures are nats an image. They cannot be compared with those of papers whose images were made black and white
    once, because ours are drawn afresh each time.

Exercises stand at the foot of this file, their answers in tests/exercises/vae.md.

References
    [1] D. P. Kingma, M. Welling, Auto-Encoding Variational Bayes, ICLR 2014.
    [2] D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.
    [3] Y. Burda, R. Grosse, R. Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016.
"""

import sys

from logistic_sgd import minibatch, parameter
from mlp import uniform_weights
from support.command import command
from support.console import progress, say
from support.data import load_data
from support.errors import UserError
from support.files.replacing import replacing
from support.graphs.execution import evaluate
from support.pictures import Pictures
from support.pictures.figures import BLUE, GREEN, ORANGE, markers, new_figure, whole_numbers, without_ticks
from support.runs import open_run
from support.runs.models import SavedModel
from support.settings import checked
from utils import tile_raster_images

import numpy as np
import pytensor
import pytensor.tensor as pt

EVALUATION_SEED = 0  # of the draws for validation, test and pictures, so that runs of all seeds see the same
N_ESTIMATED = 1000  # test images whose log-likelihood is estimated


def adam_updates(cost, params, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """One step of Adam [2, algorithm 1], as updates of the parameters and of what the method remembers.

    It keeps a running mean of each parameter's gradient, and one of the gradient's square. A step goes along the mean,
    divided by the root of the mean square, so that each parameter moves by about the learning rate, whatever the size
    of its gradient. Both means start at zero, and for the first steps they are too small. The division by 1 - beta^t,
    with t the number of steps, makes up for that.
    """
    t = parameter(0, "t")
    updates = {t: t + 1}
    for param, gradient in zip(params, pt.grad(cost, params)):
        mean, square = (parameter(np.zeros(param.get_value(borrow=True).shape), name) for name in ("mean", "square"))
        updates[mean] = beta1 * mean + (1 - beta1) * gradient
        updates[square] = beta2 * square + (1 - beta2) * gradient**2
        unbiased_mean = updates[mean] / (1 - beta1 ** updates[t])
        unbiased_square = updates[square] / (1 - beta2 ** updates[t])
        updates[param] = param - learning_rate * unbiased_mean / (pt.sqrt(unbiased_square) + epsilon)
    return updates


def kl_to_standard_normal(mean, log_variance):
    """KL(N(mean, exp(log_variance)) || N(0, I)) of each example, (batch,), in nats [1, appendix B]."""
    return -pt.sum(1 + log_variance - mean**2 - pt.exp(log_variance), axis=1) / 2


class VAE:
    """A variational autoencoder with a hidden layer of tanh units in the encoder, and one in the decoder.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of the symbolic generator, where none is given, and then the weights, in the order of `params`.
    theano_rng : shared generator, optional
        The symbolic generator of pixels and noise (the name is the tutorial's), a `pt.random.shared_rng`.
    input : symbolic matrix, (batch, n_visible), optional
        Grey images, values in 0..1; by default a new one.
    n_visible : int
        Number of inputs.
    n_hidden : int
        Number of hidden units of the encoder, and of the decoder.
    n_latent : int
        Number of entries of a code.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_visible), the input
    encoder, mean, log_variance, decoder, output : the layers, each a pair (W, b) of shared variables
        W is uniform in +-sqrt(6 / (n_in + n_out)) at first, b zero.
    params : list of the ten shared variables, in this order
    theano_rng : shared generator
    log_likelihood, divergence : symbolic vectors, (batch,), after `elbo`
        The two terms of the bound, in nats.
    """

    def __init__(self, numpy_rng, theano_rng=None, input=None, n_visible=784, n_hidden=500, n_latent=20):
        if theano_rng is None:
            theano_rng = pt.random.shared_rng(seed=numpy_rng.randint(2**30))
        self.theano_rng = theano_rng
        self.x = pt.matrix("x") if input is None else input
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.n_latent = n_latent

        def layer(name, n_in, n_out):
            W, b = uniform_weights(numpy_rng, n_in, n_out), parameter(np.zeros(n_out), f"b_{name}")
            W.name = f"W_{name}"
            return W, b

        self.encoder = layer("encoder", n_visible, n_hidden)
        self.mean = layer("mean", n_hidden, n_latent)
        self.log_variance = layer("log_variance", n_hidden, n_latent)
        self.decoder = layer("decoder", n_latent, n_hidden)
        self.output = layer("output", n_hidden, n_visible)
        self.params = [*self.encoder, *self.mean, *self.log_variance, *self.decoder, *self.output]

    def binarise(self, input, rng=None):
        """Draw each pixel: 1 with the grey value as probability, else 0.

        Parameters
        ----------
        input : symbolic matrix, (batch, n_visible)
        rng : symbolic generator, optional
            By default `theano_rng`.

        Returns
        -------
        next_rng : symbolic generator
            Its state after the draw, for the next draw or the updates.
        binary : symbolic matrix, (batch, n_visible)
        """
        rng = self.theano_rng if rng is None else rng
        next_rng, binary = rng.binomial(n=1, p=input)
        return next_rng, binary.astype(input.dtype)

    def encode(self, input):
        """The distribution of an image's codes: mean and log-variance, each (batch, n_latent)."""
        h = pt.tanh(affine(input, self.encoder))  # (batch, n_hidden)
        return affine(h, self.mean), affine(h, self.log_variance)

    def sample_latent(self, mean, log_variance, rng=None):
        """Draw codes from the encoder's distribution.

        Parameters
        ----------
        mean, log_variance : symbolic matrices, (batch, n_latent)
        rng : symbolic generator, optional
            By default `theano_rng`.

        Returns
        -------
        next_rng : symbolic generator
        z : symbolic matrix, (batch, n_latent)
        """
        rng = self.theano_rng if rng is None else rng
        next_rng, epsilon = rng.normal(size=mean.shape, dtype=mean.dtype)
        return next_rng, mean + pt.exp(log_variance / 2) * epsilon  # [1, equation 4]

    def decode(self, z):
        """The probability that each pixel is a 1, (batch, n_visible)."""
        h = pt.tanh(affine(z, self.decoder))  # (batch, n_hidden)
        return pt.sigmoid(affine(h, self.output))

    def get_log_likelihood(self, input, z):
        """log p(input | z) of each example, (batch,), in nats."""
        p = self.decode(z)  # (batch, n_visible)
        # PyTensor computes log(sigmoid(a)) from a, so that it stays finite where p is 0 or 1 in floating point.
        return pt.sum(input * pt.log(p) + (1 - input) * pt.log(1 - p), axis=1)

    def elbo(self, input, rng=None):
        """The bound on log p(input), with one code drawn for each example; sets `log_likelihood` and `divergence`.

        Parameters
        ----------
        input : symbolic matrix, (batch, n_visible), of zeros and ones
        rng : symbolic generator, optional
            By default `theano_rng`.

        Returns
        -------
        next_rng : symbolic generator
        bound : symbolic vector, (batch,), in nats
        """
        mean, log_variance = self.encode(input)  # (batch, n_latent) each
        next_rng, z = self.sample_latent(mean, log_variance, rng)  # (batch, n_latent)
        self.log_likelihood = self.get_log_likelihood(input, z)  # (batch,)
        self.divergence = kl_to_standard_normal(mean, log_variance)  # (batch,)
        return next_rng, self.log_likelihood - self.divergence

    def get_importance_weights(self, input, n_samples, rng=None):
        """log p(input, z) - log q(z | input) of codes drawn for one image; the mean of their exponentials is p(input).

        Parameters
        ----------
        input : symbolic matrix, (1, n_visible), of zeros and ones
        n_samples : int
        rng : symbolic generator, optional
            By default `theano_rng`.

        Returns
        -------
        next_rng : symbolic generator
        log_weights : symbolic vector, (n_samples,), in nats
        """
        mean, log_variance = (pt.repeat(each, n_samples, axis=0) for each in self.encode(input))
        next_rng, z = self.sample_latent(mean, log_variance, rng)  # (n_samples, n_latent)
        images = pt.repeat(input, n_samples, axis=0)  # (n_samples, n_visible)
        # The logarithms of both densities without n_latent log(2 pi) / 2, which they share.
        log_prior = -pt.sum(z**2, axis=1) / 2
        log_posterior = -pt.sum((z - mean) ** 2 / pt.exp(log_variance) + log_variance, axis=1) / 2
        return next_rng, self.get_log_likelihood(images, z) + log_prior - log_posterior

    def get_cost_updates(self, learning_rate):
        """The cost and the updates of one step of training.

        Parameters
        ----------
        learning_rate : float or symbolic scalar

        Returns
        -------
        cost : symbolic scalar, in nats an example
            The bound of the binarised input, mean over the minibatch, with its sign turned.
        updates : dict of what the parameters, the generator, and Adam's means become
        """
        next_rng, binary = self.binarise(self.x)  # (batch, n_visible)
        next_rng, bound = self.elbo(binary, next_rng)  # (batch,)
        binary.name, bound.name = "binary", "bound"
        cost = -pt.mean(bound)
        cost.name = "cost"
        updates = adam_updates(cost, self.params, learning_rate)
        updates[self.theano_rng] = next_rng
        return cost, updates


def affine(input, layer):
    """input W + b of a pair (W, b)."""
    W, b = layer
    return pt.dot(input, W) + b


def bound_function(vae, data_x, batch_size):
    """A function without arguments: the mean bound of a data set's full minibatches, with the same draws at each call.

    Parameters
    ----------
    vae : VAE
    data_x : shared matrix, (n, n_visible)
    batch_size : int
    """
    index = pt.lscalar("index")
    rng = pt.random.shared_rng(seed=EVALUATION_SEED)
    next_rng, binary = vae.binarise(vae.x, rng)
    next_rng, bound = vae.elbo(binary, next_rng)
    minibatch_bound = pytensor.function(
        [index], pt.mean(bound), updates={rng: next_rng}, givens={vae.x: minibatch(data_x, index, batch_size)}
    )
    n_minibatches = data_x.get_value(borrow=True).shape[0] // batch_size

    def mean_bound():
        rng.set_value(np.random.default_rng(EVALUATION_SEED))
        return float(np.mean([minibatch_bound(index) for index in range(n_minibatches)]))

    return mean_bound


def estimate_log_likelihood(vae, images, n_samples):
    """log p(x) by importance sampling [3], mean over binarised images, in nats.

    An estimate from few samples is too low, in the mean; with more and more of them it rises to log p(x).

    Parameters
    ----------
    vae : VAE
    images : array, (n, n_visible)
    n_samples : int
        Codes drawn for each image.
    """
    rng = pt.random.shared_rng(seed=EVALUATION_SEED)
    image = pt.matrix("image", shape=(1, vae.n_visible))
    next_rng, binary = vae.binarise(image, rng)
    next_rng, log_weights = vae.get_importance_weights(binary, n_samples, next_rng)
    estimate = pytensor.function([image], pt.logsumexp(log_weights) - np.log(n_samples), updates={rng: next_rng})
    rows = progress(range(len(images)), "log-likelihood")
    return float(np.mean([estimate(images[row : row + 1]) for row in rows]))


@checked
def test_vae(
    learning_rate=0.001, training_epochs=100, dataset="mnist.pkl.gz", batch_size=100, n_hidden=500, n_latent=20,
    seed=123, output_folder=None, n_importance_samples=5000, fresh=False, show_graph=False,
):  # fmt: skip
    """Train a variational autoencoder, keep its best epoch, and draw new images from it.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step of Adam.
    training_epochs : int, at least 1
        Passes over the training set.
    n_hidden : int, at least 1
        Hidden units of the encoder, and of the decoder.
    n_latent : int, at least 1
        Entries of a code; with 2 the plane of codes is drawn, too.
    n_importance_samples : int, at least 1
        Codes drawn for each of 1,000 test images, to estimate its log-likelihood at the end.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns
    -------
    support.runs.run.Result
        A ValueError says which argument cannot be used, and why.
    """
    settings = locals()
    say("... loading data")
    datasets = load_data(dataset)
    datasets.check_that_they_can_be_rebuilt()
    n_train_batches = datasets.n_minibatches(batch_size)
    train_set_x, valid_set_x, test_set_x = (x for x, _ in datasets)
    with open_run(test_vae, settings, datasets) as run:
        say("... building the model")
        index = pt.lscalar("index")
        x = pt.matrix("x")  # (batch, n_visible)
        vae = VAE(np.random.RandomState(seed), None, x, datasets.n_in, n_hidden, n_latent)
        cost, updates = vae.get_cost_updates(learning_rate)
        train_vae = pytensor.function(
            [index],
            [cost, pt.mean(vae.log_likelihood), pt.mean(vae.divergence)],
            updates=updates,
            givens={x: minibatch(train_set_x, index, batch_size)},
        )
        validate = bound_function(vae, valid_set_x, batch_size)
        run.track(vae, train_vae)
        run.show_graph("training", train_vae)

        say("... training")
        chance_cost = datasets.n_in * np.log(2)  # of guessing every pixel at 1/2, with a code that tells nothing
        with run.timed("training", "learning_rate"):
            for epoch in run.epochs(training_epochs, n_train_batches, chance_cost=chance_cost):
                for minibatch_index in epoch:
                    cost, log_likelihood, divergence = train_vae(minibatch_index)
                    epoch.add_cost(cost, log_likelihood=log_likelihood, divergence=divergence)
                validation_bound = epoch.figures["validation_bound"] = validate()
                say(
                    f"Training epoch {epoch.number}, bound {-epoch.mean_cost:f} (log-likelihood "
                    f"{epoch.means['log_likelihood']:f}, divergence {epoch.means['divergence']:f}), "
                    f"validation bound {validation_bound:f}"
                )
                if validation_bound > max((line["validation_bound"] for line in run.curve), default=-np.inf):
                    run.keep(vae, validation_bound=validation_bound, best_epoch=epoch.number)

        def evaluate():
            say("... estimating the log-likelihood of test images")
            images = test_set_x.get_value(borrow=True)[:N_ESTIMATED]
            return {
                "test_bound": bound_function(vae, test_set_x, batch_size)(),
                "test_log_likelihood": estimate_log_likelihood(vae, images, n_importance_samples),
            }

        result = run.finish(
            vae,
            lambda reached: (
                "Optimization complete with best validation bound of {validation_bound:f} nats, in epoch "
                "{best_epoch:.0f}, with test bound {test_bound:f} and estimated log-likelihood "
                "{test_log_likelihood:f}".format(**reached)
            ),
            evaluate,
        )
        run.draw(plot)
        return result


def load_model(saved):
    """A variational autoencoder with the parameters of a saved model."""
    if len(saved.arrays) != 10:
        raise UserError(f"{saved.path} fits another network: it has {len(saved.arrays)} parameters, not 10")
    n_visible, n_hidden, n_latent, _, _ = saved.layer_sizes(4, [*saved.arrays[:4], *saved.arrays[6:]])
    vae = VAE(np.random.RandomState(0), None, None, n_visible, n_hidden, n_latent)
    saved.restore(vae.params)
    return vae


def tiles(images, image_shape, tile_shape):
    """Probabilities as grey tiles, black on white, (height, width) of uint8."""
    return 255 - tile_raster_images(images, image_shape, tile_shape, (1, 1), scale_rows_to_unit_interval=False)


def sample(model, seed=EVALUATION_SEED):
    """Draw a hundred new images from a saved model, into a picture beside it.

    Parameters
    ----------
    model : path
        The model.npz of a run.
    seed : int
        Of the codes.

    Returns
    -------
    Path
        Of the picture.
    """
    saved = SavedModel(model, "vae")
    vae = load_model(saved)
    image_shape = saved.load_data().image_shape
    z = pt.matrix("z")
    codes = np.random.default_rng(seed).normal(size=(100, vae.n_latent)).astype(z.dtype)
    (images,) = evaluate([vae.decode(z)], {z: codes})
    path = saved.path.with_name(f"{saved.path.stem}_samples_{seed}.png")
    try:
        from PIL import Image
    except ImportError as error:
        raise UserError("Pillow, which writes the picture, is not installed (pip install Pillow)") from error
    with replacing(path) as file:
        Image.fromarray(tiles(images, image_shape, (10, 10))).save(file, format="png")
    say(f"picture: {path}")
    return path


def plot(folder, datasets=None):
    """Draw the pictures of a run: the bound, new images, reconstructions, walks between test images, the codes.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_vae, datasets)
    if pictures.run.curve:
        pictures.save(bound_figure(pictures.run.curve), "bound")
    (saved,) = pictures.models({"model": SavedModel})
    if not saved:
        return
    vae, z = load_model(saved), pt.matrix("z")
    images = vae.decode(z)

    def decode(codes):
        return evaluate([images], {z: codes})[0]

    shape, rng = pictures.datasets.image_shape, np.random.default_rng(EVALUATION_SEED)

    codes = rng.normal(size=(100, vae.n_latent)).astype(z.dtype)
    title = "New images, for codes drawn from the standard normal distribution"
    pictures.save(tiles_figure(tiles(decode(codes), shape, (10, 10)), title), "samples")

    mean, _ = vae.encode(vae.x)
    rebuilt, means = pictures.of_test_images(vae.x, vae.decode(mean), mean)
    pictures.draw_reconstructions([("from the mean of its codes", rebuilt)])

    steps = np.linspace(0, 1, 11, dtype=z.dtype)[:, None]
    walks = [decode((1 - steps) * start + steps * end) for start, end in zip(means, means[1:])]
    title = "Walks along straight lines between the codes of test images"
    pictures.save(tiles_figure(tiles(np.concatenate(walks), shape, (len(walks), 11)), title), "walks")

    if vae.n_latent == 2:
        draw_plane(pictures, vae, decode)


def draw_plane(pictures, vae, decode, n=20):
    """Images for codes on a grid, a code for each n-th of the normal distribution, and where the test images are."""
    from scipy.special import ndtri

    places = ndtri((np.arange(n) + 0.5) / n)
    codes = [(x, y) for y in places[::-1] for x in places]
    images = decode(np.array(codes, pytensor.config.floatX))
    title = "Images for codes on a grid, with as much probability in each of its cells"
    pictures.save(tiles_figure(tiles(images, pictures.datasets.image_shape, (n, n)), title), "plane")

    images, labels = pictures.test_set
    (means,) = evaluate([vae.encode(vae.x)[0]], {vae.x: images})
    figure, (axes,) = new_figure(6.6)
    dots = axes.scatter(*means.T, c=labels, cmap="tab10" if labels.max() < 10 else "viridis", s=3, linewidths=0)
    axes.set_xlabel("first entry of the code's mean")
    axes.set_ylabel("second entry")
    axes.set_aspect("equal")
    figure.colorbar(dots, ax=axes, shrink=0.7, label="label")
    figure.suptitle(f"Codes of the {len(labels):,} test images")
    pictures.save(figure, "codes")


def tiles_figure(pixels, title):
    figure, (axes,) = new_figure(0.8 + 7 * pixels.shape[0] / pixels.shape[1])
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    without_ticks(axes)
    figure.suptitle(title)
    return figure


def bound_figure(curve):
    """The bound by epoch, and below it its two terms."""
    epochs = [line["epoch"] for line in curve]
    figure, panels = new_figure(7, nrows=3, sharex=True)
    series = (
        (panels[0], "training", [-line["cost"] for line in curve], BLUE),
        (panels[0], "validation", [line["validation_bound"] for line in curve], ORANGE),
        (panels[1], "log-likelihood of the image, given its code", [line["log_likelihood"] for line in curve], BLUE),
        (panels[2], "divergence of the code from p(z)", [line["divergence"] for line in curve], GREEN),
    )
    for axes, name, values, colour in series:
        axes.plot(epochs, values, color=colour, label=name, **markers(epochs))
        axes.legend(frameon=False)
        axes.set_ylabel("nats an image")
    lowest = sorted(value for _, _, values, _ in series[:2] for value in values)[len(epochs) // 5]
    panels[0].set_ylim(bottom=lowest - 1)  # the first epochs, far below, would flatten the rest
    whole_numbers(panels[-1].xaxis)
    panels[-1].set_xlabel("epoch")
    figure.suptitle("The bound on the log-likelihood, and its two terms")
    return figure


QUICK = {"training_epochs": 5, "n_importance_samples": 50}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9, "n_latent": 2, "n_importance_samples": 3}  # for tests

if __name__ == "__main__":
    sys.exit(command(test_vae, quick=QUICK, plot=plot, sample=sample))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. The
answers are in tests/exercises/vae.md.

1. The code. Run `--quick` with `--n-latent` 2, 5, 20 and 50. From what size on does another entry gain little? Look
   at the divergence, too.
2. The plane. Look at `codes.png` and `plane.png` of the run with two entries. Which digits have a place of their own,
   and which lie on top of each other? What draws them to one place?
3. The two numbers. In the default run the estimate of log p(x) is −91.72 nats and the test bound −98.68. Which part of
   the difference comes from the images, and what is the rest? Could you lower it without changing the decoder?
"""
