"""The extension `fft`: discrete Fourier transforms, with the standard's keywords."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from versant import Tensor, dtype
from versant import fft as _ops
from versant.array_api.data_types import check_device

Norm = Literal["backward", "ortho", "forward"]


class _Along(Protocol):
    def __call__(
        self, x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
    ) -> Tensor: ...


class _Over(Protocol):
    def __call__(
        self,
        x: Tensor,
        /,
        *,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = None,
        norm: Norm = "backward",
    ) -> Tensor: ...


def _along(name: str) -> _Along:
    body: Callable[..., Tensor] = getattr(_ops, name)

    def transform(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
        return body(x, n=n, dim=axis, norm=norm)

    result: _Along = _titled(transform, name, body)
    return result


def _over(name: str) -> _Over:
    body: Callable[..., Tensor] = getattr(_ops, name)

    def transform(
        x: Tensor,
        /,
        *,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = None,
        norm: Norm = "backward",
    ) -> Tensor:
        return body(x, s=s, dim=axes, norm=norm)

    result: _Over = _titled(transform, name, body)
    return result


def _titled(function: Any, name: str, body: object) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = body.__doc__
    return function


fft = _along("fft")
ifft = _along("ifft")
rfft = _along("rfft")
irfft = _along("irfft")
hfft = _along("hfft")
ihfft = _along("ihfft")
fftn = _over("fftn")
ifftn = _over("ifftn")
rfftn = _over("rfftn")
irfftn = _over("irfftn")


def fftfreq(n: int, /, *, d: float = 1.0, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """The frequencies of a transform of n samples, d apart."""
    check_device(device)
    return _ops.fftfreq(n, d, dtype=dtype)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """The frequencies, from 0 on, of a transform of n real samples, d apart."""
    check_device(device)
    return _ops.rfftfreq(n, d, dtype=dtype)


def fftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The frequency 0 in the middle of the axes; None: of all."""
    return _ops.fftshift(x, dim=axes)


def ifftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """Undoes `fftshift`."""
    return _ops.ifftshift(x, dim=axes)
