"""Transforms made of others: over more axes, side by side; other shapes."""

import math
from collections.abc import Sequence
from typing import Any

import versant
from versant import Size, Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint
from versant.distributions.distribution import sum_rightmost
from versant.distributions.transforms.transform import Transform

__all__ = ["CatTransform", "IndependentTransform", "ReshapeTransform", "StackTransform"]


class IndependentTransform(Transform):
    """A transform of which more of the last axes count as event axes."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective = base_transform.bijective
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    @sign.setter
    def sign(self, value: Any) -> None:
        raise AttributeError("[IndependentTransform] sign follows from the base transform")

    def _call(self, x: Tensor) -> Tensor:
        if x.ndim < self.domain.event_dim:
            raise ValueError(f"[IndependentTransform] Too few dimensions on input of shape {tuple(x.shape)}")
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        if y.ndim < self.codomain.event_dim:
            raise ValueError(f"[IndependentTransform] Too few dimensions on input of shape {tuple(y.shape)}")
        return self.base_transform._inv_call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return self.base_transform.inverse_shape(shape)

    def _key(self) -> Any:
        return self.base_transform, self.reinterpreted_batch_ndims

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ReshapeTransform(Transform):
    """Events of in_shape as events of out_shape, which holds as many elements."""

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if math.prod(in_shape) != math.prod(out_shape):
            raise ValueError("[ReshapeTransform] in_shape, out_shape have different numbers of elements")
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[: x.ndim - len(self.in_shape)], *self.out_shape)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(*y.shape[: y.ndim - len(self.out_shape)], *self.in_shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return versant.zeros(x.shape[: x.ndim - len(self.in_shape)], dtype=x.dtype)

    def _other(self, shape: Sequence[int], old: Size, new: Size) -> Sequence[int]:
        cut = len(shape) - len(old)
        if cut < 0:
            raise ValueError(f"[ReshapeTransform] Too few dimensions on input of shape {tuple(shape)}")
        if tuple(shape[cut:]) != tuple(old):
            raise ValueError(
                f"[ReshapeTransform] Shape mismatch: expected {tuple(old)} but got {tuple(shape[cut:])}"
            )
        return (*shape[:cut], *new)

    def forward_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return self._other(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Sequence[int]) -> Sequence[int]:
        return self._other(shape, self.out_shape, self.in_shape)

    def _key(self) -> Any:
        return self.in_shape, self.out_shape


class _SideBySide(Transform):
    """What transforms share that do one thing with one piece of an axis and another with the next."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        super().__init__(cache_size)
        if not all(isinstance(t, Transform) for t in tseq):
            raise ValueError(f"[{type(self).__name__}] expected a sequence of Transforms")
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim
        self.bijective = all(t.bijective for t in tseq)

    def _split(self, x: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def _join(self, parts: list[Tensor], dim: int) -> Tensor:
        raise NotImplementedError

    def _call(self, x: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._split(x), strict=True)
        return self._join([t(part) for t, part in pairs], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._split(y), strict=True)
        return self._join([t._inv_call(part) for t, part in pairs], self.dim)

    def _key(self) -> Any:
        return self.transforms, self.dim


class CatTransform(_SideBySide):
    """Transforms of pieces of an axis, of these lengths (1 each)."""

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise ValueError("[CatTransform] expected a length for each transform")

    @property
    def length(self) -> int:
        return sum(self.lengths)

    @property
    def domain(self) -> Constraint:  # type: ignore[override]
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Constraint:  # type: ignore[override]
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)

    def _split(self, x: Tensor) -> list[Tensor]:
        if x.shape[self.dim] != self.length:
            raise ValueError(
                f"[CatTransform] expected {self.length} elements along axis {self.dim}, "
                f"got shape {tuple(x.shape)}"
            )
        return list(x.split(self.lengths, self.dim))

    def _join(self, parts: list[Tensor], dim: int) -> Tensor:
        return versant.cat(parts, dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        event = max(t.domain.event_dim for t in self.transforms)
        changes = []
        for t, before, after in zip(self.transforms, self._split(x), self._split(y), strict=True):
            change = t.log_abs_det_jacobian(before, after)
            changes.append(sum_rightmost(change, event - t.domain.event_dim))
        dim = self.dim if self.dim < 0 else self.dim - x.ndim
        if dim + event < 0:
            return self._join(changes, dim + event)
        total = changes[0]
        for change in changes[1:]:
            total = total + change
        return total


class StackTransform(_SideBySide):
    """One transform for each index of an axis."""

    @property
    def domain(self) -> Constraint:  # type: ignore[override]
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @property
    def codomain(self) -> Constraint:  # type: ignore[override]
        return constraints.stack([t.codomain for t in self.transforms], self.dim)

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    def _split(self, x: Tensor) -> list[Tensor]:
        if x.shape[self.dim] != len(self.transforms):
            raise ValueError(
                f"[StackTransform] expected {len(self.transforms)} elements along axis {self.dim}, "
                f"got shape {tuple(x.shape)}"
            )
        return list(x.unbind(self.dim))

    def _join(self, parts: list[Tensor], dim: int) -> Tensor:
        return versant.stack(parts, dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        pieces = zip(self.transforms, self._split(x), self._split(y), strict=True)
        return self._join([t.log_abs_det_jacobian(a, b) for t, a, b in pieces], self.dim)
