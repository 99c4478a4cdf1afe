"""Discrete Fourier transforms, through numpy's pocketfft.

One op transforms along one axis; those over several axes, of real numbers and back to real numbers are made
of it, so that each has gradients of any order.
"""

from __future__ import annotations

import math

from versant import _core
from versant._core import Tensor
from versant.ops.host import host
from versant.ops.joining import cat, roll
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.sequences import arange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def run_transform(x: Any, dim: int, inverse: bool) -> Any:
    import numpy as np

    call = np.fft.ifft if inverse else np.fft.fft
    return call(x, axis=dim, norm="forward" if inverse else "backward")


transform: Any = host(
    "fourier.transform",
    "x, dim: int, inverse: bool",
    "sum over k of x[k] exp(-2 pi i j k / n), inverse: with exp(2 pi i j k / n).  x: complex",
    run=run_transform,
    result=lambda x, dim, inverse: (x.shape, x.dtype),
    vjp=lambda g, dim, inverse: transform(g, dim, not inverse),
    takes=("complex64", "complex128"),
    without={"samples": "tests/ops/test_fourier.py draws complex ones"},
)


def as_numbers(name: str, x: Tensor) -> Tensor:
    """A floating-point or complex tensor that numpy can transform."""
    if x.dtype in (_core.float16, _core.bfloat16):
        raise _core.DTypeError(f"[{name}] expected float32, float64 or complex input, got {x.dtype}")
    return x if x.dtype.is_complex or x.dtype.is_floating_point else x.to(_core.get_default_dtype())


def as_complex(x: Tensor) -> Tensor:
    return x if x.dtype.is_complex else x.to(x.dtype.to_complex())


def check_length(name: str, n: int) -> None:
    if n < 1:
        raise RuntimeError(f"[{name}] expected at least one data point, got n = {n}")


def fitted(x: Tensor, n: int, dim: int) -> Tensor:
    """x cut, or filled up with zeros, to n elements along dim."""
    size = x.shape[dim]
    if n <= size:
        return x.narrow(dim, 0, n) if n < size else x
    wanted = list(x.shape)
    wanted[dim] = n - size
    return cat([x, x.new_zeros(wanted)], dim)


def factor(name: str, n: int, norm: str | None, inverse: bool) -> float:
    """What the bare sum over n elements is multiplied by."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f'[{name}] norm must be None, "forward", "backward" or "ortho", got {norm!r}')
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if (norm == "forward") != inverse else 1.0


def axis_of(name: str, x: Tensor, dim: int) -> int:
    if not -x.dim() <= dim < x.dim():
        raise IndexError(f"[{name}] Dimension out of range for shape {tuple(x.shape)}: {dim}")
    return dim % x.dim()


def axes_of(
    name: str, x: Tensor, s: Sequence[int] | None, dim: Sequence[int] | int | None
) -> tuple[list[int], list[int]]:
    """The axes to transform and their lengths."""
    if isinstance(s, int):
        s = (s,)
    if isinstance(dim, int):
        dim = (dim,)
    if dim is None:
        dims = list(range(x.dim()) if s is None else range(x.dim() - len(s), x.dim()))
        if dims and dims[0] < 0:
            raise RuntimeError(f"[{name}] s has {len(s or ())} entries for an input of {x.dim()} dimensions")
    else:
        dims = [axis_of(name, x, d) for d in dim]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"[{name}] the dimensions must be unique, got {dim}")
    if s is not None and len(s) != len(dims):
        raise RuntimeError(f"[{name}] s and dim must have the same length, got {s} and {dim}")
    lengths = [x.shape[d] if s is None or s[i] == -1 else s[i] for i, d in enumerate(dims)]
    for n in lengths:
        check_length(name, n)
    return dims, lengths


def complex_transform(
    name: str, x: Tensor, dims: list[int], lengths: list[int], norm: str | None, inverse: bool
) -> Tensor:
    scale = factor(name, math.prod(lengths), norm, inverse)
    y = as_complex(x)
    for d, n in zip(dims, lengths, strict=True):
        y = transform(fitted(y, n, d), d, inverse)
    return y if scale == 1 else y * scale


def half(x: Tensor, n: int, dim: int) -> Tensor:
    """The coefficients that tell all about a real signal of n elements."""
    return x.narrow(dim, 0, n // 2 + 1)


def real_signal(x: Tensor, n: int, dim: int) -> Tensor:
    """The real signal of n elements with these coefficients, times n: each but the first and the middle one
    stands for two."""
    x = fitted(x, n // 2 + 1, dim)
    weights = [1.0 if k == 0 or 2 * k == n else 2.0 for k in range(n // 2 + 1)]
    shape = [1] * x.dim()
    shape[dim] = len(weights)
    weighted = x * _core.tensor(weights, x.dtype.to_real()).reshape(shape)
    return transform(fitted(weighted, n, dim), dim, True).real


def one(
    name: str, input: Tensor, n: int | None, dim: int, norm: str | None, inverse: bool, real: bool = False
) -> Tensor:
    x = as_numbers(name, input)
    axis = axis_of(name, x, dim)
    length = x.shape[axis] if n is None else n
    check_length(name, length)
    y = complex_transform(name, x, [axis], [length], norm, inverse)
    return half(y, length, axis) if real else y


near = call(array(3, 4))


@composite(
    name="fft.fft", ref=lambda x, **k: np.fft.fft(x, **k), samples=[near, call(array(5), n=3)], places=""
)
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The Fourier transform along dim.  n: the length, to which input is cut or filled up with zeros.
    norm: "backward" (as None), "ortho" or "forward"."""
    return one("fft", input, n, dim, norm, False)


