r"""Lesson 2: a multilayer perceptron with one hidden layer.

The model (HiddenLayer)
    A hidden layer maps the input to features that a logistic regression can separate:

        h = tanh(x W₁ + b₁),    P(Y = i | x) = softmaxᵢ(h W₂ + b₂)

        x₁ o-------o-------o P₀
            \     / \     /
             \   /h₁ \   /          two inputs, two hidden units, two classes;
              \ /     \ /           each line is a weight
               X       X
              / \     / \
             /   \h₂ /   \
            /     \ /     \
        x₂ o-------o-------o P₁
            W₁, b₁   W₂, b₂
             tanh    softmax

    Why tanh? Without a nonlinear function between them, two layers are one: x W₁ W₂ = x (W₁ W₂). The values of tanh
    lie around zero, and the next layer learns faster from such values [1].

    The cost is the NLL plus L1_reg times the sum of |W| plus L2_reg times the sum of W², over both layers. These
    penalties pull the weights towards zero.

Why a penalty helps, and stopping early (MLP)
    Take one direction of the weights, and let w be the position along it. Let the NLL be lowest at w*. Near w* it is
    nearly a constant plus ½ c (w − w*)², where c is the curvature. If c is large, the training images determine w well.
    If c is small, they say little about it, and w* is mostly an accident of these images. Training starts at w = 0 and
    can end in three ways:

        t steps at the rate η              w = (1 − (1 − η c)ᵗ) w*
        the minimum with a penalty λ w²    w = c / (c + 2 λ) w*
        the minimum with a penalty λ |w|   w = w* − λ / c for w* > 0, but not below 0

    Each step multiplies the distance w − w* by 1 − η c, which gives the first line. In the other two, the derivative of
    NLL plus penalty is zero: c (w − w*) + 2 λ w = 0, and c (w − w*) + λ = 0. Say η = 0.1, t = 100, λ = 0.05:

        curvature                     c = 1       c = 0.001
        stopped after 100 steps       1.000 w*    0.010 w*
        penalty λ w²                  0.909 w*    0.010 w*
        penalty λ |w|, for w* = 1     0.950       0

    All three keep w near zero where the images say little, and let it go near w* where they determine it. Stopping
    after t steps does about as much as a penalty λ w² with λ = 1 / (2 η t), here 0.05.

The start
    If W₁ began at zero, all hidden units would be equal, and stay equal. So it begins with random numbers. Signals
    should keep their size on the way up, from the input to the cost, and gradients on the way down. Where layers differ
    in size, no range of weights serves both. Equation 16 of [2] is a compromise: W₁ is uniform in
    ±√(6 / (n_in + n_out)). It is derived for units of slope 1 at zero, such as tanh. The logistic sigmoid has the slope
    1/4. With four times the weights it has the slope 1, too: σ(4 a) is nearly 1/2 + a near zero. The factor 4 is not in
    equation 16; it is Bengio's advice [3].

One example, with numbers
    x = (1, 0), its label is class 0; W₁ = [[ln 2, −ln 3], [1/2, 1/2]], W₂ = [[1, 0], [−1, 0]], no biases. Up:

        h = tanh(ln 2, −ln 3) = (0.6, −0.8)
        h W₂ = (0.6 + 0.8, 0) = (1.4, 0)      P = (0.802, 0.198)       NLL = −ln 0.802 = 0.220

    And down, from the P − onehot of lesson 1:

        ∂NLL/∂(h W₂) = P − (1, 0)               = (−0.198, 0.198)
        ∂NLL/∂h      = (−0.198, 0.198) W₂ᵀ      = (−0.198, 0.198)
        ∂NLL/∂(x W₁) = ∂NLL/∂h (1 − h²)         = (−0.198 · 0.64, 0.198 · 0.36) = (−0.127, 0.071)
        ∂NLL/∂W₁     = xᵀ (−0.127, 0.071)       = [[−0.127, 0.071], [0, 0]]     a dark pixel moves no weight

    The factor 1 − h² is the derivative of tanh. A step of 0.1 on all parameters makes h = (0.616, −0.805) and
    NLL = 0.201.

The graph
    Nobody has to write the way down by hand. `pt.grad` applies the chain rule to the graph of the cost, whatever its
    layers are: this is back-propagation. In the page of `--show-graph`, look for `h` and `(dcost/dh)`. W₁ is W_0 there,
    and W₂ is W_1.

The loop (test_mlp)
    It is lesson 1's, with minibatches of 20 images and a patience of 10,000.

How to choose the settings
    Try learning rates on a logarithmic grid, 1, 0.1, 0.01 ..., then a finer grid around the best one.
    A rate that falls, such as rate / (1 + d · epoch) with a d of 0.001 or less, can end closer to the minimum.
    More hidden units can fit more. Without a penalty or early stopping, the test error often falls with their number,
    and then rises again.
    Try penalties on a logarithmic grid, too: 0.01, 0.001 ...
    Judge by the validation error at the end of the run, not at its beginning, and with several seeds.

What to look at (plot)
    The test error is 1.65 %, where lesson 1 has 7.49 %. The network has 390,000 more weights, and a random start, so
    that the last digits depend on the seed. `filters.png` shows the columns of W₁. `wrong.png` shows digits that the
    model takes for others. Which of them would you have got right?

Exercises stand at the foot of this file, their answers in tests/exercises/mlp.md.

References
    [1] Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, Efficient BackProp, 1998, section 4.4.
    [2] X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    [3] Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012.
"""

