"""Lesson 1: logistic regression, trained by stochastic gradient descent.

PyTensor in a few lines
        counter = pytensor.shared(0, name="counter")  # keeps its value from call to call
        step = pt.lscalar("step")                     # a symbol, without a value
        doubled = 2 * step                            # a graph: nothing is computed yet
        add = pytensor.function([step], doubled, updates={counter: counter + step})
        add(3)                                        # returns 6; counter is 3 now
        add(3)                                        # returns 6; counter is 6 now
        peek = pytensor.function([], doubled, givens={step: counter})
        peek()                                        # returns 12: counter took the place of step

    `updates` give a shared variable its value after a call. `givens` put one variable in the place of another.
    Weights are shared variables, and a step of training is a function with updates.

The model (LogisticRegression)
    An image is a row vector x of pixels. Each class i has a column of weights Wᵢ and a bias bᵢ:

        a = x W + b,    P(Y = i | x) = softmaxᵢ(a) = exp(aᵢ) / Σⱼ exp(aⱼ)

    The predicted class is the most probable one. Two numbers judge the predictions for B images, where yₖ is the
    label of image xₖ:

        error = (1/B) (number of images k whose predicted class is not yₖ)    the mean zero-one loss
        NLL   = −(1/B) Σₖ log P(Y = yₖ | xₖ)                                  the negative log-likelihood

    We want a small error. But the error moves in jumps, and its gradient is zero nearly everywhere. The NLL is smooth.
    So we train on the NLL, and report the error.

Why the likelihood (negative_log_likelihood)
    Say the images are independent. Then the model gives all B labels together the probability

        Πₖ P(Y = yₖ | xₖ).

    This number, seen as a function of W and b, is the likelihood. We look for the W and b that make the observed
    labels most probable. The logarithm grows with its argument, so the logarithm of the likelihood is largest for the
    same W and b. It turns the product into a sum. A sum does not underflow, and its gradient is a sum over images. The
    minus sign turns the search for the highest value into one for the lowest. The division by B makes minibatches of
    all sizes comparable.

The gradient (sgd_updates)
    One image with label y has NLL = −log P(Y = y | x) = −a_y + log Σⱼ exp(aⱼ). Let [i = y] be 1 for the class y, and
    0 for the others. Then

        ∂NLL/∂aᵢ = exp(aᵢ) / Σⱼ exp(aⱼ) − [i = y] = P(Y = i | x) − [i = y],

    the probability that the model gives minus the one that would be right. Let onehot(y) be the row vector with a 1
    for class y and zeros elsewhere. Then all derivatives together are the row vector δ = P − onehot(y). Since aᵢ is the
    sum over pixels of x times column Wᵢ, plus bᵢ, the chain rule gives ∂NLL/∂W = xᵀ δ and ∂NLL/∂b = δ.

One example, with numbers
    Two pixels and two classes; x = (1, 2), its label is class 0, and all weights are zero.

        a = x W + b = (0, 0)      P = (1/2, 1/2)           NLL = −ln 1/2 = 0.693
        ∂NLL/∂a = P − (1, 0) = (−1/2, 1/2)                 this is ∂NLL/∂b, too
        ∂NLL/∂W = xᵀ (−1/2, 1/2) = [[−1/2, 1/2], [−1, 1]]  the brighter pixel moves its weights further

    A step W ← W − 0.1 ∂NLL/∂W makes W = [[0.05, −0.05], [0.1, −0.1]], and b = (0.05, −0.05). Now

        a = (0.3, −0.3)           P = (0.646, 0.354)       NLL = −ln 0.646 = 0.437

The graph (minibatch_function)
    `pt.grad` adds the graph of the derivatives to the graph of the cost. `pytensor.function` makes machine code of
    both. The data are shared variables, too. They are stored once, and a call passes the number of a minibatch instead
    of its images. Images that are passed would be checked in each call, and their number would be unknown. `givens` put
    the minibatch in the place of x, so the same model runs on any data.

    All updates of a call are computed from the values before the call, so {a: b, b: a} is a swap.

When the graph is wrong
    `pt.grad(x**2, x)` is a graph like any other: `pytensor.dprint` shows it, before and after compilation.
    `python code/debugging.py` prints such graphs and explains them, and then makes errors on purpose, each with the
    tool that finds it: shapes that do not fit, a label that is no class, NaN, updates that were forgotten.

    The compiled step is one piece of machine code. It does not check the labels. If it fails, it cannot say at which
    node, which is one operation of the graph. To debug, let NumPy compute node by node:

        PYTENSOR_FLAGS=linker=py,optimizer=fast_compile,exception_verbosity=medium python code/logistic_sgd.py --fresh

The loop (EarlyStopping)
    The gradient of 600 images is an estimate of that of all 50,000, for an 83rd of the work. So an epoch, one pass
    over the training set, takes 83 steps.

    Each set has one task. The training set moves the weights. The validation set chooses: the learning rate, the
    moment to stop, the model to keep. The test set chooses nothing. It measures the chosen model on images that had
    no part in the choice.

    Why stop early? In a long run the model begins to fit accidents of the training images. Its training cost and error
    go on falling, while those of the validation set rise. On MNIST, at a rate of 1.3, over all images of each set:

        after epoch            1       10      30      76      200
        training NLL           0.370   0.284   0.262   0.247   0.235
        validation NLL         0.342   0.278   0.269   0.268   0.275
        training error         11.00   8.12    7.29    6.87    6.52 %
        validation error       9.82    7.78    7.47    7.28    7.37 %

    Early stopping needs a number, the patience. The run ends when it has trained on that many minibatches. At first
    the patience is 5,000. If the validation error after minibatch t falls below 0.995 times the best so far, patience
    becomes 2 t, or stays if it is larger. The best model is kept, not the last. Lesson 2 derives how stopping early
    acts like a penalty on the weights.

What to look at (sgd_optimization_mnist)
    The first cost, ln 10 = 2.303: all classes are equally likely. No random number enters. On MNIST the run ends with
    7.500000 % validation and 7.489583 % test error, over the 16 full minibatches of each set, 9,600 of 10,000 images.
    Over all 10,000 test images, as `--predict` counts, the same model has 7.75 %. In the page of `--show-graph`, look
    for `p_y_given_x`, `cost` and `(dcost/dW)`. PyTensor made the last one.

Exercises stand at the foot of this file, their answers in tests/exercises/logistic_sgd.md.

References
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, section 4.3.4.
"""

