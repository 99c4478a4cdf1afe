"""Where interpolate reads, and with which weights; an import of its own, which the first call makes."""

import functools
import math
import struct
from collections.abc import Callable

# For each tap: the place of every result, and its weight (None: 1 everywhere).
Taps = list[tuple[list[int], list[float] | None]]


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
