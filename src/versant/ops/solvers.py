"""Linear algebra: inverses, systems of equations, least squares, determinants."""

from __future__ import annotations

import math

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.linalg import LinAlgError
from versant.ops import lapack
from versant.ops.comparison import eq, where
from versant.ops.creation import zeros
from versant.ops.factors import lu as lu_factors
from versant.ops.factors import svd
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.sequences import eye
from versant.ops.shape import broadcast_shapes
from versant.ops.tuples import named
from versant.ops.values import all_samples, every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# --- what arguments must be -------------------------------------------------------------------------------


def matrices(name: str, *tensors: Tensor) -> None:
    """Raises unless each is a matrix or a batch of matrices, of a floating-point or complex dtype."""
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"[{name}] expected a tensor, got {type(x).__name__}")
        if x.ndim < 2:
            raise ShapeError(f"[{name}] expected at least 2 axes, got shape {tuple(x.shape)}")
        numbers(name, x)
        if x.dtype is not tensors[0].dtype:
            raise DTypeError(f"[{name}] expected one dtype, got {tensors[0].dtype.name} and {x.dtype.name}")


def numbers(name: str, x: Tensor) -> None:
    """Raises unless LAPACK knows the dtype."""
    if x.dtype.itemsize < 4 or not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise DTypeError(f"[{name}] expected float32, float64 or a complex dtype, got {x.dtype.name}")


def square(name: str, *tensors: Tensor) -> None:
    """Raises unless each is a square matrix or a batch of them."""
    matrices(name, *tensors)
    for x in tensors:
        if x.shape[-1] != x.shape[-2]:
            raise ShapeError(f"[{name}] expected square matrices, got shape {tuple(x.shape)}")


