"""PyTorch, with its autograd and optimisers. This module is the `ops` of the losses."""

import os
import sys
from functools import partial

from contestants import common
from contestants.losses import LOSSES

import torch
import torch.nn.functional as F
from torch import bernoulli, exp, log, relu, round, sigmoid, tanh  # noqa: F401
from torch import randn_like as normal_like  # noqa: F401
from torch.nn.functional import cross_entropy, softplus  # noqa: F401
from torch.nn.functional import logsigmoid as log_sigmoid  # noqa: F401

bernoulli_cost = partial(F.binary_cross_entropy_with_logits, reduction="sum")


def highest(x):
    return x.max(dim=-1).values


def full(shape, value, x):
    return x.new_full(shape, value)


def uniform(bound, shape, x):
    return x.new_empty(shape).uniform_(-bound, bound)


def constant(values):
    return [value.detach() for value in values] if isinstance(values, list) else values.detach()


def repeat(step, state, n):
    for _ in range(n):
        state = step(sys.modules[__name__], state)
    return state


def with_column(x, i, values):
    changed = x.clone()
    changed[:, i] = values
    return changed


def runner(phase, compiled):
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x_data, y_data = (torch.from_numpy(data) for data in common.make_data(phase))
    y_data = y_data.long()
    params, constants = ([torch.from_numpy(value) for value in values] for values in common.beginning(phase))
    for param in params:
        param.requires_grad_()
    is_linear = phase["kind"] == "linear"
    momentum = common.MOMENTUM if phase["kind"] == "adversarial" else 0
    if phase["kind"] == "variational":
        betas = common.BETA1, common.BETA2
        optimizer = torch.optim.Adam(params, lr=common.LEARNING_RATE, betas=betas, eps=common.EPSILON)
    else:
        optimizer = torch.optim.SGD(params, lr=common.LEARNING_RATE, momentum=momentum)

    loss = partial(LOSSES[phase["kind"]], phase, sys.modules[__name__], params)
    if compiled:
        torch.compiler.reset()  # or it gives up compiling after the eighth phase
        loss = torch.compile(loss)

    def run(steps):
        nonlocal constants
        for rows in common.minibatches(phase, steps):
            optimizer.zero_grad()
            cost, shown, constants = loss(constants, x_data[rows], y_data[rows])
            cost.backward()
            if not is_linear:
                optimizer.step()
        return shown.item()

    return run, lambda: [(param.grad if is_linear else param.detach()).numpy() for param in params]
