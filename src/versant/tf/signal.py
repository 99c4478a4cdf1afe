"""tf.signal: Fourier transforms and windows."""

from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import plainly, refuse_integers, sizes_of
from versant.tf.dtypes import as_dtype
from versant.tf.tensors import brand

__all__ = [
    "fft",
    "fft2d",
    "fft3d",
    "fftshift",
    "frame",
    "hamming_window",
    "hann_window",
    "ifft",
    "ifft2d",
    "ifft3d",
    "ifftshift",
    "irfft",
    "irfft2d",
    "irfft3d",
    "rfft",
    "rfft2d",
    "rfft3d",
]


def _complex(name: str, op: Callable[..., Any], n: int) -> Callable[..., Any]:
    def call(input: Any, name: str | None = None) -> Any:
        x = plainly(input)
        refuse_integers(call.__name__, x)
        return brand(op(x, dim=tuple(range(-n, 0))))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The discrete Fourier transform over the last {n} axes."
    return call


def _real(name: str, op: Callable[..., Any], n: int) -> Callable[..., Any]:
    def call(input_tensor: Any, fft_length: Any = None, name: str | None = None) -> Any:
        x = plainly(input_tensor)
        return brand(op(x, s=None if fft_length is None else sizes_of(fft_length), dim=tuple(range(-n, 0))))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The Fourier transform of real numbers over the last {n} axes: half of it."
    return call


fft, fft2d, fft3d = (_complex(f"fft{s}", versant.fft.fftn, n) for n, s in ((1, ""), (2, "2d"), (3, "3d")))
ifft, ifft2d, ifft3d = (
    _complex(f"ifft{s}", versant.fft.ifftn, n) for n, s in ((1, ""), (2, "2d"), (3, "3d"))
)
rfft, rfft2d, rfft3d = (_real(f"rfft{s}", versant.fft.rfftn, n) for n, s in ((1, ""), (2, "2d"), (3, "3d")))
irfft, irfft2d, irfft3d = (
    _real(f"irfft{s}", versant.fft.irfftn, n) for n, s in ((1, ""), (2, "2d"), (3, "3d"))
)


def fftshift(x: Any, axes: Any = None, name: str | None = None) -> Any:
    """The zero frequency moved to the middle."""
    return brand(versant.fft.fftshift(plainly(x), axes))


def ifftshift(x: Any, axes: Any = None, name: str | None = None) -> Any:
    """The inverse of fftshift."""
    return brand(versant.fft.ifftshift(plainly(x), axes))


def _window(length: Any, periodic: bool, dtype: Any, a: float) -> Any:
    n = int(length)
    odd = n % 2 == 1  # an odd window is symmetric either way, as in TensorFlow
    make = versant.signal.windows.general_hamming
    return brand(make(n, alpha=a, sym=odd or not periodic, dtype=as_dtype(dtype)))


def hann_window(
    window_length: Any, periodic: bool = True, dtype: Any = dtypes.float32, name: Any = None
) -> Any:
    """0.5 - 0.5 cos(2 pi i / n)."""
    return _window(window_length, periodic, dtype, 0.5)


def hamming_window(
    window_length: Any, periodic: bool = True, dtype: Any = dtypes.float32, name: Any = None
) -> Any:
    """0.54 - 0.46 cos(2 pi i / n)."""
    return _window(window_length, periodic, dtype, 0.54)


def frame(
    signal: Any,
    frame_length: int,
    frame_step: int,
    pad_end: bool = False,
    pad_value: float = 0,
    axis: int = -1,
    name: Any = None,
) -> Any:
    """Overlapping pieces of a signal along its last axis: (..., frames, frame_length)."""
    x = plainly(signal)
    if axis not in (-1, x.dim() - 1):
        raise ValueError("[frame] axis must be the last one")
    n = tuple(x.shape)[-1]
    if pad_end:
        frames = -(-n // frame_step)
        x = versant.nn.functional.pad(
            x, [0, max((frames - 1) * frame_step + frame_length - n, 0)], value=pad_value
        )
    else:
        frames = max((n - frame_length) // frame_step + 1, 0)
    at = versant.arange(frames).reshape((-1, 1)) * frame_step + versant.arange(frame_length)
    found = versant.index_select(x, -1, at.reshape(-1))
    return brand(_core.plain(found).reshape((*tuple(x.shape)[:-1], frames, frame_length)))
