"""Powers, roots, exponentials and logarithms."""

from __future__ import annotations

import math
from functools import partial

from versant import _core
from versant._core import DTypeError, Tensor
from versant.ops.arithmetic import positive as unchanged
from versant.ops.arithmetic import reciprocal
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import composite, elementwise
from versant.ops.samples import Domain, array, call, normal, positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

smooth = partial(elementwise, rule="float")

# --- powers and roots -------------------------------------------------------------------------------------

square = elementwise(
    "square",
    m.square,
    "input * input",
    d=lambda x, y: 2 * x,
    rule="number",
    ref=np.square,
    onnx=lambda x: x * x,
    stablehlo=lambda x: x * x,
)
sqrt = smooth(
    "sqrt",
    m.sqrt,
    "The square root; NaN below 0.",
    d=lambda x, y: 1 / (2 * y),
    ref=np.sqrt,
    sample=positive,
    onnx="Sqrt",
    stablehlo="sqrt",
)
rsqrt = smooth(
    "rsqrt",
    m.rsqrt,
    "1 / sqrt(input)",
    d=lambda x, y: -0.5 * (y * y * y),
    ref=lambda x: 1 / np.sqrt(x),
    sample=positive,
    onnx=lambda x: m.reciprocal(m.sqrt(x)),
    stablehlo="rsqrt",
)
pow = elementwise(
    "pow",
    m.pow,
    "input to the power of exponent",
    d=lambda x, n, y: (
        m.select(m.eq(n, 0), 0, n * m.pow(x, n - 1)),
        m.select(m.eq(x, 0) & (n >= 0), 0, y * m.log(x)),
    ),
    signature="input, exponent",
    refuses="negative",
    ref=np.power,
    sample=(positive, Domain(0.1, 3.0)),
    specials={2: square, 1: unchanged, 0.5: sqrt, -1: reciprocal},
    operator="pow",
    onnx="Pow",
    stablehlo="power",
)


