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

from support.command import command
from support.console import say
from support.data import load_data
from support.environment import ROOT
from support.memory import aligned
from support.pictures import Pictures
from support.runs import open_run
from support.runs.models import SavedModel, predict_test_set
from support.runs.stopping import EarlyStopping
from support.settings import checked

import numpy as np
import pytensor
import pytensor.tensor as pt

PATIENCE = 5000  # minibatches to train in any case
PATIENCE_INCREASE = 2  # a better model at iteration i lets the run go on to iteration 2 i,
IMPROVEMENT_THRESHOLD = 0.995  # where its error is below this share of the best one's


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


def supervised_functions(cost, errors, params, x, y, datasets, batch_size, learning_rate):
    """The functions that train a classifier with labels, and that score it.

    Parameters
    ----------
    cost, errors : symbolic scalars, of x and y
    params : list of shared variables
    x, y, batch_size
        As in `minibatch_function`.
    datasets : list of three pairs of shared variables
        Training, validation and test set; x (n, n_in), y (n,).
    learning_rate : float

    Returns
    -------
    train_model : function of a minibatch's index
        Returns its cost and updates `params`.
    valid_score, test_score : functions without arguments
        Return the list of the errors of every minibatch.
    """
    train_set, valid_set, test_set = datasets
    updates = sgd_updates(cost, params, learning_rate)
    train_model = minibatch_function(cost, x, y, train_set, batch_size, updates)
    return train_model, *(score_function(errors, x, y, each, batch_size) for each in (valid_set, test_set))


def train_with_early_stopping(
    run, classifier, functions, n_epochs, n_train_batches, patience, rate="learning_rate", title=None,
    closing=" with best validation score of {:f} %, on iteration {}, with test performance {:f} %",
):  # fmt: skip
    """Train a classifier, validate it now and then, keep the best one, and stop where patience ends.

    Parameters
    ----------
    run : support.runs.run.Run
    classifier : object with `params`
    functions : what `supervised_functions` returns
    n_epochs : int
    n_train_batches : int
        Minibatches an epoch.
    patience : int
        Minibatches to train in any case.
    rate, title
        The driver's argument for the size of a step, and the name of the phase, as for `Run.timed`.
    closing : str
        What is said of the best validation error in percent, its iteration, and the test error in percent.

    Returns
    -------
    support.runs.run.Result
    """
    train_model, valid_score, test_score = functions
    stopping = EarlyStopping(patience, n_train_batches)
    chance_cost = np.log(run.datasets.n_out)  # of guessing all classes alike
    with run.timed("training", rate, title):
        for epoch in run.epochs(n_epochs, n_train_batches, stopping=stopping, chance_cost=chance_cost):
            for minibatch_index in epoch:
                epoch.add_cost(train_model(minibatch_index))
                if (epoch.iteration + 1) % stopping.validation_frequency == 0:
                    validation_error = epoch.report_validation(valid_score())
                    if validation_error < stopping.best_validation_error:
                        if validation_error < IMPROVEMENT_THRESHOLD * stopping.best_validation_error:
                            stopping.patience = max(stopping.patience, PATIENCE_INCREASE * epoch.iteration)
                        stopping.best_validation_error = validation_error
                        stopping.best_iteration = epoch.iteration
                        epoch.report_test(test_score())
                        run.keep(classifier, **epoch.figures)
                if stopping.patience <= epoch.iteration:
                    epoch.is_last = True
                    break
    return run.finish(
        classifier,
        lambda best: (
            "Optimization complete"
            + closing.format(100 * best["validation_error"], best["iteration"], 100 * best["test_error"])
        ),
    )


@checked
def sgd_optimization_mnist(
    learning_rate=0.13, n_epochs=1000, dataset="mnist.pkl.gz", batch_size=600, output_folder=None,
    fresh=False, show_graph=False,
):  # fmt: skip
    """Train a logistic regression by stochastic gradient descent, with early stopping.

    Parameters
    ----------
    learning_rate : float, at least 0
        Size of a step.
    n_epochs : int, at least 1
        Passes over the training set at most.
    dataset, batch_size, output_folder, fresh, show_graph
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
    with open_run(sgd_optimization_mnist, settings, datasets) as run:
        say("... building the model")
        x = pt.matrix("x")  # (batch, n_in)
        y = pt.ivector("y")  # (batch,)
        classifier = LogisticRegression(input=x, n_in=datasets.n_in, n_out=datasets.n_out)
        cost = classifier.negative_log_likelihood(y)
        functions = supervised_functions(
            cost, classifier.errors(y), classifier.params, x, y, datasets, batch_size, learning_rate
        )
        run.track(classifier, functions[0])
        run.show_graph("training", functions[0])

        say("... training the model")
        result = train_with_early_stopping(run, classifier, functions, n_epochs, n_train_batches, PATIENCE)
        if result.curve:
            n_trained = result.figures["epochs"]
            speed = n_trained / max(run.seconds["training"], 0.001)
            say(f"The code run for {n_trained} epochs, with {speed:f} epochs/sec")
        run.draw(plot)
        return result


def load_model(saved):
    """A classifier with the parameters of a saved model."""
    n_in, n_out = saved.layer_sizes(n_layers=1)
    classifier = LogisticRegression(input=pt.matrix("x"), n_in=n_in, n_out=n_out)
    saved.restore(classifier.params)
    return classifier


def predictor(lesson, load_model):
    """The function `predict` of a lesson.

    Parameters
    ----------
    lesson : str
    load_model : function of a `SavedModel`
        Gives the lesson's classifier, with its `input` and `y_pred`.
    """

    def predict(model=ROOT / "runs" / lesson / "model.npz", dataset=None):
        """Load a saved model, print its predictions for ten test images and its error on the whole test set.

        Parameters
        ----------
        model : path
            The model.npz of a run.
        dataset : path, optional
            By default the one that the model was trained on.

        Returns
        -------
        float
            The test error, in 0..1.
        """
        saved = SavedModel(model, lesson)
        classifier = load_model(saved)
        datasets = saved.load_data(dataset)
        predicted = predict_test_set(classifier.input, classifier.y_pred, datasets)
        labels = datasets[2][1].get_value(borrow=True)
        error = float(np.mean(predicted != labels))
        say(f"dataset: {datasets.source}")
        say(f"Predicted values for the first 10 examples in test set: {predicted[:10].tolist()}")
        say(f"Their labels:                                           {labels[:10].tolist()}")
        say(f"test error {100 * error:f} % of {len(labels)} images")
        return error

    return predict


predict = predictor("logistic_sgd", load_model)


def plot(folder, datasets=None):
    """Draw the pictures of a run: its errors, the weights of each class, the confusion matrix, wrong predictions.

    Parameters
    ----------
    folder : path
        The run's.
    datasets : support.data.Datasets, optional
        The run's data, where they are loaded already.
    """
    pictures = Pictures(folder, sgd_optimization_mnist, datasets)
    pictures.draw_errors()
    (saved,) = pictures.models({"model": SavedModel})
    if saved:
        classifier = load_model(saved)
        pictures.draw_weights(classifier.W)
        pictures.draw_predictions(classifier.input, classifier.y_pred)


QUICK = {"n_epochs": 10}
SHORT = {"n_epochs": 2, "batch_size": 20}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(sgd_optimization_mnist, quick=QUICK, predict=predict, plot=plot))
