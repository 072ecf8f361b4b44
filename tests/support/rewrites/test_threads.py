"""More threads change the time of a step, and its results by no more than rounding."""

import json
import subprocess
import sys

import numpy as np

from support import ROOT

SCRIPT = """
import json
import numpy as np, pytensor
import support
from SdA import SdA
rng = np.random.RandomState(0)
x = pytensor.shared(rng.uniform(size=(20, 9)) * (rng.uniform(size=(20, 9)) < 0.5))
y = pytensor.shared(rng.randint(0, 3, 20).astype("int32"))
sda = SdA(rng, n_ins=9, hidden_layers_sizes=[8], n_outs=3)
[pretrain] = sda.pretraining_functions(x, batch_size=1)
finetune, _, _ = sda.build_finetune_functions([(x, y)] * 3, batch_size=1, learning_rate=0.1)
print(json.dumps([support.THREADS, [float(step(i)) for step in (pretrain, finetune) for i in range(5)]]))
"""


def results(threads, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "code"))
    monkeypatch.setenv("PYTENSOR_FLAGS", "floatX=float64")
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_threads_compute_what_one_computes(monkeypatch):
    one, costs = results("1", monkeypatch)
    two, costs_of_two = results("2", monkeypatch)
    assert (one, two) == (1, 2)
    np.testing.assert_allclose(costs_of_two, costs, rtol=1e-13)
