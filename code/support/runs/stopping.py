"""The memory of early stopping between minibatches. The rule itself stands in the loop of lesson 1."""

import math
from dataclasses import dataclass, field

from support.files.forms import is_count, is_number


@dataclass
class EarlyStopping:
    """The state of the tutorial's patience rule.

    An iteration is one minibatch, counted from 0 over all epochs.

    Parameters
    ----------
    patience : int
        Minibatches to train in any case. The rule raises this number.
    n_train_batches : int
        Minibatches an epoch.

    Attributes
    ----------
    validation_frequency : int
        Minibatches from one validation to the next: an epoch or, if that is less, half of the patience.
    best_validation_error : float
        In 0..1; infinite before the first validation.
    best_iteration : int
        The iteration with this error; None before the first validation.

    References
    ----------
    Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, on early stopping.
    """

    patience: int
    n_train_batches: int
    validation_frequency: int = field(init=False)
    best_validation_error: float = math.inf
    best_iteration: int | None = None

    # The form of a state in a checkpoint; see `support.files.forms.check_form`.
    FORM = {
        "patience": is_count,
        "n_train_batches": is_count,
        "validation_frequency": is_count,
        "best_validation_error": lambda value: value == math.inf or is_number(value),
        "best_iteration": (is_count, None),
    }

    def __post_init__(self):
        self.validation_frequency = min(self.n_train_batches, self.patience // 2)

    def resume(self, state):
        """Take over a state from a checkpoint. A ValueError says that it belongs to another schedule."""
        if state["validation_frequency"] != self.validation_frequency:
            raise ValueError("validation_frequency")
        vars(self).update({name: state[name] for name in vars(self)})