@composite(name="fft.ifft", ref=lambda x, **k: np.fft.ifft(x, **k), samples=[near], places="")
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of fft."""
    return one("ifft", input, n, dim, norm, True)


@composite(name="fft.rfft", ref=lambda x, **k: np.fft.rfft(x, **k), samples=[near], places="")
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first n // 2 + 1 coefficients of fft, of a real input: the others are their conjugates."""
    if input.dtype.is_complex:
        raise RuntimeError(f"[rfft] expected a real input, got {input.dtype}")
    return one("rfft", input, n, dim, norm, False, real=True)


@composite(name="fft.irfft", ref=lambda x, **k: np.fft.irfft(x, **k), samples=[near], places="")
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of rfft: a real signal of n elements, by default 2 (size - 1)."""
    x = as_complex(as_numbers("irfft", input))
    axis = axis_of("irfft", x, dim)
    length = 2 * (x.shape[axis] - 1) if n is None else n
    check_length("irfft", length)
    return real_signal(x, length, axis) * factor("irfft", length, norm, True)


def several(
    name: str, input: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool, real: bool = False
) -> Tensor:
    x = as_numbers(name, input)
    dims, lengths = axes_of(name, x, s, dim)
    y = complex_transform(name, x, dims, lengths, norm, inverse)
    return half(y, lengths[-1], dims[-1]) if real else y


@composite(name="fft.fftn", ref=lambda x: np.fft.fftn(x), samples=[near], places="")
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The Fourier transform over the axes dim, by default all.  s: their lengths"""
    return several("fftn", input, s, dim, norm, False)


@composite(name="fft.ifftn", ref=lambda x: np.fft.ifftn(x), samples=[near], places="")
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of fftn."""
    return several("ifftn", input, s, dim, norm, True)


@composite(name="fft.fft2", ref=lambda x: np.fft.fft2(x), samples=[near], places="")
def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The Fourier transform over two axes."""
    return several("fft2", input, s, dim, norm, False)


@composite(name="fft.ifft2", ref=lambda x: np.fft.ifft2(x), samples=[near], places="")
def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of fft2."""
    return several("ifft2", input, s, dim, norm, True)


@composite(name="fft.rfftn", ref=lambda x: np.fft.rfftn(x), samples=[near], places="")
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """fftn of a real input: of the last axis the first n // 2 + 1 coefficients."""
    if input.dtype.is_complex:
        raise RuntimeError(f"[rfftn] expected a real input, got {input.dtype}")
    return several("rfftn", input, s, dim, norm, False, real=True)


@composite(name="fft.rfft2", ref=lambda x: np.fft.rfft2(x), samples=[near], places="")
def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """rfftn over two axes."""
    return rfftn(input, s, dim, norm)


