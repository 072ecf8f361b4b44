"""Lesson 5: a linear autoencoder finds the plane of principal component analysis.

The model (LinearAutoencoder)
    This autoencoder has no sigmoids. Let m be the mean of the n training images, and W a matrix that both maps share:

        y = (x − m) W,    z = y Wᵀ + m,    cost = (1/n) Σₖ |xₖ − zₖ|².

    The code y has few entries, so z lies in a plane of few dimensions through m. The cost is lowest for the plane
    that lies closest to the images. Principal component analysis (PCA) finds that plane without any descent: it is
    spanned by those eigenvectors of the covariance matrix

        C = (1/n) Σₖ (xₖ − m)ᵀ (xₖ − m)

    that belong to the largest eigenvalues. The cost there is the sum of all other eigenvalues. Baldi and Hornik [1]
    treat two maps whose weights are not tied. They show that the cost has no other local minimum: every other
    stationary point is a saddle.

    The autoencoder finds the plane, but not the axes. If Q is a rotation of the code, W Q gives the same z as W does.
    So the columns of W are some axes of the plane, in no order. Since the weights are tied, the columns are at right
    angles and of length one at the optimum: Wᵀ W is the identity.

    It is often said that an autoencoder with sigmoids does better than PCA. In squared error it cannot, as long as its
    output is linear [2]: z still lies in a plane of as many dimensions as the code, and PCA's plane is the best one.
    An autoencoder does better only by a nonlinear output, such as a sigmoid, with which z lies on a curved surface.
    See exercise 2.

One example, with numbers (get_cost_gradient)
    Two pixels, one hidden unit, two images: x = (2, 1) and (1, 3). Say m = (1, 1) and W = (1, 1)ᵀ. (This m is not their
    mean, but it gives rounder numbers.)

        y = (1, 0) W = 1             z − m = (1, 1)        x − z = (0, −1)        |x − z|² = 1
        y = (0, 2) W = 2             z − m = (2, 2)        x − z = (−2, 0)        |x − z|² = 4        cost = 5/2

    W stands in both maps. So with e = x − z the gradient has two parts for each image: −2 (eᵀ y + (x − m)ᵀ (e W)).

        −2 ((0, −1)ᵀ 1 + (1, 0)ᵀ (−1)) = (2, 2)ᵀ
        −2 ((−2, 0)ᵀ 2 + (0, 2)ᵀ (−2)) = (8, 8)ᵀ             ∂cost/∂W = (5, 5)ᵀ, their mean

    Both weights must shrink. At length one, W = (1, 1)ᵀ / √2, the cost is 5/4. From there the cost falls only if W
    turns.

The graph
    `pt.grad` gives the gradient, and leaves open how it is used. The other lessons take small steps, a minibatch at a
    time. Here cost and gradient of the whole training set make one compiled function, and SciPy's L-BFGS-B [3] calls
    it. That optimiser knows nothing of neural networks. It needs a cost and its gradient, and no more. It works in
    double precision, and so does this lesson.

The loop (minimise)
    The loop is inside the optimiser. After each of its iterations it calls `after_iteration`, which puts the weights
    into the model. An iteration counts as an epoch of the run.

What to look at (plot)
    The first lines name PCA's optimum, and each later line how far above it the cost still is. In the picture
    `components`, look for a column of W among the eigenvectors: there is none. Then compare the two rows of
    `reconstructions`: they are the same.

Exercises stand at the foot of this file, their answers in tests/exercises/pca.md.

References
    [1] P. Baldi, K. Hornik, Neural Networks and Principal Component Analysis: Learning from Examples Without Local
        Minima, Neural Networks 2, 1989.
    [2] H. Bourlard, Y. Kamp, Auto-Association by Multilayer Perceptrons and Singular Value Decomposition, Biological
        Cybernetics 59, 1988.
    [3] R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, A Limited Memory Algorithm for Bound Constrained Optimization, SIAM
        Journal on Scientific Computing 16, 1995.
"""

