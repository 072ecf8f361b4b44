"""PyTorch, with its autograd and optimisers."""

import os

from contestants import common
from contestants.common import initial_layers, make_data, minibatches

import torch
import torch.nn.functional as F


def runner(phase, compiled):
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x_data, y_data = (torch.from_numpy(data) for data in make_data(phase))
    y_data = y_data.long()
    layers = [[torch.from_numpy(value) for value in layer] for layer in initial_layers(phase)]
    params, loss = BUILDERS[phase["kind"]](phase, layers)
    for param in params:
        param.requires_grad_()
    is_linear = phase["kind"] == "linear"
    if phase["kind"] == "variational":
        optimizer = torch.optim.Adam(
            params, lr=common.LEARNING_RATE, betas=(common.BETA1, common.BETA2), eps=common.EPSILON
        )
    else:
        optimizer = torch.optim.SGD(params, lr=common.LEARNING_RATE)
    if compiled:
        loss = torch.compile(loss)

    def run(steps):
        for rows in minibatches(phase, steps):
            optimizer.zero_grad()
            cost = loss(x_data[rows], y_data[rows])
            cost.backward()
            if not is_linear:
                optimizer.step()
        return cost.item()

    return run, lambda: [(param.grad if is_linear else param.detach()).numpy() for param in params]


def classifier(phase, layers):
    activation = torch.tanh if phase["activation"] == "tanh" else torch.sigmoid
    l2 = phase["l2"]

    def loss(x, y):
        *hidden, (W, b) = layers
        for W_hidden, b_hidden in hidden:
            x = activation(x @ W_hidden + b_hidden)
        cost = F.cross_entropy(x @ W + b, y)
        return cost + l2 * sum((W**2).sum() for W, _ in layers) if l2 else cost

    return [value for layer in layers for value in layer], loss


def tied(phase, layers):
    """A denoising, sparse or contractive autoencoder."""
    kind, batch = phase["kind"], phase["batch"]
    *below, (W, b) = layers
    b_prime = torch.zeros(W.shape[0], dtype=W.dtype)

    def loss(x, y):
        for W_below, b_below in below:
            x = torch.sigmoid(x @ W_below + b_below)
        used = torch.bernoulli(torch.full_like(x, 1 - common.CORRUPTION)) * x if kind == "autoencoder" else x
        hidden = torch.sigmoid(used @ W + b)
        cost = F.binary_cross_entropy_with_logits(hidden @ W.T + b_prime, x, reduction="sum") / batch
        if kind == "sparse":
            mean = hidden.mean(dim=0)
            on = common.SPARSITY_TARGET * torch.log(common.SPARSITY_TARGET / mean)
            off = (1 - common.SPARSITY_TARGET) * torch.log((1 - common.SPARSITY_TARGET) / (1 - mean))
            cost = cost + common.SPARSITY_WEIGHT * (on + off).sum()
        if kind == "contractive":
            slope = hidden * (1 - hidden)
            cost = cost + common.CONTRACTION * ((slope**2).mean(dim=0) * (W**2).sum(dim=0)).sum()
        return cost

    return [W, b, b_prime], loss


def linear(phase, layers):
    ((W, _),) = layers
    mean = torch.from_numpy(make_data(phase)[0][: phase["batch"]].mean(axis=0))

    def loss(x, y):
        z = (x - mean) @ W @ W.T + mean
        return ((x - z) ** 2).sum(dim=1).mean()

    return [W], loss


def variational(phase, layers):
    encoder, mean_layer, log_variance_layer, decoder, output = layers

    def affine(x, layer):
        W, b = layer
        return x @ W + b

    def loss(x, y):
        binary = torch.bernoulli(x)
        h = torch.tanh(affine(binary, encoder))
        mean, log_variance = affine(h, mean_layer), affine(h, log_variance_layer)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        logits = affine(torch.tanh(affine(z, decoder)), output)
        divergence = -(1 + log_variance - mean**2 - log_variance.exp()).sum() / 2
        return (F.binary_cross_entropy_with_logits(logits, binary, reduction="sum") + divergence) / len(x)

    return [value for layer in layers for value in layer], loss


BUILDERS = {  # {kind: function of a phase and layers that returns the parameters and the loss, f(x, y)}
    "classifier": classifier,
    "autoencoder": tied,
    "sparse": tied,
    "contractive": tied,
    "linear": linear,
    "variational": variational,
}
