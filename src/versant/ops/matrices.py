"""Linear algebra: norms, powers, exponentials, ranks and chains of matrices; distances."""

from __future__ import annotations

from itertools import pairwise
from math import inf

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.ops import factors, lapack
from versant.ops.axes import Axes, axes_of, axis_of
from versant.ops.comparison import gt, where
from versant.ops.creation import zeros
from versant.ops.joining import cat
from versant.ops.lazy import np
from versant.ops.linear import matmul
from versant.ops.powers import exp2, log2
from versant.ops.record import composite
from versant.ops.reductions import amax, amin, root, sum, vector_norm
from versant.ops.samples import array, call
from versant.ops.sequences import eye
from versant.ops.shape import diagonal as diagonal_of
from versant.ops.solvers import inv, matrices, square, tolerances
from versant.ops.values import all_samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# --- norms ------------------------------------------------------------------------------------------------


def in_dtype(name: str, x: Tensor, dtype: Any) -> Tensor:
    """x in the dtype that a norm is asked for."""
    if dtype is None:
        return x
    if not (dtype.is_complex if x.dtype.is_complex else dtype.is_floating_point):
        raise DTypeError(f"[{name}] expected a dtype that holds {x.dtype.name}, got {dtype}")
    if dtype.itemsize < x.dtype.itemsize:
        raise DTypeError(f"[{name}] {x.dtype.name} would be narrowed to {dtype.name}")
    return x.to(dtype)


def extreme(values: Tensor, axis: int, largest: bool) -> Tensor:
    """The largest of numbers >= 0, of which none is 0; or the smallest."""
    if largest and values.shape[axis] == 0:
        return sum(values, axis, True)
    return (amax if largest else amin)(values, axis, True)


