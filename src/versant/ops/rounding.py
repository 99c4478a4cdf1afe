"""Rounding, limits, and the larger and smaller of two numbers."""

from __future__ import annotations

from functools import partial
from math import inf

from versant._core import Tensor
from versant.ops.expression import Expression, Operand, m
from versant.ops.lazy import np
from versant.ops.record import composite, elementwise
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- rounding ---------------------------------------------------------------------------------------------

stepped = partial(elementwise, d=lambda x, y: 0, corners=[1.5, 2.5, -1.5, -2.5, 1e20, -0.2])

ceil = stepped("ceil", m.ceil, "Rounded up.", ref=np.ceil, onnx="Ceil", stablehlo="ceil")
floor = stepped("floor", m.floor, "Rounded down.", ref=np.floor, onnx="Floor", stablehlo="floor")
trunc = stepped(
    "trunc",
    m.trunc,
    "Rounded toward zero.",
    ref=np.trunc,
    also="fix",
    onnx=lambda x: m.select(x < 0, m.ceil(x), m.floor(x)),
    stablehlo=lambda x: m.select(x < 0, m.ceil(x), m.floor(x)),
)
round_decimals = elementwise(
    "round.decimals",
    lambda x, decimals: m.round(x * m.pow(10.0, decimals)) / m.pow(10.0, decimals),
    "Rounded to decimals.",
    d=lambda x, decimals, y: 0,
    signature="input, decimals: number",
    rule="float",
    ref=lambda x, decimals: np.round(x * 10.0**decimals) / 10.0**decimals,
    settings=[{"decimals": 1}],
)
round = stepped(
    "round",
    m.round,
    "Rounded to the nearest integer, ties to even.  decimals: digits kept after the point",
    ref=np.round,
    variants={"decimals": round_decimals},
    also="special.round",
    onnx="Round",
    stablehlo="round_nearest_even",
)
frac = elementwise(
    "frac",
    lambda x: x - m.trunc(x),
    "What truncation takes away: input - trunc(input).",
    ref=lambda x: x - np.trunc(x),
)

# --- the larger and the smaller ---------------------------------------------------------------------------


def wins(lost: Expression, tied: Expression) -> Expression:
    """The derivative by one of two candidates: ties share the gradient."""
    return m.select(tied, 0.5, m.select(lost, 0, 1))


maximum = elementwise(
    "maximum",
    m.max,
    "The larger of two numbers; NaN where either is NaN.",
    d=lambda x, y, z: (wins(x < y, m.eq(x, y)), wins(y < x, m.eq(x, y))),
    ref=np.maximum,
    in_place=False,
    onnx="Max",
    stablehlo="maximum",
)
minimum = elementwise(
    "minimum",
    m.min,
    "The smaller of two numbers; NaN where either is NaN.",
    d=lambda x, y, z: (wins(x > y, m.eq(x, y)), wins(y > x, m.eq(x, y))),
    ref=np.minimum,
    in_place=False,
    onnx="Min",
    stablehlo="minimum",
)
fmax = elementwise(
    "fmax",
    m.fmax,
    "The larger of two numbers; a number wins over NaN.",
    refuses="number_first number_second",
    d=lambda x, y, z: (m.select((x >= y) | m.isnan(y), 1, 0), m.select((x >= y) | m.isnan(y), 0, 1)),
    ref=np.fmax,
    in_place=False,
    onnx=lambda x, y: m.select(m.isnan(x), y, m.select(m.isnan(y), x, m.max(x, y))),
    stablehlo=lambda x, y: m.select(m.isnan(x), y, m.select(m.isnan(y), x, m.max(x, y))),
)
fmin = elementwise(
    "fmin",
    m.fmin,
    "The smaller of two numbers; a number wins over NaN.",
    refuses="number_first number_second",
    d=lambda x, y, z: (m.select((x <= y) | m.isnan(y), 1, 0), m.select((x <= y) | m.isnan(y), 0, 1)),
    ref=np.fmin,
    in_place=False,
    onnx=lambda x, y: m.select(m.isnan(x), y, m.select(m.isnan(y), x, m.min(x, y))),
    stablehlo=lambda x, y: m.select(m.isnan(x), y, m.select(m.isnan(y), x, m.min(x, y))),
)

# --- limits -----------------------------------------------------------------------------------------------

