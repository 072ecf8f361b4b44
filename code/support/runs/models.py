"""Trained models: the result of a driver; and saved models, arrays and a description in JSON, in an .npz file."""

import base64
import hashlib
import html
import os
from dataclasses import dataclass, field
from pathlib import Path

from support.data import load_data, load_examples
from support.files import damaged, shown
from support.files.archives import read_described, write_described
from support.graphs.execution import evaluate
from support.runs.records import check_lesson, check_origin
from support.start import UserError

import numpy as np

NEEDED = "needed is a model saved by this project"


def by_name(params, values):
    """{name: value} of parameters. Each has a name of its own: its place in `params`, and the parameter's name."""
    return {f"{place}.{param.name}": value for place, (param, value) in enumerate(zip(params, values, strict=True))}


def save_model(path, params, about):
    """Write the values of parameters into a model's file. An earlier file is replaced whole or not at all.

    `about` describes the model: a dict of the lesson, its settings, the data set and the errors, for JSON.
    """
    write_described(path, {"about": about}, by_name(params, [param.get_value(borrow=True) for param in params]))


@dataclass(repr=False)
class Result:
    """The result of a driver, which a notebook shows as a line and a picture."""

    model: object  # the trained model; with validation the best one, which may not be the last
    curve: list  # one dict an epoch, as in curve.jsonl
    figures: dict = field(default_factory=dict)  # the numbers that the model reached, as in result.json
    picture: bytes = b""  # the PNG of the first picture that the run has drawn; empty without one

    # Three of the figures; None without validation. The errors are in 0..1.
    validation_error = property(lambda self: self.figures.get("validation_error"))
    test_error = property(lambda self: self.figures.get("test_error"))
    best_iteration = property(lambda self: self.figures.get("iteration"))  # minibatches trained until then

    def __repr__(self):
        """One line: the model and its figures; without figures, the last cost."""
        figures = self.figures or {name: line[name] for line in self.curve[-1:] for name in line.keys() & {"cost"}}
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in figures.items())
        epochs = "" if "epochs" in figures else f" after {len(self.curve)} epochs"
        return f"{type(self.model).__name__}{epochs}: {shown or 'not trained'}"

    def _repr_html_(self):
        image = f'<br><img width="600" src="data:image/png;base64,{base64.b64encode(self.picture).decode()}">'
        return html.escape(repr(self)) + (image if self.picture else "")


class SavedModel:
    """A model of a lesson, read from a file. A UserError says that the file cannot be read, or is no such model.

    Attributes
    ----------
    about : dict, the description that `save_model` got
    arrays : list of array, in the order of the model's `params`
    """

    def __init__(self, path, lesson):
        self.path = Path(path)
        self.about, arrays = read_described(path, "about", NEEDED)
        self.arrays = list(arrays.values())
        with damaged(path, NEEDED):
            check_origin(self.about)
        check_lesson(path, self.about, lesson, "is a model")
        is_numbers = [array.dtype.kind == "f" and array.size and np.isfinite(array).all() for array in self.arrays]
        if not is_numbers or not all(is_numbers):
            raise UserError(f"{path} holds something other than finite numbers: train the model again")

    def restore(self, params):
        """Put the saved values into the parameters of a network.

        A UserError says that the shapes differ, or that a value is too large for floatX.
        """
        wanted = [param.get_value(borrow=True).shape for param in params]
        if [array.shape for array in self.arrays] != wanted:
            raise self.of_another_network(self.arrays, f", not {wanted}")
        for param, array in zip(params, self.arrays):
            with np.errstate(over="ignore"):
                value = array.astype(param.dtype)
            if not np.isfinite(value).all():
                told = f"{self.path} holds numbers too large for {param.dtype}"
                raise UserError(f"{told}: set PYTENSOR_FLAGS=floatX=float64")
            param.get_value(borrow=True)[...] = value  # the parameter keeps its place in memory

    def of_another_network(self, arrays, wanted=""):
        """The error that says that the shapes of the arrays are others."""
        shapes = shown([array.shape for array in arrays])
        return UserError(f"{self.path} fits another network: its shapes are {shapes}{wanted}")

    def layer_sizes(self, n_layers=None, arrays=None):
        """[inputs, units of each layer ...] of a network. `arrays` are its pairs of W and b, by default all arrays.

        A UserError says that a layer does not fit the one below, or that there are not `n_layers` layers, by default
        two or more.
        """
        arrays = self.arrays if arrays is None else arrays
        shapes = [array.shape for array in arrays]
        sizes = [*shapes[0][:1], *(n for shape in shapes[1::2] for n in shape)]
        wanted = [shape for n_in, n_out in zip(sizes, sizes[1:]) for shape in ((n_in, n_out), (n_out,))]
        n_found = len(shapes) // 2
        if shapes != wanted or not (n_found == n_layers if n_layers else n_found > 1):
            raise self.of_another_network(arrays)
        return sizes

    def load_data(self):
        """Load the data that the model was trained on."""
        return self.fitting(load_data(self.about["settings"]["dataset"]))

    def load_examples(self, dataset=None):
        """The examples to predict: the test set of the model's data, or those that another data set gives."""
        own = self.about["settings"]["dataset"]
        if dataset is None or os.path.abspath(dataset) == os.path.abspath(own):
            return self.load_data().test_examples()  # its other examples have trained the model
        return self.fitting(load_examples(dataset))

    def fitting(self, data):
        """The data. A UserError says that they do not have as many inputs as the model."""
        n_in = self.arrays[0].shape[0]
        if data.n_in != n_in:
            raise UserError(f"{self.path} takes {n_in} inputs, but {data.name} has {data.n_in}")
        return data


class PretrainedStack(SavedModel):
    """A stack of layers that a run saved at the end of its pre-training. A UserError refuses any other model.

    The arrays are W and b of each layer, W and b of the logistic regression on top, and the visible bias of each layer.
    """

    def __init__(self, path, lesson):
        super().__init__(path, lesson)
        if self.about.get("pretrained") is not True:
            raise UserError(f"{path} is not a stack at the end of its pre-training: give a run's pretrained.npz")

    @property
    def sha256(self):
        """The checksum of the types, shapes and values of the arrays. The description does not change it."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def layer_sizes(self):
        n_hidden_layers = max(0, len(self.arrays) - 2) // 3
        return super().layer_sizes(arrays=self.arrays[: 2 * n_hidden_layers + 2])

    def hidden_layers_sizes(self, wanted=None):
        """The units of each hidden layer. A UserError says that others are `wanted`, a list of int."""
        _, *found, _ = self.layer_sizes()
        if wanted is not None and list(wanted) != found:
            raise UserError(
                f"{self.path} has hidden layers of {found} units, not {list(wanted)}: "
                "leave hidden_layers_sizes (and --quick, which sets it) out"
            )
        return found

    def check(self, data):
        """Raise a UserError if the layers cannot rebuild the data, or have not as many inputs or classes."""
        data.check_that_they_can_be_rebuilt()
        n_out = self.layer_sizes()[-1]
        if self.fitting(data).n_out != n_out:
            raise UserError(f"{self.path} tells {n_out} classes apart, but {data.name} has {data.n_out}")


def outputs_for(x, outputs, examples, chunk=1000):
    """The values of symbolic `outputs` for all examples, a list of array, (n, ...). `chunk` are computed at once.

    `x` is a symbolic matrix, (batch, n_in), from which the outputs, (batch, ...), are computed.
    """
    chunks = [evaluate(outputs, {x: examples[i : i + chunk]}) for i in range(0, len(examples), chunk)]
    return [np.concatenate(values) for values in zip(*chunks)]
