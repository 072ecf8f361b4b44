"""Lesson 3: a denoising autoencoder.

The model
    An autoencoder maps its input to a hidden code and back. Training makes the output z resemble the input x:

        y = sigmoid(x W + b),    z = sigmoid(y W' + b'),    W' = W transposed (tied weights)

    With fewer hidden units than inputs, the code must be a summary. With more, it could be a copy, but gradient descent
    need not find it: a sigmoid passes a value on unbent only if its weights are small, and z comes near 0 or 1 only if
    they are large. Tied weights cannot be both.

    A denoising autoencoder [1] goes further, and makes a mere copy wrong. It sees x~, in which entries of x were lost:

        x  --corrupt-->  x~  --W, b-->  y  --W', b'-->  z        the cost compares z with x, not with x~

    Each lost entry has to be predicted from the others. So the code must hold how entries depend on each other. At a
    low level few entries are lost, and copying the others still pays. Here each entry is set to zero with probability
    `corruption_level`, by itself; Vincent et al. [1] choose a fixed number of entries in each image.

    The cost is the cross-entropy in nats, summed over the entries, averaged over the minibatch:

        L(x, z) = -sum_k [x_k log z_k + (1 - x_k) log(1 - z_k)]

One example, with numbers
    Two pixels, one hidden unit; x = (1, 1), and the second pixel is lost: x~ = (1, 0). W = (2 ln 3, 0)', b = -2 ln 3,
    b' = (0, 0).

        y = sigmoid(2 ln 3 - 2 ln 3) = 1/2
        z = (sigmoid(ln 3), sigmoid(0)) = (3/4, 1/2)            L = -ln 3/4 - ln 1/2 = 0.981
        dL/d(y W' + b') = z - x = (-1/4, -1/2)
        dL/d(x~ W + b)  = (-1/4 * 2 ln 3 + 0) * 1/2 * 1/2 = -0.137
        dL/dW = x~' (-0.137) + (z - x)' 1/2 = (-0.137 - 0.125, 0 - 0.25)' = (-0.262, -0.25)'

    A step raises the weight of the second pixel, although that pixel was dark: the unit learns that the two are lit
    together. After a step of 0.8 on all parameters, L = 0.653.

The graph
    Randomness is symbolic, too. A draw takes the state of a generator, and gives the next state beside the numbers.
    The state is a shared variable. If the updates carry the next state, each call draws anew. In the page of
    `--show-graph`, look for `rng` among the updates, and for `tilde_x`, `y`, `z` and `L`.

The loop
    No labels, no validation: a given number of epochs, and the mean cost of each.

What to look at
    The cost of the default run after 15 epochs: 52.4 without corruption, 65.6 with 30 %. It cannot fall to zero: a
    pixel of 0.5 costs ln 2 even where z is 0.5. For perfect copies of MNIST's training images, such costs add up to
    46.99 nats an image. Guessing each pixel's mean costs 206.0, and guessing 1/2 everywhere 784 ln 2 = 543.4.

    The filters, one picture for each column of W, each stretched from its own lowest to its own highest value: a faint
    one looks as strong as any. Without corruption many look like noise; with 30 % they become strokes and spots.
    `reconstructions.png` shows x~ and z.

Exercises, and then their answers, stand at the foot of this file.

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
from support.errors import UserError
from support.inputs import symbolic_generator
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked

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
    """A denoising autoencoder: each entry of its input is lost by itself, with probability `corruption_level`.

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
        updates : dict of what the parameters and the generator become
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

    Returns
    -------
    dict of support.runs.result.Result
        By corruption level. A ValueError says which argument cannot be used, and why.
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
    pictures.draw_curves("costs", COSTS_TITLE, [("", "cost (nats an image)", costs)])
    names = {level: f"model_corruption_{percent(level)}" for level in pictures.values("corruption")}
    models, rows = pictures.models(partial(load_autoencoder, dA), names), []
    for level, da in models.items():
        _, corrupted = da.get_corrupted_input(da.x, level)
        rebuilt = da.get_reconstructed_input(da.get_hidden_values(corrupted))
        rows += pictures.of_test_images(
            da.x, {f"{percent(level)} % set to zero": corrupted, "… reconstructed": rebuilt}
        )
        pictures.save_filters(da.W, f"filters_corruption_{percent(level)}")
    pictures.draw_filters({f"trained at {percent(level)} % corruption": da.W for level, da in models.items()})
    pictures.draw_reconstructions(rows)


QUICK = {"training_epochs": 3}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_dA, quick=QUICK, plot=plot))


"""Exercises

Before each run, write down what you expect. Figures are the mean cost of the third epoch on MNIST, in nats an image.

1. The noise. Run `--quick --corruption-levels 0 0.3 0.6 0.9` and put the four pictures side by side. Why does a
   harder task ask for larger features? Is the lowest cost the best representation?
2. The bottleneck. Run `--quick --n-hidden 50`. How far apart are the costs with and without corruption now, and why?
3. The size of a step. Run `--quick --learning-rate 1`. The cost is a sum over 784 pixels, not a mean. What has that
   to do with the rate that it bears?
4. Code: Gaussian noise. Let `get_corrupted_input` add noise of mean 0 and standard deviation `corruption_level`,
   drawn by the generator's `normal`. Check it by `python -m pytest tests/exercises -k gaussian`. Compare costs and
   filters with those of lost pixels. Which of the two noises asks for more knowledge of the image?




Answers

Three seeds each, 123, 1 and 2; the figures are those of 123, and the others lie within 0.4 of them, where nothing
else is said.

1. 54.8, 70.8, 88.8 and 141.7. Noise, then spots, then strokes, then pieces of whole digits. Where neighbours are
   lost, too, only pixels further away can tell what was there. The cost without noise is the lowest because the task
   is the easiest: it comes within 8 nats of a perfect copy, 46.99. What a code is good for shows elsewhere, in lesson
   4.
2. 95.9 without corruption and 98.7 with 30 %: 3 apart, where 500 units are 16 apart. 50 units cannot copy 784 pixels.
   So they have to learn what goes with what, even without noise; a lost pixel then costs little more.
3. From 81 to 84, and from 85 to 88, instead of 54.8 and 70.8. The steps are too long. The gradient of a sum over 784
   pixels is 784 times that of their mean, so a rate of 0.1 here would be 78 there. At a rate of 1 the figures differ
   from machine to machine.
4. tests/exercises/solutions/gaussian.py. At a deviation of 0.3 the cost is 70.1, 70.1 and 70.2; with 30 % of the
   pixels lost it is 70.8 to 71.0. The costs are near each other, but the tasks differ. A noisy pixel still says
   something about itself: one at 0.8 was hardly 0. A lost pixel says nothing, and only the others can.
"""
