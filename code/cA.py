"""Lesson 7: a contractive autoencoder.

The model (cA)
    The autoencoder of lesson 3, without its noise:

        y = σ(x W + b),    z = σ(y W′ + b′),    W′ = Wᵀ (tied weights)

    A good code should change little when the input changes a little. The Jacobian measures this change. It is the
    matrix of the derivatives of all hidden units with respect to all inputs. Since the slope of the sigmoid is
    y (1 − y), its entries are

        Jᵢⱼ = ∂yⱼ / ∂xᵢ = yⱼ (1 − yⱼ) Wᵢⱼ.

    A contractive autoencoder [1] adds the sum of their squares, |J|², to its cost. For a minibatch of B examples it is

        cost = (1/B) Σₙ L(xₙ, zₙ) + contraction_level (1/B) Σₙ |J(xₙ)|²,

    where L is the cross-entropy of lesson 3. The two terms pull against each other. The second is lowest for a code
    that never changes. The first needs codes that differ between the training images. The result is a code that
    changes along the few directions in which one digit turns into another, and hardly along any others.

    Tied weights matter here. With weights of its own the decoder could grow while the encoder shrinks: the Jacobian
    would become as small as one likes, and the reconstruction would stay as it is.

One example, with numbers
    Two pixels, one hidden unit, one image: x = (1, 0). W = (2, 1)ᵀ, b = −2, b′ = (0, 0); the contraction level is 1.

        y = σ(2 − 2) = 1/2                                           slope = y (1 − y) = 1/4
        J = 1/4 (2, 1)ᵀ = (1/2, 1/4)ᵀ                                |J|² = 1/4 + 1/16 = 5/16
        z = (σ(1), σ(1/2)) = (0.731, 0.622)                          L = −ln 0.731 − ln(1 − 0.622) = 1.287
        ∂|J|²/∂W = 2 (1/4)² W = (1/4, 1/8)ᵀ with y held fixed        ∂|J|²/∂y = 2 (1/4) (1 − 2 y) |W|² = 0

    The penalty shrinks both weights. It also moves a unit out of the middle, where its slope is largest; this one is
    exactly there, and so it is not moved.

The graph (get_jacobian)
    `get_jacobian` has a row for each pixel and a column for each unit, for every example: 392,000 numbers an example
    with 784 pixels and 500 units. The compiled function never makes them. In the squares, slopes and weights are
    separate factors, and only the slopes depend on the example n. So each factor can be summed alone:

        Σₙᵢⱼ Jₙᵢⱼ² = Σⱼ (Σₙ (yₙⱼ (1 − yₙⱼ))²) (Σᵢ Wᵢⱼ²).

    The rewrite `factored_sum` finds this, in the sum and in its gradient. A step then takes about as long as a step
    of the plain autoencoder.

    The original tutorial divides the sum by the size of the minibatch with `//`. For Theano the result is a rounded
    number, whose gradient is zero. The original's cost contains the penalty, but its steps ignore the penalty. Here the
    division is a true one.

The loop (test_cA)
    As in lesson 3, an epoch is a pass over the minibatches. Two means over the minibatches are printed: that of the
    cost of reconstruction, and that of the norm. The norm of a minibatch is the root of its mean |J|².

What to look at (singular_values)
    The first cost holds the penalty. With the default settings it is 842 nats: 805 of cross-entropy, and a penalty of
    0.1 · 374. An untrained guess of 1/2 for every pixel has a cross-entropy of 543.4. The first printed line
    compares the two cross-entropies.

    Then the picture `singular_values`. A singular value of the Jacobian is the amount by which the code changes for a
    small step of the input along one direction, divided by the length of the step. The curve of the contractive
    autoencoder is lower everywhere and falls faster: few directions are left that change the code. The run trains a
    second autoencoder without the penalty, from the same weights, for the sake of that picture.

Exercises stand at the foot of this file, their answers in tests/exercises/cA.md.

References
    [1] S. Rifai, P. Vincent, X. Muller, X. Glorot, Y. Bengio, Contractive Auto-Encoders: Explicit Invariance During
        Feature Extraction, ICML 2011.
"""

import sys
from functools import partial

from dA import Autoencoder, load_autoencoder
from logistic_sgd import minibatch_function, sgd_updates
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import scalar
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked

import numpy as np
import pytensor.tensor as pt

N_SPECTRA = 100  # test images whose Jacobians are looked at


