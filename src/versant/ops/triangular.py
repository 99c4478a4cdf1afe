"""Triangular systems and LU factors over numpy arrays, which numpy.linalg lacks; imported by the first call.

Both go block by block, so that most of the work is products of matrices.
"""

import math
from typing import Any

import numpy as np

BLOCK = 32  # rows or columns that are eliminated one by one


def substitute(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    """The x of a @ x = b.  a: (..., n, n) triangular, b: (..., n, k)"""
    n = a.shape[-1]
    if n <= BLOCK:
        x = b.copy()
        for i in reversed(range(n)) if upper else range(n):
            known = slice(i + 1, n) if upper else slice(0, i)
            row = x[..., i, :]
            row -= (a[..., i, known, None] * x[..., known, :]).sum(-2)
            if not unit:
                row /= a[..., i, i, None]
        return x
    half = n // 2
    head, tail = slice(0, half), slice(half, n)
    first, then = (tail, head) if upper else (head, tail)
    x_first = substitute(a[..., first, first], b[..., first, :], upper, unit)
    rest = b[..., then, :] - a[..., then, first] @ x_first
    x_then = substitute(a[..., then, then], rest, upper, unit)
    return np.concatenate([x_then, x_first] if upper else [x_first, x_then], -2)


def size(x: Any) -> Any:
    """What pivots are chosen by: |x|, of complex numbers |re| + |im|, as in LAPACK (izamax)."""
    return np.abs(x.real) + np.abs(x.imag) if np.iscomplexobj(x) else np.abs(x)


def lu(a: Any) -> tuple[Any, Any, Any]:
    """Both factors in one matrix, the row exchanges (from 1), and the order of rows that they lead to.

    a: (..., m, n) -> (..., m, n), (..., min(m, n)), (..., m). The first is L below the diagonal and U on it
    and above; row `order[i]` of a is row i of L @ U. Partial pivoting.
    """
    m, n = a.shape[-2:]
    k = min(m, n)
    lead = a.shape[:-2]
    work = a.reshape(math.prod(lead), m, n).copy()
    matrices = np.arange(len(work))
    pivots = np.empty((len(work), k), np.int32)
    order = np.tile(np.arange(m), (len(work), 1))
    for start in range(0, k, BLOCK):
        stop = min(start + BLOCK, k)
        for j in range(start, stop):
            pivot = j + size(work[:, j:, j]).argmax(1)
            pivots[:, j] = pivot + 1
            for rows in (work, order):
                held = rows[matrices, pivot].copy()
                rows[matrices, pivot] = rows[:, j]
                rows[:, j] = held
            divisor = work[:, j, j, None]
            below = work[:, j + 1 :, j]
            np.divide(below, divisor, out=below, where=divisor != 0)
            work[:, j + 1 :, j + 1 : stop] -= below[:, :, None] * work[:, j, None, j + 1 : stop]
        right = work[:, start:stop, stop:]
        right[...] = substitute(work[:, start:stop, start:stop], right, False, True)
        work[:, stop:, stop:] -= work[:, stop:, start:stop] @ right
    return work.reshape(a.shape), pivots.reshape(*lead, k), order.reshape(*lead, m)


def row_order(pivots: Any, rows: int) -> Any:
    """The order of rows that row exchanges, counted from 1, lead to.  pivots: (..., k) -> (..., rows)"""
    exchanges = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1]) - 1
    order = np.tile(np.arange(rows), (len(exchanges), 1))
    matrices = np.arange(len(exchanges))
    for j in range(exchanges.shape[-1]):
        held = order[matrices, exchanges[:, j]].copy()
        order[matrices, exchanges[:, j]] = order[:, j]
        order[:, j] = held
    return order.reshape(*pivots.shape[:-1], rows)
