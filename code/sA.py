"""Lesson 6: a sparse autoencoder.

The model (sA)
    The autoencoder of lesson 3, without its noise:

        y = σ(x W + b),    z = σ(y W′ + b′),    W′ = Wᵀ (tied weights)

    A sparse code describes each image by few of its units: most are near 0, a few are near 1. Each unit then stands for
    something that few images have, such as a stroke at one place. We ask for such a code by a number, the sparsity
    target ρ, which is the mean activation that each unit should have. For a minibatch of B examples, let yₙⱼ be unit
    j's activation by example n, and aⱼ its mean over the minibatch. (In lesson 3, a is the input of a sigmoid.) Then

        aⱼ = (1/B) Σₙ yₙⱼ,    cost = (1/B) Σₙ L(xₙ, zₙ) + sparsity_weight Σⱼ KL(ρ ‖ aⱼ),

        KL(ρ ‖ a) = ρ log(ρ / a) + (1 − ρ) log((1 − ρ) / (1 − a)),    ∂KL/∂a = −ρ / a + (1 − ρ) / (1 − a).

    L is the cross-entropy of lesson 3. The penalty is Ng's [1]. His notes have half the squared error in the place of
    L, weights that are not tied, and a penalty on their squares, so that his settings cannot be used here. KL is the
    Kullback-Leibler divergence of two coins: one shows heads with probability ρ, the other with probability a. It is
    zero where the two are equal, and positive elsewhere.

    The mean over a minibatch stands for the mean over all images. That needs minibatches of a hundred images or more:
    with ten, the mean of a unit that is active in one image out of ten is mostly chance.

One example, with numbers (get_cost_updates)
    Two pixels, one hidden unit, a minibatch of two images: x = (1, 0) and (0, 1). W = (2 ln 3, 0)ᵀ, b = −ln 3,
    b′ = (0, 0); the target is ρ = 1/4, the sparsity weight 1.

        y = σ(ln 3) = 3/4 and σ(−ln 3) = 1/4                         a = 1/2
        KL(1/4 ‖ 1/2) = 1/4 ln 1/2 + 3/4 ln 3/2 = 0.131              ∂KL/∂a = −(1/4)/(1/2) + (3/4)/(1/2) = 1

    Each y has the weight 1/2 in a, so the penalty adds 1/2 to ∂cost/∂y of both images. Times the slope
    y (1 − y) = 3/16 it adds 3/32 to the derivative by the unit's input, in both images alike. The second image did
    not make the unit active, and still the step lowers the unit's activation there, too.

The graph
    The penalty joins the examples of a minibatch: the gradient of one example depends on the unit's activations in all
    others. Written by hand, this takes care. Here it takes two lines, and `pt.grad` does the rest.

The loop (activation_function)
    The loop runs a given number of epochs. After each of them, the cost of reconstruction and the mean activations of
    the whole validation set are measured. The default rate, weight and number of epochs were chosen by these.

What to look at (plot)
    The first cost holds the penalty. With the default settings it is 1,121 nats: 681 of cross-entropy, and a penalty of
    5 · 88. An untrained guess of 1/2 for every pixel has a cross-entropy of 543.4. The first printed line compares the
    two cross-entropies. In the lines of the epochs, `validation reconstruction` is the cross-entropy alone.

    The picture `activations` shows the mean activations on the test set: they gather around the target. The picture
    `filters` shows the weights: with the penalty many of them are pen strokes; without it they are spots, or the noise
    that they were at the start. The run trains a second autoencoder without the penalty, from the same weights, for the
    sake of these pictures.

Exercises stand at the foot of this file, their answers in tests/exercises/sA.md.

References
    [1] A. Ng, Sparse autoencoder, lecture notes of CS294A, Stanford University, 2011.
"""

import sys
from functools import partial

from dA import COSTS_TITLE, Autoencoder, load_autoencoder
from logistic_sgd import minibatch_function, sgd_updates
from support import rewrites
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import scalar, variable_for
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked

import numpy as np
import pytensor
import pytensor.tensor as pt


def kl_of_coins(target, activation):
    """KL(target || activation), in nats, of two coins with these probabilities of heads; entry by entry."""
    heads = target * pt.log(target / activation)
    tails = (1 - target) * pt.log((1 - target) / (1 - activation))
    return heads + tails


