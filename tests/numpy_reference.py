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


class Discriminator:
    """A discriminator with maxout units, for inputs and masks that are given, with its way back.

    Parameters
    ----------
    x : (batch, n_visible)
    masks : of the input and of both hidden layers, each already divided by the probability of being kept
    params : W, b of each layer
    n_pieces : weight vectors of a unit
    """

    def __init__(self, x, masks, params, n_pieces):
        self.masks, self.params = masks, params
        self.inputs, self.winners = [x * masks[0]], []
        for W, b, mask in zip(params[:4:2], params[1:4:2], masks[1:]):
            sums = (self.inputs[-1] @ W + b).reshape(len(x), -1, n_pieces)
            self.winners.append(np.eye(n_pieces, dtype=x.dtype)[sums.argmax(axis=2)])
            self.inputs.append(sums.max(axis=2) * mask)
        self.logit = (self.inputs[2] @ params[4] + params[5])[:, 0]

    def back(self, delta):
        """The gradients by the parameters and by x, from that by the logits."""
        delta, gradients = delta[:, None], []
        for number in 2, 1, 0:
            gradients = [self.inputs[number].T @ delta, delta.sum(axis=0), *gradients]
            delta = delta @ self.params[2 * number].T * self.masks[number]
            if number:
                delta = (delta[:, :, None] * self.winners[number - 1]).reshape(len(delta), -1)
        return gradients, delta


def adversarial_costs_and_gradients(x, z, masks_x, masks_Gz, params, n_pieces):
    """The costs of both players, D(x) and D(G(z)), means of the minibatch; and each player's gradients of its own cost.

    Parameters
    ----------
    x, z : (batch, n_visible), (batch, n_noise)
    masks_x, masks_Gz : what the discriminator drops of images and of what the generator makes, as it takes them
    params : W, b of the discriminator's three layers, and of the generator's
    """
    D, G, batch = params[:6], params[6:], len(x)
    h1 = np.maximum(z @ G[0] + G[1], 0)
    h2 = np.maximum(h1 @ G[2] + G[3], 0)
    images = sigmoid(h2 @ G[4] + G[5])
    real, made = Discriminator(x, masks_x, D, n_pieces), Discriminator(images, masks_Gz, D, n_pieces)
    D_x, D_Gz = sigmoid(real.logit), sigmoid(made.logit)
    outputs = [np.mean(-np.log(D_x) - np.log(1 - D_Gz)) / 2, np.mean(-np.log(D_Gz)), D_x.mean(), D_Gz.mean()]

    (for_real, _), (for_made, _) = real.back((D_x - 1) / (2 * batch)), made.back(D_Gz / (2 * batch))
    gradients = [a + b for a, b in zip(for_real, for_made)]
    delta = made.back((D_Gz - 1) / batch)[1] * images * (1 - images)
    delta_2 = (delta @ G[4].T) * (h2 > 0)
    delta_1 = (delta_2 @ G[2].T) * (h1 > 0)
    for below, above in (z, delta_1), (h1, delta_2), (h2, delta):
        gradients += [below.T @ above, above.sum(axis=0)]
    return outputs, gradients