@composite(name="fft.irfftn", ref=lambda x: np.fft.irfftn(x), samples=[near], places="")
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of rfftn."""
    x = as_complex(as_numbers("irfftn", input))
    dims, lengths = axes_of("irfftn", x, s, dim)
    given = s if s is None or isinstance(s, int) else s[-1]
    if given is None or given == -1:
        lengths[-1] = 2 * (x.shape[dims[-1]] - 1)
        check_length("irfftn", lengths[-1])
    for d, n in zip(dims[:-1], lengths[:-1], strict=True):
        x = transform(fitted(x, n, d), d, True)
    return real_signal(x, lengths[-1], dims[-1]) * factor("irfftn", math.prod(lengths), norm, True)


@composite(name="fft.irfft2", ref=lambda x: np.fft.irfft2(x), samples=[near], places="")
def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """irfftn over two axes."""
    return irfftn(input, s, dim, norm)


def shifted(name: str, input: Tensor, dim: Any, sign: int) -> Tensor:
    dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [axis_of(name, input, d) for d in dims]
    shifts = [input.shape[d] // 2 if sign > 0 else -(input.shape[d] // 2) for d in axes]
    return roll(input, shifts, axes) if axes else input.clone()


@composite(name="fft.fftshift", ref=lambda x: np.fft.fftshift(x), samples=[near], places="")
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Each axis (by default all) turned so that the zero frequency stands in the middle."""
    return shifted("fftshift", input, dim, 1)


@composite(name="fft.ifftshift", ref=lambda x: np.fft.ifftshift(x), samples=[near], places="")
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of fftshift."""
    return shifted("ifftshift", input, dim, -1)


# --- frequencies ------------------------------------------------------------------------------------------


def frequencies(name: str, n: int, d: float, numbers: Tensor, options: Any) -> Tensor:
    check_length(name, n)
    result = numbers.to(options.pop("dtype", None) or _core.get_default_dtype()) / (n * d)
    return result.requires_grad_() if options.pop("requires_grad", False) else result


@composite(
    name="fft.fftfreq",
    differentiable=False,
    ref=lambda n, d=1.0: np.fft.fftfreq(n, d),
    samples=[call(5), call(6, 0.5)],
    places="",
)
def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of the n bins of fft, for samples `d` apart: 0, 1, ..., -2, -1 over n * d."""
    numbers = cat([arange((n + 1) // 2), arange(-(n // 2), 0)])
    return frequencies("fft.fftfreq", n, d, numbers, {"dtype": dtype, "requires_grad": requires_grad})


@composite(
    name="fft.rfftfreq",
    differentiable=False,
    ref=lambda n, d=1.0: np.fft.rfftfreq(n, d),
    samples=[call(5), call(6, 0.5)],
    places="",
)
def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of the n // 2 + 1 bins of rfft, for samples `d` apart: 0, 1, ... over n * d."""
    numbers = arange(n // 2 + 1)
    return frequencies("fft.rfftfreq", n, d, numbers, {"dtype": dtype, "requires_grad": requires_grad})


@composite(name="fft.hfft", ref=lambda x, **k: np.fft.hfft(x, **k), samples=[near], places="")
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real spectrum of a signal of which one half is given and the other half its conjugate."""
    return irfft(input.conj(), n, dim, turned(norm))


@composite(name="fft.ihfft", ref=lambda x, **k: np.fft.ihfft(x, **k), samples=[near], places="")
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The half of the signal whose spectrum is real: the inverse of hfft."""
    return rfft(input, n, dim, turned(norm)).conj()


def hfftn_reference(x: Any) -> Any:
    return np.fft.irfftn(np.conj(x), norm="forward")


def ihfftn_reference(x: Any) -> Any:
    return np.conj(np.fft.rfftn(x, norm="forward"))


@composite(name="fft.hfftn", ref=hfftn_reference, samples=[near], places="")
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """hfft along the last of the axes dim (by default all), fft along the others."""
    return irfftn(input.conj(), s, dim, turned(norm))


@composite(name="fft.ihfftn", ref=ihfftn_reference, samples=[near], places="")
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of hfftn, for a real input."""
    return rfftn(input, s, dim, turned(norm)).conj()


@composite(name="fft.hfft2", ref=hfftn_reference, samples=[near], places="")
def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """hfftn over two axes."""
    return hfftn(input, s, dim, norm)


@composite(name="fft.ihfft2", ref=ihfftn_reference, samples=[near], places="")
def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """ihfftn over two axes."""
    return ihfftn(input, s, dim, norm)


def turned(norm: str | None) -> str | None:
    """The norm of the inverse transform."""
    return {"forward": "backward", "backward": "forward", None: "forward"}.get(norm, norm)
