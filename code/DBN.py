"""Lesson 10: a deep belief network.

The model (DBN)
    Lesson 9's machine gives every image x a probability P(x), by way of one layer of hidden units h. A deep belief
    network [1] stacks such machines. Its uppermost two layers are a restricted Boltzmann machine. Each layer below is
    drawn from the layer above it, as the machine of these two layers would draw it:

        h₁ ——— h₂        the uppermost machine: P(h₁, h₂), learnt by layer 2's machine
        |
        v                going down: P(h₀ | h₁), learnt by layer 1's machine
        h₀
        |
        v                P(x | h₀), learnt by layer 0's machine
        x

    Training goes up, as in lesson 4 [3]. The machine of layer 0 is trained on images. The machine of layer 1 is trained
    on the outputs of layer 0 for the images, P(h₀ = 1 | x), and so on. W and b of layer i are the same variables in the
    machine and in a sigmoid layer of a multilayer perceptron. Afterwards the perceptron is fine-tuned with labels, and
    the visible biases of the machines are needed no more.

Why a second machine helps
    For any distribution Q(h | x) of the hidden layer,

        log P(x) ≥ Σₕ Q(h | x) [log P(h) + log P(x | h) − log Q(h | x)].

    It is the bound of lesson 8. For the Q of the first machine itself, Q(h | x) = P(h | x), both sides are equal. Now
    keep Q and P(x | h) as they are, and let a second machine take the place of P(h). Training it on draws from
    Q(h | x) raises the mean of log P(h), and so the mean of the right side. The left side cannot be lower than that.

    This argument is about a second machine that begins with the weights of the first one, its layers exchanged. Ours
    begins with random weights, and is trained on probabilities instead of draws. So the argument shows why layers can
    help. It promises nothing for this network, which is judged by its errors.

One example, with numbers
    A machine has one visible and one hidden unit, with W = 2 ln 3 and both biases −ln 3. For the four states (x, h),
    exp(−E) is

        (0, 0), (1, 1): 1 each        (1, 0), (0, 1): 1/3 each        all together 8/3

        P(x = 1) = P(h = 1) = (1/3 + 1) / (8/3) = 1/2,    P(h = 1 | x = 1) = P(x = 1 | h = 1) = 1 / (1 + 1/3) = 3/4

    and P(h = 1 | x = 0) = P(x = 1 | h = 0) = 1/4. Say x = 1 in three of four examples. Then the mean of log P(x) is
    ln 1/2 = −0.693. The machine draws a code for each example. A share of 3/4 · 3/4 + 1/4 · 1/4 = 0.625 of these codes
    are ones. A second machine that learns this share in the place of 1/2 raises the bound by

        0.625 ln (0.625 / 0.5) + 0.375 ln (0.375 / 0.5) = 0.032,    from −0.693 to −0.662.

    The network now has P(x = 1) = 0.625 · 3/4 + 0.375 · 1/4 = 0.5625. Its mean of log P(x) is
    3/4 ln 0.5625 + 1/4 ln 0.4375 = −0.638. That is above the bound, and still below the best possible −0.562.

The graph (pretraining_functions)
    The network is lesson 4's, with other models for its layers. The gradient of contrastive divergence comes from
    lesson 9: the difference of two free energies, where the end of the Gibbs chain counts as a constant. In the pages
    of `--show-graph`, `pretraining_layer_1` updates W_1, b_1, vbias_1 and the generator rng_1, and only reads W_0.

The loop (test_DBN)
    The loop is lesson 4's, layer by layer, and then lesson 1's, with a patience of four epochs.

    Two runs can differ much in length. With the default seed, 1.38 % of the validation images are wrong after 30
    epochs, 1.30 % after 200, and 1.26 % after 522. After each such step, patience allows twice the epochs so far. So
    this run trains for all of its 1,000 epochs, for hours. Seeds 1, 2 and 3 end after 40, 44 and 78. Ctrl-C stops a run
    when you like: `model.npz` is the best network so far, and `--predict` takes it.

What to look at (plot)
    The cost of a machine is no log-likelihood. It is the log-probability of the images, given their reconstruction
    after one Gibbs step, and it would be −784 ln 2 = −543.4 for a guess of 1/2 for each pixel. Training does not follow
    the gradient of this number.

    So look at the free energy as well, in `free_energy.png`: its mean over 2,000 training images, and over 2,000
    images of the validation set. log P(x) is −F(x) − log Z. Z is unknown, but it is the same for both sets. A machine
    that gives training images more probability than others has a lower free energy for them. If the two curves
    move apart, the layer overfits [2, section 6].

    If fine-tuning stays at the error of a guess, 90 %, the hidden units may be saturated: all near 0 or 1, where the
    slope of the sigmoid is nearly zero. A pre-training rate that is too large does that, or data that are not in 0..1.
    If pre-training becomes NaN, the run stops and names its rate. After an epoch that costs over three times as much as
    the guess of 1/2, a warning names it.

Exercises stand at the foot of this file, their answers in tests/exercises/DBN.md.

References
    [1] G. E. Hinton, S. Osindero, Y.-W. Teh, A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18
        (2006) 1527-1554.
    [2] G. E. Hinton, A Practical Guide to Training Restricted Boltzmann Machines, UTML TR 2010-003.
    [3] Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, Greedy Layer-Wise Training of Deep Networks, NIPS 2006.
"""

