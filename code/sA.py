"""Lesson 6: a sparse autoencoder.

The model
    The autoencoder of lesson 3, without its noise:

        y = σ(x W + b),    z = σ(y W′ + b′),    W′ = Wᵀ (tied weights)

    A sparse code describes each image by few of its units: most are near 0, a few are near 1. Each unit then stands
    for something that few images have, such as a stroke at one place. We ask for it by a number, the sparsity target
    ρ, which is the mean activation that each unit should have. For a minibatch of B examples, let yₙⱼ be unit j's
    activation by example n, and aⱼ its mean over the minibatch. Then

        aⱼ = (1/B) Σₙ yₙⱼ,    cost = (1/B) Σₙ L(xₙ, zₙ) + sparsity_weight Σⱼ KL(ρ ‖ aⱼ),

        KL(ρ ‖ a) = ρ log(ρ / a) + (1 − ρ) log((1 − ρ) / (1 − a)),    ∂KL/∂a = −ρ / a + (1 − ρ) / (1 − a).

    L is the cross-entropy of lesson 3. The penalty is Ng's [1]. His notes have half the squared error in the place of
    L, weights that are not tied, and a penalty on their squares, so that his settings do not carry over. KL is the
    Kullback-Leibler divergence of two coins: one shows heads with probability ρ, the other with probability a. It is
    zero where the two are equal, and positive elsewhere.

    The mean over a minibatch stands for the mean over all images. That needs minibatches of a hundred images or more:
    with ten, the mean of a unit that is active in one image out of ten is mostly chance.

One example, with numbers
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

The loop
    A given number of epochs. After each of them, the cost of reconstruction and the mean activations of the whole
    validation set are measured. The default rate, weight and number of epochs were chosen by these.

What to look at
    The first cost holds the penalty. With the default settings it is 1,121 nats: 681 of cross-entropy, and a penalty
    of 5 · 88. An untrained guess of 1/2 for every pixel has a cross-entropy of 543.4. In the lines of the epochs,
    `validation reconstruction` is the cross-entropy alone.

    The mean activations on the test set, in the picture `activations`: they gather around the target. The filters, in
    the picture `filters`: with the penalty many of them are pen strokes; without it they are spots, or the noise that
    they were at the start. The run trains a second autoencoder without the penalty, from the same weights, for the
    sake of these pictures.

Exercises stand at the foot of this file, their answers in tests/exercises/sA.md.

References
    [1] A. Ng, Sparse autoencoder, lecture notes of CS294A, Stanford University, 2011.
"""

import sys

