"""Transforms of vectors and matrices."""

import math
from collections.abc import Sequence
from typing import Any

import versant
import versant.nn.functional as F
from versant import Size, Tensor
from versant.distributions import constraints
from versant.distributions.transforms.transform import Transform

__all__ = [
    "CorrCholeskyTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "SoftmaxTransform",
    "StickBreakingTransform",
]


def with_last(who: str, shape: Sequence[int], sizes: Sequence[int], taken: int = 1) -> Sequence[int]:
    """The shape with `sizes` in the place of the last `taken` axes."""
    if len(shape) < taken:
        raise ValueError(f"[{who}] expected at least {taken} axes, got shape {tuple(shape)}")
    return (*shape[: len(shape) - taken], *sizes)


class SoftmaxTransform(Transform):
    """y = softmax(x) over the last axis.  The inverse is log(y): x up to a constant."""

    bijective = False
    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return versant.softmax(x, -1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return with_last("SoftmaxTransform", shape, shape[-1:])

    inverse_shape = forward_shape


class StickBreakingTransform(Transform):
    """Vectors of n numbers as points of the simplex in n + 1: each breaks its share off what is left of 1."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _offsets(self, x: Tensor) -> Tensor:
        """log of how many parts are to come: x = 0 gives equal parts."""
        return versant.arange(x.shape[-1], 0, -1, dtype=x.dtype).log()

    def _call(self, x: Tensor) -> Tensor:
        shares = (x - self._offsets(x)).sigmoid()
        left = (1 - shares).cumprod(-1)
        return F.pad(shares, (0, 1), value=1.0) * F.pad(left, (1, 0), value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = y[..., :-1]
        left = (1 - parts.cumsum(-1)).clamp(min=versant.finfo(y.dtype).tiny)
        return parts.log() - left.log() + self._offsets(parts)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        z = x - self._offsets(x)
        return (-z + F.logsigmoid(z) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return with_last("StickBreakingTransform", shape, [n + 1 for n in shape[-1:]])

    def inverse_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return with_last("StickBreakingTransform", shape, [n - 1 for n in shape[-1:]])


class LowerCholeskyTransform(Transform):
    """Matrices as lower triangles with a positive diagonal, exp of theirs."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Matrices as positive definite ones, L L' of their LowerCholeskyTransform L."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(versant.linalg.cholesky(y))


class CorrCholeskyTransform(Transform):
    """Vectors of n (n - 1) / 2 numbers as Cholesky factors of correlation matrices (n, n).

    tanh of the numbers are partial correlations, row by row below the diagonal (Lewandowski, Kurowicka and
    Joe 2009).
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky

    def _size(self, numbers: int) -> int:
        n = (1 + math.isqrt(1 + 8 * numbers)) // 2
        if n * (n - 1) // 2 != numbers:
            raise ValueError(
                f"[CorrCholeskyTransform] expected n (n - 1) / 2 numbers for a whole n, got {numbers}"
            )
        return n

    def _triangle(self, n: int) -> tuple[Any, ...]:
        rows, columns = versant.tril_indices(n, n, -1)
        return (..., rows, columns)

    def _call(self, x: Tensor) -> Tensor:
        n = self._size(x.shape[-1])
        eps = versant.finfo(x.dtype).eps
        r = versant.zeros(*x.shape[:-1], n, n, dtype=x.dtype)
        r = r.index_put(self._indices(x, n), x.tanh().clamp(min=-1 + eps, max=1 - eps).reshape(-1))
        left = (1 - r * r).sqrt().cumprod(-1)  # what the columns up to this one leave of a row's length
        r = r + versant.eye(n, dtype=x.dtype)
        return r * F.pad(left[..., :-1], (1, 0), value=1.0)

    def _indices(self, x: Tensor, n: int) -> tuple[Tensor, ...]:
        """The places of all numbers of x in matrices (..., n, n)."""
        _, rows, columns = self._triangle(n)
        places = versant.meshgrid(*(versant.arange(s) for s in x.shape), indexing="ij")
        flat = [p.reshape(-1) for p in places]
        return (*flat[:-1], rows[flat[-1]], columns[flat[-1]])

    def _inverse(self, y: Tensor) -> Tensor:
        left = F.pad((1 - (y * y).cumsum(-1))[..., :-1], (1, 0), value=1.0)
        n = y.shape[-1]
        parts, rest = y[self._triangle(n)], left[self._triangle(n)].clamp(min=versant.finfo(y.dtype).tiny)
        t = parts / rest.sqrt()
        return (t.log1p() - (-t).log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        left = 1 - (y * y).cumsum(-1)
        n = y.shape[-1]
        rows, columns = versant.tril_indices(n, n, -2)
        lengths = 0.5 * left[..., rows, columns].log().sum(-1)
        return lengths - 2 * (x + F.softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Sequence[int]:
        n = self._size(shape[-1]) if shape else 0
        return with_last("CorrCholeskyTransform", shape, (n, n))

    def inverse_shape(self, shape: Sequence[int]) -> Sequence[int]:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ValueError(f"[CorrCholeskyTransform] expected square matrices, got shape {tuple(shape)}")
        return Size(with_last("CorrCholeskyTransform", shape, (shape[-1] * (shape[-1] - 1) // 2,), 2))
