"""Lesson 8, a weight for the divergence: `VAE.get_cost_updates` as it should be after the exercise."""

from vae import adam_updates

import pytensor.tensor as pt


def get_cost_updates(self, learning_rate, divergence_weight=1.0):
    """The weighted divergence minus the log-likelihood of the binarised input, mean over the minibatch."""
    next_rng, binary = self.binarise(self.x)  # (batch, n_visible)
    next_rng, _ = self.elbo(binary, next_rng)
    cost = pt.mean(divergence_weight * self.divergence - self.log_likelihood)
    cost.name = "cost"
    return cost, adam_updates(cost, self.params, learning_rate) | {self.theano_rng: next_rng}