class cA(Autoencoder):
    """A contractive autoencoder with tied weights.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the initial weights, and nothing else.
    input, n_visible, n_hidden, W, bhid, bvis
        As in `dA.Autoencoder`.
    n_batchsize : int
        Examples in a minibatch. It is kept as an attribute only: the cost takes the number of examples from the input.

    Attributes
    ----------
    x, W, b, b_prime, W_prime, params
        As in `dA.Autoencoder`.
    L_rec : symbolic vector, (batch,), after `get_cost_updates`
        The cross-entropy of each example, in nats.
    L_jacob : symbolic scalar, after `get_cost_updates`
        The squared norm of the Jacobian, mean over the minibatch.
    """

    def __init__(self, numpy_rng, input=None, n_visible=784, n_hidden=100, n_batchsize=1, W=None, bhid=None, bvis=None):
        super().__init__(numpy_rng, input, n_visible, n_hidden, W, bhid, bvis)
        self.n_batchsize = n_batchsize

    def get_jacobian(self, hidden, W):
        """The derivatives of the hidden units with respect to the inputs.

        Parameters
        ----------
        hidden : symbolic matrix, (batch, n_hidden)
            The values of the hidden units.
        W : symbolic matrix, (n_visible, n_hidden)

        Returns
        -------
        symbolic tensor, (batch, n_visible, n_hidden)
        """
        slope = hidden * (1 - hidden)  # (batch, n_hidden)
        return slope[:, None, :] * W[None, :, :]

    def get_cost_updates(self, contraction_level, learning_rate):
        """The cost and the updates of one step of training; sets `L_rec` and `L_jacob`.

        Parameters
        ----------
        contraction_level : float or symbolic scalar, at least 0
            Weight of the penalty.
        learning_rate : float or symbolic scalar

        Returns
        -------
        cost : symbolic scalar
        updates : dict of the new values of the parameters
        """
        y = self.get_hidden_values(self.x)  # (batch, n_hidden)
        z = self.get_reconstructed_input(y)  # (batch, n_visible)
        J = self.get_jacobian(y, self.W)  # (batch, n_visible, n_hidden)
        self.L_rec = self.get_reconstruction_cost(z)  # (batch,)
        self.L_jacob = pt.mean(pt.sum(J**2, axis=(1, 2)))
        y.name, z.name, J.name, self.L_rec.name, self.L_jacob.name = "y", "z", "J", "L_rec", "L_jacob"

        cost = pt.mean(self.L_rec) + scalar(contraction_level) * self.L_jacob
        return cost, sgd_updates(cost, self.params, learning_rate)


def file_name(level):
    """The name of the model that was trained at this contraction level."""
    return "model" if level else "model_without_penalty"


@checked
def test_cA(
    learning_rate=0.01, training_epochs=20, dataset="mnist.pkl.gz", batch_size=10, output_folder=None,
    contraction_level=0.1, n_hidden=500, seed=123, fresh=False, show_graph=False,
):  # fmt: skip
    """Train a contractive autoencoder, and one without the penalty beside it.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    training_epochs : int, at least 1
        Passes over the training set.
    contraction_level : float, at least 0
        Weight of the penalty; with 0 there is nothing to compare with, and one autoencoder is trained.
    n_hidden : int, at least 1
        Hidden units.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result` for each level. A ValueError says which argument cannot be used, and why.
    """
    stages = {}
    with open_run(test_cA, locals(), check=Datasets.check_that_they_can_be_rebuilt) as run:
        for level in dict.fromkeys([contraction_level, 0.0]):
            say(f"... building the model, with a contraction level of {level:g}")
            x = pt.matrix("x")  # (batch, n_visible)
            ca = cA(np.random.RandomState(seed), x, run.data.n_in, n_hidden, n_batchsize=batch_size)
            cost, updates = ca.get_cost_updates(level, learning_rate)
            figures = [cost, pt.mean(ca.L_rec), pt.sqrt(ca.L_jacob)]
            train_ca = minibatch_function(figures, {x: run.data.train_x}, batch_size, updates)

            run.say("... training")
            stage = stages[level] = run.stage(
                ca, train_ca, name=f"contraction level {level:g}", file=file_name(level), contraction_level=level,
                chance_cost=run.data.n_in * np.log(2), chance_of="reconstruction",  # of guessing every pixel at 1/2
            )  # fmt: skip
            for epoch in stage.epochs(training_epochs, first=0):
                for minibatch_index in epoch:
                    cost, reconstruction, norm = train_ca(minibatch_index)
                    epoch.add(cost=cost, reconstruction=reconstruction, jacobian_norm=norm)
                say(
                    f"Training epoch {epoch.number}, reconstruction cost {epoch.mean('reconstruction'):f} "
                    f"jacobian norm {epoch.mean('jacobian_norm'):f}"
                )
                stage.keep()

        def evaluate():
            endings = {0.0: "_without_penalty", contraction_level: ""}
            names = "reconstruction", "jacobian_norm"
            return {name + endings[level]: stages[level].curve[-1][name] for level in stages for name in names}

        closing = (
            "Optimization complete with reconstruction cost {reconstruction:f} and jacobian norm {jacobian_norm:f} in "
            "the last epoch"
        )
        run.finish(closing.format_map, evaluate)
        run.draw(plot)
    return {level: stage.result for level, stage in stages.items()}


