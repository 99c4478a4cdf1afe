"""Short-time Fourier transforms: spectra of overlapping windows of a signal, and back."""

from __future__ import annotations

from versant._core import DTypeError, ShapeError, Tensor
from versant.ops import fourier
from versant.ops.complex_numbers import view_as_real
from versant.ops.creation import ones
from versant.ops.joining import pad
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.sequences import arange
from versant.ops.values import every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def window_of(name: str, window: Any, n_fft: int, win_length: int, like: Tensor) -> Tensor:
    """The window in the middle of n_fft places; ones without one."""
    if window is None:
        dtype = like.dtype.to_real() if like.dtype.is_complex else like.dtype
        window = ones(win_length, dtype=dtype)
    elif window.ndim != 1 or window.shape[0] != win_length:
        raise ShapeError(f"[{name}] expected a window of shape ({win_length},), got {tuple(window.shape)}")
    left = (n_fft - win_length) // 2
    return pad(window, (left, n_fft - win_length - left)) if win_length < n_fft else window


def lengths_of(name: str, n_fft: int, hop_length: Any, win_length: Any) -> tuple[int, int]:
    win_length = n_fft if win_length is None else win_length
    hop_length = n_fft // 4 if hop_length is None else hop_length
    if n_fft < 1 or hop_length < 1:
        raise ValueError(f"[{name}] expected n_fft and hop_length above 0, got {n_fft} and {hop_length}")
    if not 0 < win_length <= n_fft:
        raise ValueError(f"[{name}] expected 0 < win_length <= n_fft, got {win_length} and {n_fft}")
    return hop_length, win_length


@composite(
    samples=[
        call(array(20), 8, return_complex=False),
        call(array(2, 12), 6, 3, 4, array(4), False, return_complex=False),
    ],
    without={"ref": "tests/ops/test_short_time.py transforms window by window"},
)
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The spectra of windows of n_fft samples, hop_length apart.  input: (L,) or (B, L) -> (..., F, windows)

    hop_length: by default a quarter of n_fft. window: (win_length,), in the middle of n_fft samples; ones by
    default. center: window t is centred at sample t * hop_length, input padded in pad_mode; otherwise it
    begins there. normalized: times 1 / sqrt(n_fft). onesided: the n_fft // 2 + 1 frequencies from 0 on, the
    default for real input; the others follow from these. return_complex=False gives pairs (..., 2).
    """
    if return_complex is None:
        if not (input.dtype.is_complex or (window is not None and window.dtype.is_complex)):
            raise RuntimeError("[stft] real input needs return_complex: True, or False for pairs of numbers")
        return_complex = True
    if not (input.is_floating_point() or input.dtype.is_complex):
        raise DTypeError(f"[stft] expected floating-point or complex input, got {input.dtype.name}")
    if input.ndim not in (1, 2):
        raise ShapeError(f"[stft] expected input (L,) or (B, L), got {tuple(input.shape)}")
    if center and align_to_window is not None:
        raise ValueError("[stft] align_to_window goes with center=False")
    hop_length, win_length = lengths_of("stft", n_fft, hop_length, win_length)
    signal = input if input.ndim == 2 else input.unsqueeze(0)
    if center:
        half = n_fft // 2
        signal = pad(signal.unsqueeze(1), (half, half), pad_mode).squeeze(1)
    size = win_length if align_to_window else n_fft
    if signal.shape[1] < size:
        raise ShapeError(f"[stft] a window of {size} does not fit into {signal.shape[1]} samples")
    frames = signal.unfold(1, size, hop_length)
    if size < n_fft:
        left = (n_fft - size) // 2
        frames = pad(frames, (left, n_fft - size - left))
    if window is not None or win_length < n_fft:
        frames = frames * window_of("stft", window, n_fft, win_length, signal)
    norm = "ortho" if normalized else None
    if onesided is None:
        onesided = not frames.dtype.is_complex
    if onesided and frames.dtype.is_complex:
        raise RuntimeError("[stft] onesided spectra are those of real input and a real window")
    spectra = fourier.rfft(frames, norm=norm) if onesided else fourier.fft(frames, norm=norm)
    spectra = spectra.transpose(1, 2)
    spectra = spectra if input.ndim == 2 else spectra.squeeze(0)
    return spectra if return_complex else view_as_real(spectra)


@composite(without={"ref": "tests/ops/test_short_time.py", "samples": "tests/ops/test_short_time.py"})
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal whose stft is nearest to input (Griffin and Lim 1984).  input: (F, T) or (B, F, T), complex

    The arguments are those of stft; length: of the result. Windows that leave samples uncovered are refused.
    """
    if not input.dtype.is_complex:
        raise DTypeError(f"[istft] expected complex input, got {input.dtype.name}; see view_as_complex")
    if input.ndim not in (2, 3) or input.numel() == 0:
        raise ShapeError(f"[istft] expected input (F, T) or (B, F, T), not empty, got {tuple(input.shape)}")
    hop_length, win_length = lengths_of("istft", n_fft, hop_length, win_length)
    spectra = input if input.ndim == 3 else input.unsqueeze(0)
    batch, frequencies, count = spectra.shape
    if onesided is None:
        onesided = frequencies != n_fft
    expected = n_fft // 2 + 1 if onesided else n_fft
    if frequencies != expected:
        raise ShapeError(f"[istft] expected {expected} frequencies of n_fft {n_fft}, got {frequencies}")
    if return_complex and onesided:
        raise RuntimeError("[istft] onesided spectra are those of real signals: return_complex must be False")
    if window is not None and window.dtype.is_complex and not return_complex:
        raise RuntimeError("[istft] a complex window needs return_complex=True")
    whole = window_of("istft", window, n_fft, win_length, spectra)
    norm = "ortho" if normalized else None
    rows = spectra.transpose(1, 2)
    if return_complex:
        frames = fourier.ifft(rows, norm=norm)
    else:  # of two-sided spectra the first half tells all
        frames = fourier.irfft(rows[..., : n_fft // 2 + 1], n_fft, norm=norm)
    frames = frames * whole
    total = n_fft + hop_length * (count - 1)
    places = (arange(count).unsqueeze(1) * hop_length + arange(n_fft)).reshape(-1)
    signal = frames.new_zeros((batch, total)).index_add(1, places, frames.reshape(batch, -1))
    squares = (whole * whole).expand(count, n_fft).reshape(-1)
    cover = whole.new_zeros(total).index_add(0, places, squares)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else min(start + length, total)
    cover = cover[start:end]
    if not every((cover.abs() > 1e-11).all()):
        raise RuntimeError("[istft] the windows leave samples uncovered, or are zero there")
    signal = signal[:, start:end] / cover
    if length is not None and end - start < length:
        signal = pad(signal, (0, length - (end - start)))
    return signal if input.ndim == 3 else signal.squeeze(0)
