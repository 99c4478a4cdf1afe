"""Linear algebra: factorizations of matrices, singular values, eigenvalues."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.ops import factors, lapack
from versant.ops.creation import zeros
from versant.ops.factors import SIGNS
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.sequences import eye
from versant.ops.solvers import check_info, first_zero, matrices, square
from versant.ops.tuples import named
from versant.ops.values import every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

definite, symmetric = array(3, 3, form="definite"), array(2, 3, 3, form="symmetric")

# --- Cholesky ---------------------------------------------------------------------------------------------


@composite(
    autocast="float32",
    ref=lambda a, *, upper=False: np.linalg.cholesky(a, upper=upper),
    samples=[call(definite), call(definite, upper=True), call(array(2, 2, 2, form="definite"))],
    places="linalg",
)
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L of A = L @ L.mH, or its adjoint.  A: (..., n, n), symmetric or Hermitian

    A must be positive definite; else linalg.LinAlgError is raised. Only its lower triangle is read, or with
    upper=True its upper one.
    """
    return cholesky_ex(A, upper=upper, check_errors=True)[0]


@composite(
    name="cholesky.of",
    ref=lambda a, upper=False: np.linalg.cholesky(a, upper=upper),
    samples=[call(definite, True)],
    places="",
    also="versant.cholesky Tensor.cholesky",
)
def cholesky_of(input: Tensor, upper: bool = False) -> Tensor:
    """linalg.cholesky(input, upper=upper)"""
    return cholesky(input, upper=upper)


@composite(
    autocast="float32",
    ref=lambda a: (np.linalg.cholesky(a), np.zeros(a.shape[:-2], "int32")),
    samples=[call(definite)],
    places="linalg",
)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info): info is 0, or the order of the first leading minor of A that is not positive."""
    square("linalg.cholesky", A)
    factor, info = factors.cholesky(A.mH if upper else A)
    if check_errors and A.numel():
        check_info("linalg.cholesky", info, "not positive definite: see the leading minor of order")
    return named("linalg_cholesky_ex", L=factor.mH if upper else factor, info=info)


# --- LU ---------------------------------------------------------------------------------------------------

NO_LU = {"ref": "numpy has no LU; tests/ops/test_linalg.py multiplies the factors again"}


def pivoted(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"[{name}] pivot=False is not offered: without row exchanges LU is not stable")


@composite(samples=[call(array(3, 3)), call(array(2, 4, 3))], places="linalg", without=NO_LU)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """(LU, pivots): both factors of linalg.lu in one matrix, and the row exchanges, counted from 1, as int32.

    Raises linalg.LinAlgError for a singular square matrix.
    """
    LU, pivots, info = lu_factor_ex(A, pivot=pivot)
    if A.shape[-1] == A.shape[-2]:
        check_info("linalg.lu_factor", info, "singular: zero on the diagonal of U at")
    return named("linalg_lu_factor", LU=LU, pivots=pivots)


@composite(samples=[call(array(3, 3))], places="linalg", without=NO_LU)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """(LU, pivots, info): info is 0, or the place of the first zero on the diagonal of U."""
    matrices("linalg.lu_factor", A)
    pivoted("linalg.lu_factor", pivot)
    LU, pivots, _ = factors.lu(A)
    info = first_zero(LU.detach())
    if check_errors:
        check_info("linalg.lu_factor", info, "singular: zero on the diagonal of U at")
    return named("linalg_lu_factor_ex", LU=LU, pivots=pivots, info=info)


@composite(
    samples=[call(array(3, 3)), call(array(2, 4, 3)), call(array(2, 4))], places="linalg", without=NO_LU
)
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """(P, L, U) with A = P @ L @ U: a permutation, unit lower triangular, upper triangular.

    A: (..., m, n) -> (..., m, m), (..., m, k), (..., k, n) with k = min(m, n). Partial pivoting.
    """
    matrices("linalg.lu", A)
    pivoted("linalg.lu", pivot)
    LU, _, order = factors.lu(A)
    return named("linalg_lu", **unpacked(LU, order))


def unpacked(LU: Tensor, order: Tensor) -> dict[str, Tensor]:
    m, n = LU.shape[-2:]
    k = min(m, n)
    left = LU[..., :k]
    # Row `order[i]` of A is row i of L @ U: column i of P has its one in that row.
    rows = eye(m, dtype=LU.dtype)[order.reshape(-1)].reshape(*order.shape, m)
    return {
        "P": rows.mT,
        "L": left.tril(-1) + eye(m, k, dtype=LU.dtype),
        "U": LU[..., :k, :].triu(),
    }


@composite(
    samples=[],
    places="versant",
    without=NO_LU | {"samples": "pivots belong to a factorization; tests/ops/test_linalg.py has some"},
)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """(P, L, U) of linalg.lu, given the results of linalg.lu_factor; empty where not wanted."""
    parts = unpacked(LU_data, lapack.row_order(LU_pivots, LU_data.shape[-2]))
    empty = zeros((0,), dtype=LU_data.dtype)
    return named(
        "lu_unpack",
        P=parts["P"] if unpack_pivots else empty,
        L=parts["L"] if unpack_data else empty,
        U=parts["U"] if unpack_data else empty,
    )


# --- QR ---------------------------------------------------------------------------------------------------


@composite(
    autocast="float32", samples=[call(array(3, 3)), call(array(2, 4, 3))], places="linalg", without=SIGNS
)
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """(Q, R) with A = Q @ R: orthonormal columns, and an upper triangular matrix.  A: (..., m, n)

    mode: "reduced" gives Q (..., m, k) and R (..., k, n) with k = min(m, n); "complete" Q (..., m, m) and
    R (..., m, n), with a gradient for m <= n only; "r" an empty Q and the reduced R, without gradient.
    """
    matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"[linalg.qr] expected mode 'reduced', 'complete' or 'r', got {mode!r}")
    if mode == "r":
        if A.requires_grad and _core.is_grad_enabled():
            raise RuntimeError("[linalg.qr] mode='r' has no gradient, which needs Q; use mode='reduced'")
        return named("linalg_qr", Q=zeros((0,), dtype=A.dtype), R=factors.qr(A, False)[1])
    q, r = factors.qr(A, mode == "complete")
    return named("linalg_qr", Q=q, R=r)


@composite(name="qr.of", samples=[call(array(3, 3))], places="", also="versant.qr Tensor.qr", without=SIGNS)
def qr_of(input: Tensor, some: bool = True) -> Any:
    """linalg.qr(input, "reduced" if some else "complete")"""
    return qr(input, "reduced" if some else "complete")


# --- singular values --------------------------------------------------------------------------------------

DRIVERS = (None, "gesvd", "gesvdj", "gesvda")


def no_driver(name: str, driver: str | None) -> None:
    if driver is not None:
        raise RuntimeError(f"[{name}] expected driver None: the others belong to CUDA, got {driver!r}")


@composite(
    autocast="float32",
    samples=[call(array(3, 3)), call(array(2, 4, 3), False), call(array(2, 3), False)],
    places="linalg",
    without=SIGNS,
)
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vh) with A = U @ diag(S) @ Vh: orthonormal columns, descending values, orthonormal rows.

    A: (..., m, n) -> (..., m, m), (..., k), (..., n, n) with k = min(m, n), or with full_matrices=False
    (..., m, k), (..., k), (..., k, n). Gradients: those of U and Vh exist where singular values differ, and
    reach their first k columns and rows.
    """
    matrices("linalg.svd", A)
    no_driver("linalg.svd", driver)
    u, s, vh = factors.svd(A, full_matrices)
    return named("linalg_svd", U=u, S=s, Vh=vh)


