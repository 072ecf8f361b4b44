"""Lesson 4: stacked denoising autoencoders.

The model
    A deep network of sigmoid layers with a logistic regression on top is hard to train from a random start. So it is
    trained greedily first, from the bottom up: each layer, together with a visible bias of its own, is a denoising
    autoencoder that learns to rebuild a corrupted version of the output of the layers below it. After this
    pre-training without labels, the whole stack is fine-tuned as an ordinary multilayer perceptron [1], [2].

The graph
    Two models share their parameters: W and b of layer i belong to the sigmoid layer, through which the fine-tuning
    goes, and to the autoencoder of that layer, which the pre-training trains. Sharing is all that it takes to stack
    them: what one graph's updates write, the other graph reads.

What to look at
    The cost of each layer's autoencoder falling epoch by epoch; the validation error after the first epoch of
    fine-tuning, compared with that of a run with `--pretraining-epochs 0`; the first layer's filters.

Exercises (figures: validation and test error on MNIST, float32, the default seed)
    1. What pre-training buys. `--quick` ends at 4.35 % and 5.08 %, `--quick --pretraining-epochs 0` at 5.95 % and
       6.49 %, `--quick --pretraining-epochs 3` at 4.44 % and 4.90 %. By the published recipe it is 1.28 % and 1.37 %
       with it, the best of 54 epochs, and 1.59 % and 1.43 % without, the best of 218 (the recorded runs SdA and
       SdA-no-pretraining). Is it a better start, or a better end?
    2. What the noise buys. `--quick --corruption-levels 0 0 0`, a stack of plain autoencoders, ends at 4.98 % and
       5.59 %: between the two. Relate this to the filters of lesson 3.
    3. The rate of fine-tuning. Pre-train once, by `--quick --output-folder runs/stack`, and go on from there with
       `--pretrained runs/stack/pretrained.npz --batch-size 20 --training-epochs 2 --finetune-lr 0.01`, 0.1 and 1,
       each in an output folder of its own: 8.69 % and 9.08 %, 4.35 % and 5.08 %, 3.47 % and 3.59 %. The published
       recipe steps by 0.1 at each single image. What is the size of its steps in an epoch, beside these?

References
    [1] Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, Greedy Layer-Wise Training of Deep Networks, NIPS 2006.
    [2] P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio, P.-A. Manzagol, Stacked Denoising Autoencoders, JMLR 11
        (2010) 3371-3408.
"""

import sys
from functools import partial

import numpy as np
import pytensor
import pytensor.tensor as pt

from dA import dA
from logistic_sgd import LogisticRegression, minibatch, minibatch_function, score_function, sgd_updates
from mlp import HiddenLayer
from support.command import command
from support.console import say
from support.data import load_data
from support.pictures import Pictures
from support.runs.models import PretrainedStack, SavedModel, show_predictions
from support.runs.run import EarlyStopping, Run, count_minibatches
from support.settings import check_settings, fit_corruption_levels
from utils import tile_raster_images

HIDDEN_LAYERS_SIZES = [1000, 1000, 1000]
CORRUPTION_LEVELS = [0.1, 0.2, 0.3]


def early_stopping(n_train_batches):
    return EarlyStopping(10 * n_train_batches, n_train_batches)


