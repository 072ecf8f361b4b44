"""Lesson 6, a running mean: `sA.get_cost_updates` as it should be after the exercise."""

from logistic_sgd import parameter, sgd_updates
from sA import kl_of_coins

import numpy as np
import pytensor.tensor as pt


def get_cost_updates(self, sparsity_target, sparsity_weight, learning_rate, memory=0.0):
    """As in the lesson, with the penalty of a running mean, of which a share, `memory`, stays at each step."""
    y = self.get_hidden_values(self.x)  # (batch, n_hidden)
    self.L_rec = self.get_reconstruction_cost(self.get_reconstructed_input(y))  # (batch,)
    running = parameter(np.full(self.n_hidden, sparsity_target), "running")
    self.mean_activation = memory * running + (1 - memory) * pt.mean(y, axis=0)  # (n_hidden,)
    self.sparsity_penalty = pt.sum(kl_of_coins(sparsity_target, self.mean_activation))
    cost = pt.mean(self.L_rec) + sparsity_weight * self.sparsity_penalty
    return cost, sgd_updates(cost, self.params, learning_rate) | {running: self.mean_activation}
