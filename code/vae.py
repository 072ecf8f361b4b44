"""Lesson 8: a variational autoencoder.

The model (VAE)
    The autoencoders before this one turn an image into a code, and that code back into the image. None of them can
    make an image that nobody has drawn: we do not know which codes are codes of digits. A variational autoencoder [1]
    is a model of how images come about. First a code z is drawn from the standard normal distribution. Then the
    decoder turns it into a probability for each pixel, and the pixels are drawn, black or white:

        p(z) = N(0, I),    p(x | z) = Πₖ πₖ^xₖ (1 − πₖ)^(1 − xₖ),    π = sigmoid(tanh(z W₄ + b₄) W₅ + b₅).

    Training should raise log p(x), the log-likelihood of the training images. Here p(x) is an integral over all codes,
    which nobody can compute. So we add an encoder. For an image x it guesses from which codes x may have come. Its
    answer is a normal distribution, too, with a mean μ and a variance σ² for each entry of the code:

        q(z | x) = N(μ, σ²),    h = tanh(x W₁ + b₁),    μ = h W₂ + b₂,    log σ² = h W₃ + b₃.

    In the code these are `mean` and `log_variance`. With any encoder, the following number is at most log p(x)
    [1, equation 3]:

        bound(x) = E_q [log p(x | z)] − KL(q(z | x) ‖ p(z)) ≤ log p(x).

    E_q is the mean over codes z drawn from q(z | x), and KL is the divergence of lesson 6, here of two normal
    distributions. The first term asks for a good reconstruction. The second one asks that the codes of each image look
    like draws from p(z). This term is the number of nats that the encoder spends on the code of the image, and it has a
    closed form:

        KL = −½ Σⱼ (1 + log σⱼ² − μⱼ² − σⱼ²).

    Training raises the bound. The gap between the two sides is KL(q(z | x) ‖ p(z | x)), the divergence of the
    encoder's guess from the true distribution of the codes of x.

One example, with numbers
    Two pixels, one hidden unit in each network, one entry in the code; x = (1, 0). Say all weights are zero, and so
    are the biases but for b₂ = 1, b₃ = ln 4, and b₅ = (ln 3, 0). ε is a draw from N(0, 1).

        μ = 1, σ² = 4                        z = 1 + 2 ε; a decoder without weights ignores it
        KL = (1² + 4 − 1 − ln 4) / 2 = 2 − ln 2 = 1.307
        π = (sigmoid(ln 3), sigmoid(0)) = (3/4, 1/2)                 log p(x | z) = ln 3/4 + ln 1/2 = −0.981
        bound = −0.981 − 1.307 = −2.288

    Here the encoder spends 1.307 nats on a code that the decoder ignores. With μ = 0 and σ² = 1 it would spend
    nothing, and the bound would be log p(x) itself, −0.981. A code that differs between images raises the bound only
    if the first term gains more by it than the KL.

The graph (sample_latent)
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

The loop (bound_function)
    After each epoch the bound of the validation set is taken, always with the same draws. The model of the best epoch
    is kept. At the end two numbers are measured for it: the bound of the test set, and an estimate of log p(x) itself.
    The estimate draws many codes for each image from the encoder, gives each code the importance weight
    w = p(x | z) p(z) / q(z | x), and takes the logarithm of the mean weight [3]. The bound is the mean of the
    logarithms of such w. The logarithm is concave, so the bound is the lower one of the two.

    The estimate takes long, so it is made for the first 1,000 test images only, and the bound of these is given beside
    it. They are a little easier than the others. In the default run the bound of all test images is −98.68, that of
    the first 1,000 is −97.28, and the estimate for these is −91.72.

What to look at (sample)
    `samples` shows images that nobody has drawn. `walks` shows that most codes between the codes of two digits give
    something that looks like a digit, too. `bound` shows the two terms: when does each of them move? With
    `--n-latent 2`, `plane` is a map of the images that the model can make, and `codes` shows where the test images are
    on it.

    The figures are nats an image. They cannot be compared with those of papers whose images were made black and white
    once, because ours are drawn afresh each time.

Exercises stand at the foot of this file, their answers in tests/exercises/vae.md.

References
    [1] D. P. Kingma, M. Welling, Auto-Encoding Variational Bayes, ICLR 2014.
    [2] D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.
    [3] Y. Burda, R. Grosse, R. Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016.
"""