class SdA:
    """A stack of denoising autoencoders with a logistic regression on top.

    Parameters
    ----------
    numpy_rng : numpy.random.RandomState
        Draws the seed of the symbolic generators, where `theano_rng` is not given, and then the initial weights, from
        the bottom up.
    theano_rng : shared generator, optional
        A `pt.random.shared_rng`, from whose seed each autoencoder's own generator is derived.
    n_ins : int
        Number of inputs.
    hidden_layers_sizes : list of int
        Units of each hidden layer, from the bottom up.
    n_outs : int
        Number of classes.
    corruption_levels : list of float
        What each autoencoder's `corruption` should be, for the caller to pass to its pre-training function.

    Attributes
    ----------
    x : symbolic matrix, (batch, n_ins)
    y : symbolic vector of int32, (batch,)
    sigmoid_layers : list of HiddenLayer
    dA_layers : list of dA, sharing W and b with the sigmoid layers
    logLayer : LogisticRegression
    params : list of shared variables, [W, b] of each sigmoid layer and of logLayer
    n_layers : int
    finetune_cost : symbolic scalar, the negative log-likelihood
    errors : symbolic scalar, the fraction that is misclassified
    """

    def __init__(
        self,
        numpy_rng,
        theano_rng=None,
        n_ins=784,
        hidden_layers_sizes=[500, 500],
        n_outs=10,
        corruption_levels=[0.1, 0.1],
    ):
        self.sigmoid_layers = []
        self.dA_layers = []
        self.params = []
        self.n_layers = len(hidden_layers_sizes)
        self.corruption_levels = corruption_levels
        if self.n_layers == 0:
            raise ValueError("hidden_layers_sizes must name at least one layer")
        if theano_rng is None:
            theano_rng = pt.random.shared_rng(seed=numpy_rng.randint(2**30))
        generators = theano_rng.get_value().spawn(self.n_layers)

        self.x = pt.matrix("x")  # (batch, n_ins)
        self.y = pt.ivector("y")  # (batch,)

        layer_input, n_in = self.x, n_ins
        for n_out, generator in zip(hidden_layers_sizes, generators):
            sigmoid_layer = HiddenLayer(rng=numpy_rng, input=layer_input, n_in=n_in, n_out=n_out, activation=pt.sigmoid)
            dA_layer = dA(
                numpy_rng=numpy_rng,
                theano_rng=pt.random.shared_rng(generator),
                input=layer_input,
                n_visible=n_in,
                n_hidden=n_out,
                W=sigmoid_layer.W,
                bhid=sigmoid_layer.b,
            )
            sigmoid_layer.output.name = f"h_{len(self.sigmoid_layers)}"
            self.sigmoid_layers.append(sigmoid_layer)
            self.dA_layers.append(dA_layer)
            self.params.extend(sigmoid_layer.params)  # the visible bias is the dA's alone
            layer_input, n_in = sigmoid_layer.output, n_out

        self.logLayer = LogisticRegression(input=layer_input, n_in=n_in, n_out=n_outs)
        self.params.extend(self.logLayer.params)
        self.finetune_cost = self.logLayer.negative_log_likelihood(self.y)
        self.errors = self.logLayer.errors(self.y)

    def pretraining_functions(self, train_set_x, batch_size):
        """One compiled function a layer, from the bottom up, that trains its autoencoder on a minibatch.

        Parameters
        ----------
        train_set_x : shared matrix, (n, n_ins)
        batch_size : int

        Returns
        -------
        list of function
            Called with the minibatch's `index` and, by keyword, `corruption` (0.2) and `lr` (0.1), each returns the
            cost of that minibatch and updates the layer's W, b and b_prime.
        """
        index = pt.lscalar("index")
        corruption_level = pt.scalar("corruption")
        learning_rate = pt.scalar("lr")

        pretrain_fns = []
        for dA_layer in self.dA_layers:
            cost, updates = dA_layer.get_cost_updates(corruption_level, learning_rate)
            fn = pytensor.function(
                [index, corruption_level, learning_rate],
                cost,
                updates=updates,
                givens={self.x: minibatch(train_set_x, index, batch_size)},
            )
            pretrain_fns.append(partial(fn, corruption=0.2, lr=0.1))  # PyTensor's inputs have no default values
        return pretrain_fns

    def build_finetune_functions(self, datasets, batch_size, learning_rate):
        """The functions that train the whole stack with labels, and that score it.

        Parameters
        ----------
        datasets : list of three pairs of shared variables
            Training, validation and test set; x (n, n_ins), y (n,).
        batch_size : int
        learning_rate : float

        Returns
        -------
        train_fn : function of a minibatch's index
            Returns its cost and updates `params`.
        valid_score, test_score : functions without arguments
            Return the list of the errors of every minibatch.
        """
        train_set, valid_set, test_set = datasets
        updates = sgd_updates(self.finetune_cost, self.params, learning_rate)
        train_fn = minibatch_function(self.finetune_cost, self.x, self.y, train_set, batch_size, updates)
        valid_score = score_function(self.errors, self.x, self.y, valid_set, batch_size)
        test_score = score_function(self.errors, self.x, self.y, test_set, batch_size)
        return train_fn, valid_score, test_score


