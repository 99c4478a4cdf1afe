"""Normalisation over the batch (Ioffe and Szegedy 2015) and over the last axes (Ba, Kiros, Hinton 2016)."""

from typing import Any

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "SyncBatchNorm",
]


class _ChannelNorm(Module):
    """What layers share that normalise channels: scale and shift, running statistics."""

    ranks: tuple[int, ...]  # of inputs
    letters: str  # of the axes after the channels

    weight: Parameter | None  # (num_features,)
    bias: Parameter | None  # (num_features,)
    running_mean: Tensor | None  # (num_features,)
    running_var: Tensor | None  # (num_features,), unbiased
    num_batches_tracked: Tensor | None  # (), int64

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = positive(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

        def vector() -> Tensor:
            return versant.empty(num_features, device=device, dtype=dtype)

        self.register_parameter("weight", Parameter(vector()) if affine else None)
        self.register_parameter("bias", Parameter(vector()) if affine and bias else None)
        self.register_buffer("running_mean", vector() if track_running_stats else None)
        self.register_buffer("running_var", vector() if track_running_stats else None)
        count = versant.tensor(0, dtype=versant.int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running statistics to mean 0, variance 1 and no batches seen."""
        if (
            self.running_mean is not None
            and self.running_var is not None
            and self.num_batches_tracked is not None
        ):
            self.running_mean.zero_()
            self.running_var.fill_(1.0)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, and forget the running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _expect(self, x: Tensor) -> None:
        if x.ndim not in self.ranks:
            shapes = " or ".join(f"(N, {self.num_features}{letters})" for letters in self.letters.split("|"))
            raise ShapeError(
                f"[{type(self).__name__}] expected {shapes}, got input of shape {tuple(x.shape)}"
            )

    def _share(self) -> float:
        """What share of the running statistics this batch makes up."""
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1.0 / (1.0 + float(self.num_batches_tracked))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    """(x - mean) / sqrt(var + eps) * weight + bias in each channel.  x: (N, C, ...) -> the same shape

    In training mode mean and var come from the batch and move the running statistics by `momentum`
    (None: their plain average over all batches); in eval mode the running statistics are used.
    """

    def forward(self, x: Tensor) -> Tensor:
        self._expect(x)
        batch_statistics = self.training or self.running_mean is None
        try:
            if self.momentum is None and self.training and self.num_batches_tracked is not None:
                from versant.ops.normalization import batch_norm_whole

                y: Tensor = batch_norm_whole(
                    x,
                    self.weight,
                    self.bias,
                    self.running_mean,
                    self.running_var,
                    batch_statistics,
                    0.0,
                    self.eps,
                    self.num_batches_tracked,
                )
            else:
                y = F.batch_norm(
                    x,
                    self.running_mean,
                    self.running_var,
                    self.weight,
                    self.bias,
                    batch_statistics,
                    self._share(),
                    self.eps,
                )
        except ShapeError:
            if x.shape[1] != self.num_features:
                raise ShapeError(
                    f"[{type(self).__name__}] expected {self.num_features} channels on axis 1, "
                    f"got input of shape {tuple(x.shape)}"
                ) from None
            raise
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return y


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    ranks, letters = (2, 3), "|, L"


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    ranks, letters = (4,), ", H, W"


class BatchNorm3d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    ranks, letters = (5,), ", D, H, W"


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over all processes of a group; over the batch in a group of one process.

    x: (N, C, ...) -> the same shape. process_group: a group of `distributed`.
    """

    ranks, letters = (), "|, ..."  # any of two axes or more

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _expect(self, x: Tensor) -> None:
        if x.ndim < 2:
            super()._expect(x)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with layers of this class in the place of all batch norms, of the same parameters."""
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "training"):
                setattr(converted, name, getattr(module, name))
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted


class _InstanceNorm(_ChannelNorm):
    """(x - mean) / sqrt(var + eps) in each channel of each sample (Ulyanov et al. 2016).

    x: (N, C, ...) or (C, ...) -> the same shape. With track_running_stats, eval mode uses their average.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        batched = x.ndim == self.ranks[-1]
        self._expect(x)
        if x.shape[1 if batched else 0] != self.num_features and self.affine:
            raise ShapeError(
                f"[{type(self).__name__}] expected {self.num_features} channels, "
                f"got input of shape {tuple(x.shape)}"
            )
        y = F.instance_norm(
            x if batched else x.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self._share(),
            self.eps,
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    ranks, letters = (2, 3), ", L"


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    ranks, letters = (3, 4), ", H, W"


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    ranks, letters = (4, 5), ", D, H, W"


class LayerNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes.

    x: (..., *normalized_shape) -> the same shape
    """

    weight: Parameter | None  # normalized_shape
    bias: Parameter | None  # normalized_shape

    def __init__(
        self,
        normalized_shape: int | list[int] | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        if not sizes:
            raise ValueError("[LayerNorm] normalized_shape must name at least one axis")
        self.normalized_shape = tuple(positive("LayerNorm", "normalized_shape", size) for size in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, present in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            values = versant.empty(self.normalized_shape, device=device, dtype=dtype) if present else None
            self.register_parameter(name, None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        try:
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        except ShapeError:
            if tuple(x.shape[-len(self.normalized_shape) :]) != self.normalized_shape:
                raise ShapeError(
                    f"[LayerNorm] expected last dimensions {self.normalized_shape}, "
                    f"got input of shape {tuple(x.shape)}"
                ) from None
            raise

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"
