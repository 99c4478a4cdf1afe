"""Reductions: sums, means, extremes, norms over axes. Without `dim` they go over all elements."""

from __future__ import annotations

import builtins
from math import inf

from versant import _core
from versant._core import DTypeError, Tensor
from versant.ops.axes import Axes, axes_of, count
from versant.ops.comparison import choose, isinf, isnan, ne
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.powers import exp, log, square
from versant.ops.record import composite, elementwise, primitive
from versant.ops.rounding import maximum, minimum
from versant.ops.samples import array, booleans, call, integers, positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

over_axes = "input, dim: ints? = None, keepdim: bool = False"
typed = f"{over_axes}, *, dtype: dtype? = None"


def reduction_samples(*more: Any) -> list[Any]:
    return [
        call(array(3, 4)),
        call(array(2, 3, 4), dim=1),
        call(array(2, 3, 4), dim=(0, -1), keepdim=True),
        call(array()),
        *more,
    ]


# --- sums and products ------------------------------------------------------------------------------------

sum = primitive(
    "sum",
    typed,
    "The sum over axes. Integers and bool add up as int64.",
    ref=lambda x, dim=None, keepdim=False: np.sum(x, axis=dim, keepdims=keepdim),
    samples=reduction_samples(
        call(integers(3, 4, below=9), dim=0), call(booleans(5)), call(array(0, 3)), call(array(2, 0), dim=1)
    ),
    onnx="ReduceSum",
    stablehlo="reduce.add",
)
mean = primitive(
    "mean",
    typed,
    "The mean over axes; NaN of nothing.",
    ref=lambda x, dim=None, keepdim=False: np.mean(x, axis=dim, keepdims=keepdim),
    samples=reduction_samples(),
    onnx="ReduceMean",
    stablehlo=lambda x, dim, keepdim: sum(x, dim, keepdim) / count(x, dim, "mean"),
)
prod = primitive(
    "prod",
    typed,
    "The product over axes. Integers and bool multiply as int64.",
    autocast="float32",
    ref=lambda x, dim=None, keepdim=False: np.prod(x, axis=dim, keepdims=keepdim),
    samples=[
        call(array(3, 4)),
        call(array(2, 3, 4), dim=1),
        call(array(2, 3), dim=-1, keepdim=True),
        call(integers(3, 4, below=5), dim=0),
        call(array(0)),
    ],
    onnx="ReduceProd",
    stablehlo="reduce.multiply",
)
cumsum = primitive(
    "cumsum",
    "input, dim: int, *, dtype: dtype? = None",
    "The sum of the elements up to each, along an axis.",
    ref=lambda x, dim: np.cumsum(x, axis=dim),
    samples=[
        call(array(3, 4), 0),
        call(array(3, 4), -1),
        call(integers(6, below=9), 0),
        call(array(0, 2), 0),
    ],
    in_place=True,
    onnx="CumSum",
    stablehlo="reduce_window.add",
)
cumprod = primitive(
    "cumprod",
    "input, dim: int, *, dtype: dtype? = None",
    "The product of the elements up to each, along an axis.",
    ref=lambda x, dim: np.cumprod(x, axis=dim),
    samples=[call(array(3, 4), 0), call(array(3, 4), -1), call(integers(6, below=3, start=1), 0)],
    in_place=True,
    stablehlo="reduce_window.multiply",
    without={"onnx": "ONNX has no cumulative product"},
)


