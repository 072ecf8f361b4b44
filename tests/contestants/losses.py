"""The costs of the lessons, for frameworks that derive their gradients.

`ops` has what the frameworks spell in different ways:

    sigmoid, tanh, exp, log, full_like
    cross_entropy(logits, y)      mean over the minibatch
    bernoulli_cost(logits, x)     cross-entropy of x and sigmoid(logits), the sum of all entries
    bernoulli(p), normal_like(x)  draws: ones with probability p, else zeros; standard normal numbers

The parameters and the constants are those of `common.beginning`.
"""

from contestants import common


def classifier(phase, ops, params, constants, x, y):
    activation = ops.tanh if phase["activation"] == "tanh" else ops.sigmoid
    *hidden, W, b = params
    for W_hidden, b_hidden in zip(hidden[::2], hidden[1::2]):
        x = activation(x @ W_hidden + b_hidden)
    cost = ops.cross_entropy(x @ W + b, y)
    return cost + phase["l2"] * sum((W**2).sum() for W in params[::2]) if phase["l2"] else cost


def tied(phase, ops, params, below, x, y):
    """A denoising, sparse or contractive autoencoder."""
    kind, (W, b, b_prime) = phase["kind"], params
    for W_below, b_below in zip(below[::2], below[1::2]):
        x = ops.sigmoid(x @ W_below + b_below)
    used = ops.bernoulli(ops.full_like(x, 1 - common.CORRUPTION)) * x if kind == "autoencoder" else x
    hidden = ops.sigmoid(used @ W + b)
    cost = ops.bernoulli_cost(hidden @ W.T + b_prime, x) / phase["batch"]
    if kind == "sparse":
        target, mean = common.SPARSITY_TARGET, hidden.mean(0)
        divergence = target * ops.log(target / mean) + (1 - target) * ops.log((1 - target) / (1 - mean))
        return cost + common.SPARSITY_WEIGHT * divergence.sum()
    if kind == "contractive":
        slope = hidden * (1 - hidden)
        return cost + common.CONTRACTION * ((slope**2).mean(0) * (W**2).sum(0)).sum()
    return cost


def linear(phase, ops, params, constants, x, y):
    (W,), (mean,) = params, constants
    z = (x - mean) @ W @ W.T + mean
    return ((x - z) ** 2).sum(1).mean()


def variational(phase, ops, params, constants, x, y):
    encoder, mean_layer, log_variance_layer, decoder, output = zip(params[::2], params[1::2])
    binary = ops.bernoulli(x)
    h = ops.tanh(affine(binary, encoder))
    mean, log_variance = affine(h, mean_layer), affine(h, log_variance_layer)
    z = mean + ops.exp(log_variance / 2) * ops.normal_like(mean)
    logits = affine(ops.tanh(affine(z, decoder)), output)
    divergence = -(1 + log_variance - mean**2 - ops.exp(log_variance)).sum() / 2
    return (ops.bernoulli_cost(logits, binary) + divergence) / len(x)


def affine(x, layer):
    W, b = layer
    return x @ W + b


LOSSES = {  # {kind: the cost of a minibatch}
    "classifier": classifier,
    "autoencoder": tied,
    "sparse": tied,
    "contractive": tied,
    "linear": linear,
    "variational": variational,
}
