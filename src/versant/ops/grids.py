"""Images sampled at given places: grid_sample, affine_grid.

Places count from -1 to 1 across the image, x before y before z.
"""

from __future__ import annotations

import itertools

from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.comparison import where
from versant.ops.joining import cat, stack
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.sequences import arange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def unnormalized(place: Tensor, size: int, align: bool) -> Tensor:
    """From [-1, 1] to element numbers, with PyTorch's roundings: at whole numbers the derivative jumps."""
    return (place + 1) * ((size - 1) / 2) if align else (place + 1) * (size / 2) - 0.5


def clipped(place: Tensor, size: int) -> Tensor:
    """To the image; what lies outside has no gradient."""
    inside = (place > 0) & (place < size - 1)
    return where(inside, place, place.detach().nan_to_num(-1.0).clamp(0, size - 1))


def reflected(place: Tensor, twice_low: int, twice_high: int) -> Tensor:
    """Mirrored at both borders until it lies between them; the borders in halves."""
    if twice_low == twice_high:
        return place * 0
    low, span = twice_low / 2, (twice_high - twice_low) / 2
    away = (place - low).abs()
    flips = (away.detach() / span).floor()
    extra = away - flips * span
    return where(flips.remainder(2) == 0, extra + low, span - extra + low)


def padded(place: Tensor, size: int, padding: str, align: bool) -> Tensor:
    if padding == "reflection":
        borders = (0, 2 * (size - 1)) if align else (-1, 2 * size - 1)
        place = reflected(place, *borders)
    return place if padding == "zeros" else clipped(place, size)


