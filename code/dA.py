"""Lesson 3: a denoising autoencoder.

The model (Autoencoder)
    An autoencoder maps its input to a hidden code and back. Training makes the output z resemble the input x:

        y = σ(x W + b),    z = σ(y W′ + b′),    W′ = Wᵀ (tied weights),    σ(a) = 1 / (1 + exp(−a))

    There are no labels in this lesson: y is the code. With fewer hidden units than inputs, the code must be a summary.
    With more, it could be a copy. But gradient descent need not find a copy. The first sigmoid is nearly a straight
    line only while its input is small, which asks for small weights. The second sigmoid comes near 0 or 1 only if its
    input is large, which asks for large ones. Tied weights can do both only if many small ones add up: 8,192 units with
    weights of ±0.1 copy every black and white image of eight pixels to 5e-5. The 500 units of the default run stay 5
    nats from a copy.

    For a denoising autoencoder [1] a mere copy of its input is wrong. It sees x̃, in which entries of x were lost:

        x  --corrupt-->  x̃  --W, b-->  y  --W′, b′-->  z        the cost compares z with x, not with x̃

    Here each entry is set to zero with probability `corruption_level`, independently of the others. (Vincent et al. [1]
    choose a fixed number of entries in each image.) Each lost entry has to be predicted from the others. So the code
    must hold how entries depend on each other. At a low level few entries are lost, and a code that copies the others
    still has a low cost.

The cost and its gradient (get_reconstruction_cost)
    Read zₖ as the probability that pixel k is white, and say the pixels are independent, given z. A black and white
    image x, of zeros and ones, then has the probability Πₖ zₖ^xₖ (1 − zₖ)^(1 − xₖ). As in lesson 1, the cost is its
    negative logarithm, the cross-entropy, in nats, averaged over the minibatch:

        L(x, z) = −Σₖ [xₖ log zₖ + (1 − xₖ) log(1 − zₖ)]

    A grey xₖ counts as a pixel that is white with probability xₖ. L is then the mean cost of such black and white
    images.

    Its gradient: let a = y W′ + b′, so that zₖ = σ(aₖ). Since log σ(a) = a − log(1 + exp a), and
    log(1 − σ(a)) = −log(1 + exp a), the cost is

        L = Σₖ [log(1 + exp aₖ) − xₖ aₖ],    ∂L/∂aₖ = exp aₖ / (1 + exp aₖ) − xₖ = zₖ − xₖ.

    It is lesson 1's P − onehot again: the probability that the model gives, minus the one that would be right.

One example, with numbers
    Two pixels, one hidden unit; x = (1, 1), and the second pixel is lost: x̃ = (1, 0). W = (2 ln 3, 0)ᵀ, b = −2 ln 3,
    b′ = (0, 0).

        y = σ(2 ln 3 − 2 ln 3) = 1/2
        z = (σ(ln 3), σ(0)) = (3/4, 1/2)                        L = −ln 3/4 − ln 1/2 = 0.981
        ∂L/∂(y W′ + b′) = z − x = (−1/4, −1/2)
        ∂L/∂(x̃ W + b)   = (−1/4 · 2 ln 3 + 0) · 1/2 · 1/2 = −0.137
        ∂L/∂W = x̃ᵀ (−0.137) + (z − x)ᵀ 1/2 = (−0.137 − 0.125, 0 − 0.25)ᵀ = (−0.262, −0.25)ᵀ

    W stands in both maps, so its gradient is a sum of two parts. The factor 1/2 · 1/2 is the slope y (1 − y) of the
    sigmoid. A step raises the weight of the second pixel, although that pixel was lost: the unit learns that the two
    are lit together. After a step of 0.8 on all parameters, L = 0.653.

The graph (get_corrupted_input)
    Randomness is symbolic, too. A draw takes the state of a generator, and gives the next state beside the numbers.
    The state is a shared variable. If the updates carry the next state, each call draws anew. In the page of
    `--show-graph`, look for `rng` among the updates, and for `tilde_x`, `y`, `z` and `L`.

The loop (test_dA)
    There are no labels and no validation. The loop runs a given number of epochs, and prints the mean cost of each.

What to look at (plot)
    The first cost. It is some 850 nats an image, while an untrained guess of 1/2 for every pixel costs only
    784 ln 2 = 543.4. The random weights guess worse than that, because their guesses are far from 1/2. The a of a
    pixel is a sum of 500 random terms, with a standard deviation of about 2. A dark pixel costs log(1 + exp a). This
    function is convex, so its mean over such a is larger than its value at their mean (Jensen's inequality). At
    a = 0 it is ln 2 = 0.69. Its mean over normal a of mean 0 and deviation 2 is 1.07, and 784 times that is 837.

    The cost of the default run after 15 epochs: 52.4 without corruption, 65.6 with 30 %. It cannot fall to zero: a
    pixel of 0.5 costs ln 2 even where z is 0.5. For perfect copies of MNIST's training images, such costs add up to
    46.99 nats an image. Guessing each pixel's mean costs 206.0.

    The filters, one picture for each column of W. Each has grey values of its own, from its lowest to its highest
    weight, so a faint filter looks as strong as any. Without corruption many look like noise; with 30 % they become
    strokes and spots. `reconstructions.png` shows x̃ and z.

Exercises stand at the foot of this file, their answers in tests/exercises/dA.md.

References
    [1] P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, Extracting and Composing Robust Features with Denoising
        Autoencoders, ICML 2008.
"""

