"""Comparisons, tests of numbers, logic, bits, and choices by a condition."""

from __future__ import annotations

from functools import partial
from math import inf

from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import composite, elementwise
from versant.ops.samples import array, booleans, call, counts, normal, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- comparisons ------------------------------------------------------------------------------------------

asked = partial(elementwise, rule="bool", differentiable=False)

eq = asked("eq", m.eq, "input == other", ref=np.equal, operator="eq", onnx="Equal", stablehlo="compare.EQ")
ne = asked(
    "ne",
    m.ne,
    "input != other",
    ref=np.not_equal,
    operator="ne",
    also="not_equal",
    onnx=lambda x, y: ~m.eq(x, y),
    stablehlo="compare.NE",
)
lt = asked(
    "lt",
    m.lt,
    "input < other",
    ref=np.less,
    operator="lt",
    also="less",
    onnx="Less",
    stablehlo="compare.LT",
)
le = asked(
    "le",
    m.le,
    "input <= other",
    ref=np.less_equal,
    operator="le",
    also="less_equal",
    onnx="LessOrEqual",
    stablehlo="compare.LE",
)
gt = asked(
    "gt",
    m.gt,
    "input > other",
    ref=np.greater,
    operator="gt",
    also="greater",
    onnx="Greater",
    stablehlo="compare.GT",
)
ge = asked(
    "ge",
    m.ge,
    "input >= other",
    ref=np.greater_equal,
    operator="ge",
    also="greater_equal",
    onnx="GreaterOrEqual",
    stablehlo="compare.GE",
)
near = asked(
    "isclose.floating",
    lambda x, y, relative, absolute, equal_nan: (
        m.eq(x, y)
        | (m.isfinite(y) & (m.abs(x - y) <= m.abs(absolute) + m.abs(relative * y)))
        | (m.ne(equal_nan, 0) & m.isnan(x) & m.isnan(y))
    ),
    "|input - other| <= atol + rtol * |other|",
    signature="input, other, rtol: number, atol: number, equal_nan: number",
    ref=lambda x, y, relative, absolute, equal_nan: np.isclose(x, y, relative, absolute, equal_nan),
    settings=[
        {"rtol": 1e-5, "atol": 1e-8, "equal_nan": False},
        {"rtol": 0.5, "atol": 0.1, "equal_nan": True},
    ],
    without={"integers": "isclose converts them to float64"},
)


@composite(
    differentiable=False,
    ref=lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(x, y, rtol, atol, equal_nan),
    samples=[call(array(3, 4), array(4)), call(array(3), array(3), rtol=0.5, atol=0.5, equal_nan=True)],
)
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|.  equal_nan: whether NaN is close to NaN"""
    for name, value in (("input", input), ("other", other)):
        if not isinstance(value, Tensor):
            raise TypeError(f"[isclose] expected a tensor as {name}, got {type(value).__name__}")
    if rtol < 0 or atol < 0:
        raise ValueError(f"[isclose] expected tolerances of at least 0, got rtol {rtol} and atol {atol}")
    if not input.dtype.is_floating_point and (rtol or atol):
        input, other = input.double(), other.double()
    return near(input, other, rtol, atol, equal_nan)


@composite(
    differentiable=False,
    ref=lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: np.allclose(x, y, rtol, atol, equal_nan),
    samples=[call(array(3, 4), array(4)), call(array(3), array(3), rtol=10.0, atol=10.0)],
)
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether every |input - other| <= atol + rtol * |other|."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@composite(
    differentiable=False,
    ref=lambda x, y: np.array_equal(x, y),
    samples=[call(array(3, 4), array(3, 4)), call(array(3), array(4))],
)
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same values."""
    return input.shape == other.shape and bool(eq(input, other).all())


# --- tests of numbers -------------------------------------------------------------------------------------

tested = partial(asked, in_place=False)

isnan = tested(
    "isnan", m.isnan, "Where input is NaN.", ref=np.isnan, onnx="IsNaN", stablehlo=lambda x: m.ne(x, x)
)
isinf = tested(
    "isinf",
    m.isinf,
    "Where input is infinite.",
    ref=np.isinf,
    onnx="IsInf",
    stablehlo=lambda x: m.eq(m.abs(x), inf),
)
isfinite = tested(
    "isfinite",
    m.isfinite,
    "Where input is neither infinite nor NaN.",
    ref=np.isfinite,
    onnx=lambda x: m.abs(x) < inf,
    stablehlo="is_finite",
)
isposinf = tested("isposinf", lambda x: m.eq(x, inf), "Where input is inf.", ref=lambda x: x == inf)
isneginf = tested("isneginf", lambda x: m.eq(x, -inf), "Where input is -inf.", ref=lambda x: x == -inf)
signbit = tested(
    "signbit",
    m.signbit,
    "Where input has a minus sign; that of -0 counts.",
    ref=lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0,
    onnx=lambda x: (x < 0) | (m.eq(x, 0) & (m.reciprocal(x) < 0)),
    stablehlo=lambda x: (x < 0) | (m.eq(x, 0) & (m.reciprocal(x) < 0)),
)
heaviside = elementwise(
    "heaviside",
    lambda x, values: m.select(m.eq(x, 0), values, x > 0),
    "1 above zero, `values` at zero, 0 elsewhere",
    refuses="number_first number_second",
    differentiable=False,
    signature="input, values",
    ref=lambda x, values: np.where(x == 0, values, x > 0),
)

