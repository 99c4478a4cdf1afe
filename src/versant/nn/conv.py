"""Convolution over images."""

import math
from typing import Any

import versant
from versant import DTypeError, ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import expect_dtype, one_of, pair, positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlation with learned kernels.  x: (N, C, H, W) or (C, H, W) -> (N, out_channels, H', W')

    kernel_size, stride, dilation: an int, or one for each of height and width.
    padding: zeros on both sides, an int or a pair; 'valid' for none, 'same' to keep height and width.
    groups: the channels fall into this many groups that do not mix.
    """

    weight: Parameter  # (out_channels, in_channels / groups, kernel height, kernel width)
    bias: Parameter | None  # (out_channels,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_channels = positive("Conv2d", "in_channels", in_channels)
        self.out_channels = positive("Conv2d", "out_channels", out_channels)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = positive("Conv2d", "groups", groups)
        self.padding_mode = one_of("Conv2d", "padding_mode", padding_mode, ("zeros",))
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"[Conv2d] in_channels {in_channels} and out_channels {out_channels} "
                f"must be divisible by groups {groups}"
            )
        self.padding: str | tuple[int, int]
        if isinstance(padding, str):
            self.padding = one_of("Conv2d", "padding", padding, ("valid", "same"))
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f"[Conv2d] padding='same' needs stride 1, got {self.stride}")
        else:
            self.padding = pair("Conv2d", "padding", padding, least=0)
        self._before, self._both = self._zeros()
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(versant.empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(versant.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def _zeros(self) -> tuple[list[int] | None, tuple[int, int]]:
        """The padding in two parts: what to add first where sides differ, and what both sides share.

        The first is (left, right, top, bottom), the second (height, width).
        """
        if not isinstance(self.padding, str):
            return None, self.padding
        if self.padding == "valid":
            return None, (0, 0)
        height, width = (d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True))
        odd = [0, width % 2, 0, height % 2]
        return (odd if any(odd) else None), (height // 2, width // 2)

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(-b, b) with b = 1 / sqrt(inputs of one output)."""
        bound = 1.0 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        try:
            if self._before is not None:
                x = F.pad(x, self._before)
            return F.conv2d(x, self.weight, self.bias, self.stride, self._both, self.dilation, self.groups)
        except ShapeError:
            self._expect(x)
            raise
        except DTypeError:
            expect_dtype("Conv2d", x, self.weight)
            raise

    def _expect(self, x: Tensor) -> None:
        """Say in the layer's own terms why the shape of x does not fit."""
        if x.ndim not in (3, 4) or x.shape[-3] != self.in_channels:
            repair = ""
            if self.in_channels == 1 and x.ndim in (2, 3):
                repair = "; add the channel axis: x.unsqueeze(-3)"
            elif x.ndim == 4 and x.shape[-1] == self.in_channels:
                repair = "; move the channels forward: x.permute(0, 3, 1, 2)"
            raise ShapeError(
                f"[Conv2d] expected (N, {self.in_channels}, H, W), "
                f"got input of shape {tuple(x.shape)}{repair}"
            ) from None
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        room = [size + 2 * both for size, both in zip(x.shape[-2:], self._both, strict=True)]
        if room[0] < reach[0] or room[1] < reach[1]:
            raise ShapeError(
                f"[Conv2d] the kernel spans {reach[0]}x{reach[1]}, the padded input only {room[0]}x{room[1]} "
                f"(input of shape {tuple(x.shape)})"
            ) from None

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding not in ((0, 0), "valid"):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