import sys
from dataclasses import dataclass

from support import rewrites
from support.command import command
from support.console import say
from support.inputs import check_labels, scalar, value_of, variable_for
from support.pictures import Pictures
from support.runs import open_run
from support.runs.models import SavedModel, outputs_for
from support.settings import checked
from support.start import ROOT, aligned

import numpy as np
import pytensor
import pytensor.tensor as pt

PATIENCE = 5000  # minibatches to train in any case
PATIENCE_INCREASE = 2  # a better model at iteration i lets the run go on to iteration 2 i,
IMPROVEMENT_THRESHOLD = 0.995  # where its error is below this share of the best one's


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

        The mean of a small minibatch has the size of the mean of a large one; a sum would grow with it.
        """
        log_p = pt.log(self.p_y_given_x)  # (batch, n_out); compiled as log_softmax, which stays finite where P is 0
        # Two index vectors pick one entry from each row: log_p[0, y_0], log_p[1, y_1], ... Machine code does not check
        # an index: a label beyond the outputs reads foreign memory, and -1 is the last class. So check labels before.
        return -pt.mean(log_p[pt.arange(y.shape[0]), y])  # scalar

    def errors(self, y):
        """Mean zero-one loss of the minibatch, in 0..1; y is an integer vector, (batch,).

        Raises
        ------
        TypeError
            If y does not have the rank of `y_pred`.
        NotImplementedError
            If y does not hold integers.
        """
        if y.ndim != self.y_pred.ndim:
            raise TypeError(f"y must be a vector, like y_pred, but it has {y.ndim} dimensions ({y.type})")
        if not np.issubdtype(y.dtype, np.integer):
            raise NotImplementedError(f"y must hold integers, but it holds {y.dtype}")
        return pt.mean(pt.neq(self.y_pred, y))  # scalar


def parameter(value, name):
    """A shared variable of floatX with this initial value.

    `shape` tells the compiler the sizes, which the type of a shared variable leaves open. `aligned` copies the value to
    memory that starts at a cache line, where vector instructions read it fastest. `borrow` keeps that copy: without it,
    PyTensor would make another one, somewhere else.
    """
    value = aligned(value, dtype=pytensor.config.floatX)
    return pytensor.shared(value, name=name, shape=value.shape, borrow=True)


def minibatch(data, index, batch_size):
    """The rows of minibatch number `index` of a data set, as a symbolic slice, (batch_size, ...).

    A slice has an unknown number of rows. `specify_shape` says how many there are. With a batch of 1, for example, the
    compiler can then make a product of matrix and vector out of a product of matrices.
    """
    rows = data[index * batch_size : (index + 1) * batch_size]
    batch = pt.specify_shape(rows, (batch_size, *value_of(data).shape[1:]))
    batch.name = "minibatch"
    return batch


def sgd_updates(cost, params, learning_rate):
    """One step of plain gradient descent: {parameter: parameter - learning_rate * dcost/dparameter}.

    A step has the type of its parameter, even if the cost has another type.
    """
    cost.name = "cost"  # from which PyTensor names the gradients, as (dcost/dW)
    steps = [scalar(learning_rate) * gradient for gradient in pt.grad(cost, params)]
    return {param: param - step.astype(param.dtype) for param, step in zip(params, steps)}


def minibatch_function(output, data, batch_size, updates=None, arguments=()):
    """Compile f(index, *arguments), the value of `output` on minibatch number `index` of a data set.

    A mode says how PyTensor rewrites the graph, and what runs it. Ours passes over the weights as seldom as it can, in
    machine code. Put "FAST_COMPILE" in its place to start sooner and run slower, or `NanGuardMode()`, of
    `pytensor.compile.debug.nanguardmode`, to stop at the first NaN.

    Parameters
    ----------
    output : symbolic variable, or list of them
    data : dict, {symbolic variable: shared variable, or an expression of some, or array}
        The symbols that stand for a minibatch, and the data whose rows take their place. Labels are not compared with
        the number of outputs here, but in `supervised_functions`.
    batch_size : int
    updates : dict, optional
        The new values of shared variables, which a call computes and sets.
    arguments : list of symbolic variables
        Further arguments of f.

    Returns
    -------
    compiled function
    """
    index = pt.lscalar("index")
    givens = {symbol: minibatch(variable_for(symbol, rows), index, batch_size) for symbol, rows in data.items()}
    return pytensor.function([index, *arguments], output, updates=updates, givens=givens, mode=rewrites.mode())


def score_function(errors, data, batch_size, updates=None):
    """A plain Python function without arguments: the list of `errors` of every full minibatch of a data set."""
    minibatch_errors = minibatch_function(errors, data, batch_size, updates)
    n_minibatches = min(len(value_of(rows)) for rows in data.values()) // batch_size
    return lambda: [minibatch_errors(index) for index in range(n_minibatches)]


def supervised_functions(classifier, cost, errors, y, datasets, batch_size, learning_rate):
    """The functions that train a classifier with labels, and that score it.

    Parameters
    ----------
    classifier : object with `input` and `params`, the last of which has a column for each output
    cost, errors : symbolic scalars, of the classifier's input and of y
    y : symbolic integer vector, (batch,)
    datasets : list of three pairs of shared variables
        Training, validation and test set; x (n, n_in), y (n,).
    batch_size : int
    learning_rate : float or symbolic scalar

    Returns
    -------
    train_model : function of a minibatch's index
        Returns its cost and updates the parameters.
    valid_score, test_score : functions without arguments
        Return the list of the errors of every minibatch.

    Raises
    ------
    UserError
        If a label has no output.
    """
    check_labels(y, datasets, n_out=classifier.params[-1].get_value(borrow=True).shape[-1])
    train_set, valid_set, test_set = ({classifier.input: x, y: labels} for x, labels in datasets)
    updates = sgd_updates(cost, classifier.params, learning_rate)
    train_model = minibatch_function(cost, train_set, batch_size, updates)
    return train_model, *(score_function(errors, each, batch_size) for each in (valid_set, test_set))


@dataclass
class EarlyStopping:
    """The memory of early stopping, from minibatch to minibatch. Its rule is in `train_with_early_stopping`.

    Attributes
    ----------
    patience : int
        Minibatches to train in any case. The rule raises this number.
    best_validation_error : float
        In 0..1; infinite before the first validation.

    References
    ----------
    Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, on early stopping.
    """

    patience: int
    best_validation_error: float = np.inf


def train_with_early_stopping(
    run, classifier, functions, n_epochs, patience, rate="learning_rate", name="training", title=None,
    closing=" with best validation score of {:f} %, on iteration {}, with test performance {:f} %",
):  # fmt: skip
    """Train a classifier, validate it now and then, keep the best one, and stop where patience ends.

    Parameters
    ----------
    run : support.runs.run.Run
    classifier : object with `params`
    functions : the result of `supervised_functions`
    n_epochs : int
        Epochs at most.
    patience : int
        Minibatches to train in any case.
    rate, name, title
        The driver's argument for the size of a step, and the names of the stage, as for `Run.stage`.
    closing : str
        End of the last printed line, with places for the best validation error, its iteration, and the test error.

    Returns
    -------
    support.runs.models.Result
    """
    train_model, valid_score, test_score = functions
    chance_cost = np.log(run.data.n_out)  # of guessing all classes alike
    stage = run.stage(
        classifier, train_model, name=name, phase="training", title=title, rate=rate, chance_cost=chance_cost
    )
    stopping = EarlyStopping(patience)
    # When to look: once an epoch, and at least twice within the first patience.
    validation_frequency = min(run.n_minibatches, patience // 2)
    for epoch in stage.epochs(n_epochs, memory=stopping):
        for minibatch_index in epoch:
            epoch.add(cost=train_model(minibatch_index))
            iteration = epoch.iteration  # minibatches before this one, over all epochs
            if (iteration + 1) % validation_frequency == 0:
                validation_error = np.mean(valid_score())
                epoch.note(iteration=iteration + 1, validation_error=validation_error, test_error=None)
                where = f"epoch {epoch.number}, minibatch {minibatch_index + 1}/{run.n_minibatches}"
                say(f"{where}, validation error {100 * validation_error:f} %")
                if validation_error < stopping.best_validation_error:
                    # A clear improvement extends patience. Below 2 % of 10,000 images, one image less is enough.
                    if validation_error < IMPROVEMENT_THRESHOLD * stopping.best_validation_error:
                        stopping.patience = max(stopping.patience, PATIENCE_INCREASE * iteration)
                    stopping.best_validation_error = float(validation_error)
                    epoch.note(test_error=np.mean(test_score()))
                    say(f"     {where}, test error of best model {100 * epoch.figures['test_error']:f} %")
                    stage.keep(**epoch.figures)
            if stopping.patience <= iteration:
                epoch.is_last = True
                break
        epoch.note(patience=stopping.patience)

    def closing_line(best):
        figures = 100 * best["validation_error"], best["iteration"], 100 * best["test_error"]
        return f"Optimization complete{closing.format(*figures)}"

    return run.finish(closing_line)


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

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """
    with open_run(sgd_optimization_mnist, locals()) as run:  # `locals()` are the values of the arguments above
        say("... building the model")
        x = pt.matrix("x")  # (batch, n_in)
        y = pt.ivector("y")  # (batch,)
        classifier = LogisticRegression(input=x, n_in=run.data.n_in, n_out=run.data.n_out)
        cost = classifier.negative_log_likelihood(y)
        errors = classifier.errors(y)
        functions = supervised_functions(classifier, cost, errors, y, run.data, batch_size, learning_rate)

        run.say("... training the model")
        train_with_early_stopping(run, classifier, functions, n_epochs, PATIENCE)
        if run.curve:
            speed = len(run.curve) / max(run.seconds["training"], 0.001)
            say(f"The code run for {len(run.curve)} epochs, with {speed:f} epochs/sec")
        return run.draw(plot)


