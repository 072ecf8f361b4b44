"""Lesson 4: stacked denoising autoencoders.

The model (DeepNetwork)
    One network is seen in two ways, as a list of autoencoders and as a multilayer perceptron.

        pre-training:                                fine-tuning:
        three autoencoders, no labels                one network, with labels

                                                         P(Y = i | x)
                                                              ^   logLayer
        h₁ ~~> y --> z, near h₁?   === W₂, b₂ ===            h₂
                                                              ^
        h₀ ~~> y --> z, near h₀?   === W₁, b₁ ===            h₁
                                                              ^
         x ~~> y --> z, near x?    === W₀, b₀ ===            h₀
                                                              ^
        ~~> corrupted              === shared                 x

    Two things join them. W and b of layer i are the same variables on both sides. And the clean input of autoencoder i
    is the output of the network below layer i. The autoencoder learns to rebuild that clean output from a corrupted
    version of it, while the layers below run uncorrupted.

    Pre-training is greedy [1]: layer 0 is trained, then layer 1 on its outputs, and so on. After it the whole network
    is fine-tuned with labels, as in lesson 2 [2]. The visible biases b′ are needed no more.

Why pre-training helps
    Two explanations are discussed. Pre-training may help the optimiser: from the weights that it gives, the descent
    reaches a low training cost sooner, or a lower one. Or it may be a regulariser: it leads to weights that err less on
    new images at the same training cost. Erhan et al. [3] compared many networks with and without, and found mostly the
    second. The table is from our records of the published recipe on MNIST. For each level it gives the epoch in which
    the training cost of fine-tuning first falls below the level, and the validation error after that epoch. The numbers
    are means over ten runs with pre-training and three without:

        training cost below           0.1     0.03    0.01    0.003   0.001
        with: in epoch                2.0     5.0     9.7     14.8    16.6
        with: validation error        3.20    2.31    1.81    1.53    1.49 %
        without: in epoch             3.0     7.3     13.0    18.3    23.7
        without: validation error     3.53    2.47    2.09    1.82    1.68 %

    (One of the ten stopped before 0.003, and is not in the last two columns.) Both explanations hold here. The
    pre-trained networks reach each cost in fewer epochs. At the same cost they make fewer errors. The others, too, fit
    the training images: in the end the cost is near 1e-5 with and without. Erhan et al. conclude that pre-training
    starts the descent in a region from which it leads to minima that serve new images better.

One example, with numbers
    Layer 1 has one input and one unit. The layer below gives h₀ = 1/2; W₁ = 2 ln 3, b₁ = b′₁ = 0. In a step of
    pre-training the entry is lost, so that 0 goes in:

        y = σ(0) = 1/2,   z = σ(1/2 · 2 ln 3) = 3/4
        L = −1/2 ln 3/4 − 1/2 ln 1/4 = 0.837              the target is h₀; with z = 1/2 it would be ln 2 = 0.693
        ∂L/∂b₁ = (3/4 − 1/2) · 2 ln 3 · 1/4 = 0.137,   ∂L/∂W₁ = 0 · 0.137 + (3/4 − 1/2) · 1/2 = 0.125
        a step of 0.8 makes b₁ = −0.110 and W₁ = 2.197 − 0.1 = 2.097

    In fine-tuning nothing is lost: h₁ = σ(1/2 · 2.097 − 0.110) = 0.719, and before that step it was 3/4.
    Nothing was copied in between. The network reads the variables that the autoencoder wrote.

The graph (pretraining_functions)
    In the pages of `--show-graph`, compare the updates. `pretraining_layer_1` updates W_1, b_1, b_prime_1 and the
    generator rng_1, and only reads W_0. `finetuning` updates every W and b, and no b_prime.

The loop (pretrain_layers)
    The loop is lesson 3's, layer by layer, and then lesson 1's, with a patience of ten epochs.

What to look at (plot)
    The cost of each autoencoder, and the first layer's filters before and after fine-tuning. Then the validation error
    by epoch. Here is the best so far, in %, for the published recipe on MNIST. Each column has its own lowest and
    highest run:

        epoch of fine-tuning         1           2           5           10          20          30          end
        with pre-training, 10 runs   4.09        3.20        2.22        1.73        1.45        1.44        1.42
            lowest and highest       3.33, 4.95  2.78, 4.10  1.96, 2.59  1.54, 1.91  1.29, 1.83  1.28, 1.83  1.28, 1.83
        without, 3 runs              4.49        3.71        2.83        2.28        1.79        1.62        1.61
            lowest and highest       4.19, 4.80  3.41, 4.03  2.69, 2.94  2.17, 2.51  1.69, 1.85  1.61, 1.63  1.59, 1.62

    The runs with pre-training were at their best in epochs 6 to 131, those without in epochs 26 to 109. From the fifth
    epoch on, each run with pre-training is below each run without, but for the one whose patience ended after 12
    epochs.

Exercises stand at the foot of this file, their answers in tests/exercises/SdA.md.

References
    [1] Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, Greedy Layer-Wise Training of Deep Networks, NIPS 2006.
    [2] P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio, P.-A. Manzagol, Stacked Denoising Autoencoders, JMLR 11
        (2010) 3371-3408.
    [3] D. Erhan, Y. Bengio, A. Courville, P.-A. Manzagol, P. Vincent, S. Bengio, Why Does Unsupervised Pre-training
        Help Deep Learning?, JMLR 11 (2010) 625-660.
"""