def singular_values(W, hidden):
    """Singular values of the Jacobians of some examples, largest first, averaged over the examples.

    Parameters
    ----------
    W : array, (n_visible, n_hidden)
    hidden : array, (n, n_hidden)
        The values of the hidden units.
    """
    W, slope = W.astype(np.float64), (hidden * (1 - hidden)).astype(np.float64)
    # The eigenvalues of JᵀJ are the squares. JᵀJ is smaller than J, and WᵀW is the same for all examples.
    squares = np.array([np.linalg.eigvalsh(s[:, None] * products * s) for products in [W.T @ W] for s in slope])
    return np.sqrt(np.maximum(squares, 0)).mean(axis=0)[::-1][: W.shape[0]]


def plot(folder, datasets=None):
    """Draw the pictures of a run: costs, singular values, filters and reconstructions, with the penalty and without.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_cA, datasets, stages={"contraction_level": "training"})
    names = {level: f"contraction level {level:g}" for level in pictures.values("contraction_level")}
    panels = [
        ("", label, pictures.series_by("contraction_level", field, names.get))
        for field, label in (("reconstruction", "nats an image"), ("jacobian_norm", "norm of the Jacobian"))
    ]
    title = "Cost of reconstruction and norm of the Jacobian, mean of each epoch"
    caption = "The penalty keeps the norm of the Jacobian small; the images are rebuilt less exactly for it."
    pictures.draw_curves("costs", title, panels, caption, columns=2)
    models = pictures.models(partial(load_autoencoder, cA), {names[level]: file_name(level) for level in names})
    rows, spectra = [], {}
    for name, ca in models.items():
        hidden = ca.get_hidden_values(ca.x)
        rows += pictures.of_test_images(ca.x, {name: ca.get_reconstructed_input(hidden)})
        [(_, codes)] = pictures.of_test_images(ca.x, {name: hidden}, N_SPECTRA)
        values = singular_values(ca.W.get_value(), codes)
        values = values[values > 1e-5 * values[0]]
        spectra[name] = np.arange(1, len(values) + 1), values
    caption = "Weights of the hidden units, an image for each: with the penalty and without it."
    pictures.draw_filters({name: ca.W for name, ca in models.items()}, caption)
    caption = "Test images and their reconstructions, with the penalty and without it."
    pictures.draw_reconstructions(rows, caption)
    title = f"Singular values of the Jacobian, mean over {N_SPECTRA} test images"
    panels = [("", "singular value", spectra)]
    caption = "How strongly the code changes along each direction of the input: with the penalty, along few of them."
    pictures.draw_curves("singular_values", title, panels, caption, xlabel="number of the singular value", log=True)


QUICK = {"training_epochs": 2}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_cA, quick=QUICK, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. The answers are in
tests/exercises/cA.md.

1. The level. Run `--quick` with `--contraction-level` 0.01, 0.1 and 1. How much does the cost of reconstruction rise
   when the norm falls?
2. The division. In the original, `//` leaves the penalty without a gradient. Which of the two autoencoders of a run
   shows the weights that the original's training led to? Check it: in `get_cost_updates`, let L_jacob be the sum of J²,
   `//` the number of examples. Run with `--fresh` and compare the weights.
3. The spectrum. In `singular_values.png` of the default run, how many directions of the input change the code by more
   than 0.1 of the step, with the penalty and without? How does the code change along the others?
4. Code: another activation. Let the code be tanh(x W + b), in a `get_hidden_values` of `cA`'s own, and let
   `get_jacobian` give the derivatives of that code. The output stays a sigmoid, and the driver needs no option. Check
   it by `python -m pytest tests/exercises -k tanh`, then run `--quick --fresh`. The slope of tanh goes up to 1, that
   of the sigmoid to 1/4. How do the norms of the two compare, with the penalty and without?
"""
