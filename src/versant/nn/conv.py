"""Convolutions and transposed convolutions over sequences, images and volumes."""

import math
from typing import Any

import versant
from versant import DTypeError, ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import expect_dtype, numbers, one_of, positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

Numbers = int | tuple[int, ...]

AXES = ("L", "H, W", "D, H, W")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What convolutions and transposed ones share: their numbers, weight and bias."""

    weight: Parameter
    bias: Parameter | None  # (out_channels,)
    axes: int  # of the images
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers,
        padding: str | Numbers,
        output_padding: Numbers,
        dilation: Numbers,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, axes = type(self).__name__, self.axes
        self.in_channels = positive(name, "in_channels", in_channels)
        self.out_channels = positive(name, "out_channels", out_channels)
        self.kernel_size = numbers(name, "kernel_size", kernel_size, axes)
        self.stride = numbers(name, "stride", stride, axes)
        self.dilation = numbers(name, "dilation", dilation, axes)
        self.output_padding = numbers(name, "output_padding", output_padding, axes, least=0)
        self.groups = positive(name, "groups", groups)
        self.padding_mode = one_of(
            name, "padding_mode", padding_mode, ("zeros",) if self.transposed else PADDING_MODES
        )
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"[{name}] in_channels {in_channels} and out_channels {out_channels} "
                f"must be divisible by groups {groups}"
            )
        self.padding: str | tuple[int, ...]
        if isinstance(padding, str):
            self.padding = one_of(name, "padding", padding, ("valid", "same"))
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f"[{name}] padding='same' needs stride 1, got {self.stride}")
        else:
            self.padding = numbers(name, "padding", padding, axes, least=0)
        first, second = self.out_channels, self.in_channels // self.groups
        if self.transposed:
            first, second = self.in_channels, self.out_channels // self.groups
        self.weight = Parameter(versant.empty((first, second, *self.kernel_size), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(versant.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(-b, b) with b = 1 / sqrt(size of axis 1 of the weight * kernel)."""
        bound = 1.0 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def _expect(self, x: Tensor) -> None:
        """Say in the layer's own terms why the shape of x does not fit."""
        name, letters = type(self).__name__, AXES[self.axes - 1]
        if x.ndim not in (self.axes + 1, self.axes + 2) or x.shape[-self.axes - 1] != self.in_channels:
            repair = ""
            if self.in_channels == 1 and x.ndim in (self.axes, self.axes + 1):
                repair = f"; add the channel axis: x.unsqueeze({-self.axes - 1})"
            elif x.ndim == self.axes + 2 and x.shape[-1] == self.in_channels:
                order = (0, self.axes + 1, *range(1, self.axes + 1))
                repair = f"; move the channels forward: x.permute{order}"
            raise ShapeError(
                f"[{name}] expected (N, {self.in_channels}, {letters}), "
                f"got input of shape {tuple(x.shape)}{repair}"
            ) from None

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.axes, (1,) * self.axes
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers = 1,
        padding: str | Numbers = 0,
        dilation: Numbers = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        # For modes other than zeros: what to add to each side, last axis first.
        self._sides = [side for before, after in reversed(self._margins()) for side in (before, after)]

    def _margins(self) -> list[tuple[int, int]]:
        """What each axis gets in front and behind."""
        if not isinstance(self.padding, str):
            return [(p, p) for p in self.padding]
        if self.padding == "valid":
            return [(0, 0)] * self.axes
        total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return [(n // 2, n - n // 2) for n in total]

    def forward(self, x: Tensor) -> Tensor:
        padding: Any = self.padding
        try:
            if self.padding_mode != "zeros":
                x = F.pad(x, self._sides, mode=self.padding_mode)
                padding = 0
            convolve = getattr(F, f"conv{self.axes}d")
            y: Tensor = convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
            return y
        except ShapeError:
            self._expect(x)
            reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            margins = [sum(m) for m in self._margins()] if self.padding_mode == "zeros" else [0] * self.axes
            room = [size + m for size, m in zip(x.shape[-self.axes :], margins, strict=True)]
            if any(r < k for r, k in zip(room, reach, strict=True)):
                raise ShapeError(
                    f"[{type(self).__name__}] the kernel spans {'x'.join(map(str, reach))}, "
                    f"the padded input only {'x'.join(map(str, room))} (input of shape {tuple(x.shape)})"
                ) from None
            raise
        except DTypeError:
            expect_dtype(type(self).__name__, x, self.weight)
            raise


class Conv1d(_Conv):
    """Cross-correlation with learned kernels.  x: (N, C, L) or (C, L) -> (N, out_channels, L')

    padding: zeros on both sides; 'valid' for none, 'same' to keep the length.
    padding_mode: what to pad with: 'zeros', 'reflect', 'replicate' or 'circular'.
    groups: the channels fall into this many groups that do not mix.
    weight: (out_channels, in_channels / groups, kernel_size).
    """

    axes = 1


class Conv2d(_Conv):
    """Cross-correlation with learned kernels.  x: (N, C, H, W) or (C, H, W) -> (N, out_channels, H', W')

    kernel_size, stride, dilation: an int, or one for each of height and width.
    padding: zeros on both sides, an int or a pair; 'valid' for none, 'same' to keep height and width.
    padding_mode: what to pad with: 'zeros', 'reflect', 'replicate' or 'circular'.
    groups: the channels fall into this many groups that do not mix.
    weight: (out_channels, in_channels / groups, kernel height, kernel width).
    """

    axes = 2


class Conv3d(_Conv):
    """Cross-correlation with learned kernels.  x: (N, C, D, H, W) -> (N, out_channels, D', H', W')

    The arguments are those of Conv2d, for depth, height and width.
    """

    axes = 3


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers = 1,
        padding: Numbers = 0,
        output_padding: Numbers = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Numbers = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _more(self, x: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that gives output_size."""
        name = type(self).__name__
        wanted = tuple(output_size)[-self.axes :]
        if len(tuple(output_size)) not in (self.axes, x.ndim):
            raise ValueError(f"[{name}] expected {self.axes} sizes in output_size, got {tuple(output_size)}")
        assert not isinstance(self.padding, str)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[-self.axes :],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        more = tuple(w - low for w, low in zip(wanted, least, strict=True))
        if any(not 0 <= m < s for m, s in zip(more, self.stride, strict=True)):
            most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
            raise ValueError(f"[{name}] expected output_size from {least} to {most}, got {wanted}")
        return more

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        more = self.output_padding if output_size is None else self._more(x, output_size)
        convolve = getattr(F, f"conv_transpose{self.axes}d")
        try:
            y: Tensor = convolve(
                x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
            )
            return y
        except ShapeError:
            self._expect(x)
            raise
        except DTypeError:
            expect_dtype(type(self).__name__, x, self.weight)
            raise


class ConvTranspose1d(_ConvTranspose):
    """The transposed convolution (Zeiler et al. 2010).  x: (N, C, L) or (C, L) -> (N, out_channels, L')

    L' = (L - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1.
    weight: (in_channels, out_channels / groups, kernel_size).
    """

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The transposed convolution.  x: (N, C, H, W) or (C, H, W) -> (N, out_channels, H', W')

    Each size as in ConvTranspose1d; weight: (in_channels, out_channels / groups, kernel height, width).
    """

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """The transposed convolution.  x: (N, C, D, H, W) or (C, D, H, W) -> (N, out_channels, D', H', W')

    Each size as in ConvTranspose1d.
    """

    axes = 3
