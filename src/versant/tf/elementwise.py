"""Functions of each element: arithmetic, transcendental functions, comparison, logic, bits."""

from typing import Any

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import Function, binary, is_float, plainly, refuse_integers, unary
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import brand, cast, convert, same_dtype

MATH: dict[str, Function] = {
    **unary(
        """acos acosh asin asinh atan atanh cos cosh erf erfc erfinv exp expm1 digamma lgamma log log1p
        ndtri=special.ndtri reciprocal rsqrt sigmoid sin sinh sqrt tan tanh bessel_i0=i0
        bessel_i0e=special.i0e bessel_i1=special.i1 bessel_i1e=special.i1e"""
    ),
    **unary("abs negative=neg sign=sgn square conj", floats=False),
    **unary("is_finite=isfinite is_inf=isinf is_nan=isnan"),
    **unary("ceil floor rint=round", gradient=False),
    **unary("real imag angle", floats=False),
    **binary("maximum minimum multiply=mul subtract=sub floormod=remainder floordiv=floor_divide"),
    **binary("atan2 zeta=special.zeta xlogy xlog1py=special.xlog1py nextafter", floats=True),
    **binary("equal=eq not_equal=ne less=lt less_equal=le greater=gt greater_equal=ge"),
}


def _add(x: Any, y: Any, name: str | None = None) -> Any:
    """x + y, element by element, of one dtype."""
    if not isinstance(x, _core.TensorLike) and not isinstance(y, _core.TensorLike):
        x, y = same_dtype("add", x, y)
    return x + y