clamp_min = elementwise(
    "clamp_min",
    lambda x, low: m.max(x, low),
    "input, but at least min",
    refuses="number_first",
    d=lambda x, low, y: (m.select(x >= low, 1, 0), m.select(x < low, 1, 0)),
    signature="input, min",
    ref=np.maximum,
)
clamp_max = elementwise(
    "clamp_max",
    lambda x, high: m.min(x, high),
    "input, but at most max",
    refuses="number_first",
    d=lambda x, high, y: (m.select(x <= high, 1, 0), m.select(x > high, 1, 0)),
    signature="input, max",
    ref=np.minimum,
)
clamp_both = elementwise(
    "clamp.both",
    lambda x, low, high: m.min(m.max(x, low), high),
    "input, but at least min and at most max",
    d=lambda x, low, high, y: (
        m.select((x >= low) & (x <= high), 1, 0),
        m.select((x < low) & (low < high), 1, 0),
        m.select((x > high) | (low > high), 1, 0),
    ),
    signature="input, min, max",
    ref=lambda x, low, high: np.minimum(np.maximum(x, low), high),
)


def limiting(min: Any, max: Any) -> tuple[Any, tuple[Any, ...]]:
    """The op that keeps these limits, and its further arguments."""
    if min is not None and max is not None:
        return clamp_both, (min, max)
    if min is None and max is None:
        raise ValueError("[clamp] at least one of min and max must be given")
    return (clamp_min, (min,)) if max is None else (clamp_max, (max,))


def clamp_in_place(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    op, bounds = limiting(min, max)
    return op.in_place()(input, *bounds)


@composite(
    ref=lambda x, min=None, max=None: np.clip(x, min, max),
    samples=[call(array(3, 4), -0.5, 1.0), call(array(5), min=0.2), call(array(5), max=array(5))],
    also="clip",
    in_place=clamp_in_place,
)
def clamp(input: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None) -> Tensor:
    """input, but at least min and at most max; each is a number, a tensor, or None for no limit."""
    op, bounds = limiting(min, max)
    return op(input, *bounds)


# --- what floating-point numbers can hold -----------------------------------------------------------------

nextafter = elementwise(
    "nextafter",
    m.nextafter,
    "The next floating-point number from input toward other.",
    d=lambda x, y, z: (m.select(m.eq(x, y), 0, 1), 0),
    ref=np.nextafter,
    without={
        "onnx": "ONNX cannot look at the bits of a number",
        "stablehlo": "it depends on the width of the dtype",
        "wide reference": "it depends on the width of the dtype",
    },
)


def finite_part(x: Expression, nan: Operand, high: Operand, low: Operand) -> Expression:
    return m.select(m.isnan(x), nan, m.select(m.eq(x, inf), high, m.select(m.eq(x, -inf), low, x)))


finite = elementwise(
    "nan_to_num.numbers",
    finite_part,
    "input with other numbers in the place of NaN and the infinities",
    d=lambda x, nan, high, low, y: m.select(m.isfinite(x), 1, 0),
    signature="input, nan: number, posinf: number, neginf: number",
    ref=lambda x, nan, high, low: np.nan_to_num(x, nan=nan, posinf=high, neginf=low),
    settings=[{"nan": 0.5, "posinf": 3.0, "neginf": -2.0}],
    complex=lambda x, nan, high, low: (
        finite_part(x.re, nan.re, high.re, low.re),
        finite_part(x.im, nan.re, high.re, low.re),
    ),
)


def replacements(input: Tensor, nan: float | None, posinf: float | None, neginf: float | None) -> list[float]:
    largest = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}
    limit = largest.get(str(input.dtype).rpartition(".")[2], 1.7976931348623157e308)
    return [
        0.0 if nan is None else nan,
        limit if posinf is None else posinf,
        -limit if neginf is None else neginf,
    ]


def nan_to_num_in_place(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    return finite.in_place()(input, *replacements(input, nan, posinf, neginf))


@composite(
    ref=lambda x, nan=0.0, posinf=None, neginf=None: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    samples=[call(array(3, 4)), call(array(3, 4), 1.0, posinf=2.0)],
    in_place=nan_to_num_in_place,
)
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN becomes `nan` (0), inf and -inf become `posinf` and `neginf` (the dtype's largest numbers)."""
    return finite(input, *replacements(input, nan, posinf, neginf))