@composite(
    ref=lambda x, dim=None, keepdim=False: np.nansum(x, axis=dim, keepdims=keepdim),
    samples=[call(array(3, 4)), call(array(2, 3, 4), dim=(0, 2), keepdim=True)],
)
def nansum(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over axes; NaN counts as 0."""
    return sum(choose(isnan(input), 0, input), dim, keepdim, dtype=dtype)


@composite(
    ref=lambda x, dim=None, keepdim=False: np.nanmean(x, axis=dim, keepdims=keepdim),
    samples=[call(array(3, 4)), call(array(2, 3, 4), dim=(0, 2), keepdim=True)],
)
def nanmean(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over axes of what is not NaN."""
    numbers = sum(isnan(input).logical_not(), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / numbers


@composite(
    differentiable=False,
    ref=lambda x, dim=None: np.count_nonzero(x, axis=dim),
    samples=[call(integers(3, 4, below=2)), call(integers(2, 3, 4, below=2), dim=(0, 2))],
)
def count_nonzero(input: Tensor, dim: Axes = None) -> Tensor:
    """How many elements are not zero."""
    return sum(ne(input, 0), dim)


# --- truth ------------------------------------------------------------------------------------------------

any = primitive(
    "any",
    over_axes,
    "Whether any element is nonzero.",
    differentiable=False,
    ref=lambda x, dim=None, keepdim=False: np.any(x, axis=dim, keepdims=keepdim),
    samples=reduction_samples(call(booleans(3, 4), dim=0), call(array(0, 2), dim=0)),
    stablehlo="reduce.or",
    without={"onnx": "exporters write it as the largest of the element's truths"},
)
all = primitive(
    "all",
    over_axes,
    "Whether all elements are nonzero.",
    differentiable=False,
    ref=lambda x, dim=None, keepdim=False: np.all(x, axis=dim, keepdims=keepdim),
    samples=reduction_samples(call(booleans(3, 4), dim=0), call(array(0, 2), dim=0)),
    stablehlo="reduce.and",
    without={"onnx": "exporters write it as the smallest of the element's truths"},
)

# --- extremes ---------------------------------------------------------------------------------------------

amax = primitive(
    "amax",
    over_axes,
    "The largest element; NaN where there is one. Equal largest ones share the gradient evenly.",
    ref=lambda x, dim=None, keepdim=False: np.amax(x, axis=dim, keepdims=keepdim),
    samples=reduction_samples(call(integers(3, 4, below=9), dim=0)),
    onnx="ReduceMax",
    stablehlo="reduce.maximum",
)
amin = primitive(
    "amin",
    over_axes,
    "The smallest element; NaN where there is one. Equal smallest ones share the gradient evenly.",
    ref=lambda x, dim=None, keepdim=False: np.amin(x, axis=dim, keepdims=keepdim),
    samples=reduction_samples(call(integers(3, 4, below=9), dim=0)),
    onnx="ReduceMin",
    stablehlo="reduce.minimum",
)
argmax = primitive(
    "argmax",
    "input, dim: int? = None, keepdim: bool = False",
    "Where the largest element is, the first of equal ones; without dim, counted over all elements.",
    differentiable=False,
    ref=lambda x, dim=None, keepdim=False: np.argmax(x, axis=dim, keepdims=keepdim),
    samples=[
        call(array(3, 4)),
        call(array(3, 4), 0),
        call(array(3, 4), -1, True),
        call(integers(9, below=3), 0),
    ],
    onnx="ArgMax",
    without={"stablehlo": "a reduction of pairs, which exporters write out"},
)
argmin = primitive(
    "argmin",
    "input, dim: int? = None, keepdim: bool = False",
    "Where the smallest element is, the first of equal ones; without dim, counted over all elements.",
    differentiable=False,
    ref=lambda x, dim=None, keepdim=False: np.argmin(x, axis=dim, keepdims=keepdim),
    samples=[
        call(array(3, 4)),
        call(array(3, 4), 0),
        call(array(3, 4), -1, True),
        call(integers(9, below=3), 0),
    ],
    onnx="ArgMin",
    without={"stablehlo": "a reduction of pairs, which exporters write out"},
)
max_dim = primitive(
    "max.dim",
    "input, dim: int, keepdim: bool = False -> values, indices",
    "The largest elements along an axis, and where they are.",
    target="max_dim",
    ref=lambda x, dim, keepdim=False: (
        np.max(x, axis=dim, keepdims=keepdim),
        np.argmax(x, axis=dim, keepdims=keepdim),
    ),
    samples=[call(array(3, 4), 0), call(array(2, 3, 4), -2, True)],
    onnx="TopK",
    without={"stablehlo": "a reduction of pairs, which exporters write out"},
)
min_dim = primitive(
    "min.dim",
    "input, dim: int, keepdim: bool = False -> values, indices",
    "The smallest elements along an axis, and where they are.",
    target="min_dim",
    ref=lambda x, dim, keepdim=False: (
        np.min(x, axis=dim, keepdims=keepdim),
        np.argmin(x, axis=dim, keepdims=keepdim),
    ),
    samples=[call(array(3, 4), 0), call(array(2, 3, 4), -2, True)],
    onnx="TopK",
    without={"stablehlo": "a reduction of pairs, which exporters write out"},
)


def check_first(who: str, input: Any) -> None:
    if not isinstance(input, Tensor):
        raise TypeError(f"[{who}] expected a tensor, got {type(input).__name__}")


@composite(
    ref=lambda x, dim=None, keepdim=False: (
        np.max(x)
        if dim is None
        else (np.max(x, axis=dim, keepdims=keepdim), np.argmax(x, axis=dim, keepdims=keepdim))
    ),
    samples=[call(array(3, 4)), call(array(3, 4), 0), call(array(3, 4), dim=-1, keepdim=True)],
)
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; with dim, (values, indices) along that axis; of two tensors, the larger ones."""
    check_first("max", input)
    if isinstance(dim, Tensor) or other is not None:
        return maximum(input, dim if other is None else other)
    return amax(input) if dim is None else max_dim(input, dim, keepdim)


@composite(
    ref=lambda x, dim=None, keepdim=False: (
        np.min(x)
        if dim is None
        else (np.min(x, axis=dim, keepdims=keepdim), np.argmin(x, axis=dim, keepdims=keepdim))
    ),
    samples=[call(array(3, 4)), call(array(3, 4), 0), call(array(3, 4), dim=-1, keepdim=True)],
)
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; with dim, (values, indices) along that axis; of two tensors, the smaller ones."""
    check_first("min", input)
    if isinstance(dim, Tensor) or other is not None:
        return minimum(input, dim if other is None else other)
    return amin(input) if dim is None else min_dim(input, dim, keepdim)


def running(best: Any, x: Any, dim: int) -> Any:
    """The best element up to each, and the last place where it stood."""
    values = best.accumulate(x, axis=dim)
    place = np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
    return values, np.maximum.accumulate(np.where(x == values, place, 0), axis=dim)


cummax = primitive(
    "cummax",
    "input, dim: int -> values, indices",
    "The largest element up to each along an axis, and where it is.",
    ref=lambda x, dim: running(np.maximum, x, dim),
    samples=[call(array(3, 4), 0), call(array(5, 3), -1), call(integers(9, below=3), 0)],
    stablehlo="reduce_window.maximum",
    without={"onnx": "ONNX has no cumulative maximum"},
)
cummin = primitive(
    "cummin",
    "input, dim: int -> values, indices",
    "The smallest element up to each along an axis, and where it is.",
    ref=lambda x, dim: running(np.minimum, x, dim),
    samples=[call(array(3, 4), 0), call(array(5, 3), -1), call(integers(9, below=3), 0)],
    stablehlo="reduce_window.minimum",
    without={"onnx": "ONNX has no cumulative minimum"},
)


@composite(
    ref=lambda x, dim=None, keepdim=False: (
        np.min(x, axis=dim, keepdims=keepdim),
        np.max(x, axis=dim, keepdims=keepdim),
    ),
    samples=[call(array(3, 4)), call(array(3, 4), dim=0, keepdim=True)],
)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


# --- order ------------------------------------------------------------------------------------------------

sort = primitive(
    "sort",
    "input, dim: int = -1, descending: bool = False, stable: bool = False -> values, indices",
    "The elements in order along an axis, and where they were.  NaN counts as the largest",
    ref=lambda x, dim=-1, descending=False: (
        (-np.sort(-x, axis=dim), np.argsort(-x, axis=dim, kind="stable"))
        if descending
        else (np.sort(x, axis=dim), np.argsort(x, axis=dim, kind="stable"))
    ),
    samples=[call(array(3, 5)), call(array(3, 5), 0, True), call(array(7), descending=True)],
    stablehlo="sort",
    without={"onnx": "exporters write it as TopK of all elements"},
)
topk = primitive(
    "topk",
    "input, k: int, dim: int = -1, largest: bool = True, sorted: bool = True -> values, indices",
    "The k largest (or smallest) elements along an axis, in order, and where they are.",
    ref=lambda x, k, dim=-1, largest=True: (
        np.take(-np.sort(-x, axis=dim) if largest else np.sort(x, axis=dim), range(k), axis=dim),
        np.take(np.argsort(-x if largest else x, axis=dim, kind="stable"), range(k), axis=dim),
    ),
    samples=[call(array(3, 5), 2), call(array(4, 3), 3, 0), call(array(6), 4, largest=False)],
    onnx="TopK",
    stablehlo="chlo.top_k",
)


@composite(
    differentiable=False,
    ref=lambda x, dim=-1, descending=False: np.argsort(-x if descending else x, axis=dim, kind="stable"),
    samples=[call(array(3, 5)), call(array(3, 5), 0, True)],
)
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Where the elements are that come first, second ... along an axis."""
    return sort(input, dim, descending, stable)[1]


# --- spread -----------------------------------------------------------------------------------------------

root = elementwise(
    "sqrt.flat",
    lambda x: m.sqrt(x),
    "sqrt(input), with the derivative 0 at 0: the subgradient of norms",
    d=lambda x, y: m.select(m.eq(y, 0), 0, 1 / (2 * m.select(m.eq(y, 0), 1, y))),
    rule="float",
    ref=np.sqrt,
    sample=positive,
)


counted = elementwise(
    "ne.flat",
    lambda x: m.ne(x, 0),
    "1 where input is not 0, with the derivative 0: the subgradient of the norm of order 0",
    d=lambda x, y: 0,
    rule="float",
    ref=lambda x: np.not_equal(x, 0).astype(float),
    corners=[1e-30],
)
power = elementwise(
    "pow.flat",
    lambda x, exponent: m.pow(x, exponent),
    "input to the power of a number for input >= 0, with the derivative 0 at 0: the subgradient of norms",
    d=lambda x, exponent, y: m.select(m.eq(x, 0), 0, exponent * m.pow(x, exponent - 1)),
    signature="input, exponent: number",
    rule="float",
    ref=np.power,
    settings=[{"exponent": 1.5}, {"exponent": 3.0}],
    sample=positive,
)


def variance_composite(input: Tensor, dim: Axes, correction: float, keepdim: bool) -> Tensor:
    freedom = builtins.max(count(input, dim, "var") - correction, 0)
    return sum(square(input - mean(input, dim, True)), dim, keepdim) / freedom


variance = primitive(
    "var.axes",
    "input, dim: ints?, correction: number, keepdim: bool",
    "The squared distances from the mean, added up and divided by n - correction.",
    target="var",
    definition=variance_composite,
    ref=lambda x, dim, correction, keepdim: np.var(x, axis=dim, ddof=correction, keepdims=keepdim),
    samples=[
        call(array(3, 4), None, 1, False),
        call(array(2, 3, 4), (0, -1), 0, True),
        call(array(3, 4), 0, 2, False),
        call(array(2, 1), 1, 0, False),
    ],
)


def spread_arguments(dim: Any, unbiased: bool | None, correction: float | None) -> tuple[Any, float]:
    """Axes and correction, from today's and yesterday's way of saying it: var(x, False), unbiased=False."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    return dim, 1 if correction is None else correction


@composite(
    ref=lambda x, dim=None, correction=1, keepdim=False: np.var(
        x, axis=dim, ddof=correction, keepdims=keepdim
    ),
    samples=[*reduction_samples()[:3], call(array(3, 4), correction=0), call(array(3, 4), 0, correction=2)],
)
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over axes: squared distances from the mean, divided by n - correction (1)."""
    dim, correction = spread_arguments(dim, unbiased, correction)
    return variance(input, dim, correction, keepdim)


@composite(
    ref=lambda x, dim=None, correction=1, keepdim=False: np.std(
        x, axis=dim, ddof=correction, keepdims=keepdim
    ),
    samples=[*reduction_samples()[:3], call(array(3, 4), correction=0)],
)
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation over axes: the square root of `var`."""
    return root(var(input, dim, unbiased, keepdim, correction=correction))


@composite(
    ref=lambda x, dim=None, correction=1, keepdim=False: (
        np.var(x, axis=dim, ddof=correction, keepdims=keepdim),
        np.mean(x, axis=dim, keepdims=keepdim),
    ),
    samples=[call(array(3, 4)), call(array(3, 4), 0, correction=0, keepdim=True)],
    places="versant",
)
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean over axes."""
    axes = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, axes, keepdim)


@composite(
    ref=lambda x, dim=None, correction=1, keepdim=False: (
        np.std(x, axis=dim, ddof=correction, keepdims=keepdim),
        np.mean(x, axis=dim, keepdims=keepdim),
    ),
    samples=[call(array(3, 4)), call(array(3, 4), 0, correction=0, keepdim=True)],
    places="versant",
)
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean over axes."""
    axes = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, axes, keepdim)


def complex_logsumexp(input: Tensor, dim: Axes, keepdim: bool) -> Tensor:
    """log(sum(exp(input))), shifted by the largest real part."""
    largest = amax(input.real.detach(), dim, True)
    shift = choose(isinf(largest), 0, largest)
    result = log(sum(exp(input - shift), dim, True)) + shift
    return result if keepdim else result.squeeze(axes_of(input.ndim, dim, "logsumexp"))


def logsumexp_composite(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    largest = amax(input, dim, True).detach()
    shift = choose(isinf(largest), 0, largest)
    result = log(sum(exp(input - shift), dim, True)) + shift
    return result if keepdim else result.squeeze(dim)


real_logsumexp = primitive(
    "logsumexp.real",
    "input, dim: ints, keepdim: bool = False",
    "log(sum(exp(input))) over axes, without overflow.",
    definition=logsumexp_composite,
    ref=lambda x, dim, keepdim=False: np.log(np.sum(np.exp(x), axis=dim, keepdims=keepdim)),
    samples=[call(array(3, 4), 0), call(array(2, 3, 4), (0, -1), True)],
    target="logsumexp",
    places="",
    onnx="ReduceLogSumExp",
)


@composite(
    ref=lambda x, dim, keepdim=False: np.log(np.sum(np.exp(x), axis=dim, keepdims=keepdim)),
    samples=[call(array(3, 4), 0), call(array(2, 3, 4), (0, -1), True)],
    also="special.logsumexp",
)
def logsumexp(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) over axes, without overflow."""
    if input.is_complex():
        return complex_logsumexp(input, dim, keepdim)
    return real_logsumexp(input, dim, keepdim)


# --- norms ------------------------------------------------------------------------------------------------


@composite(
    ref=lambda x, ord=2, dim=None, keepdim=False: (
        np.linalg.norm(x.ravel(), ord) if dim is None else np.linalg.norm(x, ord, axis=dim, keepdims=keepdim)
    ),
    samples=[
        call(array(3, 4)),
        call(array(3, 4), 1, 0),
        call(array(3, 4), inf, -1, True),
        call(array(5), -inf),
        call(array(3, 4), 3, 1),
        call(integers(5, below=3), 0, 0),
    ],
    places="linalg",
)
def vector_norm(
    x: Tensor, ord: float = 2, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(sum of |x|**ord)**(1/ord) over axes.  ord: inf for the largest |x|, -inf the smallest, 0 to count"""
    if x.is_complex():
        x, dtype = x.abs(), None if dtype is None else dtype.to_real()
    if dtype is not None:
        if not dtype.is_floating_point:
            raise DTypeError(f"[norm] expected a floating-point dtype, got {dtype}")
        x = x.to(dtype)
    if not x.dtype.is_floating_point:
        x = x.to(_core.get_default_dtype())
    if ord == 1:
        return sum(x.abs(), dim, keepdim)
    if ord == 0:
        return sum(counted(x), dim, keepdim)
    if ord in (inf, -inf):
        return (amax if ord > 0 else amin)(x.abs(), dim, keepdim)
    # Squares and powers of 16-bit floats may lie beyond their range.
    wide = x.float() if x.dtype.itemsize == 2 else x
    if ord == 2:
        return root(sum(square(wide), dim, keepdim)).to(x.dtype)
    return power(sum(power(wide.abs(), ord), dim, keepdim), 1 / ord).to(x.dtype)


@composite(
    ref=lambda x, p="fro", dim=None, keepdim=False: (
        np.linalg.norm(x.ravel(), 2 if p == "fro" else p)
        if dim is None
        else np.linalg.norm(x, 2 if p == "fro" and isinstance(dim, int) else p, axis=dim, keepdims=keepdim)
    ),
    samples=[call(array(3, 4)), call(array(3, 4), 1), call(array(3, 4), dim=1, keepdim=True)],
)
def norm(
    input: Tensor, p: float | str | None = "fro", dim: Axes = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The p-norm of all elements, or along axes; "fro" is the 2-norm, "nuc" the sum of singular values."""
    if p == "nuc":
        from versant.ops.matrices import matrix_norm

        axes = (0, 1) if dim is None else axes_of(input.ndim, dim, "norm")
        return matrix_norm(input, "nuc", axes, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise ValueError(f'[norm] expected a number, "fro" or "nuc", got {p!r}')
    order = 2.0 if p is None or isinstance(p, str) else p
    return vector_norm(input, order, dim, keepdim, dtype=dtype)