import sys
from functools import partial

from logistic_sgd import minibatch_function, predictor, train_with_early_stopping
from rbm import RBM
from SdA import DeepNetwork, load_network, pretrain_layers
from support.command import command
from support.console import say
from support.data import Datasets
from support.inputs import value_of
from support.pictures import Pictures
from support.runs import open_run
from support.runs.models import PretrainedStack, outputs_for
from support.settings import checked

import numpy as np
import pytensor.tensor as pt
from pytensor.compile import Function

HIDDEN_LAYERS_SIZES = [1000, 1000, 1000]
PATIENCE = 4  # epochs to fine-tune in any case
N_COMPARED = 2000  # images of each set whose free energies are compared


class DBN(DeepNetwork):
    """A stack of restricted Boltzmann machines with a logistic regression on top.

    Parameters
    ----------
    numpy_rng, theano_rng, n_ins, hidden_layers_sizes, n_outs
        As in `DeepNetwork`.

    Attributes
    ----------
    rbm_layers : list of RBM
        They share W and the hidden bias with the sigmoid layers. Their visible biases are not fine-tuned.
    """

    def __init__(self, numpy_rng, theano_rng=None, n_ins=784, hidden_layers_sizes=[500, 500], n_outs=10):
        super().__init__(numpy_rng, theano_rng, n_ins, hidden_layers_sizes, n_outs)
        self.rbm_layers = self.own_models

    def make_own_model(self, numpy_rng, generator, input, n_in, n_out, sigmoid_layer):
        layer = RBM(
            input, n_in, n_out, W=sigmoid_layer.W, hbias=sigmoid_layer.b, numpy_rng=numpy_rng, theano_rng=generator
        )
        return layer, layer.vbias

    def pretraining_functions(self, train_set_x, batch_size, k):
        """One function a layer, from the bottom up, that trains its machine on a minibatch by CD-k.

        Parameters
        ----------
        train_set_x : shared matrix, (n, n_ins), values in 0..1
        batch_size : int
        k : int
            Gibbs steps of contrastive divergence.

        Returns
        -------
        list of function (index, lr=0.1)
            Each returns the cost of minibatch number `index`, in nats, and updates the layer's W, b and vbias.
        """
        learning_rate = pt.scalar("lr")
        pretrain_fns = []
        for rbm in self.rbm_layers:
            cost, updates = rbm.get_cost_updates(lr=learning_rate, persistent=None, k=k)
            fn = minibatch_function(cost, {self.x: train_set_x}, batch_size, updates, [learning_rate])
            fn.__class__ = PretrainingFunction
            pretrain_fns.append(fn)
        return pretrain_fns

    def mean_free_energies(self, layer, **images):
        """{name: mean free energy in nats} of sets of images, (n, n_ins) each, in the machine of a layer."""
        energy = self.rbm_layers[layer].free_energy(self.rbm_layers[layer].input)  # (batch,)
        return {name: np.mean(outputs_for(self.x, [energy], x)) for name, x in images.items()}


class PretrainingFunction(Function):
    """A compiled function with the tutorial's default argument, which PyTensor's inputs cannot have."""

    __slots__ = ()

    def __call__(self, index, lr=0.1):
        return super().__call__(index, float(lr))


