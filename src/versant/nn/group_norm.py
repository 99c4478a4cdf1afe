"""Normalisation over groups of channels, by root mean squares, and by neighbouring channels."""

from typing import Any

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = ["GroupNorm", "LocalResponseNorm", "RMSNorm"]


class GroupNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over each of num_groups groups of channels.

    input: (N, num_channels, ...) -> the same shape (Wu and He 2018).
    """

    weight: Parameter | None  # (num_channels,)
    bias: Parameter | None  # (num_channels,)

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = positive("GroupNorm", "num_groups", num_groups)
        self.num_channels = positive("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(f"[GroupNorm] {num_channels} channels do not divide into {num_groups} groups")
        self.eps = eps
        self.affine = affine
        for name, present in (("weight", affine), ("bias", affine and bias)):
            values = versant.empty(num_channels, device=device, dtype=dtype) if present else None
            self.register_parameter(name, None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ShapeError(
                f"[GroupNorm] expected (N, {self.num_channels}, ...), got input of shape {tuple(input.shape)}"
            )
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x / sqrt(mean(x**2) + eps) * weight over the last axes (Zhang and Sennrich 2019).

    input: (..., *normalized_shape) -> the same shape; eps: by default the dtype's own.
    """

    weight: Parameter | None  # normalized_shape

    def __init__(
        self,
        normalized_shape: int | list[int] | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        if not sizes:
            raise ValueError("[RMSNorm] normalized_shape must name at least one axis")
        self.normalized_shape = tuple(positive("RMSNorm", "normalized_shape", size) for size in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        values = versant.empty(shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        if tuple(input.shape[-len(self.normalized_shape) :]) != self.normalized_shape:
            raise ShapeError(
                f"[RMSNorm] expected last dimensions {self.normalized_shape}, "
                f"got input of shape {tuple(input.shape)}"
            )
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """x / (k + alpha * mean square over `size` neighbouring channels) ** beta.

    input: (N, C, ...) -> the same shape (Krizhevsky et al. 2012).
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = positive("LocalResponseNorm", "size", size)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