def load_model(saved):
    """A classifier with the parameters of a saved model."""
    n_in, n_out = saved.layer_sizes(n_layers=1)
    classifier = LogisticRegression(input=pt.matrix("x"), n_in=n_in, n_out=n_out)
    saved.restore(classifier.params)
    return classifier


def predictor(lesson, load_model):
    """The function `predict` of a lesson, whose `load_model` makes a classifier of a `SavedModel`."""

    def predict(model=ROOT / "runs" / lesson / "model.npz", dataset=None):
        """Load a saved model, and print its predictions for ten images and its error on all of them.

        The images are the test set of the model's own data, or that of another data set. An .npz file without a split
        gives all its examples. Without labels the predictions are counted, and there is no error. Returns the error or
        None.
        """
        saved = SavedModel(model, lesson)
        classifier = load_model(saved)
        examples = saved.load_examples(dataset)
        predicted, probabilities = outputs_for(
            classifier.input, [classifier.y_pred, classifier.p_y_given_x], examples.x
        )
        say(f"dataset: {examples.source}")
        if examples.is_test_set:
            say(f"Predicted values for the first 10 examples in test set: {predicted[:10].tolist()}")
            say(f"Their labels:                                           {examples.y[:10].tolist()}")
        else:
            for place, row in enumerate(probabilities[:10]):
                likely = np.argsort(-row, kind="stable")[:3]
                odds = ", ".join(f"class {label} with probability {row[label]:.4f}" for label in likely)
                say(f"example {place}: {odds}{'' if examples.y is None else f'; its label is {examples.y[place]}'}")
        if examples.y is None:
            counts = np.bincount(predicted, minlength=probabilities.shape[1])
            say(f"images of each class: {', '.join(f'{label}: {n}' for label, n in enumerate(counts))}")
            return None
        error = float(np.mean(predicted != examples.y))
        say(f"{'test ' * examples.is_test_set}error {100 * error:f} % of {len(predicted)} images")
        return error

    return predict