import sys
from functools import partial

from logistic_sgd import minibatch_function, parameter, sgd_updates
from mlp import uniform_weights
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import symbolic_generator
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked
from support.start import UserError

import numpy as np
import pytensor.tensor as pt

COSTS_TITLE = "Cost of reconstruction, mean of each epoch"


class Autoencoder:
    """An autoencoder with tied weights, from the input to a hidden representation and back.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the initial weights.
    input : symbolic matrix, (batch, n_visible), optional
        Values in 0..1; by default a new one.
    n_visible : int
        Number of inputs.
    n_hidden : int
        Number of hidden units.
    W : shared matrix, (n_visible, n_hidden), optional
        By default uniform in +-4 sqrt(6 / (n_visible + n_hidden)).
    bhid : shared vector, (n_hidden,), optional
        Hidden bias, by default zero.
    bvis : shared vector, (n_visible,), optional
        Visible bias, by default zero.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_visible), the input
    W, b, b_prime : shared variables, the weights, the hidden and the visible bias
    W_prime : symbolic matrix, (n_hidden, n_visible), W transposed
    params : [W, b, b_prime]
    """

    def __init__(self, numpy_rng, input=None, n_visible=784, n_hidden=500, W=None, bhid=None, bvis=None):
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.x = pt.matrix("x") if input is None else input
        self.W = uniform_weights(numpy_rng, n_visible, n_hidden, factor=4) if W is None else W
        self.b = parameter(np.zeros(n_hidden), "b") if bhid is None else bhid
        self.b_prime = parameter(np.zeros(n_visible), "b_prime") if bvis is None else bvis
        self.W_prime = self.W.T
        self.params = [self.W, self.b, self.b_prime]

    def get_hidden_values(self, input):
        """The hidden representation, (batch, n_hidden)."""
        return pt.sigmoid(pt.dot(input, self.W) + self.b)

    def get_reconstructed_input(self, hidden):
        """The input rebuilt from the hidden representation, (batch, n_visible)."""
        return pt.sigmoid(pt.dot(hidden, self.W_prime) + self.b_prime)

    def get_reconstruction_cost(self, z):
        """The cross-entropy of the clean input and a reconstruction z, (batch,), in nats an example."""
        # PyTensor compiles log(sigmoid(a)) as -softplus(-a), which stays finite where z is 0 or 1 in floating point.
        return -pt.sum(self.x * pt.log(z) + (1 - self.x) * pt.log(1 - z), axis=1)


