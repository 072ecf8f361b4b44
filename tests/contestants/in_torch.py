"""PyTorch, with its autograd and optimisers. This module is the `ops` of the losses."""

import os
import sys
from functools import partial

from contestants import common
from contestants.losses import LOSSES

import torch
import torch.nn.functional as F
from torch import bernoulli, exp, full_like, log, sigmoid, tanh  # noqa: F401
from torch import randn_like as normal_like  # noqa: F401
from torch.nn.functional import cross_entropy  # noqa: F401

bernoulli_cost = partial(F.binary_cross_entropy_with_logits, reduction="sum")


def runner(phase, compiled):
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x_data, y_data = (torch.from_numpy(data) for data in common.make_data(phase))
    y_data = y_data.long()
    params, constants = ([torch.from_numpy(value) for value in values] for values in common.beginning(phase))
    for param in params:
        param.requires_grad_()
    ops, formula, is_linear = sys.modules[__name__], LOSSES[phase["kind"]], phase["kind"] == "linear"
    if phase["kind"] == "variational":
        betas = common.BETA1, common.BETA2
        optimizer = torch.optim.Adam(params, lr=common.LEARNING_RATE, betas=betas, eps=common.EPSILON)
    else:
        optimizer = torch.optim.SGD(params, lr=common.LEARNING_RATE)

    def loss(x, y):
        return formula(phase, ops, params, constants, x, y)

    if compiled:
        loss = torch.compile(loss)

    def run(steps):
        for rows in common.minibatches(phase, steps):
            optimizer.zero_grad()
            cost = loss(x_data[rows], y_data[rows])
            cost.backward()
            if not is_linear:
                optimizer.step()
        return cost.item()

    return run, lambda: [(param.grad if is_linear else param.detach()).numpy() for param in params]
