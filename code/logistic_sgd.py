"""Lesson 1: logistic regression, trained by stochastic gradient descent.

The model
    A row vector x of pixels is multiplied by one column of weights for each class, and the softmax turns the
    results into probabilities:

        P(Y = i | x, W, b) = softmax_i(x W + b) = exp(x W_i + b_i) / sum_j exp(x W_j + b_j)

    The predicted class is the most probable one. Training lowers the negative log-likelihood of the labels,

        NLL(W, b) = -(1/B) sum_k log P(Y = y_k | x_k, W, b),

    averaged over a minibatch of B examples, by stepping against its gradient: W <- W - learning_rate dNLL/dW.

The graph
    None of the lines that build the model computes a number. They build a symbolic graph, in which `pt.grad`
    finds the graph of the derivatives and which `pytensor.function` turns into machine code. A shared variable,
    such as W, keeps its value between calls; the `updates` of a function say what it becomes after each.

What to look at
    Both parameters start at zero, so every class is equally likely at first and the first cost is ln 10. No random
    number enters anywhere: the run ends with the same digits, 7.5 % validation and 7.489583 % test error on MNIST,
    wherever it is run.

Exercises (figures: validation and test error on MNIST, float32)
    1. The size of a step. `--learning-rate 1.3`, ten times as large, ends at 7.41 % and 7.51 % after 61 epochs
       instead of 74: the same valley, a little sooner. `--learning-rate 13` ends at 8.09 % and 8.43 %, its curve
       jumping up and down: each step leaps over the floor of the valley. Which learning rate would you choose, and
       seeing which curve?
    2. The size of a minibatch. `--batch-size 10000 --n-epochs 74` sees every image as often as the default does, and
       ends at 9.48 % and 9.94 %: it makes 5 steps an epoch, not 83. `--batch-size 20 --n-epochs 20` makes 2,500 and
       is at its best, 7.29 % and 8.15 %, after ten epochs. What does a large minibatch buy, then?
    3. The start. Let W begin as `np.random.RandomState(0).normal(size=(n_in, n_out))`. The first cost is 15.1 instead
       of ln 10 = 2.3, and after 504 epochs the run ends at 8.02 % and 8.49 %. The cost is convex, so that no start
       can be caught in another valley: look at the gradient of the weights of a pixel that is always zero, and say
       what keeps the errors up all the same.

References
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, section 4.3.
"""

import sys
from functools import partial

import numpy as np
import pytensor
import pytensor.tensor as pt

from support.command import command
from support.console import say
from support.data import load_data
from support.environment import ROOT
from support.memory import aligned
from support.pictures import Pictures
from support.runs.models import SavedModel, show_predictions
from support.runs.run import EarlyStopping, Run, count_minibatches
from support.settings import check_settings

early_stopping = partial(EarlyStopping, 5000)  # minibatches of patience


def parameter(value, name):
    """A shared variable of floatX with this initial value, whose shape is known to the compiler."""
    value = aligned(value, dtype=pytensor.config.floatX)
    return pytensor.shared(value, name=name, shape=value.shape, borrow=True)


class LogisticRegression:
    """Multi-class logistic regression.

    Parameters
    ----------
    input : symbolic matrix, (batch, n_in)
    n_in : int
        Number of inputs.
    n_out : int
        Number of classes.

    Attributes
    ----------
    W : shared matrix, (n_in, n_out), zero at first
    b : shared vector, (n_out,), zero at first
    p_y_given_x : symbolic matrix, (batch, n_out)
        Each row the probabilities of the classes.
    y_pred : symbolic integer vector, (batch,)
    params : [W, b]
    """

    def __init__(self, input, n_in, n_out):
        self.W = parameter(np.zeros((n_in, n_out)), "W")
        self.b = parameter(np.zeros(n_out), "b")

        self.p_y_given_x = pt.special.softmax(pt.dot(input, self.W) + self.b, axis=1)  # (batch, n_out)
        self.y_pred = pt.argmax(self.p_y_given_x, axis=1)  # (batch,)
        self.p_y_given_x.name, self.y_pred.name = "p_y_given_x", "y_pred"

        self.params = [self.W, self.b]
        self.input = input

    def negative_log_likelihood(self, y):
        """Mean over the minibatch of -log P(y | x); y is an integer vector, (batch,).

        A mean, unlike a sum, keeps the size of a step independent of the size of the minibatch.
        """
        # PyTensor sees the log of a softmax and compiles log_softmax, which stays finite where softmax is zero.
        log_p = pt.log(self.p_y_given_x)  # (batch, n_out)
        return -pt.mean(log_p[pt.arange(y.shape[0]), y])

    def errors(self, y):
        """Fraction of the minibatch that is misclassified, in 0..1; y is an integer vector, (batch,).

        Raises
        ------
        TypeError
            Where y has not the rank of `y_pred`.
        NotImplementedError
            Where y does not hold integers.
        """
        if y.ndim != self.y_pred.ndim:
            raise TypeError(f"y must be a vector, like y_pred, but it has {y.ndim} dimensions ({y.type})")
        if not np.issubdtype(y.dtype, np.integer):
            raise NotImplementedError(f"y must hold integers, but it holds {y.dtype}")
        return pt.mean(pt.neq(self.y_pred, y))


