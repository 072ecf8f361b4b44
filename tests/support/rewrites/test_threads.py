"""More threads change the time of a step, and its results by no more than rounding."""

import json

from graphs import printed

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # processes of their own, of which one compiles loops that are shared among threads

SCRIPT = """
import json, sys
import numpy as np, pytensor
import support, graphs
from SdA import SdA
pytensor.config.mode = getattr(graphs, sys.argv[1])()
rng = np.random.RandomState(0)
x = pytensor.shared(rng.uniform(size=(20, 9)) * (rng.uniform(size=(20, 9)) < 0.15))
y = pytensor.shared(rng.randint(0, 3, 20).astype("int32"))
sda = SdA(rng, n_ins=9, hidden_layers_sizes=[20], n_outs=3)
steps = sda.pretraining_functions(x, batch_size=1)
for batch_size in 1, 4:
    steps += sda.build_finetune_functions([(x, y)] * 3, batch_size, 0.1)[:1]
print(json.dumps([support.start.THREADS, [float(step(i)) for step in steps for i in range(5)]]))
"""


def results(threads, monkeypatch, *arguments, script=SCRIPT):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    flags = {"PYTENSOR_FLAGS": "floatX=float64,cxx=", "OMP_NUM_THREADS": threads}
    return json.loads(printed(script, monkeypatch, *arguments, **flags))


def test_two_threads_compute_what_one_computes(monkeypatch):
    one, costs = results("1", monkeypatch, "interpreted_mode")
    two, costs_of_two = results("2", monkeypatch, "kernel_mode")
    assert (one, two) == (1, 2)
    np.testing.assert_allclose(costs_of_two, costs, rtol=1e-13)


UPDATE = """
import json, sys
import numpy as np, pytensor
from support import rewrites
W = pytensor.shared(np.ones((20, 30)), shape=(20, 30))
D = pytensor.tensor.matrix("D", shape=(None, 30))
back = pytensor.function([D], pytensor.tensor.dot(D, W.T), mode=rewrites.mode())
assert back(np.ones((0, 30))).shape == (0, 20)
x, d = pytensor.tensor.matrix("x", shape=(1, 20)), pytensor.tensor.matrix("d", shape=(1, 30))
updates = {W: W - float(sys.argv[1]) * pytensor.tensor.dot(x.T, d)}
step = pytensor.function([x, d], updates=updates, mode=rewrites.mode())
step(np.arange(20.0)[None], np.arange(30.0)[None])
print(json.dumps(W.get_value().tolist()))
"""


def test_machine_code_from_the_cache_finds_its_threads_started(monkeypatch):
    """What was compiled with its loops from the cache does not start their threads when it comes from there itself."""
    results("2", monkeypatch, "0.1", script=UPDATE)  # leaves the loops in the cache
    compiled, from_cache = (results("2", monkeypatch, "0.2", script=UPDATE) for _ in range(2))
    assert from_cache == compiled
    np.testing.assert_allclose(compiled, 1 - 0.2 * np.outer(np.arange(20), np.arange(30)), atol=1e-13)