class sA(Autoencoder):
    """A sparse autoencoder with tied weights.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the initial weights, and nothing else.
    input, n_visible, n_hidden, W, bhid, bvis
        As in `dA.Autoencoder`.

    Attributes
    ----------
    x, W, b, b_prime, W_prime, params
        As in `dA.Autoencoder`.
    L_rec : symbolic vector, (batch,), after `get_cost_updates`
        The cross-entropy of each example, in nats.
    mean_activation : symbolic vector, (n_hidden,), after `get_cost_updates`
        Mean of each hidden unit over the minibatch.
    sparsity_penalty : symbolic scalar, after `get_cost_updates`
        The sum of the divergences, in nats, without its weight.
    """

    def __init__(self, numpy_rng, input=None, n_visible=784, n_hidden=196, W=None, bhid=None, bvis=None):
        super().__init__(numpy_rng, input, n_visible, n_hidden, W, bhid, bvis)

    def get_cost_updates(self, sparsity_target, sparsity_weight, learning_rate):
        """The cost and the updates of one step of training; sets `L_rec`, `mean_activation` and `sparsity_penalty`.

        Parameters
        ----------
        sparsity_target : float or symbolic scalar, in (0, 1)
            The mean activation that each hidden unit should have.
        sparsity_weight : float or symbolic scalar, at least 0
            Weight of the penalty.
        learning_rate : float or symbolic scalar

        Returns
        -------
        cost : symbolic scalar, in nats an example
        updates : dict of the new values of the parameters
        """
        y = self.get_hidden_values(self.x)  # (batch, n_hidden)
        z = self.get_reconstructed_input(y)  # (batch, n_visible)
        self.L_rec = self.get_reconstruction_cost(z)  # (batch,)
        self.mean_activation = pt.mean(y, axis=0)  # (n_hidden,)
        self.sparsity_penalty = pt.sum(kl_of_coins(scalar(sparsity_target), self.mean_activation))
        y.name, z.name, self.L_rec.name, self.mean_activation.name = "y", "z", "L_rec", "mean_activation"

        cost = pt.mean(self.L_rec) + scalar(sparsity_weight) * self.sparsity_penalty
        return cost, sgd_updates(cost, self.params, learning_rate)


def activation_function(sa, data_x):
    """A function without arguments: the cost of reconstruction of a whole data set, and each unit's mean activation.

    Returns
    -------
    function that returns (float, in nats an example; array, (n_hidden,))
    """
    y = sa.get_hidden_values(sa.x)
    cost = pt.mean(sa.get_reconstruction_cost(sa.get_reconstructed_input(y)))
    givens = {sa.x: variable_for(sa.x, data_x)}
    evaluate = pytensor.function([], [cost, pt.mean(y, axis=0)], givens=givens, mode=rewrites.mode())
    return lambda: tuple(evaluate())


def file_name(weight):
    """The name of the model that was trained with this weight of the penalty."""
    return "model" if weight else "model_without_penalty"


@checked
def test_sA(
    learning_rate=0.5, training_epochs=50, dataset="mnist.pkl.gz", batch_size=100, output_folder=None, n_hidden=196,
    sparsity_target=0.1, sparsity_weight=5.0, seed=123, fresh=False, show_graph=False,
):  # fmt: skip
    """Train a sparse autoencoder, and one without the penalty beside it.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    training_epochs : int, at least 1
        Passes over the training set.
    n_hidden : int, at least 1
        Hidden units.
    sparsity_target : float, in (0, 1)
        The mean activation that each hidden unit should have.
    sparsity_weight : float, at least 0
        Weight of the penalty; with 0 there is nothing to compare with, and one autoencoder is trained.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result` for each weight. A ValueError says which argument cannot be used, and why.
    """
    stages = {}
    with open_run(test_sA, locals(), check=Datasets.check_that_they_can_be_rebuilt) as run:
        for weight in dict.fromkeys([sparsity_weight, 0.0]):
            say(f"... building the model, with a sparsity weight of {weight:g}")
            x = pt.matrix("x")  # (batch, n_visible)
            sa = sA(np.random.RandomState(seed), x, run.data.n_in, n_hidden)
            cost, updates = sa.get_cost_updates(sparsity_target, weight, learning_rate)
            figures = [cost, pt.mean(sa.L_rec), sa.sparsity_penalty]
            train_sa = minibatch_function(figures, {x: run.data.train_x}, batch_size, updates)
            validate = activation_function(sa, run.data.valid_x)

            run.say("... training")
            stage = stages[weight] = run.stage(
                sa, train_sa, name=f"sparsity weight {weight:g}", file=file_name(weight), sparsity_weight=weight,
                chance_cost=run.data.n_in * np.log(2), chance_of="reconstruction",  # of guessing every pixel at 1/2
            )  # fmt: skip
            for epoch in stage.epochs(training_epochs):
                for minibatch_index in epoch:
                    cost, reconstruction, penalty = train_sa(minibatch_index)
                    epoch.add(cost=cost, reconstruction=reconstruction, penalty=penalty)
                validation_cost, activations = validate()
                epoch.note(validation_cost=validation_cost, **spread(activations))
                say(
                    f"Training epoch {epoch.number}, cost {epoch.mean('cost'):f}, validation reconstruction "
                    f"{validation_cost:f}, mean activation {np.mean(activations):f}"
                )
                stage.keep()

        sparse, plain = stages[sparsity_weight].model, stages[0.0].model
        closing = (
            "Optimization complete with test reconstruction cost {test_cost:f}, mean activation of a unit "
            "{mean_activation:f}, from {lowest_activation:f} to {highest_activation:f}"
        )
        run.finish(closing.format_map, lambda: test_figures(sparse, plain, run.data.test_x, sparsity_target))
        run.draw(plot)
    return {weight: stage.result for weight, stage in stages.items()}


