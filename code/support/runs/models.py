"""Saved models: arrays by name in an .npz file, and a description in JSON. There is no pickle."""

import hashlib
import os
from pathlib import Path

from support.data import load_data, load_examples
from support.files import damaged, exactly, shown
from support.files.archives import read_described, write_described
from support.graphs.execution import evaluate
from support.runs.records import tell_other_code
from support.start import UserError

import numpy as np

NEEDED = "needed is a model saved by this project"


def parameter_names(params):
    """A unique name for each parameter: its place in `params`, and its own name."""
    return [f"{place}.{param.name}" for place, param in enumerate(params)]


def save_model(path, params, about):
    """Write the values of parameters into a model's file. An earlier file is replaced whole or not at all.

    `about` describes the model: a dict of the lesson, its settings, the data set and the errors, for JSON.
    """
    arrays = {name: param.get_value(borrow=True) for name, param in zip(parameter_names(params), params, strict=True)}
    write_described(path, {"about": about}, arrays)


class SavedModel:
    """A model read from a file.

    Parameters
    ----------
    path : path-like
    lesson : str
        The model must be one of this lesson.

    Attributes
    ----------
    about : dict, the description that `save_model` got
    arrays : list of array, in the order of the model's `params`
    dataset : str, the driver's argument `dataset`: the data that the model was trained on

    Raises
    ------
    UserError
        The file cannot be read, is not a model, or belongs to another lesson.
    """

    def __init__(self, path, lesson):
        self.path = Path(path)
        self.about, arrays = read_described(path, "about", NEEDED)
        self.arrays = list(arrays.values())
        with damaged(path, NEEDED):
            self.dataset = exactly(self.about["settings"]["dataset"], str)
            texts = [self.about["lesson"], self.about["floatX"], *exactly(self.about.get("code", {}), dict).values()]
            for text in texts + [self.about["dataset"][name] for name in ("name", "sha256")]:
                exactly(text, str)
        if self.about["lesson"] != lesson:
            raise UserError(f"{path} is a model of the lesson {shown(self.about['lesson'])!r}, not of {lesson!r}")
        tell_other_code(path, lesson, self.about)
        is_numbers = [array.dtype.kind == "f" and array.size and np.isfinite(array).all() for array in self.arrays]
        if not is_numbers or not all(is_numbers):
            raise UserError(f"{path} holds something other than finite numbers: train the model again")

    def restore(self, params):
        """Put the saved values into the parameters of a network.

        A UserError says that the shapes differ, or that a value is too large for floatX.
        """
        saved = [array.shape for array in self.arrays]
        wanted = [param.get_value(borrow=True).shape for param in params]
        if saved != wanted:
            raise UserError(f"{self.path} fits another network: its shapes are {shown(saved)}, not {wanted}")
        for param, array in zip(params, self.arrays):
            with np.errstate(over="ignore"):
                value = array.astype(param.dtype)
            if not np.isfinite(value).all():
                raise UserError(
                    f"{self.path} holds numbers too large for {param.dtype}: set PYTENSOR_FLAGS=floatX=float64"
                )
            param.get_value(borrow=True)[...] = value  # the parameter keeps its place in memory

    def layer_sizes(self, n_layers=None, arrays=None):
        """[inputs, units of each layer ...] of a network. `arrays` are its pairs of W and b, by default all arrays.

        A UserError says that a layer does not fit the one below, or that there are not `n_layers` layers, by default
        two or more.
        """
        arrays = self.arrays if arrays is None else arrays
        weights, biases = arrays[::2], arrays[1::2]
        shapes = [w.shape for w in weights]
        fits = (
            len(weights) == len(biases) > 0
            and all(w.ndim == 2 and b.shape == w.shape[1:] for w, b in zip(weights, biases))
            and all(below[1] == above[0] for below, above in zip(shapes, shapes[1:]))
            and (len(weights) == n_layers if n_layers else len(weights) > 1)
        )
        if not fits:
            raise UserError(f"{self.path} fits another network: its shapes are {shown(shapes)}")
        return [shapes[0][0]] + [shape[1] for shape in shapes]

    def load_data(self, dataset=None):
        """Load the data that the model was trained on, or another data set with as many inputs."""
        datasets = load_data(dataset or self.dataset)
        self.check_inputs(datasets)
        return datasets

    def load_examples(self, dataset=None):
        """The examples to predict: the test set of the model's data, or those that another data set gives."""
        if dataset is None or os.path.abspath(dataset) == os.path.abspath(self.dataset):
            return self.load_data().test_examples()  # its other examples have trained the model
        examples = load_examples(dataset)
        self.check_inputs(examples)
        return examples

    def check_inputs(self, datasets):
        """Raise a UserError if a data set does not have as many inputs as the model."""
        n_in = self.arrays[0].shape[0]
        if datasets.n_in != n_in:
            raise UserError(f"{self.path} takes {n_in} inputs, but {datasets.name} has {datasets.n_in}")


class PretrainedStack(SavedModel):
    """A stack of layers that a run saved at the end of its pre-training. A UserError refuses any other model.

    The arrays are W and b of each layer, W and b of the logistic regression on top, and the visible bias of each layer.

    Attributes
    ----------
    sha256 : str
        The checksum of the types, shapes and values of the arrays. The description does not change it.
    """

    def __init__(self, path, lesson):
        super().__init__(path, lesson)
        if self.about.get("pretrained") is not True:
            raise UserError(f"{path} is not a stack at the end of its pre-training: give a run's pretrained.npz")
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array))
        self.sha256 = digest.hexdigest()

    def layer_sizes(self, n_layers=None):
        n_hidden_layers = max(0, len(self.arrays) - 2) // 3
        return super().layer_sizes(n_layers, self.arrays[: 2 * n_hidden_layers + 2])

    def hidden_layers_sizes(self, wanted=None):
        """The units of each hidden layer. A UserError says that others are `wanted`, a list of int."""
        _, *found, _ = self.layer_sizes()
        if wanted is not None and list(wanted) != found:
            raise UserError(
                f"{self.path} has hidden layers of {found} units, not {list(wanted)}: "
                "leave hidden_layers_sizes (and --quick, which sets it) out"
            )
        return found

    def check_fit(self, datasets):
        """Raise a UserError if the inputs or the classes are not those of a data set."""
        self.check_inputs(datasets)
        n_out = self.layer_sizes()[-1]
        if n_out != datasets.n_out:
            raise UserError(f"{self.path} tells {n_out} classes apart, but {datasets.name} has {datasets.n_out}")


def predict_test_set(x, y_pred, datasets):
    """The predicted class of each test image, (n,). `x` and `y_pred` are as for `outputs_for`."""
    return outputs_for(x, [y_pred], datasets[2][0].get_value(borrow=True))[0]


def outputs_for(x, outputs, examples, chunk=1000):
    """The values of symbolic `outputs` for all examples, a list of array, (n, ...). `chunk` are computed at once.

    `x` is a symbolic matrix, (batch, n_in), from which the outputs, (batch, ...), are computed.
    """
    chunks = [evaluate(outputs, {x: examples[i : i + chunk]}) for i in range(0, len(examples), chunk)]
    return [np.concatenate(values) for values in zip(*chunks)]
