"""Lesson 1, momentum: `sgd_updates` as it should be after the exercise."""

from logistic_sgd import parameter

import numpy as np
import pytensor.tensor as pt


def sgd_updates(cost, params, learning_rate, momentum=0.0):
    """One step: v <- momentum v - learning_rate dcost/dparam, then param <- param + v, with the new v."""
    cost.name = "cost"  # from which PyTensor names the gradients, as (dcost/dW)
    gradients = pt.grad(cost, params)
    if momentum == 0:  # no velocity is needed, and the other lessons stay as they are
        return {param: param - learning_rate * gradient for param, gradient in zip(params, gradients)}
    updates = {}
    for param, gradient in zip(params, gradients):
        velocity = parameter(np.zeros(param.get_value(borrow=True).shape), f"velocity_{param.name}")
        updates[velocity] = momentum * velocity - learning_rate * gradient
        updates[param] = param + updates[velocity]
    return updates