import sys
from functools import partial

from logistic_sgd import parameter
from mlp import uniform_weights
from support import rewrites
from support.command import command
from support.console import progress, say
from support.pictures import Pictures
from support.runs import open_run
from support.settings import checked
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import scipy.linalg
import scipy.optimize

MEMORY = 30  # steps from which the optimiser estimates the curvature
GRADIENT = 1e-7  # the optimiser ends where no entry of the gradient is larger


class LinearAutoencoder:
    """An autoencoder with linear maps and tied weights.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the initial weights, and nothing else.
    input : symbolic matrix, (batch, n_visible), optional
        By default a new one.
    n_visible : int
        Number of inputs.
    n_hidden : int
        Number of hidden units, the dimensions of the plane.
    W : shared matrix, (n_visible, n_hidden), optional
        By default uniform in +-sqrt(6 / (n_visible + n_hidden)).
    bvis : shared vector, (n_visible,), optional
        The training set's mean, which nothing trains; by default zero.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_visible), the input
    W, b_prime : shared variables, the weights and the mean
    W_prime : symbolic matrix, (n_hidden, n_visible), W transposed
    params : [W]
    """

    def __init__(self, numpy_rng, input=None, n_visible=784, n_hidden=50, W=None, bvis=None):
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.W = uniform_weights(numpy_rng, n_visible, n_hidden) if W is None else W
        self.b_prime = parameter(np.zeros(n_visible), "b_prime") if bvis is None else bvis
        self.W_prime = self.W.T
        self.x = pt.matrix("x") if input is None else input
        self.params = [self.W]

    def get_hidden_values(self, input):
        """The code, (batch, n_hidden)."""
        return pt.dot(input - self.b_prime, self.W)

    def get_reconstructed_input(self, hidden):
        """The input rebuilt from the code, (batch, n_visible)."""
        return pt.dot(hidden, self.W_prime) + self.b_prime

    def get_cost_gradient(self):
        """The cost and its gradient.

        Returns
        -------
        cost : symbolic scalar
            The squared error, summed over the entries, mean over the examples.
        gradient : symbolic matrix, (n_visible, n_hidden)
        """
        y = self.get_hidden_values(self.x)  # (batch, n_hidden)
        z = self.get_reconstructed_input(y)  # (batch, n_visible)
        cost = pt.mean(pt.sum((self.x - z) ** 2, axis=1))
        y.name, z.name, cost.name = "y", "z", "cost"
        return cost, pt.grad(cost, self.W)


def principal_components(x):
    """PCA of a data set, by the eigenvectors of its covariance matrix.

    Parameters
    ----------
    x : array, (n, n_visible)

    Returns
    -------
    mean : array, (n_visible,)
    eigenvalues : array, (n_visible,), the largest first
    eigenvectors : array, (n_visible, n_visible), one a column, in the same order
    """
    mean = x.mean(axis=0)
    centred = x - mean
    eigenvalues, eigenvectors = np.linalg.eigh(centred.T @ centred / len(x))  # over n, not n - 1, as the cost is
    return mean, eigenvalues[::-1], eigenvectors[:, ::-1]


def largest_angle(W, eigenvectors):
    """The largest principal angle between the planes that two matrices' columns span, in degrees."""
    return float(np.degrees(scipy.linalg.subspace_angles(W, eigenvectors).max()))


