"""Arithmetic: sums, products, quotients, remainders, signs."""

from functools import partial

from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import Choice, add_variant, elementwise

# --- sums and products --------------------------------------------------------------------------------

add_scaled = elementwise(
    "add.alpha",
    lambda x, y, alpha: x + alpha * y,
    "input + alpha * other",
    signature="input, other, alpha: number",
    refuses="fraction",
    ref=lambda x, y, alpha: x + alpha * y,
    settings=[{"alpha": 2}],
)
add = elementwise(
    "add",
    m.add,
    "input + alpha * other.  alpha: a number, 1 by default",
    d=lambda x, y, z: (1, 1),
    ref=np.add,
    variants={"alpha": add_scaled},
    operator="add",
    onnx="Add",
    stablehlo="add",
)
sub_scaled = elementwise(
    "sub.alpha",
    lambda x, y, alpha: x - alpha * y,
    "input - alpha * other",
    signature="input, other, alpha: number",
    refuses="bool fraction",
    ref=lambda x, y, alpha: x - alpha * y,
    settings=[{"alpha": 2}],
)
sub = elementwise(
    "sub",
    m.sub,
    "input - alpha * other.  alpha: a number, 1 by default",
    d=lambda x, y, z: (1, -1),
    refuses="bool",
    ref=np.subtract,
    variants={"alpha": sub_scaled},
    operator="sub",
    also="subtract",
    onnx="Sub",
    stablehlo="subtract",
)
rsub_scaled = elementwise(
    "rsub.alpha",
    lambda x, y, alpha: y - alpha * x,
    "other - alpha * input",
    signature="input, other, alpha: number",
    refuses="bool fraction",
    ref=lambda x, y, alpha: y - alpha * x,
    settings=[{"alpha": 2}],
)
rsub = elementwise(
    "rsub",
    lambda x, y: y - x,
    "other - alpha * input.  alpha: a number, 1 by default",
    refuses="bool number_first",
    ref=lambda x, y: y - x,
    variants={"alpha": rsub_scaled},
    in_place=False,
)
mul = elementwise(
    "mul",
    m.mul,
    "input * other",
    d=lambda x, y, z: (y, x),
    ref=np.multiply,
    operator="mul",
    also="multiply",
    onnx="Mul",
    stablehlo="multiply",
)
addcmul = elementwise(
    "addcmul",
    lambda x, a, b, value: x + value * a * b,
    "input + value * tensor1 * tensor2",
    signature="input, tensor1, tensor2, value: number = 1",
    ref=lambda x, a, b, value=1: x + value * a * b,
    settings=[{"value": 3}],
)
addcdiv = elementwise(
    "addcdiv",
    lambda x, a, b, value: x + value * (a / b),
    "input + value * tensor1 / tensor2",
    signature="input, tensor1, tensor2, value: number = 1",
    rule="float",
    ref=lambda x, a, b, value=1: x + value * (a / b),
    settings=[{"value": 3}],
)
lerp = elementwise(
    "lerp",
    # Both ends are met exactly.
    lambda x, end, weight: m.select(
        m.abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight)
    ),
    "input + weight * (end - input)",
    d=lambda x, end, weight, y: (1 - weight, weight, end - x),
    signature="input, end, weight",
    rule="float",
    ref=lambda x, end, weight: np.where(
        np.abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight)
    ),
)

# --- quotients ----------------------------------------------------------------------------------------