import sys
from functools import partial

from dA import COSTS_TITLE, dA
from logistic_sgd import (
    LogisticRegression,
    minibatch_function,
    predictor,
    supervised_functions,
    train_with_early_stopping,
)
from mlp import HiddenLayer, number_parameters
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import REBUILT, check_rebuilt, symbolic_generator
from support.pictures import Pictures
from support.runs import open_run
from support.runs.models import PretrainedStack
from support.settings import checked
from support.start import UserError

import numpy as np
import pytensor.tensor as pt
from pytensor.compile import Function

HIDDEN_LAYERS_SIZES = [1000, 1000, 1000]
CORRUPTION_LEVELS = [0.1, 0.2, 0.3]
PATIENCE = 10  # epochs to fine-tune in any case


class DeepNetwork:
    """Sigmoid layers with a logistic regression on top; each layer can be trained first as a model of its own.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of the symbolic generators, where `theano_rng` is not given, and then the initial weights, from
        the bottom up.
    theano_rng : shared generator, optional
        A `pt.random.shared_rng`, from whose seed the generator of each layer's own model is derived.
    n_ins : int
        Number of inputs.
    hidden_layers_sizes : list of int
        Units of each hidden layer, from the bottom up.
    n_outs : int
        Number of classes.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_ins), also called `input`
    y : symbolic integer vector, (batch,)
    sigmoid_layers : list of HiddenLayer
    own_models : list of the models that `make_own_model` made, which share W and b with the sigmoid layers
    logLayer : LogisticRegression
    params : list of the shared variables that fine-tuning trains
        W and b of each sigmoid layer, from the bottom up, then the logistic regression's.
    visible_biases : list of shared vectors, one a layer's own model, which are not fine-tuned
    n_layers : int
    finetune_cost : symbolic scalar, the negative log-likelihood of y
    errors : symbolic scalar, the fraction of the minibatch that is misclassified
    y_pred : symbolic integer vector, (batch,)
    """

    def __init__(self, numpy_rng, theano_rng, n_ins, hidden_layers_sizes, n_outs):
        self.n_layers = len(hidden_layers_sizes)
        if self.n_layers == 0:
            raise ValueError("hidden_layers_sizes must name at least one layer")
        generators = symbolic_generator(theano_rng, numpy_rng).get_value().spawn(self.n_layers)

        self.x = self.input = pt.matrix("x")  # (batch, n_ins)
        self.y = pt.ivector("y")  # (batch,)
        self.sigmoid_layers, self.own_models, self.params, self.visible_biases = [], [], [], []
        layer_input, n_in = self.x, n_ins
        for number, (n_out, generator) in enumerate(zip(hidden_layers_sizes, generators)):
            layer = HiddenLayer(rng=numpy_rng, input=layer_input, n_in=n_in, n_out=n_out, activation=pt.sigmoid)
            layer.output.name = f"h_{number}"
            own_generator = pt.random.shared_rng(generator, name=f"rng_{number}")
            own_model, visible_bias = self.make_own_model(numpy_rng, own_generator, layer_input, n_in, n_out, layer)
            visible_bias.name = f"{visible_bias.name}_{number}"
            self.sigmoid_layers.append(layer)
            self.own_models.append(own_model)
            self.params.extend(layer.params)
            self.visible_biases.append(visible_bias)
            layer_input, n_in = layer.output, n_out

        self.logLayer = LogisticRegression(input=layer_input, n_in=n_in, n_out=n_outs)
        self.params.extend(self.logLayer.params)
        number_parameters([*self.sigmoid_layers, self.logLayer])
        self.y_pred, self.p_y_given_x = self.logLayer.y_pred, self.logLayer.p_y_given_x
        self.finetune_cost = self.logLayer.negative_log_likelihood(self.y)
        self.errors = self.logLayer.errors(self.y)

    def make_own_model(self, numpy_rng, generator, input, n_in, n_out, sigmoid_layer):
        """The model that learns this layer's W and b without labels, and its visible bias."""
        raise NotImplementedError

    def build_finetune_functions(self, datasets, batch_size, learning_rate):
        """(train_fn, valid_score, test_score), which train the whole stack with labels: see `supervised_functions`."""
        return supervised_functions(self, self.finetune_cost, self.errors, self.y, datasets, batch_size, learning_rate)


