"""The costs of the lessons, for frameworks that derive their gradients.

`ops` has what the frameworks spell in different ways:

    sigmoid, tanh, relu, exp, log, round, softplus, log_sigmoid
    highest(x)                    the maxima along the last axis
    full(shape, value, x)         an array of one value, of the type of x
    cross_entropy(logits, y)      mean over the minibatch
    bernoulli_cost(logits, x)     cross-entropy of x and sigmoid(logits), the sum of all entries
    bernoulli(p), normal_like(x)  draws: ones with probability p, else zeros; standard normal numbers
    uniform(bound, shape, x)      draws, uniform in +-bound, of the type of x
    constant(values)              the same values, through which no gradient passes
    repeat(step, state, n)        the state after n times step(ops, state)
    with_column(x, i, values)     x, with another column i

The parameters and the constants are those of `common.beginning`. A loss returns the cost that is minimised, the cost
that is shown, and the constants of the next step.
"""

from contestants import common


def shown(formula):
    """The loss of a formula: its cost is shown as it is, and the constants stay."""

    def loss(phase, ops, params, constants, x, y):
        cost = formula(phase, ops, params, constants, x, y)
        return cost, cost, constants

    return loss


@shown
def classifier(phase, ops, params, constants, x, y):
    activation = ops.tanh if phase["activation"] == "tanh" else ops.sigmoid
    *hidden, W, b = params
    for W_hidden, b_hidden in zip(hidden[::2], hidden[1::2]):
        x = activation(x @ W_hidden + b_hidden)
    cost = ops.cross_entropy(x @ W + b, y)
    return cost + phase["l2"] * sum((W**2).sum() for W in params[::2]) if phase["l2"] else cost


@shown
def tied(phase, ops, params, below, x, y):
    """A denoising, sparse or contractive autoencoder."""
    kind, (W, b, b_prime) = phase["kind"], params
    for W_below, b_below in zip(below[::2], below[1::2]):
        x = ops.sigmoid(x @ W_below + b_below)
    used = ops.bernoulli(ops.full(x.shape, 1 - common.CORRUPTION, x)) * x if kind == "autoencoder" else x
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


@shown
def linear(phase, ops, params, constants, x, y):
    (W,), (mean,) = params, constants
    z = (x - mean) @ W @ W.T + mean
    return ((x - z) ** 2).sum(1).mean()


@shown
def variational(phase, ops, params, constants, x, y):
    encoder, mean_layer, log_variance_layer, decoder, output = zip(params[::2], params[1::2])
    binary = ops.bernoulli(x)
    h = ops.tanh(affine(binary, encoder))
    mean, log_variance = affine(h, mean_layer), affine(h, log_variance_layer)
    z = mean + ops.exp(log_variance / 2) * ops.normal_like(mean)
    logits = affine(ops.tanh(affine(z, decoder)), output)
    divergence = -(1 + log_variance - mean**2 - ops.exp(log_variance)).sum() / 2
    return (ops.bernoulli_cost(logits, binary) + divergence) / len(x)


def boltzmann(phase, ops, params, chains, x, y):
    """Contrastive divergence. Shown is the cost of a pixel, or of reconstruction if no chain persists."""
    W, c, b = fixed = ops.constant(params)

    def sample_h(ops, v):
        return ops.bernoulli(ops.sigmoid(v @ W + c))

    def gibbs_step(ops, state):
        h, *_ = state
        logits = h @ W.T + b
        v = ops.bernoulli(ops.sigmoid(logits))
        return sample_h(ops, v), v, logits

    def free_energy(params, v):
        W, c, b = params
        return -v @ b - ops.softplus(v @ W + c).sum(1)

    start = chains[0] if chains else sample_h(ops, x)
    h, v, logits = ops.repeat(gibbs_step, (start, x, x), common.GIBBS_STEPS[phase["kind"]])
    if chains:
        pixel, rounded = chains[1], ops.round(x)
        flipped = ops.with_column(rounded, pixel, 1 - rounded[:, pixel])
        more = free_energy(fixed, flipped) - free_energy(fixed, rounded)
        cost_shown, chains = len(W) * ops.log_sigmoid(more).mean(), [h, (pixel + 1) % len(W)]
    else:
        cost_shown = -ops.bernoulli_cost(logits, x) / len(x)
    return (free_energy(params, x) - free_energy(params, v)).mean(), cost_shown, chains


def adversarial(phase, ops, params, constants, x, y):
    """The sum of both players' costs, each with the other's parameters constant. Shown is the discriminator's."""
    D, (hidden_1, hidden_2, output) = params[:6], layers_of(params[6:])
    keeps = common.KEEP_INPUT, common.KEEP_HIDDEN, common.KEEP_HIDDEN

    def masks():
        return [ops.bernoulli(ops.full((len(x), len(W)), keep, x)) / keep for W, keep in zip(D[::2], keeps)]

    def logits(x, masks, D):
        *hidden, last = layers_of(D)
        for mask, layer in zip(masks, hidden):
            x = ops.highest(affine(x * mask, layer).reshape(len(x), -1, common.PIECES))
        return affine(x * masks[2], last)

    noise = ops.uniform(3**0.5, (len(x), phase["sizes"][-1]), x)
    images = ops.sigmoid(affine(ops.relu(affine(ops.relu(affine(noise, hidden_1)), hidden_2)), output))
    masks_x, masks_Gz = masks(), masks()
    taken_for_made = ops.softplus(-logits(x, masks_x, D)) + ops.softplus(logits(ops.constant(images), masks_Gz, D))
    discriminator_cost = taken_for_made.mean() / 2
    generator_cost = ops.softplus(-logits(images, masks_Gz, ops.constant(D))).mean()
    return discriminator_cost + generator_cost, discriminator_cost, constants


def layers_of(params):
    return list(zip(params[::2], params[1::2]))


def affine(x, layer):
    W, b = layer
    return x @ W + b


LOSSES = {  # {kind: the loss of a minibatch}
    "classifier": classifier,
    "autoencoder": tied,
    "sparse": tied,
    "contractive": tied,
    "linear": linear,
    "variational": variational,
    "boltzmann": boltzmann,
    "contrastive": boltzmann,
    "adversarial": adversarial,
}
