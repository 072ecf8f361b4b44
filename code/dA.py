"""Lesson 3: a denoising autoencoder.

The model
    An autoencoder maps its input to a hidden representation and back:

        y = sigmoid(x~ W + b),    z = sigmoid(y W' + b'),    W' = W transposed (tied weights)

    With enough hidden units it could learn to copy. A denoising autoencoder [1] cannot: it sees x~, a version of x in
    which each entry was set to zero with probability `corruption_level`, and must rebuild the clean x, so it has to
    learn how the entries of the input depend on each other. The cost is the cross-entropy of x and z,

        L(x, z) = -sum_k [x_k log z_k + (1 - x_k) log(1 - z_k)],

    averaged over the minibatch.

The graph
    Randomness is symbolic, too: a draw takes the state of a generator and gives the next state beside the numbers. The
    state is a shared variable, and as long as the updates carry the next state, each call draws anew.

What to look at
    The filters, one picture for each column of W. Without corruption many look like noise; with 30 % of the entries
    set to zero they become strokes and spots.

Exercises (figures: cost in nats an image, mean of the third epoch on MNIST, float32, the default seed)
    1. The noise. `--quick --corruption-levels 0 0.3 0.6 0.9` costs 54.8, 70.8, 88.8 and 141.7. Put the four pictures
       side by side: noise, then spots, then strokes, then pieces of whole digits. Why does a harder task ask for
       larger features, and why is the lowest cost not the best representation?
    2. The bottleneck. `--quick --n-hidden 50` costs 95.9 without corruption and 98.7 with 30 %: 3 nats apart, where
       500 units are 16 apart. What does a narrow layer do that corruption does for a wide one?
    3. The size of a step. `--quick --learning-rate 1` costs 84.4 and 87.7 instead of 54.8 and 70.8. The cost is a sum
       over 784 pixels, not a mean: what has that to do with the rate that it bears?

References
    [1] P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, Extracting and Composing Robust Features with Denoising
        Autoencoders, ICML 2008.
"""

import sys

import numpy as np
import pytensor
import pytensor.tensor as pt

from logistic_sgd import minibatch, parameter, sgd_updates
from support.command import command
from support.console import say
from support.data import load_data
from support.pictures import Pictures
from support.runs.models import SavedModel
from support.runs.run import Result, Run, count_minibatches
from support.settings import check_settings
from utils import tile_raster_images


class dA:
    """A denoising autoencoder with tied weights.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of the symbolic generator, where none is given, and then the initial weights.
    theano_rng : shared generator, optional
        The symbolic generator of the corruption (the name is the tutorial's), a `pt.random.shared_rng`.
    input : symbolic matrix, (batch, n_visible), optional
        By default a new one.
    n_visible : int
        Number of inputs.
    n_hidden : int
        Number of hidden units.
    W : shared matrix, (n_visible, n_hidden), optional
        By default uniform in +-4 sqrt(6 / (n_visible + n_hidden)). In a stack, the sigmoid layer's.
    bhid : shared vector, (n_hidden,), optional
        Hidden bias, by default zero. In a stack, the sigmoid layer's.
    bvis : shared vector, (n_visible,), optional
        Visible bias, by default zero.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_visible), the input
    W, b, b_prime : shared variables, the weights, the hidden and the visible bias
    W_prime : symbolic matrix, (n_hidden, n_visible), W transposed
    params : [W, b, b_prime]
    theano_rng : shared generator
    """

    def __init__(
        self,
        numpy_rng,
        theano_rng=None,
        input=None,
        n_visible=784,
        n_hidden=500,
        W=None,
        bhid=None,
        bvis=None,
    ):
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        if theano_rng is None:
            theano_rng = pt.random.shared_rng(seed=numpy_rng.randint(2**30))
        if W is None:
            bound = 4 * np.sqrt(6.0 / (n_visible + n_hidden))
            W = parameter(numpy_rng.uniform(-bound, bound, size=(n_visible, n_hidden)), "W")
        if bhid is None:
            bhid = parameter(np.zeros(n_hidden), "b")
        if bvis is None:
            bvis = parameter(np.zeros(n_visible), "b_prime")
        self.W = W
        self.b = bhid
        self.b_prime = bvis
        self.W_prime = self.W.T
        self.theano_rng = theano_rng
        self.x = pt.matrix("x") if input is None else input
        self.params = [self.W, self.b, self.b_prime]

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

    def get_hidden_values(self, input):
        """The hidden representation, (batch, n_hidden)."""
        return pt.sigmoid(pt.dot(input, self.W) + self.b)

    def get_reconstructed_input(self, hidden):
        """The input rebuilt from the hidden representation, (batch, n_visible)."""
        return pt.sigmoid(pt.dot(hidden, self.W_prime) + self.b_prime)

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
        # PyTensor compiles log(sigmoid(a)) as -softplus(-a), which stays finite where z is 0 or 1 in floating point.
        L = -pt.sum(self.x * pt.log(z) + (1 - self.x) * pt.log(1 - z), axis=1)  # (batch,)
        cost = pt.mean(L)
        tilde_x.name, y.name, z.name, L.name = "tilde_x", "y", "z", "L"

        updates = sgd_updates(cost, self.params, learning_rate)
        updates[self.theano_rng] = next_rng
        return cost, updates