def minibatch(data, index, batch_size):
    """The rows of minibatch number `index` of a shared variable, as a symbolic slice, (batch_size, ...).

    The slice alone would have an unknown number of rows. `specify_shape` tells the compiler what we know: with a
    batch of 1, for one, a matrix product becomes a matrix-vector product.
    """
    rows = data[index * batch_size : (index + 1) * batch_size]
    batch = pt.specify_shape(rows, (batch_size, *data.get_value(borrow=True).shape[1:]))
    batch.name = "minibatch"
    return batch


def sgd_updates(cost, params, learning_rate):
    """One step of plain gradient descent: {parameter: parameter - learning_rate * dcost/dparameter}."""
    cost.name = "cost"  # from which PyTensor names the gradients, as (dcost/dW)
    return {param: param - learning_rate * gradient for param, gradient in zip(params, pt.grad(cost, params))}


def minibatch_function(output, x, y, dataset, batch_size, updates=None):
    """Compile f(index), the value of `output` on minibatch number `index` of a data set.

    Parameters
    ----------
    output : symbolic scalar, of x and y
    x : symbolic matrix, (batch, n_in)
    y : symbolic integer vector, (batch,)
    dataset : (shared matrix, shared vector)
    batch_size : int
    updates : dict, optional
        What shared variables become after each call.
    """
    index = pt.lscalar("index")
    data_x, data_y = dataset
    return pytensor.function(
        [index],
        output,
        updates=updates,
        givens={x: minibatch(data_x, index, batch_size), y: minibatch(data_y, index, batch_size)},
    )


def score_function(errors, x, y, dataset, batch_size):
    """A function without arguments that returns the list of `errors` of every full minibatch of a data set.

    The parameters are those of `minibatch_function`.
    """
    minibatch_errors = minibatch_function(errors, x, y, dataset, batch_size)
    n_minibatches = dataset[0].get_value(borrow=True).shape[0] // batch_size
    return lambda: [minibatch_errors(index) for index in range(n_minibatches)]


def sgd_optimization_mnist(
    learning_rate=0.13, n_epochs=1000, dataset="mnist.pkl.gz", batch_size=600, output_folder=None
):
    """Train a logistic regression by stochastic gradient descent, with early stopping.

    Parameters
    ----------
    learning_rate : float
        Size of a step.
    n_epochs : int
        Passes over the training set at most.
    dataset : path
        mnist.pkl.gz or mnist, digits (drawn, not downloaded), or your own: an .npz file of x and y, or a pickle of
        ((x, y), (x, y), (x, y)).
    batch_size : int
        Examples in a minibatch.
    output_folder : path
        Where the run's files go (default: runs/logistic_sgd at the top of the repository).

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
    run = Run("logistic_sgd", settings, datasets)

    say("... building the model")
    x = pt.matrix("x")  # (batch, n_in)
    y = pt.ivector("y")  # (batch,)
    classifier = LogisticRegression(input=x, n_in=datasets.n_in, n_out=datasets.n_out)
    cost = classifier.negative_log_likelihood(y)
    updates = sgd_updates(cost, classifier.params, learning_rate)

    train_set, valid_set, test_set = datasets
    train_model = minibatch_function(cost, x, y, train_set, batch_size, updates)
    valid_score = score_function(classifier.errors(y), x, y, valid_set, batch_size)
    test_score = score_function(classifier.errors(y), x, y, test_set, batch_size)

    run.track(*classifier.params)
    run.show_graph("training", train_model)
    say("... training the model")
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
    n_in, n_out = saved.layer_sizes(n_layers=1)
    classifier = LogisticRegression(input=pt.matrix("x"), n_in=n_in, n_out=n_out)
    saved.restore(classifier.params)
    return classifier


def predict(model=None, dataset=None):
    """Load a saved model, print its predictions for the first ten test images and its error on the whole test set.

    Parameters
    ----------
    model : path, optional
        The model.npz of a run; by default that of runs/logistic_sgd.
    dataset : path, optional
        As in `sgd_optimization_mnist`; by default the one that the model was trained on.

    Returns
    -------
    float
        The test error, in 0..1.
    """
    saved = SavedModel(model or ROOT / "runs" / "logistic_sgd" / "model.npz", lesson="logistic_sgd")
    classifier = load_model(saved)
    return show_predictions(classifier.input, classifier.y_pred, saved.load_data(dataset))


def plot(folder, datasets=None):
    """Draw the pictures of a run: its errors, the weights of each class, the confusion matrix, wrong predictions.

    Parameters
    ----------
    folder : path
        The run's.
    datasets : support.data.Datasets, optional
        The run's data, where they are loaded already.
    """
    pictures = Pictures(folder, "logistic_sgd", datasets)
    pictures.draw_errors(early_stopping)
    (saved,) = pictures.models({"model": SavedModel})
    if saved:
        classifier = load_model(saved)
        pictures.draw_weights(classifier.W)
        pictures.draw_predictions(classifier.input, classifier.y_pred)


if __name__ == "__main__":
    sys.exit(command(sgd_optimization_mnist, quick={"n_epochs": 10}, predict=predict, plot=plot))
