"""Arrays that begin at the start of a cache line."""

import math

import numpy as np

CACHE_LINE = 64  # bytes, on common processors


def aligned_empty(shape, dtype):
    """A new array in C order whose values are not set yet.

    NumPy starts an array at any multiple of 16 bytes. A processor that reads 32 bytes at a time may then need two
    cache lines for every second read. This can cost up to half of the speed of a loop over a weight matrix.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + n_bytes].view(dtype).reshape(shape)


def aligned(value, dtype):
    """A copy of an array that begins at the start of a cache line."""
    value = np.asarray(value)
    copy = aligned_empty(value.shape, dtype)
    copy[...] = value
    return copy