class SdA(DeepNetwork):
    """A stack of denoising autoencoders with a logistic regression on top.

    Parameters
    ----------
    numpy_rng, theano_rng, n_ins, hidden_layers_sizes, n_outs
        As in `DeepNetwork`.
    corruption_levels : list of float
        Kept as an attribute; each call of a pre-training function is given its layer's level.

    Attributes
    ----------
    dA_layers : list of dA
        They share W and b with the sigmoid layers. Their visible biases are not fine-tuned.
    corruption_levels : list of float
    """

    def __init__(
        self, numpy_rng, theano_rng=None, n_ins=784, hidden_layers_sizes=[500, 500], n_outs=10,
        corruption_levels=[0.1, 0.1],
    ):  # fmt: skip
        super().__init__(numpy_rng, theano_rng, n_ins, hidden_layers_sizes, n_outs)
        self.dA_layers = self.own_models
        self.corruption_levels = corruption_levels

    def make_own_model(self, numpy_rng, generator, input, n_in, n_out, sigmoid_layer):
        layer = dA(numpy_rng, generator, input, n_in, n_out, W=sigmoid_layer.W, bhid=sigmoid_layer.b)
        return layer, layer.b_prime

    def pretraining_functions(self, train_set_x, batch_size):
        """One function a layer, from the bottom up, that trains its autoencoder on a minibatch.

        Parameters
        ----------
        train_set_x : shared matrix, (n, n_ins), values in 0..1
        batch_size : int

        Returns
        -------
        list of function (index, corruption=0.2, lr=0.1)
            Each returns the cost of minibatch number `index` and updates the layer's W, b and b_prime.

        Raises
        ------
        UserError
            If a layer would have to rebuild values outside 0..1, when the functions are made; or if a cost is below
            zero.
        """
        check_rebuilt([dA_layer.x for dA_layer in self.dA_layers], self.x, train_set_x)
        arguments = corruption_level, learning_rate = pt.scalar("corruption"), pt.scalar("lr")
        pretrain_fns = []
        for dA_layer in self.dA_layers:
            cost, updates = dA_layer.get_cost_updates(corruption_level, learning_rate)
            fn = minibatch_function(cost, {self.x: train_set_x}, batch_size, updates, arguments)
            fn.__class__ = PretrainingFunction
            pretrain_fns.append(fn)
        return pretrain_fns


class PretrainingFunction(Function):
    """A compiled function with the tutorial's default arguments, which PyTensor's inputs cannot have."""

    __slots__ = ()

    def __call__(self, index, corruption=0.2, lr=0.1):
        cost = super().__call__(index, float(corruption), float(lr))
        if cost < -1e-3:  # more than rounding: a cross-entropy is at least 0 if the clean input is in 0..1
            raise UserError(f"the cost of minibatch {index} is {cost:g}, below zero: {REBUILT}")
        return cost


def pretrain_layers(run, model, pretraining_fns, n_epochs, chance_costs, figures=None):
    """Train the layers greedily: each to its end before the next one begins, from the bottom up.

    Parameters
    ----------
    run : support.runs.run.Run
    model : object with `params`, the network
    pretraining_fns : list of function, one a layer
        Called with a minibatch's index, each makes a step and returns the cost.
    n_epochs : int
        Passes over the training set for each layer.
    chance_costs : list of float, one a layer
        Cost of an untrained guess.
    figures : list of function, one a layer, optional
        Further figures for the curve, {name: number}, after each epoch.
    """
    with run.phase("pretraining"):
        for i, (pretrain, chance_cost) in enumerate(zip(pretraining_fns, chance_costs, strict=True)):
            name = f"pretraining layer {i}"
            stage = run.stage(model, pretrain, name=name, rate="pretrain_lr", chance_cost=chance_cost, layer=i)
            for epoch in stage.epochs(n_epochs, first=0):
                for minibatch_index in epoch:
                    epoch.add(cost=pretrain(minibatch_index))
                say(f"Pre-training layer {i}, epoch {epoch.number}, cost {epoch.mean('cost'):f}")
                if figures:
                    epoch.note(**figures[i]())


