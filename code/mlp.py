"""Lesson 2: a multilayer perceptron with one hidden layer.

The model
    A hidden layer maps the input to features that a logistic regression can separate:

        h = tanh(x W1 + b1),    P(Y = i | x) = softmax_i(h W2 + b2)

    Its weights start as small random numbers: at zero, all hidden units would be equal and stay equal. Glorot and
    Bengio [1] find the range in which signals and gradients keep their size from layer to layer: uniform in
    +-sqrt(6 / (n_in + n_out)) for tanh, four times that for the logistic sigmoid.

    The cost is the negative log-likelihood plus L1_reg times the sum of |W| and L2_reg times the sum of W^2, which
    pull the weights of both layers towards zero.

The graph
    Nothing here says how to compute a gradient. `pt.grad` applies the chain rule to the graph of the cost, whatever
    layers that went through: this is back-propagation, written by the compiler.

What to look at
    The hidden layer takes the test error from 7.5 % to some 1.7 %, at the price of 390,000 more weights and of
    a random start, so that the last digits depend on the seed.

Exercises (figures: validation and test error on MNIST, float32, the default seed)
    1. The width. `--quick` stops after 8 epochs at 6.26 % and 6.73 %; `--quick --n-hidden 20` at 6.41 % and 6.61 %.
       Does width not matter, then? Go on: the 500 units of the full recipe end at 1.65 % test error, `--n-hidden 20
       --n-epochs 200` at 3.94 %, at its best after 105. What does the wide layer need, to be worth its weights?
    2. The rate. `--quick --learning-rate 0.1`, ten times the published rate, is at 2.90 % and 2.85 % after the same 8
       epochs. What may the authors have feared? Compare the two curves of a longer run.
    3. The penalties. `--quick --L2-reg 0.01`, a hundred times the default, ends at 8.99 % and 9.49 %; `--quick
       --L1-reg 0.001` is at its best after two epochs, at 10.09 % and 10.55 %. The same run learns less: which of its
       two costs, that of training or that of validation, tells too strong a penalty from too weak a one?

References
    [1] X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS
        2010, equation 16.
"""

import sys
from functools import partial

import numpy as np
import pytensor.tensor as pt

from logistic_sgd import LogisticRegression, minibatch_function, parameter, score_function, sgd_updates
from support.command import command
from support.console import say
from support.data import load_data
from support.environment import ROOT
from support.pictures import Pictures
from support.runs.models import SavedModel, show_predictions
from support.runs.run import EarlyStopping, Run, count_minibatches
from support.settings import check_settings

early_stopping = partial(EarlyStopping, 10000)  # minibatches of patience


class HiddenLayer:
    """A fully connected layer: output = activation(input W + b).

    Parameters
    ----------
    rng : numpy.random.RandomState
        Draws the initial weights.
    input : symbolic matrix, (batch, n_in)
    n_in : int
        Number of inputs.
    n_out : int
        Number of hidden units.
    W : shared matrix, (n_in, n_out), optional
        By default uniform in +-sqrt(6 / (n_in + n_out)), four times that for the logistic sigmoid.
    b : shared vector, (n_out,), optional
        By default zero.
    activation : function of a symbolic matrix, or None for a linear layer

    Attributes
    ----------
    output : symbolic matrix, (batch, n_out)
    params : [W, b]
    """

    def __init__(self, rng, input, n_in, n_out, W=None, b=None, activation=pt.tanh):
        self.input = input
        if W is None:
            bound = np.sqrt(6.0 / (n_in + n_out))  # [1], equation 16
            if activation is pt.sigmoid:
                bound *= 4  # the sigmoid's slope at zero is a quarter of tanh's
            W = parameter(rng.uniform(-bound, bound, size=(n_in, n_out)), "W")
        if b is None:
            b = parameter(np.zeros(n_out), "b")
        self.W = W
        self.b = b

        linear_output = pt.dot(input, self.W) + self.b  # (batch, n_out)
        self.output = linear_output if activation is None else activation(linear_output)
        self.output.name = "h"
        self.params = [self.W, self.b]


class MLP:
    """A multilayer perceptron: a hidden layer of tanh units under a logistic regression.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Draws the initial weights.
    input : symbolic matrix, (batch, n_in)
    n_in : int
        Number of inputs.
    n_hidden : int
        Number of hidden units.
    n_out : int
        Number of classes.

    Attributes
    ----------
    hiddenLayer : HiddenLayer
    logRegressionLayer : LogisticRegression
    L1 : symbolic scalar, the sum of |W| over both layers
    L2_sqr : symbolic scalar, the sum of W^2 over both layers
    negative_log_likelihood, errors : methods, those of the logistic regression
    params : list of the four shared variables, the hidden layer's first
    """

    def __init__(self, rng, input, n_in, n_hidden, n_out):
        self.hiddenLayer = HiddenLayer(rng=rng, input=input, n_in=n_in, n_out=n_hidden, activation=pt.tanh)
        self.logRegressionLayer = LogisticRegression(input=self.hiddenLayer.output, n_in=n_hidden, n_out=n_out)

        self.L1 = abs(self.hiddenLayer.W).sum() + abs(self.logRegressionLayer.W).sum()
        self.L2_sqr = (self.hiddenLayer.W**2).sum() + (self.logRegressionLayer.W**2).sum()

        self.negative_log_likelihood = self.logRegressionLayer.negative_log_likelihood
        self.errors = self.logRegressionLayer.errors
        self.params = self.hiddenLayer.params + self.logRegressionLayer.params
        self.input = input


