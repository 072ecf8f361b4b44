"""Lesson 5, axes in their order: `LinearAutoencoder.get_cost_gradient` as it should be after the exercise."""

import pytensor.tensor as pt


def get_cost_gradient(self):
    """The squared error with the first k units alone, mean over k and over the examples, and its gradient."""
    y = self.get_hidden_values(self.x)  # (batch, n_hidden)
    errors = []
    for k in range(1, self.n_hidden + 1):
        z = pt.dot(y[:, :k], self.W_prime[:k]) + self.b_prime  # (batch, n_visible)
        errors.append(pt.mean(pt.sum((self.x - z) ** 2, axis=1)))
    cost = sum(errors) / self.n_hidden
    return cost, pt.grad(cost, self.W)
