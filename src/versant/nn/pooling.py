"""Pooling over windows of sequences, images and volumes."""

from typing import Any

from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn.checks import SettingError, numbers
from versant.nn.conv import AXES
from versant.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]

Numbers = int | tuple[int, ...]


class _Pool(Module):
    """What pools over windows share.  x: (N, C, ...) or (C, ...)"""

    axes: int
    kernel_size: Any
    stride: Any
    padding: Any

    def _check(self) -> None:
        name = type(self).__name__
        kernel = numbers(name, "kernel_size", self.kernel_size, self.axes)
        numbers(name, "stride", self.stride, self.axes)
        padding = numbers(name, "padding", self.padding, self.axes, least=0)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise SettingError(
                f"[{name}] padding {self.padding} is more than half of kernel_size {self.kernel_size}"
            )

    def _expect(self, x: Tensor) -> None:
        """Say in the layer's own terms why the shape of x does not fit."""
        name, axes = type(self).__name__, self.axes
        if x.ndim not in (axes + 1, axes + 2):
            raise ShapeError(
                f"[{name}] expected (N, C, {AXES[axes - 1]}), got input of shape {tuple(x.shape)}"
            ) from None
        kernel = numbers(name, "kernel_size", self.kernel_size, axes)
        padding = numbers(name, "padding", self.padding, axes, least=0)
        if any(size + 2 * p < k for size, p, k in zip(x.shape[-axes:], padding, kernel, strict=True)):
            raise ShapeError(
                f"[{name}] the window {kernel} is larger than the input of shape {tuple(x.shape)} "
                f"with padding {self.padding}"
            ) from None

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Pool):
    """The largest value of each window.  x: (N, C, ...) -> the same with fewer positions

    stride defaults to kernel_size; return_indices: give (values, their places in the flat image).
    """

    def __init__(
        self,
        kernel_size: Numbers,
        stride: Numbers | None = None,
        padding: Numbers = 0,
        dilation: Numbers = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        self._check()
        numbers(type(self).__name__, "dilation", dilation, self.axes)

    def forward(self, x: Tensor) -> Any:
        pool = getattr(F, f"max_pool{self.axes}d")
        try:
            return pool(
                x,
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                ceil_mode=self.ceil_mode,
                return_indices=self.return_indices,
            )
        except ShapeError:
            self._expect(x)
            raise

    def extra_repr(self) -> str:
        return super().extra_repr() + f", dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    axes = 1


class MaxPool2d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    axes = 2


class MaxPool3d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    axes = 3


class _MaxUnpool(_Pool):
    """Undoes a max pooling as far as it can: the values at their places, among zeros.

    Called with the values, their places (return_indices=True) and, where the pooling left some positions
    out, output_size.
    """

    def __init__(self, kernel_size: Numbers, stride: Numbers | None = None, padding: Numbers = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = numbers(name, "kernel_size", kernel_size, self.axes)
        self.stride = numbers(name, "stride", kernel_size if stride is None else stride, self.axes)
        self.padding = numbers(name, "padding", padding, self.axes, least=0)

    def forward(self, x: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        unpool = getattr(F, f"max_unpool{self.axes}d")
        y: Tensor = unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)
        return y


class MaxUnpool1d(_MaxUnpool):
    __doc__ = _MaxUnpool.__doc__
    axes = 1


class MaxUnpool2d(_MaxUnpool):
    __doc__ = _MaxUnpool.__doc__
    axes = 2


class MaxUnpool3d(_MaxUnpool):
    __doc__ = _MaxUnpool.__doc__
    axes = 3


class AvgPool1d(_Pool):
    """The mean of each window.  x: (N, C, L) -> (N, C, L'); stride defaults to kernel_size

    count_include_pad: padded zeros count as values.
    """

    axes = 1

    def __init__(
        self,
        kernel_size: Numbers,
        stride: Numbers | None = None,
        padding: Numbers = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = numbers("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = numbers("AvgPool1d", "stride", kernel_size if stride is None else stride, 1)
        self.padding = numbers("AvgPool1d", "padding", padding, 1, least=0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self._check()

    def forward(self, x: Tensor) -> Tensor:
        try:
            return F.avg_pool1d(
                x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
            )
        except ShapeError:
            self._expect(x)
            raise


class _AvgPool(_Pool):
    """The mean of each window.  x: (N, C, ...) -> the same with fewer positions; stride: kernel_size

    count_include_pad: padded zeros count as values; divisor_override: divide by this number instead.
    """

    def __init__(
        self,
        kernel_size: Numbers,
        stride: Numbers | None = None,
        padding: Numbers = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        self._check()

    def forward(self, x: Tensor) -> Tensor:
        pool = getattr(F, f"avg_pool{self.axes}d")
        try:
            y: Tensor = pool(
                x,
                self.kernel_size,
                self.stride,
                self.padding,
                self.ceil_mode,
                self.count_include_pad,
                self.divisor_override,
            )
            return y
        except ShapeError:
            self._expect(x)
            raise


class AvgPool2d(_AvgPool):
    __doc__ = _AvgPool.__doc__
    axes = 2


class AvgPool3d(_AvgPool):
    __doc__ = _AvgPool.__doc__
    axes = 3


# --- adaptive -----------------------------------------------------------------------------------------------


class _AdaptivePool(Module):
    axes: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def _pool(self, kind: str, x: Tensor, **how: Any) -> Any:
        try:
            return getattr(F, f"adaptive_{kind}_pool{self.axes}d")(x, self.output_size, **how)
        except ShapeError:
            if x.ndim not in (self.axes + 1, self.axes + 2):
                raise ShapeError(
                    f"[{type(self).__name__}] expected (N, C, {AXES[self.axes - 1]}), "
                    f"got input of shape {tuple(x.shape)}"
                ) from None
            raise

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    """The mean of windows chosen to give `output_size`.  x: (N, C, ...) -> (N, C, *output_size)

    output_size: an int or one for each axis; None keeps an axis as it is.
    """

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self._pool("avg", x)
        return y


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    axes = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    axes = 3


class _AdaptiveMaxPool(_AdaptivePool):
    """The largest value of windows chosen to give `output_size`.  x: (N, C, ...) -> (N, C, *output_size)

    output_size: an int or one for each axis; None keeps an axis as it is.
    return_indices: give (values, their places in the flat image).
    """

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> Any:
        return self._pool("max", x, return_indices=self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    axes = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    axes = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    axes = 3


# --- rarer ones ---------------------------------------------------------------------------------------------


class _FractionalMaxPool(Module):
    """The largest value of windows that begin at random places (Graham 2014).  x: (N, C, ...)

    One of output_size (how many windows) and output_ratio (the same as a share of each size) is given.
    """

    axes: int
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Numbers,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = numbers(name, "kernel_size", kernel_size, self.axes)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = (
            None if output_size is None else numbers(name, "output_size", output_size, self.axes)
        )
        self.output_ratio = (output_ratio,) * self.axes if isinstance(output_ratio, float) else output_ratio
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"[{name}] expected one of output_size and output_ratio")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"[{name}] output_ratio must be between 0 and 1, got {output_ratio}")

    def forward(self, x: Tensor) -> Any:
        pool = getattr(F, f"fractional_max_pool{self.axes}d")
        return pool(
            x,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    axes = 3


class _LPPool(Module):
    """The p-norm of each window: sum(x**p) ** (1 / p).  x: (N, C, ...); stride defaults to kernel_size"""

    axes: int

    def __init__(
        self,
        norm_type: float,
        kernel_size: Numbers,
        stride: Numbers | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        pool = getattr(F, f"lp_pool{self.axes}d")
        y: Tensor = pool(x, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
        return y

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    __doc__ = _LPPool.__doc__
    axes = 1


class LPPool2d(_LPPool):
    __doc__ = _LPPool.__doc__
    axes = 2


class LPPool3d(_LPPool):
    __doc__ = _LPPool.__doc__
    axes = 3