# --- logic and bits ---------------------------------------------------------------------------------------

logical_not = asked(
    "logical_not", m.logical_not, "Where input is zero.", ref=np.logical_not, onnx="Not", stablehlo="not"
)
logical_and = asked(
    "logical_and", m.logical_and, "Where both are nonzero.", ref=np.logical_and, onnx="And", stablehlo="and"
)
logical_or = asked(
    "logical_or", m.logical_or, "Where either is nonzero.", ref=np.logical_or, onnx="Or", stablehlo="or"
)
logical_xor = asked(
    "logical_xor",
    m.logical_xor,
    "Where exactly one is nonzero.",
    ref=np.logical_xor,
    onnx="Xor",
    stablehlo="xor",
)

bits = partial(elementwise, rule="integral", differentiable=False)

bitwise_not = bits(
    "bitwise_not",
    m.bitwise_not,
    "All bits inverted; of bool, `not`.",
    on_bool=logical_not,
    ref=np.bitwise_not,
    operator="invert",
    onnx="BitwiseNot",
    stablehlo="not",
)
bitwise_and = bits(
    "bitwise_and",
    m.bitwise_and,
    "The bits set in both; of bool, `and`.",
    ref=np.bitwise_and,
    operator="and",
    onnx="BitwiseAnd",
    stablehlo="and",
)
bitwise_or = bits(
    "bitwise_or",
    m.bitwise_or,
    "The bits set in either; of bool, `or`.",
    ref=np.bitwise_or,
    operator="or",
    onnx="BitwiseOr",
    stablehlo="or",
)
bitwise_xor = bits(
    "bitwise_xor",
    m.bitwise_xor,
    "The bits set in one of both; of bool, `xor`.",
    ref=np.bitwise_xor,
    operator="xor",
    onnx="BitwiseXor",
    stablehlo="xor",
)
bitwise_left_shift = bits(
    "bitwise_left_shift",
    m.shift_left,
    "input * 2**other",
    refuses="bool",
    ref=np.left_shift,
    sample=(normal, counts),
    operator="lshift",
    onnx="BitShift.LEFT",
    stablehlo="shift_left",
)
bitwise_right_shift = bits(
    "bitwise_right_shift",
    m.shift_right,
    "input / 2**other, rounded down",
    refuses="bool",
    ref=np.right_shift,
    sample=(normal, counts),
    operator="rshift",
    onnx="BitShift.RIGHT",
    stablehlo="shift_right_arithmetic",
)

# --- choices ----------------------------------------------------------------------------------------------

choose = elementwise(
    "where",
    m.select,
    "input where condition holds, other elsewhere",
    d=lambda condition, x, y, z: (0, m.select(condition, 1, 0), m.select(condition, 0, 1)),
    signature="condition, input, other",
    promotes=0b110,
    refuses="overflow numbers",
    ref=np.where,
    sample=(truth, normal, normal),
    places="",
    in_place=False,
    onnx="Where",
    stablehlo="select",
)
fill_where = elementwise(
    "masked_fill",
    lambda x, mask, value: m.select(mask, value, x),
    "value where mask holds, input elsewhere",
    signature="input, mask, value",
    rule="first",
    promotes=0b101,
    refuses="overflow numbers",
    ref=lambda x, mask, value: np.where(mask, value, x),
    sample=(normal, truth, normal),
    places="",
    in_place=False,
)
fill_where_ = fill_where.in_place()


def check_fill(input: Tensor, value: Any) -> None:
    """Raises unless value is one number that input's dtype may become."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(
                f"[masked_fill] expected a number or a tensor without axes, got shape {tuple(value.shape)}"
            )
        is_complex = value.dtype.is_complex
    else:
        is_complex = isinstance(value, complex)
    if is_complex and not input.dtype.is_complex:
        raise DTypeError(f"[masked_fill] a complex value cannot be converted to {input.dtype}")


def masked_fill_in_place(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Writes value where mask holds."""
    check_fill(input, value)
    return fill_where_(input, mask, value)


@composite(
    name="versant.masked_fill",
    also="Tensor.masked_fill",
    ref=lambda x, mask, value: np.where(mask, value, x),
    samples=[call(array(3, 4), booleans(3, 4), 1.5), call(array(3, 4), booleans(4), array())],
    in_place=masked_fill_in_place,
)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """value, a number or a tensor without axes, where mask holds, input elsewhere."""
    check_fill(input, value)
    return fill_where(input, mask, value)


@composite(
    name="versant.where",
    ref=np.where,
    samples=[call(booleans(3, 4), array(3, 4), array(4)), call(booleans(3, 1), array(3, 4), 1.5)],
)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition holds, other elsewhere; of the condition alone, the indices where it holds."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return choose(condition, input, other)


@composite(
    name="Tensor.where",
    ref=lambda x, condition, other: np.where(condition, x, other),
    samples=[call(array(3, 4), booleans(3, 4), array(4))],
)
def where_method(input: Tensor, condition: Tensor, other: Tensor | float) -> Tensor:
    """The tensor where condition holds, other elsewhere."""
    return choose(condition, input, other)
