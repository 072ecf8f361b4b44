"""Where arrays lie in memory."""

import math

import numpy as np

CACHE_LINE = 64  # bytes, on the processors that this will meet


def aligned_empty(shape, dtype):
    """A new array, in C order, that starts at the beginning of a cache line.

    NumPy starts arrays at multiples of 16 bytes. A processor that reads 32 bytes at a time then finds every other piece
    across two cache lines, and pays for both: up to half the speed of a loop over a weight matrix, by chance of where
    the matrix happens to lie.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + n_bytes].view(dtype).reshape(shape)


def aligned(value, dtype):
    """A copy of an array, in such memory."""
    value = np.asarray(value)
    copy = aligned_empty(value.shape, dtype)
    copy[...] = value
    return copy