def in_doubles(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.to(_core.complex128) if value.dtype.is_complex else value.double()


def float_power_in_place(input: Tensor, exponent: Tensor | float) -> Tensor:
    if input.dtype.name not in ("float64", "complex128"):
        raise DTypeError(f"[float_power_] expected a tensor of float64 or complex128, got {input.dtype}")
    return pow.in_place()(input, in_doubles(exponent))


@composite(
    ref=np.power,
    samples=[call(array(3, 4, domain=positive), array(4)), call(array(3, domain=positive), 2.5)],
    in_place=float_power_in_place,
)
def float_power(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """input to the power of exponent, in float64, or in complex128 where one of them is complex."""
    return pow(in_doubles(input), in_doubles(exponent))


hypot = elementwise(
    "hypot",
    m.hypot,
    "sqrt(input**2 + other**2), without overflow in between",
    d=lambda x, y, z: (x / z, y / z),
    ref=np.hypot,
    onnx=lambda x, y: m.sqrt(x * x + y * y),
    stablehlo=lambda x, y: m.sqrt(x * x + y * y),
)

# --- exponentials -----------------------------------------------------------------------------------------

exp = smooth(
    "exp",
    m.exp,
    "e to the power of input",
    d=lambda x, y: y,
    ref=np.exp,
    corners=[88.7, 89.0, -103.0, -104.0, 709.7, 710.0],
    onnx="Exp",
    stablehlo="exponential",
)
exp2 = smooth(
    "exp2",
    m.exp2,
    "2 to the power of input",
    d=lambda x, y: y * math.log(2),
    ref=np.exp2,
    corners=[127.0, 128.0, -149.0, -150.0],
    also="special.exp2",
    onnx=lambda x: m.exp(x * math.log(2)),
    stablehlo=lambda x: m.exp(x * math.log(2)),
)
expm1 = smooth(
    "expm1",
    m.expm1,
    "exp(input) - 1, exact for small input",
    d=lambda x, y: y + 1,
    ref=np.expm1,
    corners=[1e-6, -1e-6, 88.0, -30.0],
    also="special.expm1",
    onnx=lambda x: m.exp(x) - 1,
    stablehlo="exponential_minus_one",
)
ldexp = smooth(
    "ldexp",
    lambda x, n: x * m.exp2(n),
    "input * 2**other",
    refuses="number_first number_second",
    ref=lambda x, n: x * np.exp2(n),
)

# --- logarithms -------------------------------------------------------------------------------------------

log = smooth(
    "log",
    m.log,
    "The natural logarithm; -inf at 0, NaN below.",
    d=lambda x, y: 1 / x,
    ref=np.log,
    sample=positive,
    corners=[1e-40, 1e30],
    onnx="Log",
    stablehlo="log",
)
log2 = smooth(
    "log2",
    m.log2,
    "The logarithm to base 2.",
    d=lambda x, y: 1 / (x * math.log(2)),
    ref=np.log2,
    sample=positive,
    corners=[1e-40, 1024.0],
    onnx=lambda x: m.log(x) * (1 / math.log(2)),
    stablehlo=lambda x: m.log(x) * (1 / math.log(2)),
)
log10 = smooth(
    "log10",
    m.log10,
    "The logarithm to base 10.",
    d=lambda x, y: 1 / (x * math.log(10)),
    ref=np.log10,
    sample=positive,
    corners=[1e-40, 1000.0],
    onnx=lambda x: m.log(x) * (1 / math.log(10)),
    stablehlo=lambda x: m.log(x) * (1 / math.log(10)),
)
log1p = smooth(
    "log1p",
    m.log1p,
    "log(1 + input), exact for small input",
    d=lambda x, y: 1 / (x + 1),
    ref=np.log1p,
    sample=Domain(-0.9, 4.0),
    corners=[1e-6, -1e-6, -1.5],
    also="special.log1p",
    onnx=lambda x: m.log(1 + x),
    stablehlo="log_plus_one",
)


def complex_logaddexp(x: Any, y: Any) -> Any:
    """The logarithm with the larger real part, and what the other one adds to it."""
    from versant.ops.pairs import Pair, log1p

    first = m.logical_or(x.re >= y.re, m.isnan(x.re))
    large = Pair(m.select(first, x.re, y.re), m.select(first, x.im, y.im))
    small = Pair(m.select(first, y.re, x.re), m.select(first, y.im, x.im))
    nothing = m.eq(small.re, -math.inf)
    gap = small - large
    size = m.exp(m.select(nothing, -math.inf, gap.re))
    angle = m.select(nothing, 0, gap.im)
    return large + log1p(Pair(size * m.cos(angle), size * m.sin(angle)))


logaddexp = elementwise(
    "logaddexp",
    # Equal infinities are their own result.
    lambda x, y: m.select(m.eq(x, y) & m.isinf(x), x, m.max(x, y) + m.log1p(m.exp(-m.abs(x - y)))),
    "log(exp(input) + exp(other))",
    d=lambda x, y, z: (m.sigmoid(x - y), m.sigmoid(y - x)),
    ref=np.logaddexp,
    corners=[100.0, -100.0],
    complex=complex_logaddexp,
)
logaddexp2 = elementwise(
    "logaddexp2",
    lambda x, y: m.select(
        m.eq(x, y) & m.isinf(x),
        x,
        m.max(x, y) + m.log1p(m.exp2(-m.abs(x - y))) * (1 / math.log(2)),
    ),
    "log2(2**input + 2**other)",
    d=lambda x, y, z: (
        m.sigmoid((x - y) * math.log(2)),
        m.sigmoid((y - x) * math.log(2)),
    ),
    ref=np.logaddexp2,
    corners=[100.0, -100.0],
)
xlogy = smooth(
    "xlogy",
    lambda x, y: m.select(m.eq(x, 0) & ~m.isnan(y), 0, x * m.log(y)),
    "input * log(other); 0 where input is 0",
    d=lambda x, y, z: (m.select(m.eq(x, 0) & (y <= 0), 0, m.log(y)), x / y),
    ref=lambda x, y: np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y)),
    sample=(normal, positive),
    also="special.xlogy",
)
xlog1py = smooth(
    "special.xlog1py",
    lambda x, y: m.select(m.eq(x, 0) & ~m.isnan(y), 0, x * m.log1p(y)),
    "input * log(1 + other); 0 where input is 0",
    d=lambda x, y, z: (m.select(m.eq(x, 0) & (y <= -1), 0, m.log1p(y)), x / (y + 1)),
    ref=lambda x, y: np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y)),
    sample=(normal, Domain(-0.9, 4.0)),
    in_place=False,
)