div = elementwise(
    "div",
    m.div,
    'input / other.  rounding_mode: None; "floor" or "trunc" to round the quotient and keep integers',
    d=lambda x, y, z: (1 / y, -(x / y) / y),
    rule="float",
    ref=np.true_divide,
    operator="truediv",
    also="divide true_divide",
    onnx="Div",
    stablehlo="divide",
)
floor_divide = elementwise(
    "floor_divide",
    m.floordiv,
    "The quotient rounded down, like Python's //.",
    differentiable=False,
    ref=np.floor_divide,
    operator="floordiv",
    onnx=lambda x, y: m.floor(x / y),
    stablehlo=lambda x, y: m.floor(x / y),
)
div_floor = elementwise(
    "div.floor",
    lambda x, y: m.floordiv(x, y),
    "The quotient rounded down.",
    d=lambda x, y, z: (0, 0),
    ref=np.floor_divide,
)
div_trunc = elementwise(
    "div.trunc",
    lambda x, y: m.trunc(x / y),
    "The quotient rounded toward zero.",
    d=lambda x, y, z: (0, 0),
    ref=lambda x, y: np.trunc(x / y).astype(x.dtype),
)
add_variant(
    "div", "rounding_mode", Choice("rounding_mode", {None: div, "floor": div_floor, "trunc": div_trunc})
)
remainder = elementwise(
    "remainder",
    m.remainder,
    "What floor division leaves, with the sign of the divisor, like Python's %.",
    d=lambda x, y, z: (1, -m.floordiv(x, y)),
    ref=np.remainder,
    operator="mod",
    onnx="Mod",
    stablehlo=lambda x, y: x - m.floor(x / y) * y,
)
fmod = elementwise(
    "fmod",
    m.fmod,
    "What truncated division leaves, with the sign of the dividend, like C's fmod.",
    refuses="number_first",
    d=lambda x, y, z: (1, -m.trunc(x / y)),
    ref=np.fmod,
    onnx="Mod",
    stablehlo="remainder",
)
reciprocal = elementwise(
    "reciprocal",
    m.reciprocal,
    "1 / input",
    d=lambda x, y: -y * y,
    rule="float",
    ref=lambda x: 1 / x,
    onnx="Reciprocal",
    stablehlo=lambda x: 1 / x,
)

# --- divisors -----------------------------------------------------------------------------------------

whole = partial(elementwise, rule="integral", refuses="bool number_first number_second", differentiable=False)

gcd = whole(
    "gcd",
    m.gcd,
    "The greatest common divisor of integers; that of 0 and 0 is 0.",
    ref=np.gcd,
    corners=[0, 12, -18],
    without={"onnx": "ONNX has no loops over elements", "stablehlo": "it takes a loop"},
)
lcm = whole(
    "lcm",
    lambda x, y: m.abs(x / m.max(m.gcd(x, y), 1) * y),
    "The least common multiple of integers; that of 0 and any number is 0.",
    ref=np.lcm,
    corners=[0, 12, -18],
)

# --- signs --------------------------------------------------------------------------------------------

neg = elementwise(
    "neg",
    m.neg,
    "-input",
    d=lambda x, y: -1,
    refuses="bool",
    ref=np.negative,
    operator="neg",
    also="negative",
    onnx="Neg",
    stablehlo="negate",
)
positive = elementwise(
    "positive",
    lambda x: x,
    "+input: a copy",
    refuses="bool",
    ref=np.positive,
    operator="pos",
    in_place=False,
)
abs = elementwise(
    "abs",
    m.abs,
    "The absolute value.  Its derivative at 0 is 0.",
    d=lambda x, y: m.sign(x),
    ref=np.abs,
    operator="abs",
    also="absolute",
    onnx="Abs",
    stablehlo="abs",
)
sign = elementwise(
    "sign",
    m.sign,
    "-1, 0 or 1",
    d=lambda x, y: 0,
    ref=np.sign,
    onnx="Sign",
    stablehlo="sign",
)
copysign = elementwise(
    "copysign",
    m.copysign,
    "The magnitude of input with the sign of other.",
    d=lambda x, y, z: (m.select(m.eq(x, 0), 0, z / x), 0),
    rule="float",
    ref=np.copysign,
    onnx=lambda x, y: m.select(m.signbit(y), -m.abs(x), m.abs(x)),
    stablehlo=lambda x, y: m.select(m.signbit(y), -m.abs(x), m.abs(x)),
)

# --- copies -------------------------------------------------------------------------------------------

copy = elementwise(
    "copy",
    lambda x, y: y,
    "other, in the dtype of input",
    rule="first",
    ref=lambda x, y: np.broadcast_arrays(x, y)[1],
    places="",
)