@composite(
    ref=lambda a, ord="fro", dim=(-2, -1), keepdim=False: np.linalg.norm(a, ord, dim, keepdim),
    samples=[
        call(array(3, 4)),
        call(array(2, 3, 4), "nuc"),
        call(array(3, 4), 2, keepdim=True),
        call(array(3, 4), -2),
        call(array(3, 2, 4), 1, (0, 1)),
        call(array(3, 4), -1),
        call(array(4, 2, 3), inf, (2, 0), True),
        call(array(3, 4), -inf),
    ],
    places="linalg",
)
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A norm of each matrix in two axes.

    ord: "fro" (the root of the sum of squares), "nuc" (the sum of singular values), 2 and -2 (the largest and
    smallest singular value), inf and -inf (of the sums of |rows|), 1 and -1 (of the sums of |columns|).
    """
    name = "linalg.matrix_norm"
    if A.ndim < 2:
        raise ShapeError(f"[{name}] expected at least 2 axes, got shape {tuple(A.shape)}")
    if not (A.dtype.is_floating_point or A.dtype.is_complex):
        raise DTypeError(f"[{name}] expected a floating-point or complex dtype, got {A.dtype.name}")
    if isinstance(dim, int) or len(dim) != 2:
        raise ShapeError(f"[{name}] expected two axes, got {dim}")
    rows, columns = (axis_of(A.ndim, d, name) for d in dim)
    if rows == columns:
        raise ShapeError(f"[{name}] expected two axes, got {rows} twice")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim, dtype=dtype)
    if ord not in ("nuc", 2, -2, 1, -1, inf, -inf):
        raise ValueError(f"[{name}] expected ord 'fro', 'nuc', inf, -inf, 2, -2, 1 or -1, got {ord!r}")
    A = in_dtype(name, A, dtype)
    if ord in ("nuc", 2, -2):
        matrices(name, A)
        values = factors.svd(A.movedim((rows, columns), (-2, -1)), False)[1]
        result = sum(values, -1) if ord == "nuc" else extreme(values, -1, ord == 2).squeeze(-1)
        if keepdim:
            for axis in sorted((rows, columns)):
                result = result.unsqueeze(axis)
        return result
    assert not isinstance(ord, str)
    first, then = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = vector_norm(A, 1, first, True)
    result = extreme(sums, then, ord > 0)
    return result if keepdim else result.squeeze((rows, columns))


@composite(
    name="linalg.norm",
    ref=lambda a, ord=None, dim=None, keepdim=False: np.linalg.norm(a, ord, dim, keepdim),
    samples=[
        call(array(3, 4)),
        call(array(2, 3, 4)),
        call(array(5), 3),
        call(array(3, 4), "nuc"),
        call(array(3, 4), 1, -1, True),
        call(array(2, 3, 4), inf, (0, 2)),
        call(array(2, 3, 4), dim=(0, 2)),
    ],
    places="",
)
def norm(
    A: Tensor, ord: float | str | None = None, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """linalg.vector_norm or linalg.matrix_norm.

    Of all elements, or of one axis, it is the vector norm; with `ord`, of a matrix or of two axes, that of
    matrices.
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    name = "linalg.norm"
    if dim is None and A.ndim not in (1, 2):
        raise ShapeError(f"[{name}] with ord and without dim expected 1 or 2 axes, got {tuple(A.shape)}")
    axes = axes_of(A.ndim, dim, name)
    if len(axes) not in (1, 2):
        raise ShapeError(f"[{name}] expected one axis or two, got {dim}")
    if len(axes) == 2:
        return matrix_norm(A, ord, axes, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueError(f"[{name}] expected a number as the order of a vector norm, got {ord!r}")
    return vector_norm(A, ord, axes, keepdim, dtype=dtype)


# --- ranks and conditions ---------------------------------------------------------------------------------


@composite(
    ref=lambda a, hermitian=False: np.linalg.matrix_rank(a, hermitian=hermitian),
    samples=[call(array(3, 4)), call(array(2, 2, 2, form="symmetric"), hermitian=True)],
    places="linalg",
    differentiable=False,
)
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values of each matrix exceed max(atol, rtol * the largest).  A: (..., m, n) -> (...)

    By default rtol is max(m, n) times the dtype's precision, and 0 where atol is given. tol is an older name
    of atol. hermitian: A equals A.mH.
    """
    matrices("linalg.matrix_rank", A)
    if hermitian:
        square("linalg.matrix_rank", A)
    if A.numel() == 0:
        return zeros(A.shape[:-2], dtype=_core.int64)
    a = A.detach()
    values = factors.eigh(a)[0].abs() if hermitian else factors.svd(a, False)[1]
    absolute, relative = tolerances(A, tol if atol is None else atol, 0.0 if tol is not None else rtol)
    cut = relative * amax(values, -1)
    if isinstance(absolute, Tensor) or absolute > 0:
        cut = where(gt(cut, absolute), cut, absolute)
    return sum(gt(values, cut.unsqueeze(-1)), -1)


@composite(
    ref=lambda a, p=None: np.linalg.cond(a, p),
    samples=[
        call(array(3, 3, form="regular")),
        call(array(2, 3, 4), -2),
        call(array(3, 3, form="regular"), 1),
    ],
    places="linalg",
)
def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """The condition of each matrix: its norm times that of its inverse.  p: ord of matrix_norm; None is 2"""
    matrices("linalg.cond", A)
    if p in (None, 2, -2):
        values = factors.svd(A, False)[1]
        ratio: Tensor = values[..., 0] / values[..., -1]
        return 1 / ratio if p == -2 else ratio
    square("linalg.cond", A)
    order: Any = p
    return matrix_norm(A, order) * matrix_norm(inv(A), order)


# --- powers and exponentials ------------------------------------------------------------------------------


@composite(
    ref=np.linalg.matrix_power,
    samples=[call(array(3, 3), 3), call(array(2, 2, 2), 0), call(array(3, 3, form="regular"), -2)],
    places="versant Tensor linalg",
)
def matrix_power(A: Tensor, n: int) -> Tensor:
    """A @ A @ ... @ A, n times; with n = 0 the unit matrix, with n < 0 of the inverse.  A: (..., m, m)"""
    name = "linalg.matrix_power"
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"[{name}] expected square matrices, got shape {tuple(A.shape)}")
    if n == 0:
        return A * 0 + eye(A.shape[-1], dtype=A.dtype)
    if n < 0:
        A, n = inv(A), -n
    result: Tensor | None = None
    power = A
    while True:
        if n % 2:
            result = power if result is None else matmul(result, power)
        n //= 2
        if n == 0:
            assert result is not None  # n is positive
            return result * 1 if result is A else result
        power = matmul(power, power)


# The coefficients of the [13/13] Pade approximant of exp, and the norm up to which it has float64's precision
# (Higham, The Scaling and Squaring Method for the Matrix Exponential Revisited, 2005, table 2.3).
PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
PADE_NORM = 5.371920351148152


def exponential_reference(a: Any) -> Any:
    values, vectors = np.linalg.eig(a)
    return ((vectors * np.exp(values)[..., None, :]) @ np.linalg.inv(vectors)).real


@composite(
    ref=exponential_reference,
    samples=[call(array(3, 3)), call(array(2, 4, 4)), call(array(1, 1))],
    also="linalg.matrix_exp",
)
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of each matrix: the limit of (I + A / n)**n.  input: (..., n, n)

    By scaling, a Pade approximant and squaring (Higham 2005).
    """
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ShapeError(f"[matrix_exp] expected square matrices, got shape {tuple(input.shape)}")
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise DTypeError(f"[matrix_exp] expected a floating-point or complex dtype, got {input.dtype.name}")
    if input.numel() == 0:
        return input * 1
    wide = _core.complex128 if input.dtype.is_complex else _core.float64
    if input.dtype is not wide:  # squaring doubles the relative error
        return matrix_exp(input.to(wide)).to(input.dtype)
    n = input.shape[-1]
    # Each matrix is halved as often as it needs, whatever its batch.
    size = amax(sum(input.detach().abs(), -2), -1)
    halvings = log2(size / PADE_NORM).ceil().clamp(0, 1000).nan_to_num(0.0)
    a = input * exp2(-halvings).unsqueeze(-1).unsqueeze(-1).to(input.dtype)
    unit, b = eye(n, dtype=a.dtype), PADE
    a2 = matmul(a, a)
    a4 = matmul(a2, a2)
    a6 = matmul(a4, a2)
    high = matmul(a6, b[13] * a6 + b[11] * a4 + b[9] * a2)
    odd = matmul(a, high + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * unit)
    high = matmul(a6, b[12] * a6 + b[10] * a4 + b[8] * a2)
    even = high + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * unit
    result = lapack.solve(even - odd, even + odd)
    for i in range(int(all_samples(amax(halvings)).max())):
        again = (halvings > i).unsqueeze(-1).unsqueeze(-1)
        result = where(again, matmul(result, result), result)
    return result


# --- chains, diagonals, products of vectors -----------------------------------------------------------------


@composite(
    ref=np.linalg.multi_dot,
    samples=[
        call([array(2, 3), array(3, 4)]),
        call([array(2, 5), array(5, 3), array(3, 4), array(4, 2)]),
        call([array(3), array(3, 4), array(4)]),
    ],
    places="linalg",
)
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of a chain of matrices, in the order of least work; the first and last may be vectors."""
    name, chain = "linalg.multi_dot", list(tensors)
    if len(chain) < 2:
        raise ShapeError(f"[{name}] expected at least 2 tensors, got {len(chain)}")
    for i, tensor in enumerate(chain):
        ends = (1, 2) if i in (0, len(chain) - 1) else (2,)
        if tensor.ndim not in ends:
            raise ShapeError(f"[{name}] expected a matrix as tensor {i}, got shape {tuple(tensor.shape)}")
        if tensor.dtype is not chain[0].dtype:
            raise DTypeError(
                f"[{name}] expected one dtype, got {chain[0].dtype.name} and {tensor.dtype.name}"
            )
    first, last = chain[0].ndim == 1, chain[-1].ndim == 1
    if first:
        chain[0] = chain[0].unsqueeze(0)
    if last:
        chain[-1] = chain[-1].unsqueeze(1)
    for a, b in pairwise(chain):
        if a.shape[1] != b.shape[0]:
            raise ShapeError(f"[{name}] {tuple(a.shape)} and {tuple(b.shape)} do not fit")
    result = in_order(chain, cheapest([chain[0].shape[0], *(t.shape[1] for t in chain)]), 0, len(chain) - 1)
    return result.reshape([n for n, gone in zip(result.shape, (first, last), strict=True) if not gone])


def cheapest(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to divide each part of a chain (Cormen et al., Introduction to Algorithms, 15.2)."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    division = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], division[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return division


def in_order(chain: Sequence[Tensor], division: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return chain[i]
    k = division[i, j]
    product: Tensor = matmul(in_order(chain, division, i, k), in_order(chain, division, k + 1, j))
    return product


@composite(
    name="linalg.diagonal",
    ref=lambda a, *, offset=0, dim1=-2, dim2=-1: np.diagonal(a, offset, dim1, dim2),
    samples=[call(array(2, 3, 4)), call(array(2, 3, 4), offset=1, dim1=0, dim2=1)],
    places="",
)
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonal of each matrix, as the last axis."""
    view: Tensor = diagonal_of(A, offset, dim1, dim2)
    return view


@composite(
    ref=lambda a, b, *, dim=-1: np.sum(a.conj() * b, dim),
    samples=[call(array(4), array(4)), call(array(2, 3), array(3)), call(array(3, 2), array(3, 1), dim=0)],
    places="linalg",
)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of x.conj() * y over an axis; the others broadcast."""
    for tensor in (x, y):
        if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
            raise DTypeError(f"[linalg.vecdot] expected floats or complex numbers, got {tensor.dtype.name}")
    if x.dtype is not y.dtype:
        raise DTypeError(f"[linalg.vecdot] expected one dtype, got {x.dtype.name} and {y.dtype.name}")
    return sum(lapack.conj(x) * y, dim)


# --- distances ----------------------------------------------------------------------------------------------

MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@composite(
    ref=lambda a, b, p=2.0: np.linalg.norm(a[..., :, None, :] - b[..., None, :, :], p, -1),
    samples=[
        call(array(3, 4), array(5, 4)),
        call(array(2, 3, 2), array(2, 2), 1.0),
        call(array(3, 4), array(2, 4), inf),
        call(array(3, 4), array(2, 4), 3.0),
        call(array(30, 2), array(2, 2)),
    ],
    places="versant",
)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The p-norm distances of all rows of x1 to all rows of x2.  (..., n, k), (..., m, k) -> (..., n, m)

    compute_mode: whether Euclidean distances come from products of matrices, which is fast and less accurate
    where rows are close: "use_mm_for_euclid_dist_if_necessary" (with more than 25 rows on a side),
    "use_mm_for_euclid_dist" or "donot_use_mm_for_euclid_dist". The gradient at distance 0 is 0.
    """
    name = "cdist"
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"[{name}] expected (..., n, k) and (..., m, k), got {tuple(x1.shape)}, {tuple(x2.shape)}"
        )
    if not (x1.dtype.is_floating_point and x2.dtype.is_floating_point):
        raise DTypeError(f"[{name}] expected floating-point rows, got {x1.dtype.name} and {x2.dtype.name}")
    if p < 0:
        raise ValueError(f"[{name}] expected p >= 0, got {p}")
    if compute_mode not in (None, *MODES):
        raise ValueError(f"[{name}] expected compute_mode to be one of {MODES}, got {compute_mode!r}")
    many = max(x1.shape[-2], x2.shape[-2]) > 25 and compute_mode in (None, MODES[0])
    if p == 2 and (many or compute_mode == MODES[1]):
        return euclidean(x1, x2)
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def euclidean(x1: Tensor, x2: Tensor) -> Tensor:
    """The roots of |a|**2 - 2 a @ b + |b|**2, each one sum of products."""
    first, second = sum(x1 * x1, -1, True), sum(x2 * x2, -1, True)
    left = cat([-2 * x1, first, first.new_ones(first.shape)], -1)
    right = cat([x2, second.new_ones(second.shape), second], -1)
    distances: Tensor = root(matmul(left, right.mT).clamp(0))
    return distances
