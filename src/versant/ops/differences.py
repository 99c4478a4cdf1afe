"""Neighbours along an axis: differences, integrals by the trapezoidal rule, running log-sums; distances."""

from __future__ import annotations

from versant import _core
from versant._core import ShapeError, Tensor
from versant.ops.axes import axis_of, sizes_of
from versant.ops.joining import cat, stack
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.reductions import cumsum, norm, sum
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from versant.ops.axes import Axes


def without_last(x: Tensor, axis: int) -> Tensor:
    return x.narrow(axis, 0, max(x.shape[axis] - 1, 0))


def without_first(x: Tensor, axis: int) -> Tensor:
    return x.narrow(axis, min(1, x.shape[axis]), max(x.shape[axis] - 1, 0))


@composite(
    ref=lambda x, n=1, dim=-1, prepend=None, append=None: np.diff(
        x, n, dim, **({} if prepend is None else {"prepend": prepend})
    ),
    samples=[call(array(3, 4)), call(array(5, 3), 2, 0), call(array(2, 3), prepend=array(2, 2))],
)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each element less the one before it along an axis, n times over; of bool, whether they differ.

    prepend, append: what stands before and after input along the axis.
    """
    if input.ndim == 0:
        raise ShapeError("[diff] expected at least one axis, got a tensor without axes")
    if n < 0:
        raise ValueError(f"[diff] expected n of at least 0, got {n}")
    axis = axis_of(input.ndim, dim, "diff")
    for other in (prepend, append):
        if other is not None and other.ndim != input.ndim:
            raise ShapeError(f"[diff] expected {input.ndim} axes to join, got shape {tuple(other.shape)}")
    if n == 0:
        return input.clone()
    parts = [part for part in (prepend, input, append) if part is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(min(n, x.shape[axis])):
        after, before = without_first(x, axis), without_last(x, axis)
        x = after ^ before if x.dtype is _core.bool else after - before
    return x


def slope(x: Tensor, step: Any, axis: int, edge_order: int) -> Tensor:
    """The derivative along one axis, of second order inside.  step: a number, or coordinates"""
    n = x.shape[axis]
    if n <= edge_order:
        raise ShapeError(f"[gradient] expected more than {edge_order} elements along axis {axis}, got {n}")
    if isinstance(step, Tensor):
        if step.shape != (n,):
            raise ShapeError(f"[gradient] expected {n} coordinates, got shape {tuple(step.shape)}")
        steps = (step[1:] - step[:-1]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    else:
        steps = x.new_full((n - 1,) + (1,) * (x.ndim - 1 - axis), step)
    rises = (without_first(x, axis) - without_last(x, axis)) / steps
    first, last = rises.narrow(axis, 0, 1), rises.narrow(axis, n - 2, 1)
    before, after = steps[:-1], steps[1:]
    left, right = without_last(rises, axis), without_first(rises, axis)
    if edge_order == 2:  # on through the second differences
        bend = (right - left) / (before + after)
        first = first - bend.narrow(axis, 0, 1) * steps[:1]
        last = last + bend.narrow(axis, n - 3, 1) * steps[-1:]
    inside = (left * after + right * before) / (before + after)
    return cat([first, inside, last], axis)


def gradient_reference(x: Any, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> list[Any]:
    found = np.gradient(x, spacing, axis=dim, edge_order=edge_order)
    return list(found) if isinstance(found, (list, tuple)) else [found]


@composite(
    ref=gradient_reference,
    samples=[
        call(array(5), dim=0),
        call(array(3, 4), spacing=0.5, dim=1),
        call(array(2, 4, 3), dim=1, edge_order=2),
    ],
)
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Axes | None = None, edge_order: int = 1
) -> list[Tensor]:
    """The derivatives of samples along axes, by differences of second order, one tensor for each axis.

    spacing: the distance of neighbours; a list of them, one for each axis; or a list of coordinates (n,).
    dim: the axes, all by default. edge_order: 1 or 2, the order of differences at both ends.
    """
    if edge_order not in (1, 2):
        raise ValueError(f"[gradient] expected edge_order 1 or 2, got {edge_order}")
    given = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = [axis_of(input.ndim, d, "gradient") for d in given]
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise ValueError(f"[gradient] expected {len(axes)} spacings, one for each axis, got {len(steps)}")
    x = input if input.is_floating_point() or input.is_complex() else input.to(_core.get_default_dtype())
    return [slope(x, step, axis, edge_order) for step, axis in zip(steps, axes, strict=True)]


# --- integrals --------------------------------------------------------------------------------------------


def widths(y: Tensor, x: Tensor, axis: int, who: str) -> Tensor:
    """The distances of the points x along the axis of y."""
    if x.ndim == 0:
        raise ShapeError(f"[{who}] expected x with at least one axis")
    if x.ndim == 1 and y.ndim != 1:
        if x.shape[0] != y.shape[axis]:
            raise ShapeError(f"[{who}] expected one x for each of {y.shape[axis]} values, got {x.shape[0]}")
        x = x.reshape([-1 if d == axis else 1 for d in range(y.ndim)])
    elif x.ndim < y.ndim:
        x = x.reshape((1,) * (y.ndim - x.ndim) + tuple(x.shape))
    along = axis - y.ndim
    return without_first(x, along + x.ndim) - without_last(x, along + x.ndim)


def areas(y: Tensor, x: Any, dx: Any, dim: int, who: str) -> Tensor:
    """Twice the areas between neighbours."""
    if x is not None and dx is not None:
        raise TypeError(f"[{who}] expected x or dx, got both")
    axis = axis_of(y.ndim, dim, who)
    if y.ndim == 0:
        raise ShapeError(f"[{who}] expected at least one axis")
    width = widths(y, x, axis, who) if isinstance(x, Tensor) else 1 if dx is None else dx
    both = without_first(y, axis) + without_last(y, axis)
    return both if isinstance(width, int) and width == 1 else both * width


@composite(
    ref=lambda y, x=None, dx=None, dim=-1: np.trapezoid(y, x, 1.0 if dx is None else dx, dim),
    samples=[call(array(3, 4)), call(array(4, 3), dx=0.5, dim=0), call(array(3, 4), array(4))],
    places="versant",
    also="trapz",
)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of y along an axis by the trapezoidal rule.

    x: the points, a vector or as many as y has.  dx: their distance, 1 by default.
    """
    if x is None and y.ndim and y.shape[axis_of(y.ndim, dim, "trapezoid")] == 0:
        return sum(y, dim)
    return sum(areas(y, x, dx, dim, "trapezoid"), dim) / 2