def fit_corruption_levels(levels, n_layers):
    """One corruption level a layer.

    If levels are given, there must be one for each layer. If none are given (None), the default ones are cut to fit, or
    continued with the last value.
    """
    if levels is None:
        return [CORRUPTION_LEVELS[min(layer, len(CORRUPTION_LEVELS) - 1)] for layer in range(n_layers)]
    if len(levels) != n_layers:
        raise UserError(f"corruption_levels must number the {n_layers} hidden layers, not {len(levels)}")
    return levels


@checked
def test_SdA(
    finetune_lr=0.1, pretraining_epochs=15, pretrain_lr=0.001, training_epochs=1000, dataset="mnist.pkl.gz",
    batch_size=1, hidden_layers_sizes=None, corruption_levels=None, seed=89677, output_folder=None, pretrained=None,
    fresh=False, show_graph=False,
):  # fmt: skip
    """Pre-train a stack of denoising autoencoders layer by layer, then fine-tune it, with early stopping.

    Parameters
    ----------
    finetune_lr : float, at least 0
        Size of a step of fine-tuning.
    pretraining_epochs : int, at least 0
        Passes over the training set for each layer; 0 leaves the pre-training out.
    pretrain_lr : float, at least 0
        Size of a step of pre-training.
    training_epochs : int, at least 1
        Passes over the training set in fine-tuning, at most.
    hidden_layers_sizes : list of int, at least 1
        Units of each hidden layer, from the bottom up (default: 1000 1000 1000, or those of `pretrained`).
    corruption_levels : list of float, in [0, 1)
        Probability of setting an entry to zero, one for each layer (default: 0.1 0.2 0.3, cut or continued to fit).
    pretrained : path
        The pretrained.npz of a run. Its stack is only fine-tuned; options of the pre-training have no effect.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """
    check, further = Datasets.check_that_they_can_be_rebuilt, {}
    if pretrained is not None:
        stack = PretrainedStack(pretrained, lesson="SdA")
        hidden_layers_sizes, pretraining_epochs = stack.hidden_layers_sizes(hidden_layers_sizes), 0
        check, further = stack.check, {"pretrained_sha256": stack.sha256}
    hidden_layers_sizes = hidden_layers_sizes or HIDDEN_LAYERS_SIZES
    corruption_levels = fit_corruption_levels(corruption_levels, len(hidden_layers_sizes))
    with open_run(test_SdA, locals(), check, **further) as run:
        say("... building the model")
        rng = np.random.RandomState(seed)
        sda = SdA(rng, None, run.data.n_in, hidden_layers_sizes, run.data.n_out, corruption_levels)
        whole = [*sda.params, *sda.visible_biases]
        if pretrained is not None:
            stack.restore(whole)

        say("... getting the pretraining functions")
        pretraining_fns = sda.pretraining_functions(train_set_x=run.data.train_x, batch_size=batch_size)

        run.say("... pre-training the model")
        steps = [partial(fn, corruption=level, lr=pretrain_lr) for fn, level in zip(pretraining_fns, corruption_levels)]
        chance_costs = [layer.n_visible * np.log(2) for layer in sda.dA_layers]  # of guessing every entry at 1/2
        pretrain_layers(run, sda, steps, pretraining_epochs, chance_costs)
        if pretraining_epochs > 0 or pretrained is not None:
            run.save("pretrained", whole, pretrained=True)

        say("... getting the finetuning functions")
        functions = sda.build_finetune_functions(run.data, batch_size, finetune_lr)

        run.say("... finetunning the model")
        patience = PATIENCE * run.n_minibatches
        train_with_early_stopping(run, sda, functions, training_epochs, patience, rate="finetune_lr", name="finetuning")
        return run.draw(plot)


def load_network(kind, saved):
    """A network of a class, such as `SdA`, with the parameters of a saved model.

    That of a pre-trained stack has its visible biases, too.
    """
    n_ins, *hidden_layers_sizes, n_outs = saved.layer_sizes()
    network = kind(np.random.RandomState(0), None, n_ins, hidden_layers_sizes, n_outs)
    is_stack = isinstance(saved, PretrainedStack)
    saved.restore([*network.params, *network.visible_biases] if is_stack else network.params)
    return network