from dA import Autoencoder, load_autoencoder
from logistic_sgd import minibatch, sgd_updates
from support.command import command
from support.console import say
from support.data import load_data
from support.graphs.execution import evaluate
from support.pictures import Pictures
from support.pictures.figures import BLUE, COLOURS, ORANGE, costs_figure, markers, new_figure, whole_numbers
from support.runs import open_run
from support.runs.models import SavedModel
from support.runs.run import Result
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
        Of each hidden unit, over the minibatch.
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
        updates : dict of what the parameters become
        """
        y = self.get_hidden_values(self.x)  # (batch, n_hidden)
        z = self.get_reconstructed_input(y)  # (batch, n_visible)
        self.L_rec = self.get_reconstruction_cost(z)  # (batch,)
        self.mean_activation = pt.mean(y, axis=0)  # (n_hidden,)
        self.sparsity_penalty = pt.sum(kl_of_coins(sparsity_target, self.mean_activation))
        y.name, z.name, self.L_rec.name, self.mean_activation.name = "y", "z", "L_rec", "mean_activation"

        cost = pt.mean(self.L_rec) + sparsity_weight * self.sparsity_penalty
        return cost, sgd_updates(cost, self.params, learning_rate)


def activation_function(sa, data_x):
    """A function without arguments: the cost of reconstruction of a whole data set, and each unit's mean activation.

    Returns
    -------
    function that returns (float, in nats an example; array, (n_hidden,))
    """
    y = sa.get_hidden_values(sa.x)
    cost = pt.mean(sa.get_reconstruction_cost(sa.get_reconstructed_input(y)))
    evaluate = pytensor.function([], [cost, pt.mean(y, axis=0)], givens={sa.x: data_x})
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

    Returns
    -------
    dict of support.runs.run.Result
        By the weight of the penalty. A ValueError says which argument cannot be used, and why.
    """
    settings = locals()
    say("... loading data")
    datasets = load_data(dataset)
    datasets.check_that_they_can_be_rebuilt()
    n_train_batches = datasets.n_minibatches(batch_size)
    train_set_x, valid_set_x, test_set_x = (x for x, _ in datasets)
    models, results = {}, {}
    with open_run(test_sA, settings, datasets) as run:
        for weight in dict.fromkeys([sparsity_weight, 0.0]):
            say(f"... building the model, with a sparsity weight of {weight:g}")
            index = pt.lscalar("index")
            x = pt.matrix("x")  # (batch, n_visible)
            sa = models[weight] = sA(np.random.RandomState(seed), x, datasets.n_in, n_hidden)
            cost, updates = sa.get_cost_updates(sparsity_target, weight, learning_rate)
            train_sa = pytensor.function(
                [index],
                [cost, pt.mean(sa.L_rec), sa.sparsity_penalty],
                updates=updates,
                givens={x: minibatch(train_set_x, index, batch_size)},
            )
            validate = activation_function(sa, valid_set_x)
            run.track(sa, train_sa, name=file_name(weight))
            run.show_graph(f"sparsity_weight_{weight:g}", train_sa)

            say("... training")
            chance_cost = datasets.n_in * np.log(2)  # of guessing every pixel at 1/2, without the penalty
            with run.timed(f"sparsity weight {weight:g}", "learning_rate"):
                for epoch in run.epochs(
                    training_epochs, n_train_batches, chance_cost=chance_cost, sparsity_weight=weight
                ):
                    for minibatch_index in epoch:
                        cost, reconstruction, penalty = train_sa(minibatch_index)
                        epoch.add_cost(cost, reconstruction=reconstruction, penalty=penalty)
                    validation_cost, activations = validate()
                    epoch.figures |= {"validation_cost": float(validation_cost), **spread(activations)}
                    say(
                        f"Training epoch {epoch.number}, cost {epoch.mean_cost:f}, validation reconstruction "
                        f"{validation_cost:f}, mean activation {np.mean(activations):f}"
                    )
                    run.keep(sa, file_name(weight))
            results[weight] = Result(sa, [line for line in run.curve if line["sparsity_weight"] == weight])

        def evaluate():
            cost, activations = activation_function(models[sparsity_weight], test_set_x)()
            plain_cost, plain_activations = activation_function(models[0.0], test_set_x)()
            return {
                "test_cost": float(cost),
                **spread(activations),
                "distance_from_target": float(np.mean(np.abs(activations - sparsity_target))),
                "test_cost_without_penalty": float(plain_cost),
                "mean_activation_without_penalty": float(np.mean(plain_activations)),
            }

        run.finish(
            closing=lambda reached: (
                "Optimization complete with test reconstruction cost {test_cost:f}, mean activation of a unit "
                "{mean_activation:f}, from {lowest_activation:f} to {highest_activation:f}".format(**reached)
            ),
            evaluate=evaluate,
        )
        run.draw(plot)
    return results


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
    weights = pictures.values("sparsity_weight")
    if weights:
        pictures.save(costs_figure(reconstruction_costs(pictures.run.curve, weights), together=True), "costs")
    draw_activations_by_epoch(pictures, weights)
    filters, rows, activations = {}, [], {}
    for weight, saved in zip(weights, pictures.models({file_name(weight): SavedModel for weight in weights})):
        if saved:
            sa, name = load_autoencoder(sA, saved), f"sparsity weight {weight:g}"
            filters[name] = sa.W
            hidden = sa.get_hidden_values(sa.x)
            (rebuilt,) = pictures.of_test_images(sa.x, sa.get_reconstructed_input(hidden))
            rows.append((name, rebuilt))
            (activations[name],) = evaluate([pt.mean(hidden, axis=0)], {sa.x: pictures.test_set[0]})
    pictures.draw_filters(filters)
    pictures.draw_reconstructions(rows)
    if activations:
        figure, (axes,) = new_figure(3.8)
        bins = np.linspace(0, max(values.max() for values in activations.values()), 50)
        for (name, values), colour in zip(activations.items(), COLOURS):
            axes.hist(values, bins, color=colour, alpha=0.7, label=name)
        axes.axvline(
            pictures.run.settings["sparsity_target"], color="black", linewidth=1, linestyle=":", label="target"
        )
        axes.set_xlabel("mean activation over the test set")
        axes.set_ylabel("hidden units")
        axes.legend(frameon=False)
        figure.suptitle("Mean activation of each hidden unit")
        pictures.save(figure, "activations")


def reconstruction_costs(curve, weights):
    """{name: (epochs, their costs of reconstruction)} of the autoencoders that were trained with these weights."""
    series = {}
    for weight in weights:
        lines = [line for line in curve if line["sparsity_weight"] == weight]
        series[f"sparsity weight {weight:g}"] = [[line[name] for line in lines] for name in ("epoch", "reconstruction")]
    return series


def draw_activations_by_epoch(pictures, weights):
    """The mean activation of the units on the validation set: their mean, and the lowest and the highest one."""
    if not weights:
        return
    figure, panels = new_figure(3.6, ncols=len(weights), sharey=True)
    for axes, weight in zip(panels, weights):
        lines = [line for line in pictures.run.curve if line["sparsity_weight"] == weight]
        epochs = [line["epoch"] for line in lines]
        lowest, mean, highest = (
            [line[f"{which}_activation"] for line in lines] for which in ("lowest", "mean", "highest")
        )
        axes.fill_between(epochs, lowest, highest, color=BLUE, alpha=0.2, linewidth=0, label="all units")
        axes.plot(epochs, mean, color=BLUE, label="mean of the units", **markers(epochs))
        axes.axhline(pictures.run.settings["sparsity_target"], color=ORANGE, linewidth=1, label="target")
        axes.set_title(f"sparsity weight {weight:g}", fontsize="medium")
        whole_numbers(axes.xaxis)
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("mean activation")
    panels[0].legend(frameon=False)
    figure.suptitle("Mean activation of the hidden units on the validation set")
    pictures.save(figure, "activations_by_epoch")


QUICK = {"training_epochs": 5}
SHORT = {"training_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_sA, quick=QUICK, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. The
answers are in tests/exercises/sA.md.

1. The weight. Run `--quick --learning-rate 0.1` with `--sparsity-weight` 1, 5 and 50. How does the cost of
   reconstruction change with the mean activation?
2. The rate. Run `--quick --sparsity-weight 50`, at the default rate. Why does it fail where 0.1 does not? Look at the
   first cost.
3. The minibatch. Run `--quick --batch-size 10`. How far is the mean activation of a unit in ten images from its mean
   over all images?
4. The target. Run `--quick --sparsity-target 0.5`, and look at the filters. Does a mean activation of 0.1 make the pen
   strokes, or would any target do?
"""
