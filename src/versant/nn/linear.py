"""Linear maps over the last axis."""

import math
from typing import Any

import versant
from versant import DTypeError, ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import expect_dtype, positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """Returns its input; takes and ignores any arguments, to stand in for another layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Linear(Module):
    """y = x @ W.T + b over the last axis.  x: (..., in_features) -> (..., out_features)"""

    weight: Parameter  # (out_features, in_features)
    bias: Parameter | None  # (out_features,)

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = positive("Linear", "in_features", in_features, least=0)
        self.out_features = positive("Linear", "out_features", out_features, least=0)
        self.weight = Parameter(versant.empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(versant.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(-1/sqrt(in_features), 1/sqrt(in_features))."""
        bound = 1.0 / math.sqrt(max(self.in_features, 1))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        try:
            return F.linear(input, self.weight, self.bias)
        except ShapeError:
            self._expect(input)
            raise
        except DTypeError:
            expect_dtype("Linear", input, self.weight)
            raise

    def _expect(self, x: Tensor) -> None:
        """Say in the layer's own terms why the shape of x does not fit."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            repair = ""
            if x.ndim > 2 and math.prod(x.shape[1:]) == self.in_features:
                repair = "; flatten it first: x.flatten(1)"
            raise ShapeError(
                f"[Linear] expected last dimension {self.in_features}, "
                f"got input of shape {tuple(x.shape)}{repair}"
            ) from None

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Bilinear(Module):
    """y[o] = x1 @ W[o] @ x2 + b[o].  (..., in1_features), (..., in2_features) -> (..., out_features)"""

    weight: Parameter  # (out_features, in1_features, in2_features)
    bias: Parameter | None  # (out_features,)

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = positive("Bilinear", "in1_features", in1_features)
        self.in2_features = positive("Bilinear", "in2_features", in2_features)
        self.out_features = positive("Bilinear", "out_features", out_features)
        sizes = (out_features, in1_features, in2_features)
        self.weight = Parameter(versant.empty(sizes, device=device, dtype=dtype))
        values = versant.empty(out_features, device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(-1/sqrt(in1_features), 1/sqrt(in1_features))."""
        bound = 1.0 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        for name, x, features in (
            ("first", input1, self.in1_features),
            ("second", input2, self.in2_features),
        ):
            if x.ndim == 0 or x.shape[-1] != features:
                raise ShapeError(
                    f"[Bilinear] expected last dimension {features} of the {name} input, "
                    f"got shape {tuple(x.shape)}"
                )
        if input1.shape[:-1] != input2.shape[:-1]:
            raise ShapeError(
                f"[Bilinear] the inputs differ before their last axis: {tuple(input1.shape)} and "
                f"{tuple(input2.shape)}"
            )
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