import sys

from logistic_sgd import minibatch_function, parameter, score_function
from mlp import uniform_weights
from support import rewrites
from support.command import command
from support.console import progress, say
from support.data import Datasets
from support.graphs.execution import evaluate
from support.inputs import scalar, symbolic_generator, value_of
from support.pictures import Pictures, save_samples
from support.runs import open_run
from support.runs.models import SavedModel
from support.settings import checked
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
from scipy.special import ndtri

EVALUATION_SEED = 0  # of the draws for validation, test and pictures, so that runs of all seeds see the same
N_ESTIMATED = 1000  # test images whose log-likelihood is estimated


def adam_updates(cost, params, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """One step of Adam [2, algorithm 1]: the new values of the parameters, and of the state of the method.

    Adam keeps a running mean of each parameter's gradient, and one of the gradient's square, W/mean and W/square. A
    step is the mean, divided by the root of the mean square, so that each parameter moves by about the learning rate,
    whatever the size of its gradient. Both means start at zero, and for the first steps they are too small. The
    division by 1 - beta^t, with t the number of steps, corrects that.
    """
    learning_rate, beta1, beta2, epsilon = map(scalar, (learning_rate, beta1, beta2, epsilon))
    t = parameter(0, "t")
    updates = {t: t + 1}
    for param, gradient in zip(params, pt.grad(cost, params)):
        zeros = np.zeros(param.get_value(borrow=True).shape)
        mean, square = (parameter(zeros, f"{param.name}/{name}") for name in ("mean", "square"))
        updates[mean] = beta1 * mean + (1 - beta1) * gradient
        updates[square] = beta2 * square + (1 - beta2) * gradient**2
        unbiased_mean = updates[mean] / (1 - beta1 ** updates[t])
        unbiased_square = updates[square] / (1 - beta2 ** updates[t])
        updates[param] = param - learning_rate * unbiased_mean / (pt.sqrt(unbiased_square) + epsilon)
    return {variable: new.astype(variable.dtype) for variable, new in updates.items()}


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
        self.theano_rng = symbolic_generator(theano_rng, numpy_rng)
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
        return next_rng, mean + pt.exp(log_variance / 2) * epsilon  # [1, equation 10]

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
        """log p(input, z) - log q(z | input) of drawn codes; the mean of their exponentials estimates p(input).

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
        updates : dict of the new values of the parameters, the generator, and Adam's means
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
    rng = pt.random.shared_rng(seed=EVALUATION_SEED)
    next_rng, binary = vae.binarise(vae.x, rng)
    next_rng, bound = vae.elbo(binary, next_rng)
    bounds = score_function(pt.mean(bound), {vae.x: data_x}, batch_size, {rng: next_rng})

    def mean_bound():
        rng.set_value(np.random.default_rng(EVALUATION_SEED))
        return float(np.mean(bounds()))

    return mean_bound


def estimate_log_likelihood(vae, images, n_samples):
    """The bound on log p(x), and log p(x) by importance sampling [3], of the same binarised images and codes.

    An estimate from few samples is too low, in the mean; with more and more of them it rises to log p(x).

    Parameters
    ----------
    vae : VAE
    images : array, or shared matrix, (n, n_visible)
    n_samples : int
        Codes drawn for each image.

    Returns
    -------
    bound, log_likelihood : float
        Means over the images, in nats.
    """
    rng = pt.random.shared_rng(seed=EVALUATION_SEED)
    image = pt.matrix("image", shape=(1, vae.n_visible))
    images = value_of(images).astype(image.dtype, copy=False)
    next_rng, binary = vae.binarise(image, rng)
    next_rng, log_weights = vae.get_importance_weights(binary, n_samples, next_rng)
    both = [pt.mean(log_weights), pt.logsumexp(log_weights) - np.log(n_samples)]
    estimate = pytensor.function([image], both, updates={rng: next_rng}, mode=rewrites.mode())
    rows = progress(range(len(images)), "log-likelihood")
    bound, log_likelihood = np.mean([estimate(images[row : row + 1]) for row in rows], axis=0)
    return float(bound), float(log_likelihood)


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

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """
    with open_run(test_vae, locals(), check=Datasets.check_that_they_can_be_rebuilt) as run:
        say("... building the model")
        vae = VAE(np.random.RandomState(seed), None, None, run.data.n_in, n_hidden, n_latent)
        cost, updates = vae.get_cost_updates(learning_rate)
        figures = [cost, pt.mean(vae.log_likelihood), pt.mean(vae.divergence)]
        train_vae = minibatch_function(figures, {vae.x: run.data.train_x}, batch_size, updates)
        validate = bound_function(vae, run.data.valid_x, batch_size)

        run.say("... training")
        # By chance, every pixel is guessed at 1/2, with a code that says nothing of the image.
        stage = run.stage(vae, train_vae, chance_cost=run.data.n_in * np.log(2))
        for epoch in stage.epochs(training_epochs):
            for minibatch_index in epoch:
                cost, log_likelihood, divergence = train_vae(minibatch_index)
                epoch.add(cost=cost, log_likelihood=log_likelihood, divergence=divergence)
            validation_bound = validate()
            epoch.note(validation_bound=validation_bound)
            say(
                f"Training epoch {epoch.number}, bound {-epoch.mean('cost'):f} (log-likelihood "
                f"{epoch.mean('log_likelihood'):f}, divergence {epoch.mean('divergence'):f}), "
                f"validation bound {validation_bound:f}"
            )
            if validation_bound > max((line["validation_bound"] for line in run.curve), default=-np.inf):
                stage.keep(validation_bound=validation_bound, best_epoch=epoch.number)

        images = value_of(run.data.test_x)[:N_ESTIMATED]

        def evaluate():
            say("... estimating the log-likelihood of test images")
            bound, log_likelihood = estimate_log_likelihood(vae, images, n_importance_samples)
            return {
                "test_bound": bound_function(vae, run.data.test_x, batch_size)(),
                "bound_where_estimated": bound,
                "test_log_likelihood": log_likelihood,
            }

        closing = (
            "Optimization complete with best validation bound of {validation_bound:f} nats, in epoch {best_epoch:.0f}, "
            "with test bound {test_bound:f}; "
            f"on the first {len(images):,} test images "
            "the bound is {bound_where_estimated:f} and the estimated log-likelihood {test_log_likelihood:f}"
        )
        run.finish(closing.format_map, evaluate)
        return run.draw(plot)


def load_model(saved):
    """A variational autoencoder with the parameters of a saved model."""
    if len(saved.arrays) != 10:
        raise UserError(f"{saved.path} fits another network: it has {len(saved.arrays)} parameters, not 10")
    n_visible, n_hidden, n_latent, _, _ = saved.layer_sizes(4, [*saved.arrays[:4], *saved.arrays[6:]])
    vae = VAE(np.random.RandomState(0), None, None, n_visible, n_hidden, n_latent)
    saved.restore(vae.params)
    return vae


def decoder(vae):
    """A function of codes, (n, n_latent), that returns their images, (n, n_visible)."""
    z = pt.matrix("z")
    images = vae.decode(z)
    return lambda codes: evaluate([images], {z: np.asarray(codes, z.dtype)})[0]


def draw_codes(vae, seed, n=100):
    """Codes of new images, (n, n_latent)."""
    return np.random.default_rng(seed).normal(size=(n, vae.n_latent))


def sample(model, seed=EVALUATION_SEED):
    """Draw a hundred new images from a saved model, into a picture beside it.

    Parameters
    ----------
    model : path
        The model.npz of a run.
    seed : int
        Seed of the draw of the codes.

    Returns
    -------
    Path
        The picture's place.
    """
    saved = SavedModel(model, "vae")
    vae = load_model(saved)
    caption = f"A hundred new images, decoded from codes that were drawn from the prior with seed {seed}."
    return save_samples(saved, saved.load_data(), decoder(vae)(draw_codes(vae, seed)), seed, caption)


def plot(folder, datasets=None):
    """Draw the pictures of a run: the bound, new images, reconstructions, walks between test images, the codes.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_vae, datasets)
    bound = {"training": pictures.series("cost", factor=-1), "validation": pictures.series("validation_bound")}
    likelihood = {"log-likelihood of the image, given its code": pictures.series("log_likelihood")}
    divergence = {"divergence of the code from p(z)": pictures.series("divergence")}
    panels = [("", "nats an image", each) for each in (bound, likelihood, divergence)]
    caption = "The bound on the log-likelihood by epoch: the second panel's term minus the third's."
    pictures.draw_curves("bound", "The bound on the log-likelihood, and its two terms", panels, caption, clip=True)
    for vae in pictures.models(load_model).values():
        decode = decoder(vae)
        title = "New images, for codes drawn from the standard normal distribution"
        caption = "A hundred new images, decoded from codes that were drawn from the prior."
        pictures.draw_images("samples", title, decode(draw_codes(vae, EVALUATION_SEED)), caption)

        mean, _ = vae.encode(vae.x)
        rebuilt = pictures.of_test_images(vae.x, {"from the mean of its codes": vae.decode(mean)})
        pictures.draw_reconstructions(rebuilt, "Test images, and the images decoded from the means of their codes.")

        [(_, means)] = pictures.of_test_images(vae.x, {"": mean}, n=None)
        steps = np.linspace(0, 1, 11)[:, None]
        walks = [(1 - steps) * start + steps * end for start, end in zip(means, means[1:10])]
        title = "Walks along straight lines between the codes of test images"
        caption = "From the left to the right of each row, the code moves on a straight line between two test images."
        pictures.draw_images("walks", title, decode(np.concatenate(walks)), caption, columns=len(steps))

        if vae.n_latent == 2:
            places = ndtri((np.arange(20) + 0.5) / 20)
            title = "Images for codes on a grid, with as much probability in each of its cells"
            grid = [(x, y) for y in places[::-1] for x in places]
            caption = "A map of the images that the decoder can make: each cell of the grid has the same probability."
            pictures.draw_images("plane", title, decode(grid), caption, columns=20)
            caption = "Mean codes of the test images, in the colours of their labels, which the model has never seen."
            pictures.draw_scatter("codes", f"Codes of the {len(means):,} test images", means, caption)


QUICK = {"training_epochs": 5, "n_importance_samples": 50}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9, "n_latent": 2, "n_importance_samples": 3}  # for tests

if __name__ == "__main__":
    sys.exit(command(test_vae, quick=QUICK, plot=plot, sample=sample))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. The answers are in
tests/exercises/vae.md.

1. The code. Run `--quick` with `--n-latent` 2, 5, 20 and 50. From what size on does another entry gain little? Look
   at the divergence, too.
2. The plane. Look at `codes.png` and `plane.png` of the run with two entries. Which digits have a place of their own,
   and which lie on top of each other? Why are these drawn to one place?
3. The two numbers. Run `--quick`. The last line has the bound and the estimate of log p(x) for the same 1,000 images.
   What does their difference measure? Could you lower it without changing the decoder?
4. Code: a weight for the divergence. Give `VAE.get_cost_updates` a last argument, `divergence_weight=1.0`: the cost
   becomes divergence_weight · divergence − log-likelihood. `elbo` stays the bound, and so does the validation bound.
   Check it by `python -m pytest tests/exercises -k weighted`. To choose it on the command line, give the driver
   `test_vae` an argument `divergence_weight=1.0`, with a line `divergence_weight : float, at least 0` and its sentence
   in the docstring, and hand it on. Then run `--quick --fresh` with `--divergence-weight` 0.1 and 4. Which weight gives
   the best reconstructions, which the best samples, and which the best validation bound?
"""
