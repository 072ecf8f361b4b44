"""The lessons' training steps, in this port and in other frameworks, for the benchmark.

Each contestant is a process of its own, `python -m contestants NAME`, since it brings its own threads, and some their
own Python (`make bench-peers`). There is a module for each framework, and each of them has a function `runner`:

    run, values = runner(phase, ...)

Here `run(steps)` takes so many steps and returns the cost of the last one. `values()` returns the parameters, as
arrays in the order of the lesson's `params`; a linear autoencoder has none that change, so its gradient is returned.

A phase is a dict, made by `benchmark.phase`:

| key        | says                                                                                               |
|------------|----------------------------------------------------------------------------------------------------|
| kind       | classifier, autoencoder (denoising), linear, sparse, contractive, variational, boltzmann (PCD-15), |
|            | contrastive (CD-1), or adversarial                                                                 |
| sizes      | units of each layer; an autoencoder that is no variational one is that of the last two of them, on |
|            | top of the layers below; of adversarial networks the inputs, the units of a layer of the           |
|            | discriminator and of the generator, and the noises                                                 |
| batch      | examples in a step                                                                                 |
| activation | of a classifier's hidden layers: sigmoid or tanh                                                   |
| l2         | weight of a classifier's sum of squared weights                                                    |
| dtype      | float32 or float64                                                                                 |

A step is one of stochastic gradient descent; of Adam for a variational autoencoder; with momentum for adversarial
networks, whose players both move; for a linear autoencoder it is one evaluation of cost and gradient, without an
update. The cost of a Boltzmann machine is the one that its lesson prints, the discriminator's that of adversarial
networks.

Each framework is used as its documentation tells a user to: PyTorch with its autograd and optimisers, JAX with a jitted
scan over the steps and donated buffers, NumPy with the gradients by hand. The contractive penalty, which is the sum of
the squares of s_bj W_ij over b, i and j, is written as the sum over j of (sum_b s_bj^2) (sum_i W_ij^2), except in this
port, where a rewrite finds that form. PyTorch's discriminator looks twice at the generator's images, once for each
player; JAX makes one pass of the two.
"""

from importlib import import_module

PORT = "PyTensor, rewrites"
OWN = {  # {name: (module, its runner's options)}, in this Python
    PORT: ("port", {"rewrites": "all"}),
    "PyTensor, plain": ("port", {"rewrites": "none"}),
    "memory floor": ("floor", {}),
    "NumPy": ("in_numpy", {}),
}
PEERS = {  # in the peers' Python
    "PyTorch eager": ("in_torch", {"compiled": False}),
    "PyTorch compiled": ("in_torch", {"compiled": True}),
    "JAX jit+scan": ("in_jax", {}),
}
NAMES = [*OWN, *PEERS]


def runner(contestant, phase):
    """The functions `run` and `values` of a contestant for a phase."""
    module, options = (OWN | PEERS)[contestant]
    return import_module(f"contestants.{module}").runner(phase, **options)
