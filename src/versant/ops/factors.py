"""Factorizations of LAPACK, through numpy, with their derivatives; linalg's functions build on them.

All work matrix by matrix over the last two axes. The derivatives are those of Seeger, Hetzel, Dai and
Lawrence (Auto-Differentiating Linear Algebra, 2017), for singular values of Townsend (Differentiating the
Singular Value Decomposition, 2016). Where eigenvalues repeat, vectors have no derivative: it comes out as NaN
or infinity.
"""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.ops.host import host
from versant.ops.joining import cat
from versant.ops.lapack import (
    conj,
    hermitian,
    real,
    real_dtype,
    scaled_diagonal,
    solve,
    solve_triangular,
    with_diagonal,
)
from versant.ops.lazy import np
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIGNS = {"ref": "signs of vectors are free; tests/ops/test_linalg.py multiplies the factors again"}

# --- Cholesky ---------------------------------------------------------------------------------------------


def run_cholesky(a: Any) -> Any:
    """Matrix by matrix, so that one that is not positive definite keeps no other from its factor."""
    import numpy as np

    info = np.zeros(a.shape[:-2], np.int32)
    try:
        return np.linalg.cholesky(a), info
    except np.linalg.LinAlgError:
        factors = np.zeros_like(a)
    for index in np.ndindex(info.shape):
        # The largest leading part that has a factor, by bisection.
        least, most = 0, a.shape[-1]
        while least < most:
            n = (least + most + 1) // 2
            try:
                factors[index][:n, :n] = np.linalg.cholesky(a[index][:n, :n])
                least = n
            except np.linalg.LinAlgError:
                most = n - 1
        info[index] = 0 if least == a.shape[-1] else least + 1
    return factors, info


def cholesky_vjp(g: Any, factor: Tensor) -> Tensor | None:
    if g[0] is None:
        return None
    middle = hermitian(scaled_diagonal((factor.mH @ g[0]).tril(), 0.5))
    left = solve_triangular(factor.mH, middle, True, False)
    return solve_triangular(factor.mH, left.mH, True, False).mH


cholesky = host(
    "lapack.cholesky",
    "a -> factor, info",
    "The lower triangular L of a = L @ L.mH; 0, or the order of the first leading minor not positive.",
    run=run_cholesky,
    result=lambda a: ((a.shape, a.dtype), (a.shape[:-2], _core.int32)),
    vjp=cholesky_vjp,
    ref=lambda a: (np.linalg.cholesky(a), np.zeros(a.shape[:-2], "int32")),
    samples=[call(array(3, 3, form="definite")), call(array(2, 4, 4, form="definite"))],
)

# --- LU ---------------------------------------------------------------------------------------------------


def run_lu(a: Any) -> Any:
    from versant.ops.triangular import lu

    return lu(a)


def lu_results(a: Tensor) -> Any:
    *lead, m, n = a.shape
    return (a.shape, a.dtype), ((*lead, min(m, n)), _core.int32), ((*lead, m), _core.int64)


def lu_vjp(g: Any, factors: Tensor, order: Tensor) -> Tensor | None:
    if g[0] is None:
        return None
    grad, (m, n) = g[0], factors.shape[-2:]
    k = min(m, n)
    lower = with_diagonal(factors[..., :k, :k].tril(-1), factors.new_ones(k))
    upper = factors[..., :k, :k].triu()
    below = lower.mH @ grad[..., :k, :k].tril(-1)
    above = grad[..., :k, :k].triu() @ upper.mH
    if m < n:
        below = below - grad[..., k:] @ factors[..., k:].mH
    elif m > n:
        above = above - factors[..., k:, :].mH @ grad[..., k:, :]
    middle = solve_triangular(lower.mH, below.tril(-1) + above.triu(), True, True)
    result = solve_triangular(upper, middle.mH, True, False).mH
    if m < n:
        result = cat([result, solve_triangular(lower.mH, grad[..., k:], True, True)], -1)
    elif m > n:
        result = cat([result, solve_triangular(upper, grad[..., k:, :].mH, True, False).mH], -2)
    return result.gather(-2, order.argsort(-1).unsqueeze(-1).expand(result.shape))


