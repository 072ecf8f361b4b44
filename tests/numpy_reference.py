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

    delta = (p - np.eye(p.shape[1], dtype=p.dtype)[y]) / len(y)
    gradients = [outputs[-1].T @ delta, delta.sum(axis=0)]
    for output, below, W in zip(outputs[:0:-1], outputs[-2::-1], weights[:0:-1]):
        delta = (delta @ W.T) * slope(output)
        gradients = [below.T @ delta, delta.sum(axis=0), *gradients]
    return cost, gradients


def autoencoder_cost_and_gradients(x, corrupted, W, b, b_prime, penalty=lambda h: (0, 0, 0)):
    """Cross-entropy of x and its reconstruction from the corrupted input, with tied weights, and its gradients.

    `penalty` gives what is added to the cost, its derivative by the hidden values, and that by W where they are fixed.
    """
    h = sigmoid(corrupted @ W + b)
    a = h @ W.T + b_prime
    added, by_h, by_W = penalty(h)
    cost = np.sum(np.logaddexp(0, a) - x * a) / len(x) + added

    delta_z = (sigmoid(a) - x) / len(x)
    delta_h = (delta_z @ W + by_h) * h * (1 - h)
    dW = corrupted.T @ delta_h
    dW += delta_z.T @ h
    dW += by_W
    return cost, [dW, delta_h.sum(axis=0), delta_z.sum(axis=0)]


def sparse_autoencoder_cost_and_gradients(x, target, weight, W, b, b_prime):
    """The same plus weight times the divergence of the mean activations."""

    def penalty(h):
        a = h.mean(axis=0)
        divergence = target * np.log(target / a) + (1 - target) * np.log((1 - target) / (1 - a))
        return weight * divergence.sum(), weight * (-target / a + (1 - target) / (1 - a)) / len(x), 0

    return autoencoder_cost_and_gradients(x, x, W, b, b_prime, penalty)


def contractive_autoencoder_cost_and_gradients(x, level, W, b, b_prime):
    """The same plus level times the mean squared norm of the Jacobian."""

    def penalty(h):
        slope = h * (1 - h)
        squares, norms = (slope**2).mean(axis=0), (W**2).sum(axis=0)  # of each unit
        by_h = 2 * slope * (1 - 2 * h) * norms / len(x)
        return level * squares @ norms, level * by_h, 2 * level * squares * W

    return autoencoder_cost_and_gradients(x, x, W, b, b_prime, penalty)


def linear_autoencoder_cost_and_gradient(x, mean, W):
    """Squared error of x - mean and its projection, with tied weights, and its gradient."""
    x = x - mean
    code = x @ W
    residual = x - code @ W.T
    return np.sum(residual**2) / len(x), -2 / len(x) * (x.T @ (residual @ W) + residual.T @ code)


def variational_bound_and_gradients(x, epsilon, params):
    """Mean of the bound over the minibatch, for given noise, and its gradients.

    Parameters
    ----------
    x : (batch, n_visible) of zeros and ones
    epsilon : (batch, n_latent)
    params : W, b of the encoder's hidden layer, the mean, the log-variance, the decoder's hidden layer, the output
    """
    We, be, Wm, bm, Wv, bv, Wd, bd, Wo, bo = params
    h = np.tanh(x @ We + be)
    mean, log_variance = h @ Wm + bm, h @ Wv + bv
    deviation = np.exp(log_variance / 2)
    z = mean + deviation * epsilon
    g = np.tanh(z @ Wd + bd)
    p = sigmoid(g @ Wo + bo)
    likelihood = np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)
    divergence = np.sum(mean**2 + deviation**2 - 1 - log_variance, axis=1) / 2

    delta_p = (x - p) / len(x)
    delta_g = (delta_p @ Wo.T) * (1 - g**2)
    delta_z = delta_g @ Wd.T
    delta_mean = delta_z - mean / len(x)
    delta_log_variance = delta_z * deviation * epsilon / 2 - (deviation**2 - 1) / (2 * len(x))
    delta_h = (delta_mean @ Wm.T + delta_log_variance @ Wv.T) * (1 - h**2)
    layers = (x, delta_h), (h, delta_mean), (h, delta_log_variance), (z, delta_g), (g, delta_p)
    gradients = [gradient for inputs, delta in layers for gradient in (inputs.T @ delta, delta.sum(axis=0))]
    return np.mean(likelihood - divergence), gradients