def values_at(input: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The elements at whole places, one tensor for each axis; zeros outside.  -> (N, C, *places)"""
    batch, channels, *sizes = input.shape
    flat: Any = 0
    inside: Any = None
    for place, size in zip(places, sizes, strict=True):
        within = (place >= 0) & (place <= size - 1)
        inside = within if inside is None else inside & within
        flat = flat * size + where(within, place, 0).long()
    index = flat.view(batch, 1, -1).expand(batch, channels, -1)
    found = input.reshape(batch, channels, -1).gather(2, index).view(batch, channels, *flat.shape[1:])
    return where(inside.unsqueeze(1), found, 0)


def sampled_linearly(input: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The weighted sum of the corners of the cell around each place."""
    floors = [place.detach().floor() for place in places]
    result: Any = None
    for corner in itertools.product((0, 1), repeat=len(places)):
        weight: Any = 1
        for place, floor, step in zip(places, floors, corner, strict=True):
            share = place - floor
            weight = weight * (share if step else 1 - share)
        corners = [floor + step for floor, step in zip(floors, corner, strict=True)]
        part = values_at(input, corners) * weight.unsqueeze(1)
        result = part if result is None else result + part
    return result


def cubic_weights(share: Tensor) -> list[Tensor]:
    """cubic(share - tap) of the taps -1, 0, 1, 2, as polynomials of share."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(share + 1), near(share), near(1 - share), far(2 - share)]


def sampled_cubically(input: Tensor, y: Tensor, x: Tensor, padding: str, align: bool) -> Tensor:
    height, width = input.shape[2:]
    top, left = y.detach().floor(), x.detach().floor()
    result: Any = None
    for i, of_row in enumerate(cubic_weights(y - top)):
        row: Any = None
        for j, of_column in enumerate(cubic_weights(x - left)):
            places = [
                padded(top + (i - 1), height, padding, align),
                padded(left + (j - 1), width, padding, align),
            ]
            part = values_at(input, [place.detach().round() for place in places]) * of_column.unsqueeze(1)
            row = part if row is None else row + part
        row = row * of_row.unsqueeze(1)
        result = row if result is None else result + row
    return result


def from_both_ends(n: int, theta: Tensor) -> Tensor:
    """-1 to 1, each half counted from its end in steps of this dtype and rounded once, as in PyTorch."""
    step = (theta.new_full((), 2) / (n - 1)).double()
    half = step * arange(n - n // 2, dtype=step.dtype)
    return cat([half[: n // 2] - 1, (1 - half).flip(0)]).to(theta.dtype)


@composite(
    autocast="promote",
    samples=[
        call(array(2, 3, 4, 5), array(2, 3, 2, 2)),
        call(array(1, 2, 4, 5), array(1, 3, 2, 2), "bilinear", "border", True),
        call(array(1, 2, 4, 5), array(1, 3, 2, 2), "bicubic", "reflection", False),
        call(array(1, 2, 3, 4, 3), array(1, 2, 2, 2, 3)),
    ],
    places="nn.functional",
    also="versant.grid_sampler",
    without={"ref": "tests/ops/test_resampling.py samples by hand"},
)
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """input at the places of grid (Jaderberg et al. 2015).

    input: (N, C, H, W), grid: (N, h, w, 2) -> (N, C, h, w); or (N, C, D, H, W), (N, d, h, w, 3).
    mode: "bilinear" (trilinear in 3-D), "nearest" or "bicubic" (4-D only). padding_mode: "zeros" outside of
    the image, its "border" or "reflection" at it. align_corners: -1 and 1 are the middles of the outermost
    elements and not their outer edges.
    """
    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    if mode not in modes:
        raise ValueError(f"[grid_sample] mode must be one of {modes}, got {mode!r}")
    if padding_mode not in paddings:
        raise ValueError(f"[grid_sample] padding_mode must be one of {paddings}, got {padding_mode!r}")
    axes = input.ndim - 2
    if axes not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != axes:
        raise ShapeError(
            f"[grid_sample] expected (N, C, H, W) with (N, h, w, 2) or (N, C, D, H, W) with (N, d, h, w, 3), "
            f"got {tuple(input.shape)} and {tuple(grid.shape)}"
        )
    if grid.shape[0] != input.shape[0]:
        raise ShapeError(f"[grid_sample] {input.shape[0]} images and {grid.shape[0]} grids")
    if 0 in input.shape[2:]:
        raise ShapeError(f"[grid_sample] expected images that are not empty, got {tuple(input.shape)}")
    if input.dtype is not grid.dtype:
        raise DTypeError(f"[grid_sample] input is {input.dtype.name}, grid {grid.dtype.name}")
    if mode == "bicubic" and axes == 3:
        raise ValueError("[grid_sample] mode 'bicubic' takes 4-D input")
    if input.dtype.itemsize == 2:  # 16 bits are too few for places
        return grid_sample(input.float(), grid.float(), mode, padding_mode, align_corners).to(input.dtype)
    align = bool(align_corners)
    sizes = input.shape[2:]
    places = [unnormalized(grid[..., axes - 1 - d], sizes[d], align) for d in range(axes)]
    if mode == "bicubic":
        return sampled_cubically(input, places[0], places[1], padding_mode, align)
    places = [padded(p, n, padding_mode, align) for p, n in zip(places, sizes, strict=True)]
    if mode == "nearest":
        return values_at(input, [place.detach().round() for place in places])
    return sampled_linearly(input, places)


@composite(
    samples=[call(array(2, 2, 3), (2, 1, 3, 4)), call(array(1, 3, 4), (1, 1, 2, 2, 3), True)],
    places="nn.functional",
    without={"ref": "tests/ops/test_resampling.py samples by hand"},
)
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid of places that affine maps of an image give.

    theta: (N, 2, 3) with size (N, C, H, W) -> (N, H, W, 2); or (N, 3, 4) with (N, C, D, H, W).
    """
    axes = len(size) - 2
    if axes not in (2, 3) or tuple(theta.shape[1:]) != (axes, axes + 1) or theta.ndim != 3:
        raise ShapeError(
            f"[affine_grid] expected theta (N, 2, 3) with 4 sizes or (N, 3, 4) with 5, "
            f"got {tuple(theta.shape)} and {tuple(size)}"
        )
    if not theta.is_floating_point():
        raise DTypeError(f"[affine_grid] expected a floating-point theta, got {theta.dtype.name}")
    if min(size) < 1:
        raise ShapeError(f"[affine_grid] expected sizes above 0, got {tuple(size)}")
    lines = []
    for d in range(axes):  # x first
        n = size[-1 - d]
        line = from_both_ends(n, theta) if n > 1 else theta.new_zeros(1)
        line = line if align_corners else line * (n - 1) / n
        lines.append(line.view(n, *[1] * d).expand(tuple(size[2:])))
    ones = theta.new_ones(tuple(size[2:]))
    places = stack([*lines, ones], -1).view(1, -1, axes + 1)
    return (places @ theta.transpose(1, 2)).view(size[0], *size[2:], axes)
