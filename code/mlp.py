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

from logistic_sgd import LogisticRegression, parameter, predictor, supervised_functions, train_with_early_stopping
from support.command import command
from support.console import say
from support.data import load_data
from support.pictures import Pictures
from support.runs import open_run
from support.runs.models import SavedModel
from support.settings import checked

import numpy as np
import pytensor.tensor as pt

PATIENCE = 10000  # minibatches to train in any case


def uniform_weights(rng, n_in, n_out, factor=1):
    """Initial weights, (n_in, n_out), uniform in +-factor sqrt(6 / (n_in + n_out)) [1, equation 16]."""
    bound = factor * np.sqrt(6.0 / (n_in + n_out))
    return parameter(rng.uniform(-bound, bound, size=(n_in, n_out)), "W")


def number_parameters(layers):
    """Tell parameters of one name apart: those of the lowest layer become W_0 and b_0."""
    for number, layer in enumerate(layers):
        for param in layer.params:
            param.name = f"{param.name}_{number}"


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
            # The sigmoid's slope at zero is a quarter of tanh's.
            W = uniform_weights(rng, n_in, n_out, factor=4 if activation is pt.sigmoid else 1)
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
    y_pred : symbolic integer vector, (batch,)
    """

    def __init__(self, rng, input, n_in, n_hidden, n_out):
        self.hiddenLayer = HiddenLayer(rng=rng, input=input, n_in=n_in, n_out=n_hidden, activation=pt.tanh)
        self.logRegressionLayer = LogisticRegression(input=self.hiddenLayer.output, n_in=n_hidden, n_out=n_out)

        number_parameters([self.hiddenLayer, self.logRegressionLayer])

        self.L1 = abs(self.hiddenLayer.W).sum() + abs(self.logRegressionLayer.W).sum()
        self.L2_sqr = (self.hiddenLayer.W**2).sum() + (self.logRegressionLayer.W**2).sum()

        self.negative_log_likelihood = self.logRegressionLayer.negative_log_likelihood
        self.errors = self.logRegressionLayer.errors
        self.y_pred = self.logRegressionLayer.y_pred
        self.params = self.hiddenLayer.params + self.logRegressionLayer.params
        self.input = input


@checked
def test_mlp(
    learning_rate=0.01, L1_reg=0.0, L2_reg=0.0001, n_epochs=1000, dataset="mnist.pkl.gz", batch_size=20, n_hidden=500,
    seed=1234, output_folder=None, fresh=False, show_graph=False,
):  # fmt: skip
    """Train a multilayer perceptron by stochastic gradient descent, with early stopping.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    L1_reg : float, at least 0
        Weight of the sum of |W| in the cost.
    L2_reg : float, at least 0
        Weight of the sum of W^2 in the cost.
    n_epochs : int, at least 1
        Passes over the training set at most.
    n_hidden : int, at least 1
        Units of the hidden layer.
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
    n_train_batches = datasets.n_minibatches(batch_size)
    with open_run(test_mlp, settings, datasets) as run:
        say("... building the model")
        x = pt.matrix("x")  # (batch, n_in)
        y = pt.ivector("y")  # (batch,)
        rng = np.random.RandomState(seed)
        classifier = MLP(rng=rng, input=x, n_in=datasets.n_in, n_hidden=n_hidden, n_out=datasets.n_out)
        cost = classifier.negative_log_likelihood(y) + L1_reg * classifier.L1 + L2_reg * classifier.L2_sqr
        functions = supervised_functions(
            cost, classifier.errors(y), classifier.params, x, y, datasets, batch_size, learning_rate
        )
        run.track(classifier, functions[0])
        run.show_graph("training", functions[0])

        say("... training")
        result = train_with_early_stopping(
            run, classifier, functions, n_epochs, n_train_batches, PATIENCE, title="The code",
            closing=". Best validation score of {:f} % obtained at iteration {}, with test performance {:f} %",
        )  # fmt: skip
        run.draw(plot)
        return result


def load_model(saved):
    """A classifier with the parameters of a saved model."""
    n_in, n_hidden, n_out = saved.layer_sizes(n_layers=2)
    classifier = MLP(rng=np.random.RandomState(), input=pt.matrix("x"), n_in=n_in, n_hidden=n_hidden, n_out=n_out)
    saved.restore(classifier.params)
    return classifier


predict = predictor("mlp", load_model)


def plot(folder, datasets=None):
    """Draw the pictures of a run: its errors, filters, the confusion matrix, wrong predictions.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, test_mlp, datasets)
    pictures.draw_errors()
    (saved,) = pictures.models({"model": SavedModel})
    if saved:
        classifier = load_model(saved)
        pictures.draw_filters({"best model": classifier.hiddenLayer.W})
        pictures.draw_predictions(classifier.input, classifier.y_pred)


QUICK = {"n_epochs": 8}
SHORT = {"n_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_mlp, quick=QUICK, predict=predict, plot=plot))