import sys

from logistic_sgd import LogisticRegression, parameter, predictor, supervised_functions, train_with_early_stopping
from support.command import command
from support.console import say
from support.inputs import random_state
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked

import numpy as np
import pytensor.tensor as pt

PATIENCE = 10000  # minibatches to train in any case


def uniform_weights(rng, n_in, n_out, factor=1):
    """Initial weights, (n_in, n_out), uniform in +-factor sqrt(6 / (n_in + n_out)) [2, equation 16]."""
    bound = factor * np.sqrt(6.0 / (n_in + n_out))
    return parameter(random_state(rng).uniform(-bound, bound, size=(n_in, n_out)), "W")


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
            # The sigmoid's slope at zero is 1/4, that of tanh is 1 [3].
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
        self.y_pred, self.p_y_given_x = self.logRegressionLayer.y_pred, self.logRegressionLayer.p_y_given_x
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

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """
    with open_run(test_mlp, locals()) as run:
        say("... building the model")
        x = pt.matrix("x")  # (batch, n_in)
        y = pt.ivector("y")  # (batch,)
        rng = np.random.RandomState(seed)
        classifier = MLP(rng=rng, input=x, n_in=run.data.n_in, n_hidden=n_hidden, n_out=run.data.n_out)
        cost = classifier.negative_log_likelihood(y) + L1_reg * classifier.L1 + L2_reg * classifier.L2_sqr
        errors = classifier.errors(y)
        functions = supervised_functions(classifier, cost, errors, y, run.data, batch_size, learning_rate)

        run.say("... training")
        train_with_early_stopping(
            run, classifier, functions, n_epochs, PATIENCE, title="The code",
            closing=". Best validation score of {:f} % obtained at iteration {}, with test performance {:f} %",
        )  # fmt: skip
        return run.draw(plot)


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
    for classifier in pictures.models(load_model).values():
        caption = "Weights of the hidden units of the best model, an image for each unit."
        pictures.draw_filters({"best model": classifier.hiddenLayer.W}, caption)
        pictures.draw_predictions(classifier.input, classifier.y_pred)


QUICK = {"n_epochs": 8}
SHORT = {"n_epochs": 2, "batch_size": 20, "n_hidden": 9}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_mlp, quick=QUICK, predict=predict, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. Figures are validation and
test error on MNIST, in single precision. The answers are in tests/exercises/mlp.md.

1. The width. Run `--quick` and `--quick --n-hidden 20`. Does width not matter? Then run both with `--n-epochs 200`.
2. The rate. Run `--quick --learning-rate 0.1`, ten times the published rate. Is the published rate too small? Then
   run both rates without `--quick`, to their end.
3. The penalties. Run `--quick` with `--L2-reg 0`, 0.0001 and 0.01, and with `--L1-reg 0.001`. The training cost holds
   the penalty. So compile one function more in `test_mlp`, `score_function` of `classifier.negative_log_likelihood(y)`
   on the validation set, and print its mean each epoch. The loop calls the second of `functions` once an epoch: put a
   function in its place that also prints. Run with `--fresh`. Which of the two costs shows whether a penalty is too
   strong or too weak?
4. Code: a penalty on activity. Give `MLP` an attribute `activity`: the sum of |h| over the hidden units, averaged
   over the minibatch. Check it by `python -m pytest tests/exercises -k activity`. Give the driver `test_mlp` an
   argument `activity_reg=0.0`, with a line `activity_reg : float, at least 0` and its sentence in the docstring, and
   add activity_reg times the activity to the cost. Then run `--quick --activity-reg 0.01 --fresh`. How do h and the
   error change?
"""
