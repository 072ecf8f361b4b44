"""Forward pass, cost and gradients in plain NumPy, derived on paper, to hold the symbolic graphs against."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def softmax(a):
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def classifier_cost_and_gradients(x, y, params, activation, slope):
    """Mean negative log-likelihood of a perceptron and its gradients.

    Parameters
    ----------
    x : (batch, n_in)
    y : (batch,) of int
    params : [W, b, W, b, ...], hidden layers first, the softmax layer last
    activation, slope : of the hidden layers; slope is a function of the activation's value
    """
    weights, biases = params[::2], params[1::2]
    outputs = [x]
    for W, b in zip(weights[:-1], biases[:-1]):
        outputs.append(activation(outputs[-1] @ W + b))
    p = softmax(outputs[-1] @ weights[-1] + biases[-1])
    cost = -np.mean(np.log(p[np.arange(len(y)), y]))

    delta = (p - np.eye(p.shape[1])[y]) / len(y)
    gradients = []
    for output, W in zip(outputs[::-1], weights[::-1]):
        gradients = [output.T @ delta, delta.sum(axis=0), *gradients]
        delta = (delta @ W.T) * slope(output)
    return cost, gradients


def autoencoder_cost_and_gradients(x, corrupted, W, b, b_prime):
    """Cross-entropy of x and its reconstruction from the corrupted input, with tied weights, and its gradients."""
    h = sigmoid(corrupted @ W + b)
    z = sigmoid(h @ W.T + b_prime)
    cost = -np.mean(np.sum(x * np.log(z) + (1 - x) * np.log(1 - z), axis=1))

    delta_z = (z - x) / len(x)
    delta_h = (delta_z @ W) * h * (1 - h)
    return cost, [corrupted.T @ delta_h + delta_z.T @ h, delta_h.sum(axis=0), delta_z.sum(axis=0)]