predict = predictor("logistic_sgd", load_model)


def plot(folder, datasets=None):
    """Draw the pictures of a run: its errors, the weights of each class, the confusion matrix, wrong predictions.

    `folder` is the run's, and `datasets` are its data, where they are loaded already.
    """
    pictures = Pictures(folder, sgd_optimization_mnist, datasets)
    pictures.draw_errors()
    for classifier in pictures.models(load_model).values():
        pictures.draw_weights(classifier.W)
        pictures.draw_predictions(classifier.input, classifier.y_pred)


QUICK = {"n_epochs": 10}
SHORT = {"n_epochs": 2, "batch_size": 20}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(sgd_optimization_mnist, quick=QUICK, predict=predict, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. Figures are validation and
test error on MNIST, in single precision. The answers are in tests/exercises/logistic_sgd.md.

1. The size of a step. Run with `--learning-rate 1.3` and with 13, ten and a hundred times the default. Which of the
   three runs were still improving when they ended? Look at `errors.png`. Then let them last longer: raise `PATIENCE`
   to ten times its value, and add `--fresh`.
2. The size of a minibatch. Run with `--batch-size 10000 --n-epochs 74`, with `--batch-size 20 --n-epochs 20`, and
   with `--batch-size 20 --learning-rate 0.00433 --n-epochs 74`. Did you compare only the sizes, or something else,
   too?
3. The start. In `LogisticRegression`, let W begin as `np.random.RandomState(0).normal(size=(n_in, n_out))`, and run
   with `--fresh`. The cost is convex, so no start leads to a local minimum that is worse than the best one. Why is
   the result worse all the same? 67 pixels are dark in every training image, and their weights never move. Are they
   to blame?
4. Code: momentum. Give `sgd_updates` a fourth argument, `momentum=0.0`. Each parameter gets a velocity v, zero at
   first; v becomes momentum · v − learning_rate · gradient, and the parameter moves by the new v. Check it by
   `python -m pytest tests/exercises -k momentum`. To choose it on the command line, give the driver
   `sgd_optimization_mnist` an argument `momentum=0.0`, with a line `momentum : float, in [0, 1)` and its sentence in
   the docstring, and hand it on through `supervised_functions`. Then run with `--momentum 0.9 --fresh`. Which
   learning rate suits it?
"""