def test_mlp(
    learning_rate=0.01,
    L1_reg=0.0,
    L2_reg=0.0001,
    n_epochs=1000,
    dataset="mnist.pkl.gz",
    batch_size=20,
    n_hidden=500,
    seed=1234,
    output_folder=None,
):
    """Train a multilayer perceptron by stochastic gradient descent, with early stopping.

    Parameters
    ----------
    learning_rate : float
        Size of a step.
    L1_reg : float
        Weight of the sum of |W| in the cost.
    L2_reg : float
        Weight of the sum of W^2 in the cost.
    n_epochs : int
        Passes over the training set at most.
    dataset : path
        mnist.pkl.gz or mnist, digits (drawn, not downloaded), or your own: an .npz file of x and y, or a pickle of
        ((x, y), (x, y), (x, y)).
    batch_size : int
        Examples in a minibatch.
    n_hidden : int
        Units of the hidden layer.
    seed : int
        Of the initial weights.
    output_folder : path
        Where the run's files go (default: runs/mlp at the top of the repository).

    Returns
    -------
    support.runs.run.Result

    Raises
    ------
    ValueError
        Where an argument cannot be used.
    """
    settings = check_settings(locals())
    say("... loading data")
    datasets = load_data(dataset)
    n_train_batches = count_minibatches(datasets, batch_size)
    run = Run("mlp", settings, datasets)

    say("... building the model")
    x = pt.matrix("x")  # (batch, n_in)
    y = pt.ivector("y")  # (batch,)
    rng = np.random.RandomState(seed)
    classifier = MLP(rng=rng, input=x, n_in=datasets.n_in, n_hidden=n_hidden, n_out=datasets.n_out)
    run.track(*classifier.params)
    cost = classifier.negative_log_likelihood(y) + L1_reg * classifier.L1 + L2_reg * classifier.L2_sqr
    updates = sgd_updates(cost, classifier.params, learning_rate)

    train_set, valid_set, test_set = datasets
    train_model = minibatch_function(cost, x, y, train_set, batch_size, updates)
    valid_score = score_function(classifier.errors(y), x, y, valid_set, batch_size)
    test_score = score_function(classifier.errors(y), x, y, test_set, batch_size)

    run.show_graph("training", train_model)
    say("... training")
    stopping = early_stopping(n_train_batches)
    chance_cost = np.log(datasets.n_out)  # of guessing all classes alike
    with run.timed("training"):
        for epoch in run.epochs(n_epochs, n_train_batches, stopping=stopping, chance_cost=chance_cost):
            for minibatch_index in epoch:
                epoch.add_cost(train_model(minibatch_index))
                if stopping.validation_is_due(epoch.iteration):
                    validation_error = epoch.report_validation(valid_score())
                    if stopping.is_new_best(validation_error, epoch.iteration):
                        epoch.report_test(test_score())
                        run.keep(classifier, **epoch.figures)
    result = run.finish(classifier)
    run.draw(plot)
    return result


def load_model(saved):
    """A classifier with the parameters of a saved model."""
    n_in, n_hidden, n_out = saved.layer_sizes(n_layers=2)
    classifier = MLP(rng=np.random.RandomState(), input=pt.matrix("x"), n_in=n_in, n_hidden=n_hidden, n_out=n_out)
    saved.restore(classifier.params)
    return classifier


def predict(model=None, dataset=None):
    """Load a saved model, print its predictions for the first ten test images and its error on the whole test set.

    The parameters and the returned value are those of `logistic_sgd.predict`, for runs/mlp.
    """
    saved = SavedModel(model or ROOT / "runs" / "mlp" / "model.npz", lesson="mlp")
    classifier = load_model(saved)
    return show_predictions(classifier.input, classifier.logRegressionLayer.y_pred, saved.load_data(dataset))


def plot(folder, datasets=None):
    """Draw the pictures of a run: its errors, filters, the confusion matrix, wrong predictions.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, "mlp", datasets)
    pictures.draw_errors(early_stopping)
    (saved,) = pictures.models({"model": SavedModel})
    if saved:
        classifier = load_model(saved)
        pictures.draw_filters({"best model": classifier.hiddenLayer.W})
        pictures.draw_predictions(classifier.input, classifier.logRegressionLayer.y_pred)


if __name__ == "__main__":
    sys.exit(command(test_mlp, quick={"n_epochs": 8}, predict=predict, plot=plot))