def same_batch(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the leading axes that they broadcast to."""
    if a.shape[:-2] == b.shape[:-2]:
        return a, b
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.expand(*lead, *a.shape[-2:]), b.expand(*lead, *b.shape[-2:])


def is_vectors(a: Tensor, b: Tensor) -> bool:
    """Whether b holds one right-hand side for each matrix of a, not a matrix of them."""
    return b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])


def right_hand_sides(name: str, a: Tensor, b: Tensor, left: bool) -> tuple[Tensor, Tensor, bool]:
    """The matrices and right-hand sides of a @ x = b or x @ a = b, in one batch; whether b were vectors."""
    if not isinstance(b, Tensor):
        raise TypeError(f"[{name}] expected a tensor, got {type(b).__name__}")
    vectors = is_vectors(a, b)
    if vectors:
        if not left:
            raise ShapeError(f"[{name}] expected matrices on the left side, got shape {tuple(b.shape)}")
        b = b.unsqueeze(-1)
    matrices(name, a, b)
    rows = b.shape[-2] if left else b.shape[-1]
    if rows != a.shape[-2]:
        raise ShapeError(f"[{name}] {tuple(a.shape)} and {tuple(b.shape)} do not fit: left={left}")
    return (*same_batch(a, b), vectors)


def tolerance(value: Any) -> Any:
    """A number or a tensor of tolerances, as numpy knows it."""
    return value.detach().numpy() if isinstance(value, Tensor) else value


def tolerances(A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and relative tolerance; by default relative to the dtype and the size of the matrix."""
    if rtol is None:
        rtol = 0.0
        if atol is None or (not isinstance(atol, Tensor) and atol == 0):
            rtol = precision(A) * max(A.shape[-2:])
        elif isinstance(atol, Tensor):
            default = precision(A) * max(A.shape[-2:])
            rtol = where(atol > 0, zeros((), dtype=atol.dtype), default)
    return 0.0 if atol is None else atol, rtol


def precision(x: Tensor) -> float:
    return 2.0**-23 if lapack.real_dtype(x.dtype) is _core.float32 else 2.0**-52


# --- inverses ---------------------------------------------------------------------------------------------

regular = array(3, 3, form="regular")


@composite(
    autocast="float32",
    ref=np.linalg.inv,
    samples=[call(regular), call(array(2, 2, 2, form="regular")), call(array(0, 0))],
    places="linalg",
    also="versant.inverse Tensor.inverse",
)
def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix.  A: (..., n, n). Raises linalg.LinAlgError where there is none."""
    square("linalg.inv", A)
    return lapack.inv(A)


@composite(
    autocast="float32",
    ref=lambda a: (np.linalg.inv(a), np.zeros(a.shape[:-2], "int32")),
    samples=[call(regular)],
    places="linalg",
)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """(inverse, info): info is 0, or for a singular matrix the place of the zero on the diagonal of its U."""
    square("linalg.inv_ex", A)
    safe, info = without_singular(A, "linalg.inv", check_errors)
    inverse = lapack.inv(safe)
    return named("linalg_inv_ex", inverse=only_regular(inverse, info), info=info)


def without_singular(A: Tensor, name: str, check_errors: bool) -> tuple[Tensor, Tensor]:
    """A with unit matrices in the place of singular ones, and the places of the zeros in their factors."""
    factors, _, _ = lu_factors(A.detach())
    info = first_zero(factors)
    if check_errors:
        check_info(name, info, "singular: zero on the diagonal of U at")
    singular = (info != 0).unsqueeze(-1).unsqueeze(-1)
    return (where(singular, eye(A.shape[-1], dtype=A.dtype), A) if A.numel() else A), info


def only_regular(result: Tensor, info: Tensor) -> Tensor:
    """NaN in the place of results of singular matrices."""
    return where((info != 0).reshape(*info.shape, *[1] * (result.ndim - info.ndim)), math.nan, result)


def first_zero(factors: Tensor) -> Tensor:
    """Counted from 1, the first zero on the diagonal; 0 where there is none."""
    zero = eq(factors.diagonal(0, -2, -1), 0)
    if zero.shape[-1] == 0:
        return zeros(zero.shape[:-1], dtype=_core.int32)
    place = zero.int().argmax(-1) + 1
    return (place * zero.any(-1)).int()


def check_info(name: str, info: Tensor, what: str) -> None:
    """Raises for the first matrix of a batch whose info is not 0."""
    for place, value in enumerate(all_samples(info).reshape(-1).tolist()):
        if value:
            which = f"matrix {place} of the batch is" if info.ndim else "the matrix is"
            raise LinAlgError(f"[{name}] {which} {what} {value}")


@composite(
    ref=lambda a, atol=None, rtol=None, hermitian=False: np.linalg.pinv(a, hermitian=hermitian),
    samples=[call(array(4, 3)), call(array(2, 2, 3)), call(array(3, 3, form="definite"), hermitian=True)],
    places="linalg",
)
def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """The Moore-Penrose pseudo-inverse of each matrix.  A: (..., m, n) -> (..., n, m)

    Singular values up to max(atol, rtol * the largest) count as zero; by default rtol is max(m, n) times the
    dtype's precision, and 0 where atol is given. rcond is an older name of rtol. hermitian: A equals A.mH.
    """
    matrices("linalg.pinv", A)
    if hermitian:
        square("linalg.pinv", A)
    if A.numel() == 0:
        return A.mH * 1
    absolute, relative = tolerances(A, atol, rcond if rtol is None else rtol)
    return lapack.pinv(A, tolerance(absolute), tolerance(relative), hermitian)


@composite(autocast="float32", ref=np.linalg.pinv, samples=[call(array(4, 3))])
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse of each matrix: linalg.pinv(input, rcond)."""
    return pinv(input, rcond)


# --- systems of equations ---------------------------------------------------------------------------------


def solve_reference(a: Any, b: Any, *, left: bool = True) -> Any:
    if left:
        return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == 1 else np.linalg.solve(a, b)
    return np.linalg.solve(a.swapaxes(-1, -2), b.swapaxes(-1, -2)).swapaxes(-1, -2)


@composite(
    autocast="float32",
    ref=solve_reference,
    samples=[
        call(regular, array(3)),
        call(regular, array(2, 3, 2)),
        call(array(2, 3, 3, form="regular"), array(2, 2, 3), left=False),
        call(array(0, 0), array(0, 2)),
    ],
    places="linalg",
)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X of A @ X = B, or of X @ A = B with left=False.  A: (..., n, n), B: (..., n, k), (n,) or (..., n)

    Leading axes broadcast. Raises linalg.LinAlgError where a matrix is singular.
    """
    square("linalg.solve", A)
    a, b, vectors = right_hand_sides("linalg.solve", A, B, left)
    x = lapack.solve(a, b) if left else lapack.solve(a.mT, b.mT).mT
    return x.squeeze(-1) if vectors else x


@composite(
    ref=lambda a, b: (np.linalg.solve(a, b), np.zeros(a.shape[:-2], "int32")),
    samples=[call(regular, array(3, 2))],
    places="linalg",
)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """(result, info): info is 0, or for a singular matrix the place of the zero on the diagonal of its U."""
    square("linalg.solve_ex", A)
    safe, info = without_singular(A, "linalg.solve", check_errors)
    result = solve(safe, B, left=left)
    if info.ndim and result.shape[: info.ndim] != info.shape:  # B has leading axes of its own
        info_of_result = info.expand(result.shape[: result.ndim - 2])
    else:
        info_of_result = info
    return named("linalg_solve_ex", result=only_regular(result, info_of_result), info=info)


@composite(
    ref=lambda a, b, *, upper, left=True, unitriangular=False: solve_reference(
        (np.triu if upper else np.tril)(a, (1 if upper else -1) * int(unitriangular))
        + unitriangular * np.eye(a.shape[-1]),
        b,
        left=left,
    ),
    samples=[
        call(regular, array(3, 2), upper=True),
        call(array(2, 3, 3, form="regular"), array(1, 2, 3), upper=False, left=False),
        call(array(3, 3), array(3, 1), upper=False, unitriangular=True),
    ],
    places="linalg",
)
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """linalg.solve for triangular A, of which the other triangle is not read.

    unitriangular: the diagonal counts as 1 and is not read either.
    A zero on the diagonal gives infinities or NaN.
    """
    square("linalg.solve_triangular", A)
    matrices("linalg.solve_triangular", A, B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise ShapeError(
            f"[linalg.solve_triangular] {tuple(A.shape)} and {tuple(B.shape)} do not fit: {left=}"
        )
    a, b = same_batch(A, B)
    if left:
        return lapack.solve_triangular(a, b, upper, unitriangular)
    return lapack.solve_triangular(a.mT, b.mT, not upper, unitriangular).mT


@composite(
    autocast="float32",
    ref=lambda b, factor, upper=False: np.linalg.solve(
        np.triu(factor).T @ np.triu(factor) if upper else np.tril(factor) @ np.tril(factor).T, b
    ),
    samples=[call(array(3, 2), regular), call(array(3, 2), regular, upper=True)],
)
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The X of A @ X = B, given the Cholesky factor L of A, or with upper=True the factor L.mH."""
    square("cholesky_solve", L)
    matrices("cholesky_solve", L, B)
    if B.shape[-2] != L.shape[-1]:
        raise ShapeError(f"[cholesky_solve] {tuple(B.shape)} and {tuple(L.shape)} do not fit")
    factor, b = same_batch(L, B)
    first, then = (factor.mH, factor) if upper else (factor, factor.mH)
    return lapack.solve_triangular(then, lapack.solve_triangular(first, b, False, False), True, False)


@composite(
    autocast="float32",
    ref=lambda factor, upper=False: np.linalg.inv(
        np.triu(factor).T @ np.triu(factor) if upper else np.tril(factor) @ np.tril(factor).T
    ),
    samples=[call(regular), call(regular, upper=True)],
)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, given its Cholesky factor L, or with upper=True the factor L.mH."""
    square("cholesky_inverse", L)
    return cholesky_solve(eye(L.shape[-1], dtype=L.dtype), L, upper)


@composite(
    autocast="float32",
    ref=lambda factors, pivots, b: np.linalg.solve(
        (np.tril(factors, -1) + np.eye(factors.shape[-1])) @ np.triu(factors), b
    ),
    samples=[],
    places="linalg",
    without={"samples": "pivots belong to a factorization; tests/ops/test_linalg.py solves with its own"},
)
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """solve, given linalg.lu_factor of A.  adjoint: for A.mH in the place of A"""
    square("linalg.lu_solve", LU)
    matrices("linalg.lu_solve", LU, B)
    if pivots.dtype is not _core.int32 or pivots.shape != LU.shape[:-1]:
        raise ShapeError(
            f"[linalg.lu_solve] expected int32 pivots of shape {tuple(LU.shape[:-1])}, "
            f"got {pivots.dtype.name} {tuple(pivots.shape)}"
        )
    if B.shape[-2 if left else -1] != LU.shape[-1]:
        raise ShapeError(f"[linalg.lu_solve] {tuple(LU.shape)} and {tuple(B.shape)} do not fit: {left=}")
    if not left:
        return lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    order = lapack.row_order(pivots, LU.shape[-1]).unsqueeze(-1)
    factors, b = same_batch(LU, B)
    if adjoint:
        y = lapack.solve_triangular(factors.mH, b, False, False)
        z = lapack.solve_triangular(factors.mH, y, True, True)
        return z.gather(-2, order.argsort(-2).expand(z.shape))
    y = lapack.solve_triangular(factors, b.gather(-2, order.expand(b.shape)), False, True)
    return lapack.solve_triangular(factors, y, True, False)


@composite(
    ref=lambda b, factors, pivots: lu_solve(factors, pivots, b),
    places="",
    also="versant.lu_solve Tensor.lu_solve",
    name="lu_solve.of",
    without={"samples": "pivots belong to a factorization; tests/ops/test_linalg.py solves with its own"},
)
def lu_solve_of(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """linalg.lu_solve(LU_data, LU_pivots, b)"""
    return lu_solve(LU_data, LU_pivots, b)


@composite(
    autocast="float32",
    ref=lambda a, b, dims=None: np.linalg.tensorsolve(a, b, dims),
    samples=[
        call(array(2, 3, 6), array(2, 3)),
        call(array(4, 2, 2), array(4)),
        call(array(3, 6, 2), array(6), dims=(0,)),
    ],
    places="linalg",
)
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """The X of tensordot(A, X, X.ndim) = B.  dims: axes of A that are moved to its end before."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = A.shape[B.ndim :]
    size = math.prod(shape)
    if math.prod(A.shape[: B.ndim]) != size or B.numel() != size:
        raise ShapeError(
            f"[linalg.tensorsolve] {tuple(A.shape)} and {tuple(B.shape)} are not a square system"
        )
    return solve(A.reshape(size, size), B.reshape(size)).reshape(shape)


@composite(
    autocast="float32",
    ref=np.linalg.tensorinv,
    samples=[call(array(2, 3, 6)), call(array(4, 2, 2), ind=1)],
    places="linalg",
)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map of tensors: tensordot(tensorinv(A, ind), B, ind) solves for B.

    ind: how many leading axes of A are the rows of the square matrix that is inverted.
    """
    if ind <= 0:
        raise ValueError(f"[linalg.tensorinv] expected ind > 0, got {ind}")
    head, tail = A.shape[:ind], A.shape[ind:]
    size = math.prod(head)
    if math.prod(tail) != size:
        raise ShapeError(f"[linalg.tensorinv] {tuple(A.shape)} is not square for ind = {ind}")
    return inv(A.reshape(size, size)).reshape(*tail, *head)


# --- least squares ----------------------------------------------------------------------------------------


@composite(
    autocast="float32",
    ref=lambda a, b: (
        np.linalg.lstsq(a, b, None)[0],
        np.zeros(0),
        np.asarray(np.linalg.matrix_rank(a)),
        np.zeros(0),
    ),
    samples=[call(array(4, 3), array(4, 2)), call(array(2, 3), array(2, 1))],
    places="linalg",
)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values): the X of least norm that minimizes the norm of A @ X - B.

    A: (..., m, n), B: (..., m, k) or (..., m). Singular values up to rcond * the largest count as zero; by
    default rcond is max(m, n) times the dtype's precision. driver: "gelsy" (default), "gels", "gelsd" or
    "gelss" choose which of the other results are given, as LAPACK's routines do: rank by all but "gels",
    singular values by "gelsd" and "gelss", residuals, where m > n and A has full rank, by all but "gelsy".
    """
    name = "linalg.lstsq"
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ValueError(f"[{name}] expected driver 'gels', 'gelsy', 'gelsd' or 'gelss', got {driver!r}")
    matrices(name, A)
    vectors = is_vectors(A, B)
    right = B.unsqueeze(-1) if vectors else B
    matrices(name, A, right)
    if right.shape[-2] != A.shape[-2]:
        raise ShapeError(f"[{name}] {tuple(A.shape)} and {tuple(B.shape)} differ in their rows")
    a, b = same_batch(A, right)
    m, n = a.shape[-2:]
    cut = precision(a) * max(m, n) if rcond is None else float(rcond)
    x, rank = lapack.lstsq(a, b, cut)
    residuals = lapack.real(x.reshape(-1)[:0])
    if m > n and driver in ("gels", "gelsd", "gelss") and every((rank == n).all()):
        residuals = (a @ x - b).abs().square().sum(-2)
    return named(
        "linalg_lstsq",
        solution=x.squeeze(-1) if vectors else x,
        residuals=residuals,
        rank=zeros((0,), dtype=_core.int64) if driver == "gels" else rank,
        singular_values=svd(a.detach(), False)[1]
        if driver in ("gelsd", "gelss")
        else zeros((0,), dtype=residuals.dtype),
    )


# --- determinants -----------------------------------------------------------------------------------------


@composite(
    ref=np.linalg.det,
    samples=[call(array(3, 3)), call(array(2, 2, 2)), call(array(0, 0))],
    places="versant Tensor linalg",
)
def det(A: Tensor) -> Tensor:
    """The determinant of each matrix.  A: (..., n, n) -> (...). Singular matrices have a gradient too."""
    square("linalg.det", A)
    return lapack.det(A)


@composite(
    ref=np.linalg.slogdet,
    samples=[call(array(3, 3)), call(array(2, 2, 2))],
    places="versant Tensor linalg",
)
def slogdet(A: Tensor) -> Any:
    """(sign, logabsdet): the determinant is sign * exp(logabsdet), which may overflow.  A: (..., n, n)"""
    square("linalg.slogdet", A)
    sign, logabsdet = lapack.slogdet(A)
    return named("linalg_slogdet", sign=sign, logabsdet=logabsdet)


@composite(
    ref=lambda a: np.log(np.linalg.det(a)),
    samples=[call(regular), call(array(2, 2, 2, form="definite"))],
)
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative.  input: (..., n, n)"""
    square("logdet", input)
    sign, logabsdet = lapack.slogdet(input)
    if input.dtype.is_complex:
        return sign.log() + logabsdet
    return where(eq(sign, -1), math.nan, logabsdet)
