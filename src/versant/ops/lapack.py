"""Inverses, solvers and determinants of LAPACK, through numpy; linalg's functions build on them.

All work matrix by matrix over the last two axes. Derivatives (Giles, Collected Matrix Derivative Results,
2008) are written with adjoints, `.mH`: they hold for complex matrices.
"""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.ops.comparison import eq, where
from versant.ops.host import HostOp, host
from versant.ops.lazy import np
from versant.ops.samples import array, call, integers
from versant.ops.sequences import eye

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

regular, definite = array(3, 3, form="regular"), array(3, 3, form="definite")

# --- helpers ----------------------------------------------------------------------------------------------


def real(x: Any) -> Tensor:
    """The real part; a real tensor itself."""
    part: Tensor = x.real if x.dtype.is_complex else x
    return part


def conj(x: Any) -> Tensor:
    """The conjugates; a real tensor itself."""
    conjugate: Tensor = x.conj() if x.dtype.is_complex else x
    return conjugate


def real_dtype(dtype: _core.dtype) -> _core.dtype:
    """That of the real part."""
    return {"complex64": _core.float32, "complex128": _core.float64}.get(dtype.name, dtype)


def identity(x: Tensor, n: int) -> Tensor:
    """The unit matrix of size n, in the dtype of x."""
    return eye(n, dtype=x.dtype)


def scaled_diagonal(x: Tensor, factor: float) -> Tensor:
    """x with its diagonal times a factor."""
    return x + (factor - 1) * x.diagonal(0, -2, -1).diag_embed()


def with_diagonal(x: Tensor, diagonal: Tensor) -> Tensor:
    """x with another diagonal."""
    return x + (diagonal - x.diagonal(0, -2, -1)).diag_embed()


def hermitian(x: Tensor) -> Tensor:
    return (x + x.mH) / 2


# --- inverses and solvers ---------------------------------------------------------------------------------

inv = host(
    "lapack.inv",
    "a",
    "The inverse.  a: (..., n, n)",
    run=np.linalg.inv,
    result=lambda a: (a.shape, a.dtype),
    vjp=lambda g, y: -(y.mH @ g @ y.mH),
    samples=[call(regular), call(array(2, 4, 4, form="regular"))],
)


def solve_vjp(g: Tensor, a: Tensor, y: Tensor, needs: Any) -> Any:
    of_b = solve(a.mH, g)
    return -(of_b @ y.mH) if needs[0] else None, of_b


solve = host(
    "lapack.solve",
    "a, b",
    "The x of a @ x = b.  a: (..., n, n), b: (..., n, k), with the same leading axes",
    run=np.linalg.solve,
    result=lambda a, b: (b.shape, b.dtype),
    vjp=solve_vjp,
    samples=[call(regular, array(3, 2)), call(array(2, 3, 3, form="regular"), array(2, 3, 1))],
)


def triangular_vjp(g: Tensor, a: Tensor, y: Tensor, upper: bool, unit: bool, needs: Any) -> Any:
    of_b = solve_triangular(a.mH, g, not upper, unit)
    if not needs[0]:
        return None, of_b
    of_a, edge = -(of_b @ y.mH), int(unit)
    return of_a.triu(edge) if upper else of_a.tril(-edge), of_b


