"""Order statistics and counts: medians, quantiles, modes, histograms, covariances."""

from __future__ import annotations

from math import isfinite, nan

from versant import _core
from versant._core import AxisError, DTypeError, ShapeError, Tensor
from versant.ops.axes import axis_of
from versant.ops.comparison import choose, isnan, where
from versant.ops.joining import cat
from versant.ops.lazy import np
from versant.ops.ordered import searchsorted
from versant.ops.record import composite
from versant.ops.reductions import amax, amin, any, argmax, cummax, sort, sum, topk
from versant.ops.samples import array, call, fixed, integers
from versant.ops.sequences import arange, linspace
from versant.ops.tuples import named
from versant.ops.values import every, has_derivative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def axis_with_elements(input: Tensor, dim: int, who: str) -> int:
    """dim, counted from the front; an axis that has elements."""
    axis = axis_of(input.ndim, dim, who)
    if input.ndim and input.shape[axis] == 0:
        raise AxisError(f"[{who}] expected elements along axis {axis}, got shape {tuple(input.shape)}")
    return axis


def chosen(who: str, input: Tensor, place: Tensor, axis: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The elements at `place`, which has size 1 along the axis, and the place."""
    values = input.gather(axis, place)
    if not keepdim and input.ndim:
        values, place = values.squeeze(axis), place.squeeze(axis)
    found: tuple[Tensor, Tensor] = named(who, values=values, indices=place)
    return found


# --- the element at a rank --------------------------------------------------------------------------------


def rank_reference(x: Any, k: int, dim: int, keepdim: bool = False) -> Any:
    place = np.take(np.argsort(x, axis=dim, kind="stable"), [k], axis=dim)
    values = np.take_along_axis(x, place, dim)
    return (values, place) if keepdim else (values.squeeze(dim), place.squeeze(dim))


def median_reference(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        return np.sort(x, axis=None)[(x.size - 1) // 2]
    return rank_reference(x, (x.shape[dim] - 1) // 2, dim, keepdim)


@composite(
    ref=lambda x, k, dim=-1, keepdim=False: rank_reference(x, k - 1, dim, keepdim),
    samples=[call(array(3, 5), 2), call(array(4, 3), 4, 0, True), call(array(6), 1)],
)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The k-th smallest element along an axis, and where it is.  k: from 1; NaN counts as the largest"""
    axis = axis_with_elements(input, dim, "kthvalue")
    size = input.shape[axis] if input.ndim else 1
    if not 1 <= k <= size:
        raise AxisError(f"[kthvalue] expected 1 <= k <= {size}, got {k}")
    place = topk(input.detach(), k, axis, False)[1]
    place = place.narrow(axis, k - 1, 1) if input.ndim else place
    return chosen("kthvalue", input, place, axis, keepdim)


def middle(who: str, input: Tensor, dim: int, keepdim: bool, skips_nan: bool) -> tuple[Tensor, Tensor]:
    axis = axis_with_elements(input, dim, who)
    order = sort(input.detach(), axis)[1]
    size = input.shape[axis] if input.ndim else 1
    if input.dtype.is_floating_point:
        numbers = sum(isnan(input.detach()).logical_not(), axis, True)
        rank = (numbers - 1).clamp(min=0) // 2
        if not skips_nan:
            rank = choose(numbers < size, numbers, rank)
        place = order.gather(axis, rank)
    else:
        place = order.narrow(axis, (size - 1) // 2, 1) if input.ndim else order
    return chosen(who, input, place, axis, keepdim)


def middle_of_all(input: Tensor, skips_nan: bool) -> Tensor:
    """The middle element; equal ones share its gradient, as those of amax do."""
    flat = input.reshape(-1)
    if flat.numel() == 0:
        return input.new_full((), nan if input.dtype.is_floating_point else 0)
    value = middle("median", flat.detach(), 0, False, skips_nan)[0]
    if not has_derivative(flat) or every(isnan(value)):
        return value if not has_derivative(flat) else value + 0 * sum(flat)
    return amax(choose(flat <= value, flat, -float("inf")))


@composite(
    ref=median_reference,
    samples=[call(array(3, 4)), call(array(5, 3), 0), call(array(3, 4), dim=-1, keepdim=True)],
)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower one of two; with dim, (values, indices) along it.  NaN where one is"""
    if dim is None:
        return middle_of_all(input, False)
    return middle("median", input, dim, keepdim, False)


@composite(
    ref=median_reference,
    samples=[call(array(3, 4)), call(array(5, 3), 0), call(array(3, 4), dim=-1, keepdim=True)],
)
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle one of the elements that are numbers; with dim, (values, indices) along that axis."""
    if dim is None:
        return middle_of_all(input, True)
    return middle("nanmedian", input, dim, keepdim, True)


def mode_reference(x: Any, dim: int = -1, keepdim: bool = False) -> Any:
    def one(line: Any) -> Any:
        values, counts = np.unique(line, return_counts=True)
        return np.flatnonzero(line == values[counts.argmax()])[-1]

    place = np.expand_dims(np.apply_along_axis(one, dim, x), dim)
    values = np.take_along_axis(x, place, dim)
    return (values, place) if keepdim else (values.squeeze(dim), place.squeeze(dim))


@composite(
    ref=mode_reference,
    samples=[call(array(3, 4)), call(integers(3, 7, below=3)), call(integers(7, 2, below=3), 0, True)],
)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The most frequent element along an axis, the smallest of several, and its last place."""
    axis = axis_with_elements(input, dim, "mode")
    if input.ndim == 0:
        return chosen("mode", input, input.new_zeros((), dtype=_core.int64), axis, keepdim)
    ordered, order = sort(input.detach(), axis)
    size = input.shape[axis]
    places = arange(size).reshape([-1 if d == axis else 1 for d in range(input.ndim)]).expand(input.shape)
    rises = ordered.narrow(axis, 1, size - 1) != ordered.narrow(axis, 0, size - 1)
    firsts = cat([places.narrow(axis, 0, 1), places.narrow(axis, 1, size - 1) * rises], axis)
    length = places - cummax(firsts, axis)[0]
    return chosen("mode", input, order.gather(axis, argmax(length, axis, True)), axis, keepdim)


# --- quantiles --------------------------------------------------------------------------------------------

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def ranked(
    who: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skips_nan: bool
) -> Tensor:
    if input.dtype not in (_core.float32, _core.float64):
        raise DTypeError(f"[{who}] expected float32 or float64, got {input.dtype}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"[{who}] expected interpolation among {INTERPOLATIONS}, got {interpolation!r}")
    if input.numel() == 0:
        raise ShapeError(f"[{who}] expected elements, got input of shape {tuple(input.shape)}")
    shares = q if isinstance(q, Tensor) else _core.tensor(float(q), input.dtype)
    in_range = every(((shares >= 0) & (shares <= 1)).all()) if isinstance(q, Tensor) else 0 <= q <= 1
    if shares.dtype is not input.dtype:
        raise DTypeError(f"[{who}] expected q of dtype {input.dtype}, got {shares.dtype}")
    if shares.ndim > 1:
        raise ShapeError(f"[{who}] expected a number or a vector as q, got shape {tuple(shares.shape)}")
    if not in_range:
        raise ValueError(f"[{who}] expected q between 0 and 1, got {q}")
    rank = input.ndim
    axis = axis_of(rank, dim, who) if dim is not None else 0
    flat = input.reshape(-1) if dim is None or rank == 0 else input.movedim(axis, -1)
    ordered = sort(flat, -1)[0]
    last = ordered.shape[-1] - 1
    missing = isnan(ordered.detach())
    if skips_nan:
        ranks = shares.reshape(-1) * (last - sum(missing, -1, True)).clamp(min=0)
    else:
        ranks = choose(any(missing, -1, True), float(last), shares.reshape(-1) * last)
    if interpolation in ("lower", "higher", "nearest"):
        ranks = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}[interpolation]()
    below = ranks.detach().floor()
    result = ordered.gather(-1, below.to(_core.int64))
    if interpolation in ("linear", "midpoint"):
        weight: Any = ranks - below if interpolation == "linear" else 0.5
        result = result.lerp(ordered.gather(-1, ranks.detach().ceil().to(_core.int64)), weight)
    if keepdim:
        shape = [1] * rank if dim is None else [1 if d == axis else n for d, n in enumerate(input.shape)]
        result = result.movedim(-1, 0).reshape(-1, *shape)
    else:
        result = result.movedim(-1, 0)
    return result if shares.ndim else result.squeeze(0)


@composite(
    ref=lambda x, q, dim=None, keepdim=False, interpolation="linear": np.quantile(
        x, q, axis=dim, keepdims=keepdim, method=interpolation
    ),
    samples=[
        call(array(3, 4), 0.3),
        call(array(5, 3), 0.5, 0),
        call(array(5, 3), 0.7, 1, True, interpolation="lower"),
        call(array(5, 3), 0.2, 0, interpolation="midpoint"),
    ],
)
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The element below which a share q lies, along an axis; of all elements without dim. NaN where one is.

    q: a number between 0 and 1, or a vector of them, which becomes the first axis of the result.
    interpolation: between two elements "linear", "lower", "higher", "midpoint" or "nearest".
    """
    return ranked("quantile", input, q, dim, keepdim, interpolation, False)


@composite(
    ref=lambda x, q, dim=None, keepdim=False, interpolation="linear": np.nanquantile(
        x, q, axis=dim, keepdims=keepdim, method=interpolation
    ),
    samples=[call(array(3, 4), 0.3), call(array(5, 3), 0.5, 0), call(array(5, 3), 0.7, 1, True)],
)
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are numbers."""
    return ranked("nanquantile", input, q, dim, keepdim, interpolation, True)


# --- counts -----------------------------------------------------------------------------------------------


@composite(
    ref=lambda x, weights=None, minlength=0: np.bincount(x, weights, minlength),
    samples=[
        call(integers(9, below=5)),
        call(integers(6, below=4), minlength=7),
        call(integers(5, below=3), fixed(5)),
    ],
    differentiable=False,
)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on occurs in a vector; with weights, the sums of theirs, in order."""
    if input.dtype.is_floating_point or input.dtype.is_complex or input.dtype is _core.bool:
        raise DTypeError(f"[bincount] expected integers, got {input.dtype}")
    if minlength < 0:
        raise ValueError(f"[bincount] expected minlength of at least 0, got {minlength}")
    if input.numel() == 0 and input.ndim <= 1:
        return input.new_zeros(minlength, dtype=_core.int64)
    if input.ndim != 1:
        raise ShapeError(f"[bincount] expected a vector, got shape {tuple(input.shape)}")
    if input.min() < 0:
        raise ValueError(f"[bincount] expected integers of at least 0, got {int(input.min())}")
    if weights is not None and weights.shape != input.shape:
        raise ShapeError(
            f"[bincount] expected weights of shape {tuple(input.shape)}, got {tuple(weights.shape)}"
        )
    if weights is None:
        added = input.new_ones(input.shape, dtype=_core.int64)
    else:
        added = weights.detach().to(_core.float32 if weights.dtype is _core.float32 else _core.float64)
    most = input.max()
    size = int(most) + 1 if most >= minlength else minlength
    return added.new_zeros(size).index_add_(0, input.to(_core.int64), added)


@composite(
    ref=lambda x, bins=100, min=0, max=0: np.histogram(x, bins, None if min == max == 0 else (min, max))[
        0
    ].astype(x.dtype),
    samples=[call(array(3, 5), 4), call(array(20), 6, -1.0, 2.0)],
    differentiable=False,
)
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal intervals between min and max; others do not count.

    min, max: where they are equal, the smallest and the largest element.
    """
    if not input.dtype.is_floating_point:
        raise DTypeError(f"[histc] expected a floating-point dtype, got {input.dtype}")
    if bins <= 0:
        raise ValueError(f"[histc] expected at least one interval, got {bins}")
    x = input.detach().reshape(-1)
    low, high = float(min), float(max)
    if low == high and x.numel():
        low, high = float(amin(x)), float(amax(x))
    if low == high:
        low, high = low - 1, high + 1
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError(f"[histc] expected finite limits with min < max, got {low} and {high}")
    inside = (x >= low) & (x <= high)
    place = ((where(inside, x, low) - low) * bins / (high - low)).to(_core.int64).clamp(max=bins - 1)
    counts = x.new_zeros(bins, dtype=_core.int64)
    return counts.index_add(0, place, inside.to(_core.int64)).to(input.dtype)


@composite(
    ref=lambda x, bins=100, range=None, weight=None, density=False: tuple(
        v.astype(x.dtype) for v in np.histogram(x, bins, range, density, weight)
    ),
    samples=[
        call(array(3, 5), 4),
        call(array(20), 6, range=(-1.0, 2.0)),
        call(array(20), 5, weight=array(20), density=True),
    ],
    differentiable=False,
)
def histogram(
    input: Tensor,
    bins: int | Tensor = 100,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    """How many elements, or how much weight, falls into each interval; then the edges of the intervals.

    bins: how many intervals of equal width between the limits `range` (of the input by default), or their
    edges (n + 1,). The last interval has its upper edge in it. density: divided by the sum and by the widths.
    """
    if not input.dtype.is_floating_point:
        raise DTypeError(f"[histogram] expected a floating-point dtype, got {input.dtype}")
    x = input.detach().reshape(-1)
    if isinstance(bins, Tensor):
        edges = bins.detach()
    else:
        if bins <= 0:
            raise ValueError(f"[histogram] expected at least one interval, got {bins}")
        low, high = range or ((float(amin(x)), float(amax(x))) if x.numel() else (0.0, 0.0))
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = linspace(low, high, bins + 1, dtype=x.dtype)
    own = x.new_ones(x.shape) if weight is None else weight.detach().reshape(-1)
    n = edges.shape[0] - 1
    place = searchsorted(edges, x, right=True) - 1
    place = where(x == edges[n], n - 1, place)
    inside = (place >= 0) & (place < n)
    counts = x.new_zeros(n).index_add(0, place.clamp(0, n - 1), own * inside.to(x.dtype))
    if density:
        counts = counts / (counts.sum() * (edges[1:] - edges[:-1]))
    found: tuple[Tensor, Tensor] = named("histogram", hist=counts, bin_edges=edges)
    return found


# --- covariance -------------------------------------------------------------------------------------------


def weights_of(name: str, weights: Tensor | None, observations: int, integral: bool) -> None:
    """Raises unless the weights of observations are what cov takes."""
    if weights is None:
        return
    if weights.ndim > 1 or weights.numel() != observations:
        raise ShapeError(f"[cov] expected {observations} numbers as {name}, got shape {tuple(weights.shape)}")
    if weights.dtype.is_floating_point is integral or weights.dtype.is_complex:
        kind = "integers" if integral else "floating-point numbers"
        raise DTypeError(f"[cov] expected {kind} as {name}, got {weights.dtype}")
    if not every(~(weights < 0).any()):
        raise ValueError(f"[cov] expected {name} of at least 0")


@composite(
    ref=lambda x, correction=1, fweights=None, aweights=None: np.cov(
        x, ddof=correction, fweights=fweights, aweights=aweights
    ),
    samples=[
        call(array(3, 5)),
        call(array(6), correction=0),
        call(array(2, 4), fweights=integers(4, start=1, below=4)),
    ],
)
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """Covariances of variables (rows) over observations (columns).  input: (variables, observations)

    correction: subtracted from the number of observations.
    fweights: how often each observation counts.  aweights: how important each is.
    """
    if input.ndim > 2:
        raise ShapeError(f"[cov] expected at most 2 axes, got shape {tuple(input.shape)}")
    if input.dtype is _core.bool:
        raise DTypeError("[cov] expected numbers, got bool")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    observations = x.shape[1]
    weights_of("fweights", fweights, observations, True)
    weights_of("aweights", aweights, observations, False)
    if fweights is not None and aweights is not None:
        weights: Any = fweights * aweights
    else:
        weights = aweights if fweights is None else fweights
    total: Any = observations if weights is None else sum(weights)
    if weights is not None and observations and not every(total != 0):
        raise ValueError("[cov] expected weights with a sum that is not 0")
    mean = sum(x if weights is None else x * weights, 1, True) / total
    if weights is not None and aweights is not None and correction:
        freedom: Any = total - correction * sum(weights * aweights) / total
    else:
        freedom = total - correction
    freedom = freedom.clamp(min=0) if isinstance(freedom, Tensor) else max(freedom, 0)
    away = x - mean
    other = (away if weights is None else away * weights).t()
    product = away @ (other.conj() if other.dtype.is_complex else other)
    return (product / freedom).squeeze()


@composite(ref=np.corrcoef, samples=[call(array(3, 5)), call(array(2, 8))])
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlations of variables (rows) over observations.  input: (variables, observations)"""
    if input.ndim > 2:
        raise ShapeError(f"[corrcoef] expected at most 2 axes, got shape {tuple(input.shape)}")
    covariance = cov(input)
    if covariance.ndim == 0:
        return covariance / covariance
    variances = covariance.diagonal()
    spread = (variances.real if covariance.dtype.is_complex else variances).sqrt()
    result = covariance / spread.unsqueeze(1) / spread
    if result.dtype.is_complex:
        from versant.ops.complex_numbers import complex

        return complex(result.real.clamp(-1, 1), result.imag.clamp(-1, 1))
    return result.clamp(-1, 1)