def minimise(stage, cost_and_gradient, max_iterations, optimum):
    """Let L-BFGS-B change the weights, from where they are; each of its iterations is an epoch of the stage.

    A run that was interrupted goes on from its last weights. The optimiser's estimate of the curvature is lost then. So
    the run goes on by another way, to the same optimum.
    """
    if stage.is_over:
        return
    W = stage.model.W
    shape = W.get_value(borrow=True).shape
    n_left = max_iterations - len(stage.curve)
    bar = iter(progress(range(n_left), "iterations"))

    def of_weights(weights):
        cost, gradient = cost_and_gradient(weights.reshape(shape))
        return float(cost), gradient.ravel()

    def after_iteration(intermediate_result):
        next(bar, None)
        W.set_value(intermediate_result.x.reshape(shape))
        cost, number = float(intermediate_result.fun), len(stage.curve) + 1
        if number % 10 == 0:
            say(f"Iteration {number}, cost {cost:f}, above the optimum by {cost - optimum:.3g}")
        stage.keep()
        stage.record(number, cost=cost, excess=cost - optimum)

    found = scipy.optimize.minimize(
        of_weights,
        W.get_value().ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=after_iteration,
        # It ends where no entry of the gradient is larger than gtol, not where the cost falls slowly (ftol).
        options={"maxiter": n_left, "maxfun": 10 * max_iterations, "maxcor": MEMORY, "gtol": GRADIENT, "ftol": 0},
    )
    if not stage.curve:
        after_iteration(found)  # the weights were at the optimum from the start


@checked
def test_pca(
    n_hidden=50, max_iterations=2000, dataset="mnist.pkl.gz", seed=123, output_folder=None, fresh=False,
    show_graph=False,
):  # fmt: skip
    """Minimise the cost of a linear autoencoder, and compare it with principal component analysis.

    Parameters
    ----------
    n_hidden : int, at least 1
        Hidden units, the dimensions of the plane.
    max_iterations : int, at least 1
        Iterations of L-BFGS-B at most.
    dataset, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """

    def check(data):
        if n_hidden > data.n_in:
            raise UserError(f"n_hidden must be at most {data.n_in}, the values of an example, not {n_hidden}")

    with pytensor.config.change_flags(floatX="float64"), open_run(test_pca, locals(), check) as run:  # the optimiser's
        train_x = run.data.train_x.get_value(borrow=True)
        say("... finding the eigenvectors of the covariance")
        mean, eigenvalues, eigenvectors = principal_components(train_x)
        optimum = float(eigenvalues[n_hidden:].sum())
        say(f"PCA's optimum with {n_hidden} components: {optimum:.11f}")

        say("... building the model")
        x = pt.matrix("x")  # (n, n_visible)
        rng, bias = np.random.RandomState(seed), parameter(mean, "b_prime")
        autoencoder = LinearAutoencoder(rng, x, run.data.n_in, n_hidden, bvis=bias)
        weights = pt.matrix("weights", shape=(run.data.n_in, n_hidden))
        # With their number known, the division by it costs no pass over a matrix of this size.
        images = pt.specify_shape(run.data.train_x, train_x.shape)
        outputs, givens = autoencoder.get_cost_gradient(), {x: images, autoencoder.W: weights}
        cost_and_gradient = pytensor.function([weights], outputs, givens=givens, mode=rewrites.mode())

        run.say("... minimising the cost")
        # Nothing is in `updates`: the optimiser sets W. The weights are given for the page of the graph.
        stage = run.stage(autoencoder, partial(cost_and_gradient, weights=autoencoder.W.get_value()))
        minimise(stage, cost_and_gradient, max_iterations, optimum)

        def evaluate():
            W, centred = autoencoder.W.get_value(), run.data.test_x.get_value(borrow=True) - mean
            cost, angle = float(cost_and_gradient(W)[0]), largest_angle(W, eigenvectors[:, :n_hidden])
            test_cost = float(np.mean(np.sum((centred - centred @ W @ W.T) ** 2, axis=1)))
            figures = {"cost": cost, "optimum": optimum, "excess": cost - optimum, "largest_angle": angle}
            return {**figures, "test_cost": test_cost, "iterations": len(run.curve)}

        closing = (
            "Optimization complete after {iterations:.0f} iterations: cost {cost:.11f}, above the optimum by "
            "{excess:.3g}; largest angle between the planes {largest_angle:.4f} degrees"
        )
        run.finish(closing.format_map, evaluate)
        return run.draw(plot)