def test_dA(
    learning_rate=0.1,
    training_epochs=15,
    dataset="mnist.pkl.gz",
    batch_size=20,
    output_folder=None,
    n_hidden=500,
    corruption_levels=[0.0, 0.3],
    seed=123,
):
    """Train a denoising autoencoder once for each corruption level, and draw its filters.

    Parameters
    ----------
    learning_rate : float
        Size of a step.
    training_epochs : int
        Passes over the training set.
    dataset : path
        mnist.pkl.gz or mnist, digits (drawn, not downloaded), or your own: an .npz file of x and y, or a pickle of
        ((x, y), (x, y), (x, y)).
    batch_size : int
        Examples in a minibatch.
    output_folder : path
        Where the run's files go (default: runs/dA at the top of the repository).
    n_hidden : int
        Hidden units.
    corruption_levels : list of float
        Probabilities of setting an entry to zero, one run for each.
    seed : int
        Of the initial weights and the corruption, the same for each run.

    Returns
    -------
    dict of support.runs.run.Result
        By corruption level.

    Raises
    ------
    ValueError
        Where an argument cannot be used.
    """
    settings = check_settings(locals())
    say("... loading data")
    datasets = load_data(dataset)
    datasets.check_that_they_can_be_rebuilt()
    n_train_batches = count_minibatches(datasets, batch_size)
    run = Run("dA", settings, datasets)
    (train_set_x, _), _, _ = datasets

    results = {}
    for level in corruption_levels:
        say("... building the model")
        index = pt.lscalar("index")
        x = pt.matrix("x")  # (batch, n_visible)
        rng = np.random.RandomState(seed)
        theano_rng = pt.random.shared_rng(seed=rng.randint(2**30))
        da = dA(numpy_rng=rng, theano_rng=theano_rng, input=x, n_visible=datasets.n_in, n_hidden=n_hidden)
        percent = f"{100 * level:g}"
        name = f"model_corruption_{percent}"
        run.track(*da.params, theano_rng, name=name)
        cost, updates = da.get_cost_updates(corruption_level=level, learning_rate=learning_rate)
        train_da = pytensor.function(
            [index], cost, updates=updates, givens={x: minibatch(train_set_x, index, batch_size)}
        )

        run.show_graph(f"corruption_{percent}", train_da)
        say("... training")
        chance_cost = datasets.n_in * np.log(2)  # of guessing every pixel at 1/2
        with run.timed(f"{percent}% corruption"):
            for epoch in run.epochs(training_epochs, n_train_batches, 0, chance_cost=chance_cost, corruption=level):
                for minibatch_index in epoch:
                    epoch.add_cost(train_da(minibatch_index))
                say(f"Training epoch {epoch.number}, cost {epoch.mean_cost:f}")
                run.keep(da, name)
        results[level] = Result(da, [line for line in run.curve if line.get("corruption") == level])
        filters = da.W.get_value(borrow=True).T  # (n_hidden, n_visible), a filter a row
        picture = tile_raster_images(filters, datasets.image_shape, tile_shape=(10, 10), tile_spacing=(1, 1))
        run.save_picture(f"filters_corruption_{percent}", picture)
    run.write_result()
    run.draw(plot)
    return results


def plot(folder, datasets=None):
    """Draw the pictures of a run: its costs, filters, reconstructions of test images.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, "dA", datasets)
    pictures.draw_costs("corruption", lambda level: f"{100 * level:g} % corruption", together=True)
    levels = {f"{100 * level:g}": level for level in pictures.values("corruption")}
    saved_models = pictures.models({f"model_corruption_{percent}": SavedModel for percent in levels})
    filters, rows = {}, []
    for (percent, level), saved in zip(levels.items(), saved_models):
        if saved:
            n_visible, n_hidden = saved.layer_sizes(1, saved.arrays[:2])
            da = dA(np.random.RandomState(0), n_visible=n_visible, n_hidden=n_hidden)
            saved.restore(da.params)
            filters[f"trained at {percent} % corruption"] = da.W
            _, corrupted = da.get_corrupted_input(da.x, level)
            reconstructed = da.get_reconstructed_input(da.get_hidden_values(corrupted))
            names = f"{percent} % set to zero", "… reconstructed"
            rows += zip(names, pictures.of_test_images(da.x, corrupted, reconstructed))
    pictures.draw_filters(filters)
    pictures.draw_reconstructions(rows)


if __name__ == "__main__":
    sys.exit(command(test_dA, quick={"training_epochs": 3}, plot=plot))
