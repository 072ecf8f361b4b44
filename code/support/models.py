"""Saved models: arrays by name in an .npz file, what they are in JSON beside them, no pickle."""

from pathlib import Path

import numpy as np
import pytensor

from support.archives import read_described, write_described
from support.console import say
from support.data import load_data
from support.errors import UserError
from support.forms import shown

# What is said about a run and its models, as far as it is used again; see `support.forms.check_form`.
ABOUT = {"lesson": str, "dataset": {"name": str, "sha256": str}, "floatX": str, "settings": {"dataset": str}}


def parameter_names(params):
    """A unique name for each parameter of a model: its place in `params` and its own name."""
    return [f"{place}.{param.name}" for place, param in enumerate(params)]


def save_model(path, params, about):
    """Write a model in place of an earlier one, which is replaced whole or not at all.

    Parameters
    ----------
    path : Path
    params : list of shared variables
    about : dict
        What JSON can hold: the lesson, its settings, the dataset, the errors.
    """
    arrays = {name: param.get_value(borrow=True) for name, param in zip(parameter_names(params), params, strict=True)}
    write_described(path, {"about": about}, arrays)


class SavedModel:
    """A model read from a file.

    Parameters
    ----------
    path : path-like
    lesson : str
        The lesson whose model it must be.

    Attributes
    ----------
    about : dict, as given to `save_model`
    arrays : list of array, in the order of the model's `params`
    dataset : str, the data set that the model was trained on, as it was given to the driver

    Raises
    ------
    UserError
        Where the file cannot be read, is no model, or is another lesson's.
    """

    def __init__(self, path, lesson):
        self.path = Path(path)
        self.about, arrays = read_described(path, "about", ABOUT, "needed is a model saved by this project")
        self.arrays = list(arrays.values())
        self.dataset = self.about["settings"]["dataset"]
        if self.about["lesson"] != lesson:
            raise UserError(f"{path} is a model of the lesson {shown(self.about['lesson'])!r}, not of {lesson!r}")
        is_numbers = [array.dtype.kind == "f" and array.size and np.isfinite(array).all() for array in self.arrays]
        if not is_numbers or not all(is_numbers):
            raise UserError(f"{path} holds something else than finite numbers: train the model again")

    def restore(self, params):
        """Put the saved values into the shared variables of a network of the same shape.

        Raises
        ------
        UserError
            Where the shapes differ, or floatX does not hold a value.
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
                    f"{self.path} holds numbers beyond {param.dtype}: PYTENSOR_FLAGS=floatX=float64 has them"
                )
            param.set_value(value, borrow=True)

    def layer_sizes(self, n_layers=None):
        """[inputs, units of each layer ...] of a network whose parameters are pairs of W and b.

        Raises
        ------
        UserError
            Where the layers do not fit each other, or are not as many as `n_layers`: by default two or more.
        """
        weights, biases = self.arrays[::2], self.arrays[1::2]
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
        """The data set that the model was trained on, or another one, with as many inputs.

        Raises
        ------
        UserError
            Where it has other inputs, or as `support.data.load_data`.
        """
        datasets = load_data(dataset or self.dataset)
        n_in = self.arrays[0].shape[0]
        if datasets.n_in != n_in:
            raise UserError(f"{self.path} takes {n_in} inputs, but {datasets.name} has {datasets.n_in}")
        return datasets


def show_predictions(x, y_pred, datasets, chunk=1000):
    """Print the predictions for the first ten test images beside their labels, and the error on the whole test set.

    Parameters
    ----------
    x : symbolic matrix, (batch, n_in)
    y_pred : symbolic integer vector, (batch,)
    datasets : support.data.Datasets
    chunk : int
        Images that are classified at once.

    Returns
    -------
    float
        The test error, in 0..1.
    """
    test_x, test_y = (data.get_value(borrow=True) for data in datasets[2])
    classify = pytensor.function([x], y_pred)
    predicted = np.concatenate([classify(test_x[i : i + chunk]) for i in range(0, len(test_x), chunk)])
    error = float(np.mean(predicted != test_y))
    say(f"dataset: {datasets.source}")
    say(f"Predicted values for the first 10 examples in test set: {predicted[:10].tolist()}")
    say(f"Their labels:                                           {test_y[:10].tolist()}")
    say(f"test error {100 * error:f} % of {len(test_x)} images")
    return error