load_model = partial(load_network, SdA)
predict = predictor("SdA", load_model)


def plot(folder, datasets=None):
    """Draw the pictures of a run: costs, errors, filters, reconstructions, the confusion matrix, wrong predictions.

    The parameters are those of `logistic_sgd.plot`.
    """
    stages = {"layer": "pre-training a layer", None: "fine-tuning"}
    pictures = Pictures(folder, test_SdA, datasets, stages)
    costs = pictures.series_by("layer", "cost", lambda layer: f"layer {layer}")
    panels = [(name, "cost (nats an image)", {"": series}) for name, series in costs.items()]
    caption = "Mean cost of each epoch of pre-training: each layer learns to rebuild the output of the layer below it."
    pictures.draw_curves("costs", COSTS_TITLE, panels, caption, columns=min(3, len(panels)))
    pictures.draw_errors()
    models = pictures.models(load_model, {"after pre-training": "pretrained", "after fine-tuning": "model"})
    if sda := models.get("after pre-training"):
        level = (pictures.settings.get("corruption_levels") or CORRUPTION_LEVELS)[0]
        _, corrupted = sda.dA_layers[0].get_corrupted_input(sda.x, level)
        first = sda.dA_layers[0].get_reconstructed_input(sda.dA_layers[0].get_hidden_values(corrupted))
        whole = sda.sigmoid_layers[-1].output  # of the input as it is, up through all layers, and down again:
        for layer in reversed(sda.dA_layers):
            whole = layer.get_reconstructed_input(whole)
        rows = {f"{100 * level:g} % set to zero": corrupted, "… rebuilt by layer 0": first}
        rows["input, rebuilt by all layers"] = whole
        caption = "Test images, rebuilt from corrupted copies by the first layer, and from the top layer's code by all."
        pictures.draw_reconstructions(pictures.of_test_images(sda.x, rows), caption)
    if sda := models.get("after fine-tuning"):
        caption = "Weights of the first hundred units of the first layer after fine-tuning, an image for each."
        pictures.save_filters(sda.sigmoid_layers[0].W, "filters_layer_0", caption)
        pictures.draw_predictions(sda.x, sda.y_pred)
    caption = "Weights of the first layer's units: fine-tuning changes the pre-trained ones only a little."
    pictures.draw_filters({name: sda.sigmoid_layers[0].W for name, sda in models.items()}, caption)


QUICK = {
    "pretraining_epochs": 1,
    "pretrain_lr": 0.01,
    "training_epochs": 2,
    "batch_size": 20,
    "hidden_layers_sizes": [500, 500, 500],
}
# For tests, on a small data set.
SHORT = {"pretraining_epochs": 1, "training_epochs": 2, "batch_size": 20, "hidden_layers_sizes": [9, 8]}

if __name__ == "__main__":
    sys.exit(command(test_SdA, quick=QUICK, predict=predict, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. Figures are validation and
test error on MNIST, in single precision. The answers are in tests/exercises/SdA.md.

1. Pre-training. Run `--quick` with `--pretraining-epochs 0`, 1 and 3. Repeat each with `--seed 1` and `--seed 2`. Which
   of the differences are larger than the differences between seeds? Then compare the recorded runs of the published
   recipe, SdA and SdA-no-pretraining, in data/results. Does pre-training give a better start, or a better end?
2. The noise. Run `--quick --corruption-levels 0 0 0`, a stack of plain autoencoders, with the three seeds. How much of
   the difference that pre-training makes is due to the noise?
3. The rate of fine-tuning. Pre-train once, by `--quick --output-folder runs/stack`. Go on from there by `--pretrained
   runs/stack/pretrained.npz --batch-size 20 --training-epochs 2 --finetune-lr 0.01`, 0.1 and 1, each in an output
   folder of its own. The published recipe has a rate of 0.1 and one image a step. How far does it go in an epoch,
   compared with these three runs?
4. The codes. Each step of layer 2 computes h₀ and h₁ of its images again. The layers below do not change any more, so
   that their outputs could be computed once and kept. How much time would that save, and how much memory would it
   take? Would the corruption still be new at each step?
5. Code: untied weights. Let `W_prime` of `dA`, in code/dA.py, be a shared variable of its own, which starts as the
   transpose of W and is trained, last in `params`. Check it by `python -m pytest tests/exercises -k untied`. No option
   is new. Which of the two views of the network does it change? Compare `--quick --fresh` with the tied stack.
"""
