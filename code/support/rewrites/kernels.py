"""The loops over weights, as Numba compiles them. An operation's function chooses among them by its minibatch.

Each is compiled once in a process for each type of its arguments, whatever number of operations use it.

| pass                     | used by           | of which minibatch                                   |
|--------------------------|-------------------|------------------------------------------------------|
| add_rows, in parts       | SparseProduct     | one example; more, where most entries are zero       |
| multiply_narrow          | NarrowProduct     | more than one, for a W of at most `NARROW` columns   |
| multiply_rows            | TransposedProduct | one, with more than one thread                       |
| multiply_and_update_rows | BackpropUpdate    | one                                                  |
| add_outer_products       | RankUpdate        | one or two                                           |
| add_narrow_product       | RankUpdate        | more, for a W of at most `NARROW` columns            |
| add_sparse_product       | RankUpdate        | more, up to `FEW`, where most entries are zero       |
| gemm, of BLAS            | RankUpdate        | all others                                           |
| add_everything           | RankUpdate        | any, where a number is infinite or NaN, or a scalar 0 |
"""

from functools import cache

from support.rewrites.internals import INLINE, PARALLEL, gemm, numba_njit
from support.start import THREADS

import numba
import numpy as np

FEW = 100  # rows; up to here loops over what is not zero, and W D' with its transpose for D W', are faster than BLAS
SPARSE = 0.25  # the share of entries that are not zero up to which that is so
NARROW = 16  # columns; up to here loops along the long side of a product are faster than BLAS


def is_sparse(X):
    """Whether so many entries of a minibatch are zero that skipping them is faster."""
    k, n = X.shape
    if k > FEW:
        return False
    used = np.int32(0)  # of the size of single precision, so that several are counted at once
    for r in range(k):
        for i in range(n):
            used += np.int32(X[r, i] != 0)
    return used <= SPARSE * X.size


def is_finite(A):
    """Whether no entry of a matrix is infinite or NaN."""
    others = np.int32(0)
    for r in range(A.shape[0]):
        for j in range(A.shape[1]):
            others += np.int32(not np.isfinite(A[r, j]))
    return others == 0


sparse, finite = numba_njit(is_sparse), numba_njit(is_finite)


@numba_njit
def find_nonzero(x, places):
    """Write the places where a vector is not zero into another, which is longer; return how many there are."""
    found = 0
    for i in range(len(x)):
        places[found] = i  # and over it again, where x is zero: a branch would be mispredicted too often
        found += x[i] != 0
    return found


@numba_njit
def add_to_the_first(parts):
    """Add all further rows of a matrix to the first one; an array's own `+=` takes seconds to compile."""
    for part in range(1, parts.shape[0]):
        for j in range(parts.shape[1]):
            parts[0, j] += parts[part, j]


def row_adder(in_pairs):
    """A compiled function that adds a x_i W_i to `total` for each i in `rows`: four at once, two `in_pairs`, or one."""

    @numba_njit(inline="always" if in_pairs else "never")
    def add_rows(total, a, x, W, rows):
        r, end = 0, rows.shape[0]
        while r + 4 <= end:
            i0, i1, i2, i3 = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
            x0, x1, x2, x3 = a * x[i0], a * x[i1], a * x[i2], a * x[i3]
            for j in range(total.shape[0]):
                total[j] += (x0 * W[i0, j] + x1 * W[i1, j]) + (x2 * W[i2, j] + x3 * W[i3, j])
            r += 4
        if in_pairs and r + 2 <= end:
            i0, i1 = rows[r], rows[r + 1]
            x0, x1 = a * x[i0], a * x[i1]
            for j in range(total.shape[0]):
                total[j] += x0 * W[i0, j] + x1 * W[i1, j]
            r += 2
        while r < end:
            i0 = rows[r]
            x0 = a * x[i0]
            for j in range(total.shape[0]):
                total[j] += x0 * W[i0, j]
            r += 1

    return add_rows


add_rows, add_rows_in_pairs = row_adder(in_pairs=False), row_adder(in_pairs=True)