def divide(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y; of integers the floating-point quotient."""
    x, y = same_dtype("divide", x, y)
    return brand(x) / y


def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y, and 0 where y is 0."""
    x, y = same_dtype("divide_no_nan", x, y)
    if not is_float(x.dtype):
        x, y = cast(x, dtypes.float64), cast(y, dtypes.float64)
    zero = y == 0
    safe = versant.where(zero, versant.ones_like(_core.plain(y)), y)
    return brand(versant.where(zero, versant.zeros_like(_core.plain(x)), x / safe))


def multiply_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """x * y, and 0 where y is 0, whatever x is."""
    x, y = same_dtype("multiply_no_nan", x, y)
    a, b = _core.plain(x), _core.plain(y)
    finite = versant.where((b == 0) & ~versant.isfinite(a), versant.zeros_like(a), a)
    return brand(finite * b)


def pow(x: Any, y: Any, name: str | None = None) -> Any:
    """x to the power y."""
    x, y = same_dtype("pow", x, y)
    return brand(versant.pow(_core.plain(x), _core.plain(y)))


def square_difference(x: Any, y: Any, name: str | None = None) -> Any:
    """(x - y) squared; of complex numbers the product with the conjugate."""
    x, y = same_dtype("squared_difference", x, y)
    difference = brand(x) - y
    return difference * MATH["conj"](difference)


def truncatediv(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y rounded towards zero."""
    x, y = same_dtype("truncatediv", x, y)
    return brand(versant.div(_core.plain(x), _core.plain(y), rounding_mode="trunc"))


def truncatemod(x: Any, y: Any, name: str | None = None) -> Any:
    """What truncatediv leaves; it has the sign of x."""
    x, y = same_dtype("truncatemod", x, y)
    return brand(versant.fmod(_core.plain(x), _core.plain(y)))


def add_n(inputs: Any, name: str | None = None) -> Any:
    """The sum of tensors of one shape and dtype."""
    values = same_dtype("add_n", *(inputs if isinstance(inputs, list | tuple) else [inputs]))
    total = brand(_core.plain(values[0]))
    for value in values[1:]:
        if value.shape != total.shape:
            raise InvalidArgumentError(
                f"[add_n] shapes differ: {tuple(total.shape)} and {tuple(value.shape)}"
            )
        total = total + value
    return total


def round(x: Any, name: str | None = None) -> Any:
    """To the nearest whole number, halves to even."""
    x = convert(x)
    return MATH["rint"](x) if is_float(x.dtype) else x


def log_sigmoid(x: Any, name: str | None = None) -> Any:
    """log(1 / (1 + exp(-x)))."""
    from versant.nn import functional

    x = convert(x)
    refuse_integers("log_sigmoid", x)
    return brand(functional.logsigmoid(x))


def lbeta(x: Any, name: str | None = None) -> Any:
    """The logarithm of the beta function of the last axis."""
    x = plainly(x)
    return brand(versant.lgamma(x).sum(-1) - versant.lgamma(x.sum(-1)))


def polygamma(a: Any, x: Any, name: str | None = None) -> Any:
    """The derivative number a, a whole number, of digamma at x."""
    order = plainly(a)
    if order.numel() != 1 and not bool((order == order.reshape(-1)[0]).all()):
        raise InvalidArgumentError("[polygamma] a must be a single order")
    return brand(versant.special.polygamma(int(order.reshape(-1)[0]), plainly(x)))


def erfcinv(x: Any, name: str | None = None) -> Any:
    """The inverse of erfc."""
    return brand(versant.erfinv(1 - plainly(x)))


def complex(real: Any, imag: Any, name: str | None = None) -> Any:
    """real + imag * i."""
    real, imag = same_dtype("complex", real, imag)
    if real.dtype not in (dtypes.float32, dtypes.float64):
        raise TypeError(f"[complex] expected float32 or float64 parts, got {real.dtype.name}")
    parts = versant.broadcast_tensors(_core.plain(real), _core.plain(imag))
    return brand(versant.view_as_complex(versant.stack(list(parts), -1)))


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """t, nowhere below clip_value_min nor above clip_value_max."""
    t, low, high = same_dtype("clip_by_value", t, clip_value_min, clip_value_max)
    return brand(versant.minimum(versant.maximum(_core.plain(t), _core.plain(low)), _core.plain(high)))


def _logical(name: str) -> Function:
    def call(x: Any, y: Any, name: str | None = None) -> Any:
        x, y = convert(x), convert(y)
        for value in (x, y):
            if value.dtype is not dtypes.bool:
                raise InvalidArgumentError(f"[{call.__name__}] expected bool tensors, got {value.dtype.name}")
        return brand(getattr(versant, call.__name__)(x, y))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name} of two bool tensors."
    return call


def logical_not(x: Any, name: str | None = None) -> Any:
    """Not x, of a bool tensor."""
    x = convert(x)
    if x.dtype is not dtypes.bool:
        raise InvalidArgumentError(f"[logical_not] expected a bool tensor, got {x.dtype.name}")
    return brand(versant.logical_not(x))


MATH.update({name: _logical(name) for name in ("logical_and", "logical_or", "logical_xor")})
for function in (
    divide,
    divide_no_nan,
    multiply_no_nan,
    pow,
    truncatediv,
    truncatemod,
    add_n,
    round,
    log_sigmoid,
    lbeta,
    polygamma,
    erfcinv,
    logical_not,
):
    MATH[function.__name__] = function
MATH |= {
    "add": _add,
    "truediv": divide,
    "squared_difference": square_difference,
    "mod": MATH["floormod"],
    "softplus": unary("softplus", source="nn.functional.")["softplus"],
    "complex": complex,
}

SPECIAL: dict[str, Function] = {
    name: MATH[name] for name in ("bessel_i0", "bessel_i0e", "bessel_i1", "bessel_i1e")
}

BITWISE: dict[str, Function] = {
    **binary(
        """bitwise_and bitwise_or bitwise_xor left_shift=bitwise_left_shift right_shift=bitwise_right_shift"""
    ),
    **unary("invert=bitwise_not", floats=False),
}

TOP_LEVEL = [
    "abs",
    "acos",
    "acosh",
    "add",
    "add_n",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "complex",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "floor",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "pow",
    "round",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "truediv",
]