lu = host(
    "lapack.lu",
    "a -> factors, pivots, order",
    "L below the diagonal and U from it upwards, with a[order] = L @ U; the row exchanges, counted from 1.",
    run=run_lu,
    result=lu_results,
    vjp=lu_vjp,
    samples=[
        call(array(3, 3)),
        call(array(2, 4, 3)),
        call(array(2, 2, 4)),
    ],
    without={"ref": "numpy has no LU; tests/ops/test_linalg.py multiplies the factors again"},
)

# --- QR ---------------------------------------------------------------------------------------------------


def run_qr(a: Any, complete: bool) -> Any:
    import numpy as np

    return np.linalg.qr(a, "complete" if complete else "reduced")


def qr_results(a: Tensor, complete: bool) -> Any:
    *lead, m, n = a.shape
    k = m if complete else min(m, n)
    return ((*lead, m, k), a.dtype), ((*lead, k, n), a.dtype)


def qr_vjp(g: Any, complete: bool, q: Tensor, r: Tensor) -> Tensor | None:
    of_q, of_r = g
    m, n = q.shape[-2], r.shape[-1]
    if complete and m > n:
        raise RuntimeError("[qr] mode='complete' has no gradient for a matrix with more rows than columns")
    if of_q is None and of_r is None:
        return None
    of_q = q.new_zeros(q.shape) if of_q is None else of_q
    of_r = r.new_zeros(r.shape) if of_r is None else of_r
    square, right, of_right = r[..., :m], r[..., m:], of_r[..., m:]
    if m < n:  # the columns past the square part are q.mH @ those of a
        of_q = of_q + q @ right @ of_right.mH
    upper = (of_r[..., :m] @ square.mH - q.mH @ of_q).triu()
    both = scaled_diagonal(upper + upper.mH, 0.5)
    result = solve_triangular(square, (of_q + q @ both).mH, True, False).mH
    return cat([result, q @ of_right], -1) if m < n else result


qr = host(
    "lapack.qr",
    "a, complete: bool -> q, r",
    "a = q @ r, with orthonormal columns q and upper triangular r.  complete: q is square",
    run=run_qr,
    result=qr_results,
    vjp=qr_vjp,
    samples=[call(array(3, 3), False), call(array(2, 4, 3), False), call(array(2, 4), True)],
    without=SIGNS,
)

# --- singular values --------------------------------------------------------------------------------------


def run_svd(a: Any, full: bool) -> Any:
    import numpy as np

    return np.linalg.svd(a, full)


def svd_results(a: Tensor, full: bool) -> Any:
    *lead, m, n = a.shape
    k = min(m, n)
    wide = ((*lead, m, m if full else k), a.dtype), ((*lead, n if full else k, n), a.dtype)
    return wide[0], ((*lead, k), real_dtype(a.dtype)), wide[1]


def svd_vjp(g: Any, u: Tensor, s: Tensor, vh: Tensor) -> Tensor | None:
    of_u, of_s, of_vh = g
    k, m, n = s.shape[-1], u.shape[-2], vh.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    if of_u is None and of_vh is None:
        return None if of_s is None else (u * of_s.unsqueeze(-2)) @ vh
    s = s.unsqueeze(-2)
    # Where the squares of two singular values are equal, the vectors have no derivative.
    gaps = with_diagonal(s * s - (s * s).mT, s.new_ones(k))
    middle, left, right = None, None, None
    if of_u is not None:
        of_u = of_u[..., :k]
        inner = u.mH @ of_u
        turn = inner - inner.mH
        middle = turn / gaps * s
        if u.dtype.is_complex:
            middle = middle + (turn.diagonal(0, -2, -1) / (2 * s.squeeze(-2))).diag_embed()
        if m > k:
            left = (of_u - u @ inner) / s
    if of_vh is not None:
        of_vh = of_vh[..., :k, :]
        inner = vh @ of_vh.mH
        term = s.mT * ((inner - inner.mH) / gaps)
        middle = term if middle is None else middle + term
        if n > k:
            right = (of_vh - inner.mH @ vh) / s.mT
    if of_s is not None:
        middle = middle + of_s.diag_embed()
    result = u @ middle @ vh
    if left is not None:
        result = result + left @ vh
    return result if right is None else result + u @ right