@checked
def test_DBN(
    finetune_lr=0.1, pretraining_epochs=100, pretrain_lr=0.01, k=1, training_epochs=1000, dataset="mnist.pkl.gz",
    batch_size=10, hidden_layers_sizes=None, seed=123, output_folder=None, pretrained=None, fresh=False,
    show_graph=False,
):  # fmt: skip
    """Pre-train a stack of restricted Boltzmann machines layer by layer, then fine-tune it, with early stopping.

    Parameters
    ----------
    finetune_lr : float, at least 0
        Size of a step of fine-tuning.
    pretraining_epochs : int, at least 0
        Passes over the training set for each layer; 0 leaves the pre-training out.
    pretrain_lr : float, at least 0
        Size of a step of pre-training.
    k : int, at least 1
        Gibbs steps of contrastive divergence.
    training_epochs : int, at least 1
        Passes over the training set in fine-tuning, at most.
    hidden_layers_sizes : list of int, at least 1
        Units of each hidden layer, from the bottom up (default: 1000 1000 1000, or those of `pretrained`).
    pretrained : path
        The pretrained.npz of a run. Its stack is only fine-tuned; options of the pre-training have no effect.
    dataset, batch_size, seed, output_folder, fresh, show_graph
        As in every lesson: `support.settings` explains them.

    Returns a `support.runs.models.Result`. A ValueError says which argument cannot be used, and why.
    """
    check, further = Datasets.check_that_they_can_be_rebuilt, {}
    if pretrained is not None:
        stack = PretrainedStack(pretrained, lesson="DBN")
        hidden_layers_sizes, pretraining_epochs = stack.hidden_layers_sizes(hidden_layers_sizes), 0
        check, further = stack.check, {"pretrained_sha256": stack.sha256}
    hidden_layers_sizes = hidden_layers_sizes or HIDDEN_LAYERS_SIZES
    with open_run(test_DBN, locals(), check, **further) as run:
        say("... building the model")
        dbn = DBN(np.random.RandomState(seed), None, run.data.n_in, hidden_layers_sizes, run.data.n_out)
        whole = [*dbn.params, *dbn.visible_biases]
        if pretrained is not None:
            stack.restore(whole)

        say("... getting the pretraining functions")
        pretraining_fns = dbn.pretraining_functions(train_set_x=run.data.train_x, batch_size=batch_size, k=k)

        run.say("... pre-training the model")
        steps = [partial(fn, lr=pretrain_lr) for fn in pretraining_fns]
        chance_costs = [-layer.n_visible * np.log(2) for layer in dbn.rbm_layers]  # of guessing every entry at 1/2
        sets = {"free_energy": run.data.train_x, "validation_free_energy": run.data.valid_x}
        compared = {name: value_of(x)[:N_COMPARED] for name, x in sets.items()}
        figures = [partial(dbn.mean_free_energies, layer, **compared) for layer in range(dbn.n_layers)]
        pretrain_layers(run, dbn, steps, pretraining_epochs, chance_costs, figures)
        if pretraining_epochs > 0 or pretrained is not None:
            run.save("pretrained", whole, pretrained=True)

        say("... getting the finetuning functions")
        functions = dbn.build_finetune_functions(run.data, batch_size, finetune_lr)

        run.say("... finetuning the model")
        train_with_early_stopping(
            run, dbn, functions, training_epochs, PATIENCE * run.n_minibatches, rate="finetune_lr", name="finetuning",
            title="The fine tuning code",
            closing=" with best validation score of {:f} %, obtained at iteration {}, with test performance {:f} %",
        )  # fmt: skip
        return run.draw(plot)


load_model = partial(load_network, DBN)
predict = predictor("DBN", load_model)


def plot(folder, datasets=None):
    """Draw the pictures of a run: costs, free energies, errors, filters, the confusion matrix, wrong predictions.

    The parameters are those of `logistic_sgd.plot`.
    """
    stages = {"layer": "pre-training a layer", None: "fine-tuning"}
    pictures = Pictures(folder, test_DBN, datasets, stages)
    costs = pictures.series_by("layer", "cost", lambda layer: f"layer {layer}")
    panels = [(name, "nats", {"": series}) for name, series in costs.items()]
    caption = "Log-probability of the images in their reconstruction, mean of each epoch of pre-training."
    pictures.draw_curves("costs", "Reconstruction by each machine", panels, caption, columns=3)
    fields = {"training images": "free_energy", "validation images": "validation_free_energy"}
    panels = [
        (f"layer {layer}", "nats", {name: pictures.series(field, layer=layer) for name, field in fields.items()})
        for layer in pictures.values("layer")
    ]
    caption = "Mean free energies by epoch of pre-training: a machine whose two curves move apart overfits."
    pictures.draw_curves("free_energy", "Free energy of images in each machine", panels, caption, columns=3)
    pictures.draw_errors()
    models = pictures.models(load_model, {"after pre-training": "pretrained", "after fine-tuning": "model"})
    if dbn := models.get("after fine-tuning"):
        pictures.draw_predictions(dbn.x, dbn.y_pred)
    caption = "Weights of the first layer's units: fine-tuning changes the pre-trained ones only a little."
    pictures.draw_filters({name: dbn.sigmoid_layers[0].W for name, dbn in models.items()}, caption)


QUICK = {"pretraining_epochs": 1, "training_epochs": 2, "batch_size": 20, "hidden_layers_sizes": [500, 500, 500]}
# For tests, on a small data set.
SHORT = {"pretraining_epochs": 1, "training_epochs": 2, "batch_size": 20, "hidden_layers_sizes": [9, 8]}

if __name__ == "__main__":
    sys.exit(command(test_DBN, quick=QUICK, predict=predict, plot=plot))


"""Exercises

Before each run, write down what you expect. Give each run a folder of its own by `--output-folder runs/name`. After a
change of the code add `--fresh`: without it a run that was made by other code is refused. Figures are validation and
test error on MNIST, in single precision. The answers are in tests/exercises/DBN.md.

1. Pre-training. Run `--quick`, and `--quick --pretraining-epochs 0`. How much does one epoch of pre-training gain?
   Compare with the same exercise of lesson 4.
2. The chain. Run `--quick --k 5`. The printed cost of each layer gets worse. Does the network get worse?
3. The rate. Run `--quick --pretrain-lr 0.1`, ten times the published rate, which is for a hundred epochs. What do the
   errors, the costs and the free energies say after one epoch?
"""
