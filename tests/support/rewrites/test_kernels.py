"""The machine code of each operation: what it computes is what `compute` does in NumPy, of shapes that fit."""

from graphs import DTYPES, RNG, KernelLinker, assert_close, normal
from support.rewrites.decoder import TiedDecoder
from support.rewrites.entropy import LogLikelihood
from support.rewrites.products import NarrowProduct, SparseProduct, TransposedProduct
from support.rewrites.updates import BackpropUpdate, RankUpdate

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.link.basic import PerformLinker


def matrices(*shapes):
    return [normal(*shape) for shape in shapes]


def update(batch, *scalars):
    return [*matrices((6, 20), (batch, 6), (batch, 20)), *map(np.asarray, scalars)]


def sparse(batch):
    X, W = matrices((batch, 5), (5, 6))
    return [X * (np.arange(5) < 1), W]


def decoder(n, *step):
    """With more rows than the likelihood multiplies at once or hardly any, and logits far from zero."""
    c = 5 * normal(1, n)
    c[0, n // 2 - 1 : n // 2 + 2] = 300, -300, 0
    return [normal(n, 13), RNG.uniform(size=(1, 13)), c, RNG.uniform(size=(1, n)), *map(np.asarray, step)]


CASES = [  # operation, arguments; those of which neither a column may be missing, nor a row be there twice
    *[(RankUpdate(inplace), lambda batch=batch: update(batch, -0.3, 0.5), "012", "012")
      for inplace in (False, True) for batch in (1, 20)],
    *[(BackpropUpdate(inplace), lambda: update(1, -0.3), "012", "012") for inplace in (False, True)],
    *[(SparseProduct(), lambda batch=batch: sparse(batch), "0", "1") for batch in (1, 3)],
    (NarrowProduct(), lambda: matrices((3, 5), (5, 6)), "0", "1"),
    (TransposedProduct(), lambda: matrices((3, 5), (6, 5)), "01", ""),
    (LogLikelihood(), lambda: [RNG.uniform(size=(3, 1101)), 5 * normal(3, 1101)], "01", "01"),
    (TiedDecoder(), lambda: decoder(1101), "0123", "0123"),
    (TiedDecoder(True), lambda: decoder(1102, -0.3), "0123", "0123"),
    (TiedDecoder(True, True), lambda: decoder(3, -0.3), "0123", "0123"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op, arguments, columns, rows", CASES, ids=[str(op) for op, *_ in CASES])
def test_what_runs_agrees_with_numpy_and_checks_the_shapes(op, arguments, columns, rows, dtype):
    values = [value.astype(dtype) for value in arguments()]
    inputs = [pt.tensor(dtype=dtype, shape=(None,) * value.ndim) for value in values]
    mutable = [pytensor.In(variable, mutable=True) for variable in inputs]
    kernel, numpy = (
        pytensor.function(mutable, op.make_node(*inputs).outputs, mode=Mode(linker, None), accept_inplace=True)
        for linker in (KernelLinker(), PerformLinker())
    )
    results = [fn(*(value.copy() for value in values)) for fn in (kernel, numpy)]
    for actual, expected in zip(*results, strict=True):
        assert_close(actual, expected, dtype)
    wrong = [(int(place), values[int(place)][:, 1:].copy()) for place in columns]
    wrong += [(int(place), np.repeat(values[int(place)], 2, axis=0)) for place in rows]
    for place, value in wrong:
        with pytest.raises(ValueError, match="do not fit"):
            kernel(*(value if i == place else v.copy() for i, v in enumerate(values)))
