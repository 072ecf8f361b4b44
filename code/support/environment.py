"""What is chosen before anything else of this project is imported: folders, threads, precision.

Each is a choice only where the user has made none; see the package's docstring.
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
