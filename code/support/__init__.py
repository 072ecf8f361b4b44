"""What no lesson should have to show: the data, the training loop's helpers, saved models, the console.

Importing this package, as every lesson does, makes two choices where the user has made none:

- PyTensor's floatX is float32 (the user's choice: PYTENSOR_FLAGS or .pytensorrc);
- BLAS computes with one thread (the user's choice: OMP_NUM_THREADS). A step with a batch of 1 is too short to share:
  a second thread makes it slower, and much slower on a machine that is busy.
"""

import os
from pathlib import Path

import pytensor

ROOT = Path(__file__).resolve().parents[2]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when SciPy, whose BLAS compiled functions use, is first imported

if type(pytensor.config).floatX.is_default:
    pytensor.config.floatX = "float32"

from support import rewrites  # noqa: E402, F401  switched on by the import
