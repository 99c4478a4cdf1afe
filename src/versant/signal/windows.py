"""Windows that taper a signal to its ends, of M samples.

sym: the last sample ends the window, for filters; False: the sample after it would, for spectra.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

from versant import Tensor
from versant.ops import windows as ops

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _window(
    name: str,
    M: int,
    sym: bool,
    shape: Callable[[Tensor, float], Tensor],
    options: Any,
    alone: float = 1.0,
) -> Tensor:
    if ops.whole_length(name, M) < 0:
        raise ValueError(f"[{name}] expected a length of at least 0, got {M}")
    return ops.window(name, M, not sym, shape, options, alone)


def _alternating(weights: Iterable[float]) -> Callable[[Tensor, float], Tensor]:
    return ops.cosines(*(-weight if j % 2 else weight for j, weight in enumerate(weights)))


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The sum over j of (-1)**j * a[j] * cos(2 pi j k / n)."""
    if not isinstance(a, Iterable):
        raise TypeError("[general_cosine] Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("[general_cosine] Coefficients cannot be empty")
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("general_cosine", M, sym, _alternating(weights), options)


def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi k / n)"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("general_hamming", M, sym, ops.cosines(alpha, alpha - 1), options)


def hann(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """0.5 - 0.5 cos(2 pi k / n)"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("hann", M, sym, ops.cosines(0.5, -0.5), options)


def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """0.54 - 0.46 cos(2 pi k / n)"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("hamming", M, sym, ops.cosines(0.54, -0.46), options)


def blackman(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n)"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("blackman", M, sym, ops.cosines(0.42, -0.5, 0.08), options)


def nuttall(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Four cosines (Heinzel, Ruediger and Schilling 2002)."""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("nuttall", M, sym, _alternating([0.3635819, 0.4891775, 0.1365995, 0.0106411]), options)


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """1 - |2 k / n - 1|"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("bartlett", M, sym, ops.triangle, options)


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """sin(pi (k + 1/2) / (n + 1))"""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("cosine", M, sym, lambda k, n: ((k + 0.5) * (math.pi / (n + 1))).sin(), options)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-|k - center| / tau), center n / 2 by default, and always of symmetric windows."""
    if tau <= 0:
        raise ValueError(f"[exponential] expected tau above 0, got {tau}")
    if sym and center is not None:
        raise ValueError("[exponential] Center must be None for symmetric windows")
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "exponential",
        M,
        sym,
        lambda k, n: (-(k - (n / 2 if center is None else center)).abs() / tau).exp(),
        options,
        math.exp(-abs(center or 0.0) / tau),
    )


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-(k - n / 2)**2 / (2 std**2))"""
    if std <= 0:
        raise ValueError(f"[gaussian] expected std above 0, got {std}")
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "gaussian", M, sym, lambda k, n: (-(((k - n / 2) / (std * math.sqrt(2))) ** 2)).exp(), options
    )


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """i0(beta sqrt(1 - (2 k / n - 1)**2)) / i0(beta)"""
    if beta < 0:
        raise ValueError(f"[kaiser] expected beta of at least 0, got {beta}")
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("kaiser", M, sym, ops.kaiser_shape(beta), options)