def test_SdA(
    finetune_lr=0.1,
    pretraining_epochs=15,
    pretrain_lr=0.001,
    training_epochs=1000,
    dataset="mnist.pkl.gz",
    batch_size=1,
    hidden_layers_sizes=None,
    corruption_levels=None,
    seed=89677,
    output_folder=None,
    pretrained=None,
):
    """Pre-train a stack of denoising autoencoders layer by layer, then fine-tune it, with early stopping.

    Parameters
    ----------
    finetune_lr : float
        Size of a step of fine-tuning.
    pretraining_epochs : int
        Passes over the training set for each layer; 0 leaves the pre-training out.
    pretrain_lr : float
        Size of a step of pre-training.
    training_epochs : int
        Passes over the training set in fine-tuning, at most.
    dataset : path
        mnist.pkl.gz or mnist, digits (drawn, not downloaded), or your own: an .npz file of x and y, or a pickle of
        ((x, y), (x, y), (x, y)).
    batch_size : int
        Examples in a minibatch.
    hidden_layers_sizes : list of int
        Units of each hidden layer, from the bottom up (default: 1000 1000 1000, or those of `pretrained`).
    corruption_levels : list of float
        Probability of setting an entry to zero, one for each layer (default: 0.1 0.2 0.3, cut, or continued with
        the last, to fit the layers).
    seed : int
        Of the initial weights and the corruption.
    output_folder : path
        Where the run's files go (default: runs/SdA at the top of the repository).
    pretrained : path
        The pretrained.npz of a run, whose stack is trained with labels at once: no autoencoder is trained then, and
        what sets their training has no effect.

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
    datasets.check_that_they_can_be_rebuilt()
    n_train_batches = count_minibatches(datasets, batch_size)
    if pretrained is not None:
        stack = PretrainedStack(pretrained, lesson="SdA")
        hidden_layers_sizes, pretraining_epochs = stack.check_fit(datasets, hidden_layers_sizes), 0
        settings |= {"pretraining_epochs": pretraining_epochs, "pretrained_sha256": stack.sha256}
    hidden_layers_sizes = hidden_layers_sizes or HIDDEN_LAYERS_SIZES
    corruption_levels = fit_corruption_levels(corruption_levels, CORRUPTION_LEVELS, len(hidden_layers_sizes))
    settings |= {"hidden_layers_sizes": hidden_layers_sizes, "corruption_levels": corruption_levels}
    run = Run("SdA", settings, datasets)

    say("... building the model")
    sda = SdA(
        numpy_rng=np.random.RandomState(seed),
        n_ins=datasets.n_in,
        hidden_layers_sizes=hidden_layers_sizes,
        n_outs=datasets.n_out,
        corruption_levels=corruption_levels,
    )
    visible_biases = [layer.b_prime for layer in sda.dA_layers]
    if pretrained is not None:
        stack.restore([*sda.params, *visible_biases])
    autoencoders = [variable for layer in sda.dA_layers for variable in (layer.b_prime, layer.theano_rng)]
    run.track(*sda.params, *autoencoders)

    say("... getting the pretraining functions")
    (train_set_x, _), _, _ = datasets
    pretraining_fns = sda.pretraining_functions(train_set_x=train_set_x, batch_size=batch_size)

    say("... pre-training the model")
    with run.timed("pretraining"):
        for i, pretrain in enumerate(pretraining_fns):
            run.show_graph(f"pretraining_layer_{i}", pretrain, corruption=corruption_levels[i], lr=pretrain_lr)
            chance_cost = sda.dA_layers[i].n_visible * np.log(2)  # of guessing every entry at 1/2
            for epoch in run.epochs(pretraining_epochs, n_train_batches, 0, chance_cost=chance_cost, layer=i):
                for minibatch_index in epoch:
                    epoch.add_cost(pretrain(index=minibatch_index, corruption=corruption_levels[i], lr=pretrain_lr))
                say(f"Pre-training layer {i}, epoch {epoch.number}, cost {epoch.mean_cost:f}")
                run.keep(sda)
    if pretraining_epochs > 0 or pretrained is not None:
        run.keep_pretrained([*sda.params, *visible_biases])

    say("... getting the finetuning functions")
    train_fn, valid_score, test_score = sda.build_finetune_functions(datasets, batch_size, finetune_lr)
    run.show_graph("finetuning", train_fn)

    say("... finetunning the model")
    stopping = early_stopping(n_train_batches)
    chance_cost = np.log(datasets.n_out)
    with run.timed("training"):
        for epoch in run.epochs(training_epochs, n_train_batches, stopping=stopping, chance_cost=chance_cost):
            for minibatch_index in epoch:
                epoch.add_cost(train_fn(minibatch_index))
                if stopping.validation_is_due(epoch.iteration):
                    validation_error = epoch.report_validation(valid_score())
                    if stopping.is_new_best(validation_error, epoch.iteration):
                        epoch.report_test(test_score())
                        run.keep(sda, **epoch.figures)
    result = run.finish(sda)
    filters = sda.sigmoid_layers[0].W.get_value(borrow=True).T  # (n_hidden, n_ins), a filter a row
    run.save_picture("filters_layer_0", tile_raster_images(filters, datasets.image_shape, (10, 10), (1, 1)))
    run.draw(plot)
    return result


def load_model(saved):
    """A network with the parameters of a saved model; of a pre-trained stack, with its visible biases, too."""
    n_ins, *hidden_layers_sizes, n_outs = saved.layer_sizes()
    sda = SdA(np.random.RandomState(0), None, n_ins, hidden_layers_sizes, n_outs)
    visible_biases = [layer.b_prime for layer in sda.dA_layers]
    saved.restore([*sda.params, *visible_biases] if isinstance(saved, PretrainedStack) else sda.params)
    return sda


def predict(model, dataset=None):
    """Load a saved model, print its predictions for the first ten test images and its error on the whole test set.

    Parameters
    ----------
    model : path
        The model.npz of a run.
    dataset : path, optional
        As in `test_SdA`; by default the one that the model was trained on.

    Returns
    -------
    float
        The test error, in 0..1.
    """
    saved = SavedModel(model, lesson="SdA")
    sda = load_model(saved)
    return show_predictions(sda.x, sda.logLayer.y_pred, saved.load_data(dataset))


def plot(folder, datasets=None):
    """Draw the pictures of a run: costs, errors, filters, reconstructions, the confusion matrix, wrong predictions.

    The parameters are those of `logistic_sgd.plot`.
    """
    pictures = Pictures(folder, "SdA", datasets)
    pictures.draw_costs("layer", lambda layer: f"layer {layer}")
    pictures.draw_errors(early_stopping)
    stack, saved = pictures.models({"pretrained": PretrainedStack, "model": SavedModel})
    filters = {}
    if stack:
        sda = load_model(stack)
        filters["after pre-training"] = sda.sigmoid_layers[0].W
        level = (pictures.run.settings.get("corruption_levels") or CORRUPTION_LEVELS)[0]
        _, corrupted = sda.dA_layers[0].get_corrupted_input(sda.x, level)
        first = sda.dA_layers[0].get_reconstructed_input(sda.dA_layers[0].get_hidden_values(corrupted))
        whole = sda.sigmoid_layers[-1].output  # of the input as it is, up through all layers, and down again:
        for layer in reversed(sda.dA_layers):
            whole = layer.get_reconstructed_input(whole)
        names = f"{100 * level:g} % set to zero", "… rebuilt by layer 0", "input, rebuilt by all layers"
        pictures.draw_reconstructions(list(zip(names, pictures.of_test_images(sda.x, corrupted, first, whole))))
    if saved and "validation_error" in saved.about:  # until then it is the stack in the midst of its pre-training
        sda = load_model(saved)
        filters["after fine-tuning"] = sda.sigmoid_layers[0].W
        pictures.draw_predictions(sda.x, sda.logLayer.y_pred)
    pictures.draw_filters(filters)


if __name__ == "__main__":
    quick = {
        "pretraining_epochs": 1,
        "pretrain_lr": 0.01,
        "training_epochs": 2,
        "batch_size": 20,
        "hidden_layers_sizes": [500, 500, 500],
    }
    sys.exit(command(test_SdA, quick=quick, predict=predict, plot=plot))