svd = host(
    "lapack.svd",
    "a, full: bool -> u, s, vh",
    "a = u @ diag(s) @ vh, with orthonormal columns of u and rows of vh.  full: u and vh are square",
    run=run_svd,
    result=svd_results,
    vjp=svd_vjp,
    samples=[call(array(3, 3), False), call(array(2, 4, 3), False), call(array(3, 3), True)],
    without=SIGNS,
)

# --- eigenvalues ------------------------------------------------------------------------------------------


def eigh_vjp(g: Any, values: Tensor, vectors: Tensor) -> Tensor | None:
    of_values, of_vectors = g
    if of_vectors is None:
        return None if of_values is None else (vectors * of_values.unsqueeze(-2)) @ vectors.mH
    row = values.unsqueeze(-2)
    gaps = with_diagonal(row - row.mT, values.new_ones(values.shape[-1]))
    diagonal = values.new_zeros(values.shape) if of_values is None else of_values
    middle = with_diagonal(vectors.mH @ of_vectors / gaps, diagonal)
    return vectors @ middle @ vectors.mH


eigh = host(
    "lapack.eigh",
    "a -> values, vectors",
    "Ascending eigenvalues, and eigenvectors, of Hermitian matrices, of which the lower triangle is read.",
    run=np.linalg.eigh,
    result=lambda a: ((a.shape[:-1], real_dtype(a.dtype)), (a.shape, a.dtype)),
    vjp=eigh_vjp,
    samples=[call(array(3, 3, form="symmetric")), call(array(2, 2, 2, form="symmetric"))],
    without=SIGNS,
)


def complex_dtype(dtype: _core.dtype) -> Any:
    return getattr(_core, {"float32": "complex64", "float64": "complex128"}.get(dtype.name, dtype.name))


def eig_vjp(g: Any, a: Tensor, values: Tensor, vectors: Tensor) -> Tensor | None:
    of_values, of_vectors = g
    if of_values is None and of_vectors is None:
        return None
    adjoint = vectors.mH
    if of_vectors is None:
        result = solve(adjoint, of_values.unsqueeze(-1) * adjoint)
    else:
        row = values.unsqueeze(-2)
        gaps = with_diagonal(conj(row - row.mT), values.new_ones(values.shape[-1]))
        inner = adjoint @ of_vectors
        # Vectors have length 1: what lengthens them has no effect.
        middle = (inner - adjoint @ vectors * real(inner.diagonal(0, -2, -1)).unsqueeze(-2)) / gaps
        middle = with_diagonal(middle, values.new_zeros(values.shape) if of_values is None else of_values)
        result = solve(adjoint, middle @ adjoint)
    return result if a.dtype.is_complex else real(result)


def run_eig(a: Any) -> Any:
    import numpy as np

    values, vectors = np.linalg.eig(a)
    return values.astype(np.result_type(a, 1j)), vectors.astype(np.result_type(a, 1j))


eig = host(
    "lapack.eig",
    "a -> values, vectors",
    "Eigenvalues, in no order, and eigenvectors of length 1 as columns, of any square matrices.",
    run=run_eig,
    result=lambda a: ((a.shape[:-1], complex_dtype(a.dtype)), (a.shape, complex_dtype(a.dtype))),
    vjp=eig_vjp,
    samples=[call(array(3, 3, form="symmetric"))],
    without=SIGNS,
)
