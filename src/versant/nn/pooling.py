"""Pooling over windows of images."""

from typing import Any

from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn.checks import pair
from versant.nn.module import Module

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"]


class _Pool2d(Module):
    """What pools over windows share: their size, step and padding.  x: (N, C, H, W) or (C, H, W)"""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None,
        padding: int | tuple[int, int],
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride)
        self.padding = pair(name, "padding", padding, least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"[{name}] padding {self.padding} is more than half of kernel_size {self.kernel_size}"
            )

    def _expect(self, x: Tensor) -> None:
        """Say in the layer's own terms why the shape of x does not fit."""
        name = type(self).__name__
        if x.ndim not in (3, 4):
            raise ShapeError(f"[{name}] expected (N, C, H, W), got input of shape {tuple(x.shape)}") from None
        if any(
            size + 2 * p < k for size, p, k in zip(x.shape[-2:], self.padding, self.kernel_size, strict=True)
        ):
            raise ShapeError(
                f"[{name}] the window {self.kernel_size} is larger than the input of shape {tuple(x.shape)} "
                f"with padding {self.padding}"
            ) from None

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest value of each window.  x: (N, C, H, W) -> (N, C, H', W')

    stride defaults to kernel_size; return_indices: give (values, their places in the flat image).
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation = pair("MaxPool2d", "dilation", dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        try:
            result: Tensor = F.max_pool2d(
                x,
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                ceil_mode=self.ceil_mode,
                return_indices=self.return_indices,
            )
            return result
        except ShapeError:
            self._expect(x)
            raise
        return result

    def extra_repr(self) -> str:
        return super().extra_repr() + f", dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class AvgPool2d(_Pool2d):
    """The mean of each window.  x: (N, C, H, W) -> (N, C, H', W'); stride defaults to kernel_size

    count_include_pad: padded zeros count as values; divisor_override: divide by this number instead.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        try:
            return F.avg_pool2d(
                x,
                self.kernel_size,
                self.stride,
                self.padding,
                self.ceil_mode,
                self.count_include_pad,
                self.divisor_override,
            )
        except ShapeError:
            self._expect(x)
            raise


class AdaptiveAvgPool2d(Module):
    """The mean of windows chosen to give `output_size`.  x: (N, C, H, W) -> (N, C, *output_size)

    output_size: an int or a pair; None in a pair keeps that side as it is.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        try:
            return F.adaptive_avg_pool2d(x, self.output_size)
        except ShapeError:
            if x.ndim not in (3, 4):
                raise ShapeError(
                    f"[AdaptiveAvgPool2d] expected (N, C, H, W), got input of shape {tuple(x.shape)}"
                ) from None
            raise

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
