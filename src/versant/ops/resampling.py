"""Images of another size: interpolate.

Every mode but "area" is the same along each axis: a result is a sum over a few places of the input (taps),
each with a weight. Places and weights follow from the sizes alone and are kept.
"""

from __future__ import annotations

import functools
import math
import struct

from versant._core import ShapeError, Tensor
from versant.ops.lazy import np
from versant.ops.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from versant.ops.record import composite
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    # For each tap: the place of every result, and its weight (None: 1 everywhere).
    Taps = list[tuple[list[int], list[float] | None]]

RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5, "lanczos": 4}
MODES = ("nearest", "nearest-exact", "area", *RANKS)


def in_float32(x: float) -> float:
    """x rounded to float32."""
    rounded: float = struct.unpack("f", struct.pack("f", x))[0]
    return rounded


def unrounded(x: float) -> float:
    return x


def cubic(x: float, a: float) -> float:
    """The kernel of cubic convolution (Keys 1981) with slope `a`."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    if x < 2:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return 0.0


def lanczos(x: float) -> float:
    """The windowed sinc of three lobes."""
    if x == 0:
        return 1.0
    if abs(x) >= 3:
        return 0.0
    return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2


# Filters that avoid aliasing, and how far they reach.
FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "bilinear": (lambda x: max(0.0, 1 - abs(x)), 1),
    "bicubic": (lambda x: cubic(x, -0.5), 2),
    "lanczos": (lanczos, 3),
}


@functools.lru_cache(maxsize=256)
def taps(mode: str, size: int, new_size: int, factor: float | None, align: bool, narrow: bool) -> Taps:
    """Places and weights along an axis. narrow: coordinates in float32, as for inputs of it."""
    nearest = mode in ("nearest", "nearest-exact")
    rounded = in_float32 if narrow or nearest else unrounded
    if align:
        step = rounded((size - 1) / (new_size - 1)) if new_size > 1 else 0.0
    else:
        step = rounded(1 / factor if factor else size / new_size)
    last = size - 1
    if nearest:
        shift = 0.5 if mode == "nearest-exact" else 0.0
        return [([min(int(rounded((i + shift) * step)), last) for i in range(new_size)], None)]
    where = [
        rounded(i * step) if align else rounded(rounded((i + 0.5) * step) - 0.5) for i in range(new_size)
    ]
    if mode == "bicubic":
        starts = [math.floor(x) for x in where]
        shares = [rounded(x - start) for x, start in zip(where, starts, strict=True)]
        return [
            (
                [min(max(start + tap, 0), last) for start in starts],
                [cubic(share - tap, -0.75) for share in shares],
            )
            for tap in (-1, 0, 1, 2)
        ]
    where = [max(x, 0.0) for x in where]
    starts = [min(int(x), last) for x in where]
    shares = [min(max(rounded(x - start), 0.0), 1.0) for x, start in zip(where, starts, strict=True)]
    return [
        (starts, [rounded(1 - share) for share in shares]),
        ([min(start + 1, last) for start in starts], shares),
    ]


@functools.lru_cache(maxsize=64)
def filter_rows(mode: str, size: int, new_size: int, factor: float | None, align: bool) -> list[list[float]]:
    """The weights of all places for each result, with a filter as wide as the step between results."""
    if align:
        step = (size - 1) / (new_size - 1) if new_size > 1 else 0.0
    else:
        step = 1 / factor if factor else size / new_size
    kernel, reach = FILTERS[mode]
    stretch = max(step, 1.0)
    rows = []
    for i in range(new_size):
        centre = step * (i + 0.5)
        first = max(int(centre - reach * stretch + 0.5), 0)
        end = min(int(centre + reach * stretch + 0.5), size)
        weights = [kernel((j - centre + 0.5) / stretch) for j in range(first, end)]
        total = sum(weights) or 1.0
        row = [0.0] * size
        row[first:end] = [w / total for w in weights]
        rows.append(row)
    return rows


def sizes_of_result(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool
) -> tuple[list[int], list[float | None]]:
    """The new sizes, and the factors that say how far apart results lie (None: the sizes say it)."""
    axes = input.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ValueError("[interpolate] expected either size or scale_factor")
    if size is not None:
        if recompute:
            raise ValueError("[interpolate] recompute_scale_factor has no meaning with size")
        sizes = list(size) if isinstance(size, (list, tuple)) else [size] * axes
        if len(sizes) != axes:
            raise ValueError(f"[interpolate] expected {axes} sizes, got {tuple(sizes)}")
        for number in sizes:
            if isinstance(number, bool) or not hasattr(number, "__index__"):
                raise TypeError(f"[interpolate] sizes must be ints, got {type(number).__name__}")
        return [int(number) for number in sizes], [None] * axes
    factors = list(scale_factor) if isinstance(scale_factor, (list, tuple)) else [scale_factor] * axes
    if len(factors) != axes:
        raise ValueError(f"[interpolate] expected {axes} scale factors, got {tuple(factors)}")
    sizes = [math.floor(n * f) for n, f in zip(input.shape[2:], factors, strict=True)]
    return sizes, [None] * axes if recompute else [float(f) for f in factors]


def reference(x: Any, size: Any, mode: str = "nearest", align: bool = False) -> Any:
    """Line by line, in numpy."""
    for axis, new_size in enumerate(size, start=2):
        old = x.shape[axis]
        if mode == "nearest":
            x = np.take(x, [i * old // new_size for i in range(new_size)], axis)
            continue
        step = (old - 1) / max(new_size - 1, 1) if align else old / new_size
        places = [i * step if align else (i + 0.5) * step - 0.5 for i in range(new_size)]
        along = np.moveaxis(x, axis, -1)
        lines = along.reshape(-1, old)
        lines = np.stack([np.interp(places, np.arange(old), line) for line in lines])
        x = np.moveaxis(lines.reshape(*along.shape[:-1], new_size), -1, axis)
    return x


@composite(
    ref=lambda x, size, mode="nearest", align_corners=None: reference(x, size, mode, bool(align_corners)),
    samples=[
        call(array(2, 3, 4), (7,)),
        call(array(2, 3, 4), (3,), mode="linear"),
        call(array(1, 2, 3, 4), (5, 6), mode="bilinear"),
        call(array(1, 2, 3, 4), (5, 3), mode="bilinear", align_corners=True),
        call(array(1, 1, 2, 3, 2), (3, 2, 4), mode="trilinear"),
    ],
    places="nn.functional",
    also="nn.functional.upsample",
)
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """input in another size.  input: (N, C, W), (N, C, H, W) or (N, C, D, H, W)

    size, scale_factor: of the last axes, one number for all or one for each.
    mode: "nearest", "nearest-exact", "linear" (3-D), "bilinear", "bicubic", "lanczos" (4-D), "trilinear"
    (5-D), or "area" (means). align_corners: the outermost elements keep their places; otherwise those are the
    middles of equal cells. antialias: the filter widens where the image shrinks ("bilinear", "bicubic",
    "lanczos"). recompute_scale_factor: the step follows from the new size and not from scale_factor.
    """
    if mode not in MODES:
        raise NotImplementedError(f"[interpolate] mode must be one of {', '.join(MODES)}, got {mode!r}")
    if not 3 <= input.ndim <= 5:
        raise NotImplementedError(f"[interpolate] expected 3-D, 4-D or 5-D input, got {tuple(input.shape)}")
    if mode in RANKS and input.ndim != RANKS[mode]:
        raise NotImplementedError(
            f"[interpolate] mode {mode!r} takes {RANKS[mode]}-D input, got shape {tuple(input.shape)}"
        )
    if align_corners is not None and mode not in RANKS:
        raise ValueError(f"[interpolate] mode {mode!r} takes no align_corners")
    if antialias and mode not in FILTERS:
        raise ValueError(f"[interpolate] antialias goes with {', '.join(FILTERS)}, got {mode!r}")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("[interpolate] mode 'lanczos' needs antialias=True and no align_corners")
    recompute = bool(recompute_scale_factor) or (mode == "area" and size is None)
    sizes, factors = sizes_of_result(input, size, scale_factor, recompute)
    if min(sizes) < 1 or 0 in input.shape[1:]:
        raise ShapeError(
            f"[interpolate] cannot resize {tuple(input.shape)} to {tuple(sizes)}: sizes must be > 0"
        )
    if mode == "area":
        pool: Any = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[input.ndim - 3]
        return pool(input, sizes)
    if mode in RANKS and not (input.is_floating_point() or input.dtype.name == "uint8"):
        raise NotImplementedError(f"[interpolate] mode {mode!r} is not implemented for {input.dtype.name}")
    return resized(input, mode, sizes, factors, bool(align_corners), antialias)


def resized(
    input: Tensor,
    mode: str,
    sizes: Sequence[int],
    factors: Sequence[float | None],
    align: bool,
    antialias: bool,
) -> Tensor:
    """Axis after axis; narrow dtypes are computed in float32 and rounded once."""
    from versant import tensor

    if input.dtype.name == "uint8" and mode not in ("nearest", "nearest-exact"):
        return resized_bytes(input, mode, sizes, factors, align, antialias)
    wide = "float64" if input.dtype.name == "float64" else "float32"
    result = input
    for axis, (new_size, factor) in enumerate(zip(sizes, factors, strict=True), start=2):
        old = input.shape[axis]
        if old == new_size and (factor is None or factor == 1):
            continue
        if antialias:
            rows = tensor(filter_rows(mode, old, new_size, factor, align), dtype=tensor_dtype(wide))
            result = (result.to(rows.dtype).movedim(axis, -1) @ rows.T).movedim(-1, axis)
            continue
        parts = []
        for places, weights in taps(mode, old, new_size, factor, align, wide == "float32"):
            part = result.index_select(axis, tensor(places))
            if weights is not None:
                shape = (new_size, *[1] * (input.ndim - axis - 1))
                part = part.to(tensor_dtype(wide)) * tensor(weights, dtype=tensor_dtype(wide)).view(shape)
            parts.append(part)
        result = parts[0]
        for part in parts[1:]:
            result = result + part
    if result.dtype is input.dtype:
        return result.contiguous() if result is not input else input.clone()
    return result.to(input.dtype)


def resized_bytes(
    input: Tensor,
    mode: str,
    sizes: Sequence[int],
    factors: Sequence[float | None],
    align: bool,
    antialias: bool,
) -> Tensor:
    """The last axis first, in whole numbers: weights of 16 bits, each axis rounded to bytes, like Pillow."""
    from versant import tensor

    result = input
    for axis in range(input.ndim - 1, 1, -1):
        old, new_size, factor = input.shape[axis], sizes[axis - 2], factors[axis - 2]
        if old == new_size and (factor is None or factor == 1):
            continue
        if antialias:
            rows = filter_rows(mode, old, new_size, factor, align)
            columns = [([j] * new_size, [row[j] for row in rows]) for j in range(old)]
        else:
            columns = [(p, w or []) for p, w in taps(mode, old, new_size, factor, align, False)]
        largest = max(max(weights) for _, weights in columns)
        bits = next(n for n in range(23) if n == 22 or int(0.5 + largest * (1 << (n + 1))) >= 1 << 15)
        shape = (new_size, *[1] * (input.ndim - axis - 1))
        total: Any = 1 << (bits - 1)
        for places, weights in columns:
            whole = [int(w * (1 << bits) + (0.5 if w >= 0 else -0.5)) for w in weights]
            if any(whole):
                part = result.index_select(axis, tensor(places)).int()
                total = total + part * tensor(whole, dtype=tensor_dtype("int32")).view(shape)
        result = (total >> bits).clamp(0, 255).to(input.dtype)
    return result if result is not input else input.clone()


def tensor_dtype(name: str) -> Any:
    import versant

    return getattr(versant, name)
