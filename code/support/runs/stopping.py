"""What early stopping remembers from one minibatch to the next; the rule itself stands in lesson 1's loop."""

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
        Minibatches to train in any case; the rule raises it.
    n_train_batches : int
        Minibatches an epoch.

    Attributes
    ----------
    validation_frequency : int
        Minibatches from one validation to the next: an epoch, or half of the patience where that is less.
    best_validation_error : float
        In 0..1; infinite until the first validation.
    best_iteration : int
        Where that was; None until the first validation.

    References
    ----------
    Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, on early stopping.
    """

    patience: int
    n_train_batches: int
    validation_frequency: int = field(init=False)
    best_validation_error: float = math.inf
    best_iteration: int | None = None

    # That a state out of a checkpoint must have; see `support.files.forms.check_form`.
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
        """Take on the state out of a checkpoint; a ValueError where it is one of another schedule."""
        if state["validation_frequency"] != self.validation_frequency:
            raise ValueError("validation_frequency")
        vars(self).update({name: state[name] for name in vars(self)})