class dA(Autoencoder):
    """A denoising autoencoder: each entry of its input is lost with probability `corruption_level`, independently.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of the symbolic generator, where none is given, and then the initial weights.
    theano_rng : shared generator, optional
        The symbolic generator of the corruption (the name is the tutorial's), a `pt.random.shared_rng`.
    input, n_visible, n_hidden, W, bhid, bvis
        As in `Autoencoder`. In a stack, W and bhid are the sigmoid layer's.

    Attributes
    ----------
    theano_rng : shared generator
    """

    def __init__(
        self, numpy_rng, theano_rng=None, input=None, n_visible=784, n_hidden=500, W=None, bhid=None, bvis=None
    ):
        self.theano_rng = symbolic_generator(theano_rng, numpy_rng)
        super().__init__(numpy_rng, input, n_visible, n_hidden, W, bhid, bvis)

    def get_corrupted_input(self, input, corruption_level):
        """Set each entry of the input to zero with probability `corruption_level`.

        Returns
        -------
        next_rng : symbolic generator
            Its state after the draw, to go into the updates.
        corrupted : symbolic matrix, (batch, n_visible)
        """
        keep_probability = pt.full_like(input, 1 - corruption_level)  # (batch, n_visible)
        next_rng, mask = self.theano_rng.binomial(n=1, p=keep_probability)
        return next_rng, mask.astype(input.dtype) * input  # an int64 mask would make the product float64

    def get_cost_updates(self, corruption_level, learning_rate):
        """The cost and the updates of one step of training.

        Parameters
        ----------
        corruption_level : float or symbolic scalar, in [0, 1)
        learning_rate : float or symbolic scalar

        Returns
        -------
        cost : symbolic scalar, in nats an example
        updates : dict of the new values of the parameters and the generator
        """
        next_rng, tilde_x = self.get_corrupted_input(self.x, corruption_level)
        y = self.get_hidden_values(tilde_x)  # (batch, n_hidden)
        z = self.get_reconstructed_input(y)  # (batch, n_visible)
        L = self.get_reconstruction_cost(z)  # (batch,)
        cost = pt.mean(L)
        tilde_x.name, y.name, z.name, L.name = "tilde_x", "y", "z", "L"

        updates = sgd_updates(cost, self.params, learning_rate)
        updates[self.theano_rng] = next_rng
        return cost, updates


def percent(level):
    """A corruption level in percent, as files and lines have it."""
    return f"{100 * level:g}"


@checked
def test_dA(
    learning_rate=0.1, training_epochs=15, dataset="mnist.pkl.gz", batch_size=20, output_folder=None, n_hidden=500,
    corruption_levels=[0.0, 0.3], seed=123, fresh=False, show_graph=False,
):  # fmt: skip
    """Train a denoising autoencoder once for each corruption level, and draw its filters.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    training_epochs : int, at least 1
        Passes over the training set.
    n_hidden : int, at least 1
        Hidden units.
    corruption_levels : list of float, in [0, 1)
        Probabilities of setting an entry to zero, one training for each, all from the same seed.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result` for each level. A ValueError says which argument cannot be used, and why.
    """
    if len(set(map(percent, corruption_levels))) < len(corruption_levels):
        raise UserError(f"corruption_levels must differ in their first six digits, not {corruption_levels}")
    stages = {}
    with open_run(test_dA, locals(), check=Datasets.check_that_they_can_be_rebuilt) as run:
        for level in corruption_levels:
            say("... building the model")
            x = pt.matrix("x")  # (batch, n_visible)
            rng = np.random.RandomState(seed)
            theano_rng = pt.random.shared_rng(seed=rng.randint(2**30))
            da = dA(numpy_rng=rng, theano_rng=theano_rng, input=x, n_visible=run.data.n_in, n_hidden=n_hidden)
            cost, updates = da.get_cost_updates(corruption_level=level, learning_rate=learning_rate)
            train_da = minibatch_function(cost, {x: run.data.train_x}, batch_size, updates)

            run.say("... training")
            stage = stages[level] = run.stage(
                da, train_da, name=f"{percent(level)}% corruption", file=f"model_corruption_{percent(level)}",
                title=None if level else "The no corruption code", corruption=level,
                chance_cost=run.data.n_in * np.log(2),  # of guessing every pixel at 1/2
            )  # fmt: skip
            for epoch in stage.epochs(training_epochs, first=0):
                for minibatch_index in epoch:
                    epoch.add(cost=train_da(minibatch_index))
                say(f"Training epoch {epoch.number}, cost {epoch.mean('cost'):f}")
                stage.keep()

        run.finish()
        run.draw(plot)
    return {level: stage.result for level, stage in stages.items()}