@composite(
    ref=lambda y, x=None, dx=1.0, dim=-1: np.cumsum(
        (np.delete(y, 0, dim) + np.delete(y, -1, dim)) / 2 * (dx if x is None else np.diff(x)), dim
    ),
    samples=[call(array(3, 4)), call(array(4, 3), dx=0.5, dim=0), call(array(3, 4), array(4))],
    places="versant",
)
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of y up to each point of an axis but the first, by the trapezoidal rule."""
    return cumsum(areas(y, x, dx, dim, "cumulative_trapezoid"), dim) / 2


# --- running log-sums -------------------------------------------------------------------------------------


@composite(
    ref=lambda x, dim: np.logaddexp.accumulate(x, dim),
    samples=[call(array(3, 4), 0), call(array(2, 7), -1)],
    autocast="float32",
)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log(sum(exp(input))) of the elements up to each, along an axis, without overflow."""
    axis = axis_of(input.ndim, dim, "logcumsumexp")
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(f"[logcumsumexp] expected a floating-point dtype, got {input.dtype}")
    if input.ndim == 0 or input.numel() == 0:
        return input.clone()
    size = input.shape[axis]
    if input.dtype.is_complex:  # one after the other: the order decides on which branch the logarithm is
        running = [input.select(axis, 0)]
        for i in range(1, size):
            running.append(running[-1].logaddexp(input.select(axis, i)))
        return stack(running, axis)
    y = input.float() if input.dtype.itemsize == 2 else input
    reach = 1
    # After the step of length `reach`, each element holds the log-sum of the 2 * reach elements up to it.
    while reach < size:
        grown = y.narrow(axis, reach, size - reach).logaddexp(y.narrow(axis, 0, size - reach))
        y = cat([y.narrow(axis, 0, reach), grown], axis)
        reach *= 2
    return y.to(input.dtype) if size > 1 else input.clone()


# --- sums and distances -----------------------------------------------------------------------------------


@composite(
    ref=lambda x, y, p=2: np.linalg.norm((x - y).ravel(), p),
    samples=[call(array(3, 4), array(3, 4)), call(array(3, 4), array(4), 1), call(array(5), array(5), 3)],
)
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other."""
    return norm(input - other, p)


@composite(
    ref=lambda x, *sizes: x.sum(
        tuple(
            d
            for d in range(x.ndim)
            if d < x.ndim - len(sizes_of(sizes)) or sizes_of(sizes)[d - x.ndim] != x.shape[d]
        ),
        keepdims=True,
    ).reshape(sizes_of(sizes)),
    samples=[call(array(2, 3, 4), 3, 1), call(array(3, 4), (1, 4)), call(array(3), (3,))],
    places="Tensor",
)
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sum of what broadcasting to input's shape would repeat.  size: the shape of the result"""
    sizes = sizes_of(size)
    if not sizes:
        return sum(input)
    lead = input.ndim - len(sizes)
    if lead < 0 or any(n not in (1, have) for n, have in zip(sizes, input.shape[lead:], strict=True)):
        raise ShapeError(f"[sum_to_size] shape {tuple(input.shape)} does not reduce to {sizes}")
    axes = [d for d, n in enumerate(input.shape) if d < lead or n != sizes[d - lead]]
    return sum(input, axes, True).reshape(sizes) if axes else input