def load_model(saved, mean):
    """A linear autoencoder with the weights of a saved model, and this mean."""
    if len(saved.arrays) != 1 or saved.arrays[0].ndim != 2:
        raise UserError(f"{saved.path} fits another network: needed is one matrix")
    n_visible, n_hidden = saved.arrays[0].shape
    autoencoder = LinearAutoencoder(
        np.random.RandomState(0), None, n_visible, n_hidden, bvis=parameter(mean, "b_prime")
    )
    saved.restore(autoencoder.params)
    return autoencoder


def plot(folder, datasets=None):
    """Draw the pictures of a run: the cost above the optimum, the axes of both planes, reconstructions.

    The parameters are those of `logistic_sgd.plot`.
    """
    with pytensor.config.change_flags(floatX="float64"):
        pictures = Pictures(folder, test_pca, datasets, stages={None: "L-BFGS-B"})
        excess = [("", "cost − PCA's optimum\n(squared error an image)", {"": pictures.series("excess")})]
        title = "Cost of the linear autoencoder, above that of principal component analysis"
        caption = "How far the cost lies above the least that is possible: it falls slowly near a saddle point."
        pictures.draw_curves("costs", title, excess, caption, xlabel="iteration of L-BFGS-B", log=True)
        mean, _, eigenvectors = principal_components(pictures.datasets[0][0].get_value(borrow=True))
        for autoencoder in pictures.models(lambda saved: load_model(saved, mean)).values():
            components = eigenvectors[:, : autoencoder.n_hidden]
            axes = {"eigenvectors": components, "columns of W": autoencoder.W}
            caption = "Eigenvectors of the largest eigenvalues, and the columns of W: other axes of the same plane."
            pictures.draw_filters(axes, caption, "components", "Axes of the same plane")
            x = autoencoder.x
            rows = {
                "by PCA": pt.dot(pt.dot(x - mean, components), components.T) + mean,
                "by the autoencoder": autoencoder.get_reconstructed_input(autoencoder.get_hidden_values(x)),
            }
            shown = {name: z.clip(0, 1) for name, z in rows.items()}
            caption = "Test images and their nearest points in the plane: both methods give the same ones."
            pictures.draw_reconstructions(pictures.of_test_images(x, shown), caption)


QUICK = {"n_hidden": 10, "max_iterations": 30}
SHORT = {"n_hidden": 3, "max_iterations": 60}  # for tests, on a small data set

if __name__ == "__main__":
    sys.exit(command(test_pca, quick=QUICK, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. The answers are in
tests/exercises/pca.md.

1. The axes. Run `--n-hidden 2`, then once more with `--seed 1` and another `--output-folder`. Compare W of the two
   models, then W Wᵀ. Which of the two has the autoencoder learnt?
2. The sigmoids. Run `python code/dA.py --corruption-levels 0 --n-hidden N` for N = 2, 10 and 50. Compare its
   reconstructions of the test images with PCA's, by the squared error, and by the cross-entropy in nats. Then let
   `get_hidden_values` in code/dA.py be linear, x W + b, keep the sigmoid of the output, and run with `--fresh`, for 30
   epochs, with minibatches of 100, and with `adam_updates` of lesson 8 at a rate of 0.001 in the place of
   `sgd_updates`. Which of the two sigmoids gains something, and why?
3. The plateau. Run `--n-hidden 10` and look at `costs.png`. Between iterations 25 and 38 the cost falls slowly, from
   0.22 to 0.10 above the optimum. The tenth eigenvalue is 1.240, the eleventh 1.101. What is the optimiser deciding?
4. Code: the axes in their order. In `LinearAutoencoder.get_cost_gradient`, let the cost be a mean of `n_hidden` costs:
   the squared error of the reconstruction from the first unit alone, from the first two, and so on to all. The driver
   needs no option. Check it by `python -m pytest tests/exercises -k ordered`, then run `--quick --n-hidden 3 --fresh`
   and look at `components.png`. Why are the columns of W now the eigenvectors? The first eigenvalues are 5.108, 3.701
   and 3.259. How far above PCA's optimum does this cost end?
"""