def test_figures(sa, plain, test_x, target):
    """The figures of a sparse autoencoder, and of one without the penalty, on the test set."""
    (cost, activations), (plain_cost, plain_activations) = (activation_function(each, test_x)() for each in (sa, plain))
    return {
        "test_cost": float(cost),
        **spread(activations),
        "distance_from_target": float(np.mean(np.abs(activations - target))),
        "test_cost_without_penalty": float(plain_cost),
        "mean_activation_without_penalty": float(np.mean(plain_activations)),
    }


def spread(activations):
    """The mean of the units' activations, the lowest and the highest one."""
    return {
        "mean_activation": float(np.mean(activations)),
        "lowest_activation": float(np.min(activations)),
        "highest_activation": float(np.max(activations)),
    }


def plot(folder, datasets=None):
    """Draw the pictures of a run: costs, activations, filters and reconstructions, with the penalty and without.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_sA, datasets, stages={"sparsity_weight": "training"})
    names = {weight: f"sparsity weight {weight:g}" for weight in pictures.values("sparsity_weight")}
    costs = pictures.series_by("sparsity_weight", "reconstruction", names.get)
    caption = "Mean cross-entropy of each epoch: a sparse code rebuilds the images less exactly."
    pictures.draw_curves("costs", COSTS_TITLE, [("", "cost (nats an image)", costs)], caption)
    panels, target = [], pictures.settings["sparsity_target"]
    for weight, name in names.items():
        epochs, mean = pictures.series("mean_activation", sparsity_weight=weight)
        units = pictures.series("lowest_activation", "highest_activation", sparsity_weight=weight)
        curves = {"all units": units, "mean of the units": (epochs, mean), "target": (epochs, [target] * len(epochs))}
        panels.append((name, "mean activation", curves))
    title = "Mean activation of the hidden units on the validation set"
    caption = "Mean activation by epoch: the band reaches from the least to the most active unit."
    pictures.draw_curves("activations_by_epoch", title, panels, caption, columns=len(panels), sharey=True)
    models = pictures.models(partial(load_autoencoder, sA), {names[weight]: file_name(weight) for weight in names})
    rows, activations = [], {}
    for name, sa in models.items():
        hidden = sa.get_hidden_values(sa.x)
        rows += pictures.of_test_images(sa.x, {name: sa.get_reconstructed_input(hidden)})
        activations |= pictures.of_test_images(sa.x, {name: pt.mean(hidden, axis=0)}, n=None)
    caption = "Weights of the hidden units, an image for each: with the penalty and without it."
    pictures.draw_filters({name: sa.W for name, sa in models.items()}, caption)
    caption = "Test images and their reconstructions, with the penalty and without it."
    pictures.draw_reconstructions(rows, caption)
    title, label = "Mean activation of each hidden unit", "mean activation over the test set"
    caption = "How many hidden units have which mean activation: the penalty gathers them around the target."
    pictures.draw_histograms("activations", title, activations, label, "hidden units", caption, target=target)


QUICK = {"training_epochs": 5}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_sA, quick=QUICK, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. The answers are in
tests/exercises/sA.md.

1. The weight. Run `--quick --learning-rate 0.1` with `--sparsity-weight` 1, 5 and 50. How does the cost of
   reconstruction change with the mean activation?
2. The rate. Run `--quick --sparsity-weight 50`, at the default rate. Why does it fail where 0.1 does not? Look at the
   first cost.
3. The minibatch. Run `--quick --batch-size 10`. How far is the mean activation of a unit in ten images from its mean
   over all images?
4. The target. Run `--quick --sparsity-target 0.5`, and look at the filters. Does a mean activation of 0.1 make the pen
   strokes, or would any target do?
5. Code: a running mean. Give `sA.get_cost_updates` a last argument, `memory=0.0`, and each unit a running mean, a
   shared variable that starts at the target. At each step it becomes memory · running mean + (1 − memory) · mean over
   the minibatch, and the penalty compares this new value with the target. Check it by
   `python -m pytest tests/exercises -k running`. To choose it on the command line, give the driver `test_sA` an
   argument `memory=0.0`, with a line `memory : float, in [0, 1)` and its sentence in the docstring, and hand it on.
   Then run `--quick --batch-size 10 --memory 0.9 --fresh`. Why does it not fail, while exercise 3 does? Why does the
   mean activation stay further from the target than with minibatches of 100?
"""