def run_triangular(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    from versant.ops.triangular import substitute

    return substitute(a, b, upper, unit)


solve_triangular = host(
    "lapack.solve_triangular",
    "a, b, upper: bool, unit: bool",
    "The same for a triangular a, of which the other triangle is not looked at, nor the diagonal if `unit`.",
    run=run_triangular,
    result=lambda a, b, upper, unit: (b.shape, b.dtype),
    vjp=triangular_vjp,
    ref=lambda a, b, upper, unit: np.linalg.solve(
        (np.triu if upper else np.tril)(a, (1 if upper else -1) * int(unit)) + unit * np.eye(a.shape[-1]), b
    ),
    samples=[
        call(regular, array(3, 2), True, False),
        call(array(2, 4, 4, form="regular"), array(2, 4, 1), False, False),
        call(array(4, 4), array(4, 3), False, True),
        call(array(3, 3), array(3, 1), True, True),
    ],
)


def run_pinv(a: Any, atol: Any, rtol: Any, symmetric: bool) -> Any:
    import numpy as np

    if symmetric:
        values, u = np.linalg.eigh(a)
        s, vh = np.abs(values), u.swapaxes(-1, -2).conj() * np.sign(values)[..., None]
    else:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
    largest = s.max(-1, initial=0.0)
    cut = np.maximum(np.asarray(atol), np.asarray(rtol) * largest)[..., None]
    inverse = np.divide(1.0, s, out=np.zeros_like(s), where=s > cut)
    return (vh.swapaxes(-1, -2).conj() * inverse[..., None, :]) @ u.swapaxes(-1, -2).conj()


def pinv_vjp(g: Tensor, a: Tensor, y: Tensor) -> Tensor:
    # Golub and Pereyra 1973, in the order that keeps the products small.
    gh, yh = g.mH, y.mH
    if a.shape[-2] <= a.shape[-1]:
        k = gh @ y
        back = k @ yh
        return -(y @ k).mH + back - (a @ y) @ back + (yh @ y) @ (gh - k @ a)
    k = y @ gh
    back = yh @ k
    return -(k @ y).mH + (gh - a @ k) @ y @ yh + back - (back @ y) @ a


pinv = host(
    "lapack.pinv",
    "a, atol: any, rtol: any, symmetric: bool",
    "The pseudo-inverse. Singular values up to max(atol, rtol * the largest) count as zero.",
    run=run_pinv,
    result=lambda a, atol, rtol, symmetric: ((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype),
    vjp=pinv_vjp,
    ref=lambda a, atol, rtol, symmetric: np.linalg.pinv(a),
    samples=[
        call(array(4, 3), 0.0, 1e-6, False),
        call(array(2, 2, 3), 0.0, 1e-6, False),
        call(definite, 0.0, 1e-6, True),
    ],
)


def run_lstsq(a: Any, b: Any, rcond: float) -> Any:
    import numpy as np

    u, s, vh = np.linalg.svd(a, full_matrices=False)
    kept = s > rcond * s.max(-1, keepdims=True, initial=0.0)
    inverse = np.divide(1.0, s, out=np.zeros_like(s), where=kept)
    x = vh.swapaxes(-1, -2).conj() @ (inverse[..., None] * (u.swapaxes(-1, -2).conj() @ b))
    return x, kept.sum(-1)


def lstsq_results(a: Tensor, b: Tensor, rcond: float) -> Any:
    *lead, _, n = a.shape
    return ((*lead, n, b.shape[-1]), b.dtype), (lead, _core.int64)


def lstsq_vjp(g: Any, a: Tensor, b: Tensor, rcond: float, needs: Any) -> Any:
    if g[0] is None:
        return None, None
    inverse = pinv(a, 0.0, rcond, False)
    return pinv_vjp(g[0] @ b.mH, a, inverse) if needs[0] else None, inverse.mH @ g[0]


lstsq = host(
    "lapack.lstsq",
    "a, b, rcond: float -> x, rank",
    "The x of least norm among those that minimize the norm of a @ x - b; the rank of a.",
    run=run_lstsq,
    result=lstsq_results,
    vjp=lstsq_vjp,
    samples=[call(array(4, 3), array(4, 2), 1e-6), call(array(2, 2, 3), array(2, 2, 1), 1e-6)],
    without={"ref": "numpy's has no batches; linalg.lstsq is held against it"},
)


def run_row_order(pivots: Any, rows: int) -> Any:
    from versant.ops.triangular import row_order

    return row_order(pivots, rows)


row_order = host(
    "lapack.row_order",
    "pivots, rows: int",
    "The order of rows that exchanges lead to.  pivots: (..., k), counted from 1 -> (..., rows)",
    run=run_row_order,
    result=lambda pivots, rows: ((*pivots.shape[:-1], rows), _core.int64),
    ref=lambda pivots, rows: np.stack([pivots[..., 0] - 1, 1 - (pivots[..., 0] - 1)], -1),
    samples=[call(integers(5, 1, start=1, below=3), 2)],
    takes=("int32", "int64"),
    without={"vjp": "integers"},
)

# --- determinants -----------------------------------------------------------------------------------------

det = host(
    "lapack.det",
    "a",
    "The determinant.  a: (..., n, n)",
    run=np.linalg.det,
    result=lambda a: (a.shape[:-2], a.dtype),
    vjp=lambda g, a: g[..., None, None] * adjugate(a).mH,
    samples=[call(array(3, 3)), call(array(2, 2, 2)), call(array(0, 0))],
)


def run_adjugate(a: Any) -> Any:
    # det * inverse where that is well conditioned, the products of all singular values but one elsewhere.
    import numpy as np

    n, unit = a.shape[-1], np.eye(a.shape[-1], dtype=a.dtype)
    d = np.linalg.det(a)[..., None, None]
    inverse = np.linalg.inv(np.where(d == 0, unit, a))
    scale = np.linalg.norm(a, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
    poor = (d[..., 0, 0] == 0) | ~(scale * np.sqrt(np.finfo(a.dtype).eps) < 1)
    result = inverse * d
    if poor.any():
        u, s, vh = np.linalg.svd(a[poor])
        others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
        turn = np.linalg.det(u @ vh)[..., None, None]
        right = vh.swapaxes(-1, -2).conj() * others[..., None, :]
        result[poor] = turn * (right @ u.swapaxes(-1, -2).conj())
    return result


def adjugate_vjp(g: Tensor, a: Tensor) -> Tensor:
    # d adj(a) = adj(a) tr(b da) - b da adj(a), with b the inverse; a singular matrix is the limit of those
    # whose smallest singular values are not zero.
    c = nudged(a)
    b = inv(c)
    adj = det(c)[..., None, None] * b
    return (g * conj(adj)).sum((-2, -1), keepdim=True) * b.mH - b.mH @ g @ adj.mH


adjugate: HostOp = host(
    "lapack.adjugate",
    "a",
    "det(a) times the inverse, which a singular matrix has too.  a: (..., n, n)",
    run=run_adjugate,
    result=lambda a: (a.shape, a.dtype),
    vjp=adjugate_vjp,
    ref=lambda a: np.linalg.det(a)[..., None, None] * np.linalg.inv(a),
    samples=[call(regular), call(array(2, 2, 2, form="regular"))],
)


def run_nudged(a: Any) -> Any:
    import numpy as np

    u, s, vh = np.linalg.svd(a)
    least = np.finfo(a.dtype).eps ** 0.5 * s.max(-1, keepdims=True, initial=1.0)
    poor = s.min(-1, initial=np.inf) < least[..., 0]
    return np.where(poor[..., None, None], (u * np.maximum(s, least)[..., None, :]) @ vh, a)


nudged = host(
    "lapack.nudged",
    "a",
    "The matrix; a nearly singular one with its smallest singular values raised.  a: (..., n, n)",
    run=run_nudged,
    result=lambda a: (a.shape, a.dtype),
    vjp=lambda g: g,
    ref=lambda a: a,
    samples=[call(regular)],
)


def slogdet_vjp(g: Any, a: Tensor, sign: Tensor) -> Tensor | None:
    of_sign, of_log = g
    if not a.dtype.is_complex:
        if of_log is None:
            return None
        weight = of_log
    else:
        weight = 0 if of_log is None else of_log
        if of_sign is not None:
            turned = of_sign.conj() * sign
            weight = weight - (turned - turned.conj()) / 2
    singular = eq(sign, 0)[..., None, None]
    inverse = inv(where(singular, identity(a, a.shape[-1]), a)).mH
    return weight[..., None, None] * where(singular, float("nan"), inverse)


slogdet = host(
    "lapack.slogdet",
    "a -> sign, logabsdet",
    "Sign (or phase) of the determinant and the logarithm of its size.  a: (..., n, n)",
    run=np.linalg.slogdet,
    result=lambda a: ((a.shape[:-2], a.dtype), (a.shape[:-2], real_dtype(a.dtype))),
    vjp=slogdet_vjp,
    samples=[call(array(3, 3)), call(array(2, 2, 2)), call(array(0, 0))],
)