def load_autoencoder(kind, saved):
    """An autoencoder of a class, such as `dA`, with the parameters of a saved model."""
    n_visible, n_hidden = saved.layer_sizes(1, saved.arrays[:2])
    autoencoder = kind(np.random.RandomState(0), n_visible=n_visible, n_hidden=n_hidden)
    saved.restore(autoencoder.params)
    return autoencoder


def plot(folder, datasets=None):
    """Draw the pictures of a run: its costs, filters, reconstructions of test images.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_dA, datasets, stages={"corruption": "training"})
    costs = pictures.series_by("corruption", "cost", lambda level: f"{percent(level)} % corruption")
    caption = "Mean cost of each epoch: the more pixels are lost, the harder it is to rebuild the image."
    pictures.draw_curves("costs", COSTS_TITLE, [("", "cost (nats an image)", costs)], caption)
    names = {level: f"model_corruption_{percent(level)}" for level in pictures.values("corruption")}
    models, rows = pictures.models(partial(load_autoencoder, dA), names), []
    for level, da in models.items():
        _, corrupted = da.get_corrupted_input(da.x, level)
        rebuilt = da.get_reconstructed_input(da.get_hidden_values(corrupted))
        rows += pictures.of_test_images(
            da.x, {f"{percent(level)} % set to zero": corrupted, "… reconstructed": rebuilt}
        )
        caption = f"Weights of the first hundred hidden units, trained with {percent(level)} % of the pixels lost."
        pictures.save_filters(da.W, f"filters_corruption_{percent(level)}", caption)
    filters = {f"trained at {percent(level)} % corruption": da.W for level, da in models.items()}
    caption = "Weights of the hidden units, an image for each: corruption turns noise into strokes and spots."
    pictures.draw_filters(filters, caption)
    caption = "Test images, the same with some of their pixels lost, and the reconstructions made from those."
    pictures.draw_reconstructions(rows, caption)


QUICK = {"training_epochs": 3}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_dA, quick=QUICK, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. Figures are the mean cost of
the third epoch on MNIST, in nats an image. The answers are in tests/exercises/dA.md.

1. The noise. Run `--quick --corruption-levels 0 0.3 0.6 0.9` and put the four pictures of filters side by side. Why
   does a harder task ask for larger features? Does the lowest cost show the best code?
2. The bottleneck. Run `--quick --n-hidden 50`. How far apart are the costs with and without corruption now, and why?
3. The size of a step. Run `--quick --learning-rate 1`. The cost is a sum over 784 pixels, not a mean. How does that
   limit the rate?
4. Code: Gaussian noise. Let `get_corrupted_input` add noise of mean 0 and standard deviation `corruption_level`,
   drawn by the generator's `normal`. Check it by `python -m pytest tests/exercises -k gaussian`. No option is new:
   `--corruption-levels` now sets the deviations. Run `--quick --corruption-levels 0.3 --fresh`. Compare costs and
   filters with those of lost pixels. With which of the two noises must the code know more about the image?
"""
