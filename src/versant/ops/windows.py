"""Windows that taper a signal to its ends."""

from __future__ import annotations

import math
from operator import index

from versant import _core
from versant._core import DTypeError, Tensor
from versant.ops.creation import new
from versant.ops.lazy import np
from versant.ops.powers import sqrt
from versant.ops.record import composite
from versant.ops.samples import call
from versant.ops.sequences import arange
from versant.ops.special import i0
from versant.ops.trigonometric import cos

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

lengths = [call(5), call(6), call(1), call(6, False)]


def window(
    name: str,
    length: int,
    periodic: bool,
    shape: Callable[[Tensor, float], Tensor],
    options: Any,
    alone: float = 1.0,
) -> Tensor:
    """shape(k, n): the values at samples k of a window that ends at sample n; alone: that of a single one."""
    length = whole_length(name, length)
    dtype, requires_grad = options["dtype"] or _core.get_default_dtype(), options["requires_grad"]
    if not dtype.is_floating_point:
        raise DTypeError(f"[{name}] expected a floating-point dtype, got {dtype.name}")
    if length < 0:
        raise RuntimeError(f"[{name}] expected a length of at least 0, got {length}")
    if length < 2:
        result = new(name, (length,), alone, dtype, options["device"], False, None, options["layout"])
    else:
        last = float(length if periodic else length - 1)
        samples = arange(length, dtype=_core.float64, device=options["device"], layout=options["layout"])
        result = shape(samples, last).to(dtype)
    return result.requires_grad_() if requires_grad else result


def whole_length(name: str, length: Any) -> int:
    """The length as an int; TypeError where it is none."""
    try:
        return index(length)
    except TypeError:
        raise TypeError(f"[{name}] expected a whole number as length, got {length!r}") from None


def cosines(*weights: float) -> Callable[[Tensor, float], Tensor]:
    """The sum over j of weights[j] * cos(2 pi j k / n)."""

    def shape(k: Tensor, n: float) -> Tensor:
        total = k.new_full(k.shape, weights[0])
        for j, weight in enumerate(weights[1:], 1):
            total = total + weight * cos(k * (2 * math.pi * j / n))
        return total

    return shape


def triangle(k: Tensor, n: float) -> Tensor:
    """1 - |2 k / n - 1|"""
    return 1 - (k * (2 / n) - 1).abs()


def kaiser_shape(beta: float) -> Callable[[Tensor, float], Tensor]:
    """i0(beta sqrt(1 - (2 k / n - 1)**2)) / i0(beta)"""

    def shape(k: Tensor, n: float) -> Tensor:
        inside = (1 - (k * (2 / n) - 1) ** 2).clamp(min=0)
        return i0(beta * sqrt(inside)) / i0(k.new_full((), float(beta)))

    return shape


def reference(function: str) -> Callable[..., Any]:
    """numpy's window, of which a periodic one is all but the last of one sample more."""

    def ref(length: int, periodic: bool = True, *numbers: float) -> Any:
        if length < 2:
            return np.ones(length)
        symmetric = getattr(np, function)
        return symmetric(length + 1, *numbers)[:-1] if periodic else symmetric(length, *numbers)

    return ref


@composite(differentiable=False, ref=reference("hanning"), samples=lengths, places="versant")
def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """0.5 - 0.5 cos(2 pi k / n).  periodic: n = window_length, else window_length - 1"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return window("hann_window", window_length, periodic, cosines(0.5, -0.5), options)


@composite(differentiable=False, ref=reference("hamming"), samples=lengths, places="versant")
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(2 pi k / n).  periodic: n = window_length, else window_length - 1"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return window("hamming_window", window_length, periodic, cosines(alpha, -beta), options)


@composite(differentiable=False, ref=reference("blackman"), samples=lengths, places="versant")
def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n).  periodic: n = window_length, else one less"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return window("blackman_window", window_length, periodic, cosines(0.42, -0.5, 0.08), options)


@composite(differentiable=False, ref=reference("bartlett"), samples=lengths, places="versant")
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """1 - |2 k / n - 1|.  periodic: n = window_length, else window_length - 1"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}

    return window("bartlett_window", window_length, periodic, triangle, options)


@composite(
    differentiable=False,
    ref=lambda length, periodic=True, beta=12.0: reference("kaiser")(length, periodic, beta),
    samples=[*lengths, call(7, True, 5.0)],
    places="versant",
)
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """i0(beta sqrt(1 - (2 k / n - 1)**2)) / i0(beta).  periodic: n = window_length, else one less"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}

    return window("kaiser_window", window_length, periodic, kaiser_shape(beta), options)