@composite(
    name="svd.of",
    samples=[call(array(3, 3)), call(array(3, 2))],
    places="",
    also="versant.svd Tensor.svd",
    without=SIGNS,
)
def svd_of(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) with input = U @ diag(S) @ V.mH: V, where linalg.svd has its adjoint.

    compute_uv: without it U and V are zeros.
    """
    matrices("svd", input)
    u, s, vh = factors.svd(input, not some)
    if not compute_uv:
        u, vh = zeros(*u.shape[:-1], u.shape[-2], dtype=u.dtype), zeros(*vh.shape[:-2], *vh.shape[-1:] * 2)
        vh = vh.to(u.dtype)
    return named("svd", U=u, S=s, V=vh.mH)


@composite(
    autocast="float32",
    ref=lambda a: np.linalg.svd(a, compute_uv=False),
    samples=[call(array(3, 3)), call(array(2, 4, 3))],
    places="linalg",
)
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of each matrix, in descending order.  A: (..., m, n) -> (..., min(m, n))"""
    matrices("linalg.svdvals", A)
    no_driver("linalg.svdvals", driver)
    values: Tensor = factors.svd(A, False)[1]
    return values


# --- eigenvalues ------------------------------------------------------------------------------------------


def hermitian_eigenvalues(name: str, A: Tensor, UPLO: str) -> Any:
    square(name, A)
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f"[{name}] expected UPLO 'L' or 'U', got {UPLO!r}")
    return factors.eigh(A if UPLO.upper() == "L" else A.mH)


@composite(
    autocast="float32", samples=[call(symmetric), call(symmetric, "U")], places="linalg", without=SIGNS
)
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of symmetric or Hermitian matrices: ascending, and as columns.

    A: (..., n, n) -> (..., n), (..., n, n). UPLO: the triangle that is read, "L" or "U". Gradients of vectors
    exist where eigenvalues differ.
    """
    values, vectors = hermitian_eigenvalues("linalg.eigh", A, UPLO)
    return named("linalg_eigh", eigenvalues=values, eigenvectors=vectors)


@composite(
    autocast="float32",
    ref=lambda a, UPLO="L": np.linalg.eigvalsh(a, UPLO),
    samples=[call(symmetric), call(symmetric, "U")],
    places="linalg",
)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric or Hermitian matrices, ascending.  A: (..., n, n) -> (..., n)"""
    values: Tensor = hermitian_eigenvalues("linalg.eigvalsh", A, UPLO)[0]
    return values


def finite(name: str, A: Tensor) -> None:
    if not every(A.detach().isfinite().all()):
        raise RuntimeError(f"[{name}] expected finite numbers, got infinity or NaN")


@composite(autocast="float32", samples=[call(symmetric)], places="linalg", without=SIGNS)
def eig(A: Tensor) -> Any:
    """(eigenvalues, eigenvectors) of square matrices, complex, in no order; vectors of length 1 as columns.

    A: (..., n, n) -> (..., n), (..., n, n). Gradients exist where eigenvalues differ; only functions that do
    not depend on the phases of vectors have one.
    """
    square("linalg.eig", A)
    finite("linalg.eig", A)
    values, vectors = factors.eig(A)
    return named("linalg_eig", eigenvalues=values, eigenvectors=vectors)


@composite(
    autocast="float32",
    samples=[call(symmetric)],
    places="linalg",
    without={"ref": "in no order; tests/ops/test_linalg.py compares sorted ones"},
)
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of square matrices, complex, in no order.  A: (..., n, n) -> (..., n)"""
    square("linalg.eigvals", A)
    finite("linalg.eigvals", A)
    values: Tensor = factors.eig(A)[0]
    return values
