"""Linear algebra: four functions of the main namespace, and the extension `linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import versant as vs
from versant import Tensor, dtype
from versant import linalg as _ops
from versant.array_api.data_types import together


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and the vectors in columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """Orthonormal columns, and an upper triangle."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its magnitude."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """Left vectors, singular values in descending order, and right vectors in rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The product of matrices; a vector is a row on the left, a column on the right."""
    return vs.matmul(*together("matmul", x1, x2))


def matrix_transpose(x: Tensor, /) -> Tensor:
    """Matrices with rows and columns exchanged: a view."""
    return x.mT


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """The sum of products over the last axes of x1 and first of x2, or over two lists of axes."""
    first, second = together("tensordot", x1, x2)
    return vs.tensordot(first, second, axes)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The sum of conj(x1) * x2 along an axis, which both have; the other axes broadcast."""
    first, second = together("vecdot", x1, x2)
    if not -min(first.ndim, second.ndim) <= axis < max(first.ndim, second.ndim):
        raise vs.AxisError(
            f"[vecdot] axis {axis} is not among those of {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if first.shape[axis] != second.shape[axis]:
        raise vs.ShapeError(
            f"[vecdot] expected axis {axis} of one size, got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    left = vs.moveaxis(first.conj() if first.dtype.is_complex else first, axis, -1).unsqueeze(-2)
    return vs.matmul(left, vs.moveaxis(second, axis, -1).unsqueeze(-1)).squeeze(-1).squeeze(-1)


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """The triangle L with x = L Lᴴ; upper: its conjugate transpose."""
    return _ops.cholesky(x, upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The vector product along an axis of size 3."""
    arrays = together("cross", x1, x2)
    rank = max(x.ndim for x in arrays)
    first, second = (x.reshape((1,) * (rank - x.ndim) + tuple(x.shape)) for x in arrays)
    return _ops.cross(first, second, dim=axis)


def det(x: Tensor, /) -> Tensor:
    """The determinant of square matrices."""
    return _ops.det(x)


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices, `offset` above the main one."""
    return vs.diagonal(x, offset, -2, -1)


def eigh(x: Tensor, /) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    return EighResult(*_ops.eigh(x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of Hermitian matrices, ascending."""
    return _ops.eigvalsh(x)


def inv(x: Tensor, /) -> Tensor:
    """The inverse of square matrices."""
    return _ops.inv(x)


def matrix_norm(
    x: Tensor, /, *, keepdims: bool = False, ord: float | Literal["fro", "nuc"] | None = "fro"
) -> Tensor:
    """The norm of matrices: "fro", "nuc", 1, 2, inf and the negatives of these numbers."""
    return _ops.matrix_norm(x, "fro" if ord is None else ord, keepdim=keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """Square matrices multiplied n times; negative n: of the inverse."""
    return _ops.matrix_power(x, n)


def matrix_rank(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """How many singular values are larger than rtol times the largest."""
    return _ops.matrix_rank(x, rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The products of all pairs from two vectors."""
    return vs.outer(*together("outer", x1, x2))


def pinv(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """The pseudo-inverse; singular values up to rtol times the largest count as zero."""
    return _ops.pinv(x, rtol=rtol)


def qr(x: Tensor, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """x = Q R."""
    return QRResult(*_ops.qr(x, mode=mode))


def slogdet(x: Tensor, /) -> SlogdetResult:
    """Sign and logarithm of the determinant."""
    return SlogdetResult(*_ops.slogdet(x))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """y with x1 y = x2; x2 is a vector where it has one axis, else matrices."""
    first, second = together("solve", x1, x2)
    if second.ndim == 1:
        return _ops.solve(first, second.unsqueeze(-1)).squeeze(-1)
    if first.ndim == second.ndim + 1:  # matrices that would pass for a batch of vectors
        second = second.unsqueeze(0)
    return _ops.solve(first, second)


def svd(x: Tensor, /, *, full_matrices: bool = True) -> SVDResult:
    """x = U diag(S) Vh."""
    return SVDResult(*_ops.svd(x, full_matrices=full_matrices))


def svdvals(x: Tensor, /) -> Tensor:
    """Singular values, descending."""
    return _ops.svdvals(x)


def trace(x: Tensor, /, *, offset: int = 0, dtype: dtype | None = None) -> Tensor:
    """The sum along a diagonal of matrices."""
    from versant.array_api.statistical import sum

    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(
    x: Tensor, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """The norm over axes, taken as one vector; None: over all."""
    if axis == ():
        return vs.abs(x) if ord != 0 else (x != 0).cast(x.real.dtype if x.dtype.is_complex else x.dtype)
    where: Any = axis
    return _ops.vector_norm(x, ord, dim=where, keepdim=keepdims)
