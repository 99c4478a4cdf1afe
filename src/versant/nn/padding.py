"""Padding as modules.  padding: amounts at both ends of each axis, last axis first; an int for all."""

from versant import Tensor
from versant.nn import functional as F
from versant.nn.checks import SettingError
from versant.nn.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last axes: as many as the class says."""

    axes: int
    mode: str

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        name = type(self).__name__
        amounts = (padding,) * (2 * self.axes) if isinstance(padding, int) else tuple(padding)
        if len(amounts) != 2 * self.axes:
            raise SettingError(f"[{name}] padding must be an int or {2 * self.axes} of them, got {padding!r}")
        for amount in amounts:
            if isinstance(amount, bool) or not hasattr(amount, "__index__"):
                raise TypeError(f"[{name}] padding must be ints, got {type(amount).__name__}")
        self.padding = amounts

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Writes `value` around the last axis.  padding: (left, right)"""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Writes `value` around the last two axes.  padding: (left, right, top, bottom)"""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Writes `value` around the last three axes.  padding: (left, right, top, bottom, front, back)"""

    axes = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad1d(_ZeroPad):
    """Writes zeros around the last axis.  padding: (left, right)"""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Writes zeros around the last two axes.  padding: (left, right, top, bottom)"""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Writes zeros around the last three axes.  padding: (left, right, top, bottom, front, back)"""

    axes = 3


class ReflectionPad1d(_Pad):
    """Mirrors the last axis at its first and last element.  padding: (left, right)"""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors the last two axes at their first and last elements.  padding: (left, right, top, bottom)"""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Mirrors the last three axes at their ends.  padding: (left, right, top, bottom, front, back)"""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the first and last element of the last axis.  padding: (left, right)"""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the first and last elements of the last two axes.  padding: (left, right, top, bottom)"""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Repeats the ends of the last three axes.  padding: (left, right, top, bottom, front, back)"""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Goes round the last axis.  padding: (left, right)"""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Goes round the last two axes.  padding: (left, right, top, bottom)"""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """Goes round the last three axes.  padding: (left, right, top, bottom, front, back)"""

    axes, mode = 3, "circular"
