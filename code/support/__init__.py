"""What no lesson should have to show: the data, the training loop's helpers, saved models, the console.

Importing this package, as every lesson does, makes three choices where the user has made none:

- PyTensor's floatX is float32 (the user's choice: PYTENSOR_FLAGS or .pytensorrc);
- the source that PyTensor generates is kept beside its machine code, where it is pruned, not in files without number in
  the temporary folder (the user's choice: generated_src_dir in the same places; PyTensor 3.0 has no choice);
- BLAS, and the passes over weights of `support.rewrites`, use one thread (the user's choice: OMP_NUM_THREADS).

It also switches on the graph rewrites of `support.rewrites`.
"""

import os
from pathlib import Path

import pytensor

ROOT = Path(__file__).resolve().parents[2]

# Read when SciPy, whose BLAS compiled functions use, and Numba are first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
THREADS = max(1, int(os.environ["OMP_NUM_THREADS"] or 1))
os.environ.setdefault("NUMBA_NUM_THREADS", str(THREADS))

if type(pytensor.config).floatX.is_default:
    pytensor.config.floatX = "float32"
if hasattr(pytensor.config, "generated_src_dir") and type(pytensor.config).generated_src_dir.is_default:
    pytensor.config.generated_src_dir = str(Path(pytensor.config.base_compiledir) / "generated_source")

from support import rewrites  # noqa: E402, F401  switched on by the import
