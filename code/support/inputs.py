"""The numbers, data and generators that a user gives to a lesson's classes. A form that cannot be used is refused."""

from support.graphs.execution import evaluate
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile import Mode, SharedVariable
from pytensor.graph import Variable

REBUILT = "an autoencoder rebuilds values from 0 to 1; use the sigmoid in the layer below, or scale the data"
ROWS = 100  # of a data set, on which a layer's input is looked at


def scalar(value):
    """A number for a formula: a float of Python (NumPy's would make matrices float64), or a symbolic one of floatX."""
    if isinstance(value, Variable):
        return pt.cast(value, pytensor.config.floatX)
    return float(np.asarray(value).item())


def value_of(data):
    """The array of a data set: a shared variable, an expression such as `pt.cast(shared_y, "int32")`, or an array."""
    if isinstance(data, SharedVariable):
        return data.get_value(borrow=True)
    return data.eval(mode=Mode("py", None)) if isinstance(data, Variable) else np.asarray(data)


def variable_for(symbol, data):
    """A data set as the variable that takes a symbol's place. A UserError says that its kind or its rank differs."""
    data = data if isinstance(data, Variable) else np.asarray(data)
    if data.ndim != symbol.ndim or not np.can_cast(data.dtype, symbol.dtype, "same_kind"):
        needed, found = (f"{each.dtype} in {each.ndim} dimension{'s'[: each.ndim != 1]}" for each in (symbol, data))
        raise UserError(f"{symbol.name} must be {needed}, but its data are {found}: convert them")
    data = data if isinstance(data, Variable) else pytensor.shared(data, borrow=True)
    return data.astype(symbol.dtype)


def check_labels(y, datasets, n_out):
    """Raise a UserError if a label of the three sets has no output, or is no integer as the symbol y is."""
    for name, (_, labels) in zip(("training", "validation", "test"), datasets):
        variable_for(y, labels)
        labels = value_of(labels)
        if labels.size and not 0 <= labels.min() <= labels.max() < n_out:
            found = f"the {name} set has labels from {labels.min()} to {labels.max()}"
            raise UserError(f"{found}, but {n_out} outputs take labels from 0 to {n_out - 1}")


def check_rebuilt(inputs, x, data):
    """Raise a UserError if a layer rebuilds values outside 0..1. `inputs` are the layers' clean inputs, made from x."""
    rows = value_of(data)[:ROWS].astype(x.dtype)
    for layer, values in enumerate(evaluate(inputs, {x: rows})):
        if values.size and not 0 <= values.min() <= values.max() <= 1:
            below = inputs[layer].owner
            source = "the data" if below is None else f"the {below.op} below it"
            found = f"layer {layer} gets values from {values.min():g} to {values.max():g} from {source}"
            raise UserError(f"{found}: {REBUILT}")


def random_state(rng):
    """A RandomState as it is; for a Generator, a RandomState that takes its bits. A UserError refuses anything else."""
    if isinstance(rng, np.random.Generator):
        return np.random.RandomState(rng.bit_generator)
    if not isinstance(rng, np.random.RandomState) and rng is not np.random:
        raise UserError(f"initial values are drawn by a numpy.random.RandomState or Generator, not by {rng!r}")
    return rng


def symbolic_generator(theano_rng, numpy_rng):
    """`theano_rng`, a `pt.random.shared_rng`; where it is None, one whose seed is drawn from `numpy_rng`.

    A NumPy Generator, or a RandomStream, PyTensor's older interface, gives a new one. A UserError refuses the rest.
    """
    if theano_rng is None:
        return pt.random.shared_rng(seed=random_state(numpy_rng).randint(2**30))
    if isinstance(theano_rng, np.random.Generator):
        return pt.random.shared_rng(theano_rng)
    if hasattr(theano_rng, "gen_seedgen"):
        return pt.random.shared_rng(seed=theano_rng.gen_seedgen.spawn(1)[0])
    if not hasattr(theano_rng, "get_value") or not hasattr(theano_rng, "binomial"):
        raise UserError(f"theano_rng must be a generator such as pt.random.shared_rng(seed=1), not {theano_rng!r}")
    return theano_rng