@numba_njit(parallel=PARALLEL)
def add_rows_in_parts(x, W, rows, sums):
    used = rows.shape[0]
    for part in numba.prange(THREADS):
        add_rows(sums[part], W.dtype.type(1), x, W, rows[part * used // THREADS : (part + 1) * used // THREADS])


@numba_njit
def multiply_narrow(X, columns):
    (k, n), m = X.shape, columns.shape[0]
    zero = X.dtype.type(0)
    out = np.empty((k, m), X.dtype)
    for r in range(0, k - k % 4, 4):
        for c in range(0, m - m % 2, 2):
            u, v = columns[c], columns[c + 1]
            u0, u1, u2, u3 = zero, zero, zero, zero
            v0, v1, v2, v3 = zero, zero, zero, zero
            for i in range(n):
                x0, x1, x2, x3 = X[r, i], X[r + 1, i], X[r + 2, i], X[r + 3, i]
                u0 += x0 * u[i]
                u1 += x1 * u[i]
                u2 += x2 * u[i]
                u3 += x3 * u[i]
                v0 += x0 * v[i]
                v1 += x1 * v[i]
                v2 += x2 * v[i]
                v3 += x3 * v[i]
            out[r, c], out[r + 1, c], out[r + 2, c], out[r + 3, c] = u0, u1, u2, u3
            out[r, c + 1], out[r + 1, c + 1], out[r + 2, c + 1], out[r + 3, c + 1] = v0, v1, v2, v3
        if m % 2:
            for q in range(r, r + 4):
                out[q, m - 1] = np.dot(X[q], columns[m - 1])
    for r in range(k - k % 4, k):
        for c in range(m):
            out[r, c] = np.dot(X[r], columns[c])
    return out


def row_by_row(update):
    """A compiled function that writes D W' to `out` and, with `update`, adds a X'D to W; X and D have one row."""

    @numba_njit(parallel=PARALLEL)
    def multiply(W, X, D, a, out):
        n, m = W.shape
        d = D[0]
        for part in numba.prange(THREADS):
            for i in range(part * n // THREADS, (part + 1) * n // THREADS):
                row = W[i]
                x = a * X[0, i] if update else a
                total = W.dtype.type(0)
                for j in range(m):
                    w = row[j]
                    total += w * d[j]
                    if update:
                        row[j] = w + x * d[j]
                out[0, i] = total

    return multiply


multiply_rows, multiply_and_update_rows = row_by_row(update=False), row_by_row(update=True)


@numba_njit(parallel=PARALLEL)
def add_outer_products(W, X, D, a, b):
    (n, m), k = W.shape, X.shape[0]
    for part in numba.prange(THREADS):
        for i in range(part * n // THREADS, (part + 1) * n // THREADS):
            row, x0 = W[i], a * X[0, i]
            x1 = a * X[k - 1, i] if k == 2 else x0
            if b != 1:
                for j in range(m):
                    row[j] *= b
            if k == 2 and x1 != 0:
                if x0 != 0:
                    for j in range(m):
                        row[j] += x0 * D[0, j] + x1 * D[1, j]
                else:
                    for j in range(m):
                        row[j] += x1 * D[1, j]
            elif x0 != 0:
                for j in range(m):
                    row[j] += x0 * D[0, j]


@numba_njit
def add_sparse_product(W, X, D, a, b):
    (n, m), k = W.shape, X.shape[0]
    columns, rows = np.ascontiguousarray(X.T), np.empty(k + 1, np.int64)
    for i in range(n):
        row, x = W[i], columns[i]
        used = find_nonzero(x, rows)
        if b != 1:
            for j in range(m):
                row[j] *= b
        add_rows_in_pairs(row, a, x, D, rows[:used])


@numba_njit
def add_narrow_product(W, X, D, a, b):
    (n, m), k = W.shape, X.shape[0]
    sums = np.zeros((m, n), W.dtype)
    blocks = k - k % 8
    for r in range(0, blocks, 8):
        for c in range(m):
            row = sums[c]
            d0, d1, d2, d3 = D[r, c], D[r + 1, c], D[r + 2, c], D[r + 3, c]
            d4, d5, d6, d7 = D[r + 4, c], D[r + 5, c], D[r + 6, c], D[r + 7, c]
            for i in range(n):
                row[i] += ((d0 * X[r, i] + d1 * X[r + 1, i]) + (d2 * X[r + 2, i] + d3 * X[r + 3, i])) + (
                    (d4 * X[r + 4, i] + d5 * X[r + 5, i]) + (d6 * X[r + 6, i] + d7 * X[r + 7, i])
                )
    for r in range(blocks, k):
        for c in range(m):
            row, d0 = sums[c], D[r, c]
            for i in range(n):
                row[i] += d0 * X[r, i]
    for i in range(n):
        for c in range(m):
            W[i, c] = b * W[i, c] + a * sums[c, i]


@numba_njit
def add_everything(W, X, D, a, b):
    sums = np.empty(W.shape[1], W.dtype)
    for i in range(W.shape[0]):
        sums[:] = 0
        for r in range(X.shape[0]):
            for j in range(len(sums)):
                sums[j] += X[r, i] * D[r, j]
        for j in range(len(sums)):
            W[i, j] = b * W[i, j] + a * sums[j]


@cache
def addition(dtype, few):
    """A compiled function (W, X, D, a, b) that does W <- b W + a X'D; X and D in C order, of 1 or 2 rows if `few`."""
    add_by_blas = None if few else gemm(dtype)

    @numba_njit(inline=INLINE)
    def add_few(W, X, D, a, b):
        if X.shape[0] != 0 and np.isfinite(a) and finite(D):
            add_outer_products(W, X, D, a, b)
        else:
            add_everything(W, X, D, a, b)

    @numba_njit
    def add_any(W, X, D, a, b):
        k, m = D.shape
        if k <= 2:
            add_few(W, X, D, a, b)
        elif m <= NARROW:
            add_narrow_product(W, X, D, a, b)
        elif sparse(X) and np.isfinite(a) and finite(D):
            add_sparse_product(W, X, D, a, b)
        elif a != 0 and b != 0:
            add_by_blas(W, X, D, a, b)
        else:
            add_everything(W, X, D, a, b)

    return add_few if few else add_any
