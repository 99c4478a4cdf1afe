"""How near the elementwise functions come to the true values, on every instruction set that can be used.

Errors are counted in units in the last place (ulp) of the true value, which wider arithmetic supplies:
float64 for float32, long double for float64. Arguments are random bit patterns, a dense ordinary range and
corner values.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

import versant as vs
from versant import _core
from versant.ops.references import bessel_reference, erfcx_reference
from versant.ops.references import each as guarded

Array = np.ndarray[Any, np.dtype[Any]]
INF, NAN = math.inf, math.nan
COUNT = 20_000


@pytest.fixture(params=_core.instruction_sets(), autouse=True)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    best = _core.instruction_set()
    _core.use_instruction_set(request.param)
    yield request.param
    _core.use_instruction_set(best)


@dataclass(frozen=True)
class Function:
    """An op, its true values, and the most ulp that it may be off (float64 None: not tested)."""

    name: str
    true: Callable[..., Array]
    float32: float = 2.0
    float64: float | None = None
    low: float = -10.0  # the ordinary range
    high: float = 10.0


def each(f: Callable[..., float]) -> Callable[..., Array]:
    """A function of Python floats over arrays of float64."""
    return lambda *arrays: np.frompyfunc(f, len(arrays), 1)(*arrays).astype(np.float64)


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def lgamma(x: float) -> float:
    return INF if x == -INF or (x <= 0 and x == math.floor(x)) else math.lgamma(x)


def erfinv(x: float) -> float:
    """The root of erf or, from 1/2 on, of erfc, by bisection."""
    size = abs(x)
    if not size < 1:
        return math.copysign(INF, x) if size == 1 else NAN
    if size < 1e-4:
        return x * math.sqrt(math.pi) / 2 * (1 + math.pi / 12 * x * x)
    low, high = 0.0, 6.0
    for _ in range(70):
        y = (low + high) / 2
        below = math.erf(y) < size if size < 0.5 else math.erfc(y) > 1 - size
        low, high = (y, high) if below else (low, y)
    return math.copysign(low, x)


def digamma(x: float) -> float:
    """Reflection, recurrence up to 20, asymptotic series (Abramowitz and Stegun 6.3)."""
    if x == 0:
        return math.copysign(INF, -x)
    if math.isnan(x) or x == -INF or (x < 0 and x == math.floor(x)):
        return NAN
    total = 0.0
    if x < 0:
        total = -math.pi / math.tan(math.pi * (x - round(x)))
        x = 1 - x
    while x < 20:
        total -= 1 / x
        x += 1
    series = 1 / 12 - (1 / 120 - (1 / 252 - 1 / 240 / x**2) / x**2) / x**2 if x < 1e9 else 0
    return total + math.log(x) - 0.5 / x - series / x / x


def polygamma(n: int) -> Callable[[float], float]:
    """(-1)^(n+1) n! times the sum over k of (x + k)^-(n+1) by Euler and Maclaurin, for n >= 1, x > 0."""

    def true(x: float) -> float:
        s = n + 1
        head = math.fsum((x + k) ** -s for k in range(40))
        y = x + 40
        tail = y ** (1 - s) / (s - 1) + y**-s / 2 + s * y ** (-s - 1) / 12
        tail -= s * (s + 1) * (s + 2) * y ** (-s - 3) / 720
        return (-1) ** s * math.factorial(n) * (head + tail)

    return true


# The float64 limits leave room for processors without fused multiply-adds, and for math.erf's own error.
UNARY = [
    Function("exp", np.exp, 1.0, 1.0),
    Function("exp2", np.exp2, 1.5, 1.0),
    Function("expm1", np.expm1, 1.0, 1.5),
    Function("log", np.log, 1.0, 1.0, low=0),
    Function("log2", np.log2, 1.0, 1.0, low=0),
    Function("log10", np.log10, 1.0, 1.0, low=0),
    Function("log1p", np.log1p, 1.0, 1.0, low=-1),
    Function("sqrt", np.sqrt, 0.5, low=0),  # float64: long double rounds twice
    Function("rsqrt", lambda x: 1 / np.sqrt(x), 1.5, 1.5, low=0),
    Function("reciprocal", lambda x: 1 / x, 0.5),
    Function("sin", np.sin, 1.0, 1.0),
    Function("cos", np.cos, 1.0, 1.0),
    Function("tan", np.tan, 1.0, 2.5),
    Function("asin", np.arcsin, 1.0, 1.5, -1, 1),
    Function("acos", np.arccos, 1.0, 1.5, -1, 1),
    Function("atan", np.arctan, 1.0, 2.0),
    Function("sinh", np.sinh, 1.0, 2.0),
    Function("cosh", np.cosh, 1.0, 1.5),
    Function("tanh", np.tanh, 1.5, 2.5, -3, 3),
    Function("asinh", np.arcsinh, 1.0, 2.0),
    Function("acosh", np.arccosh, 1.0, 2.0, low=1),
    Function("atanh", np.arctanh, 1.0, 2.0, -1, 1),
    Function("sigmoid", sigmoid, 1.5, 2.5),
    Function("erf", each(math.erf), 1.5, 2.5, low=-4, high=4),
    Function("erfc", each(math.erfc), 1.0, 7.0, low=-4),
    Function("erfinv", each(erfinv), 1.0, 6.0, low=-1, high=1),
    Function("lgamma", each(lgamma), 1.0),
    Function("digamma", each(digamma), 1.0),
    Function("special.erfcx", guarded(erfcx_reference), 1.0),
    Function("i0", guarded(partial(bessel_reference, 0)), 1.0),
    Function("special.i0e", guarded(partial(bessel_reference, 0, scaled=True)), 1.0),
    Function("special.i1", guarded(partial(bessel_reference, 1)), 1.0),
    Function("special.i1e", guarded(partial(bessel_reference, 1, scaled=True)), 1.0),
]

BINARY = [
    Function("pow", np.power, 1.0, 1.5),
    Function("atan2", np.arctan2, 1.0, 2.0),
    Function("hypot", np.hypot, 1.0, 1.5),
]

CORNERS = [0.0, 1.0, 0.5, 2.0, 3.0, math.pi / 2, math.pi, 1e5, 3e6, 1e22, INF, NAN, 1 - 2**-24, 1 + 2**-23]
EDGES = {
    np.float32: [1e-45, 1.17549e-38, 3.4028235e38, 88.72283, 88.72284, 103.97, 103.98, 87.34, 127.9, 150.5],
    np.float64: [
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        709.78,
        709.79,
        745.13,
        745.14,
        708.4,
    ],
}


@cache
def arguments(dtype: type, low: float, high: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**64, COUNT, dtype=np.uint64)
    patterns = (bits if dtype is np.float64 else (bits >> np.uint64(32)).astype(np.uint32)).view(dtype)
    ends = np.array(CORNERS + EDGES[dtype], dtype)
    small = rng.standard_normal(COUNT // 4) * np.exp2(rng.integers(-30, 12, COUNT // 4))
    return np.concatenate(
        [patterns, rng.uniform(low, high, COUNT).astype(dtype), small.astype(dtype), ends, -ends]
    )


def apply(name: str, *arrays: Array) -> Array:
    result: Array = attrgetter(name)(vs)(*(vs.tensor(array) for array in arrays)).numpy()
    return result


def ulps(result: Array, true: Array) -> Array:
    """|result - true| in ulp; infinite where a NaN, an infinity or the sign of a zero is wrong."""
    nearest = true.astype(result.dtype)
    finite = np.isfinite(nearest) & np.isfinite(result)
    unit = np.spacing(np.abs(np.where(finite, nearest, 1)))
    error = np.where(finite, np.abs(result - true) / unit, INF)
    same_edge = (nearest == result) | (np.isnan(nearest) & np.isnan(result))
    error = np.where(~finite & same_edge, 0, error)
    return np.where((true == 0) & (np.signbit(result) != np.signbit(nearest)), INF, error)


def check(result: Array, true: Array, limit: float, *inputs: Array) -> None:
    error = ulps(result, true)
    worst = int(np.argmax(error))
    shown = ", ".join(repr(x[worst].item()) for x in inputs)
    # Half an ulp may show as a little more where the wider value is itself rounded.
    assert error[worst] <= limit + 0.01, (
        f"{error[worst]:.3f} ulp at {shown}: {result[worst]}, true {true[worst]}"
    )


@cache
def true_values(
    function: Function, dtype: type, wide: type, operands: int
) -> tuple[tuple[Array, ...], Array]:
    inputs = tuple(arguments(dtype, function.low, function.high, seed) for seed in range(operands))
    with np.errstate(all="ignore"):
        return inputs, function.true(*(x.astype(wide) for x in inputs))


@pytest.mark.parametrize("function", UNARY, ids=lambda f: f.name)
def test_float32_function(function: Function) -> None:
    inputs, true = true_values(function, np.float32, np.float64, 1)
    with np.errstate(all="ignore"):
        check(apply(function.name, *inputs), true, function.float32, *inputs)


long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than float64 on this platform"
)


@long_double
@pytest.mark.parametrize("function", [f for f in UNARY if f.float64], ids=lambda f: f.name)
def test_float64_function(function: Function) -> None:
    assert function.float64 is not None
    inputs, true = true_values(function, np.float64, np.longdouble, 1)
    with np.errstate(all="ignore"):
        check(apply(function.name, *inputs), true, function.float64, *inputs)


def pairs(function: Function, dtype: type) -> tuple[Array, Array]:
    """Random pairs, every corner with every corner, and small whole exponents."""
    corners = np.array(CORNERS + EDGES[dtype] + [3.5, 7.0, 1e10], dtype)
    corners = np.concatenate([corners, -corners])
    x, y = (arguments(dtype, function.low, function.high, seed) for seed in (1, 2))
    first, second = (grid.ravel() for grid in np.meshgrid(corners, corners))
    whole = np.random.default_rng(3).integers(-20, 20, len(x)).astype(dtype)
    return np.concatenate([x, x, first]), np.concatenate([y, whole, second])


@pytest.mark.parametrize("function", BINARY, ids=lambda f: f.name)
def test_float32_function_of_two(function: Function) -> None:
    x, y = pairs(function, np.float32)
    with np.errstate(all="ignore"):
        true = function.true(x.astype(np.float64), y.astype(np.float64))
        check(apply(function.name, x, y), true, function.float32, x, y)


@long_double
@pytest.mark.parametrize("function", [f for f in BINARY if f.float64], ids=lambda f: f.name)
def test_float64_function_of_two(function: Function) -> None:
    assert function.float64 is not None
    x, y = pairs(function, np.float64)
    with np.errstate(all="ignore"):
        true = function.true(x.astype(np.longdouble), y.astype(np.longdouble))
        check(apply(function.name, x, y), true, function.float64, x, y)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_polygamma(n: int) -> None:
    x = np.random.default_rng(0).uniform(0.01, 50, 2000).astype(np.float32)
    true = each(polygamma(n))(x.astype(np.float64))
    check(vs.polygamma(n, vs.tensor(x)).numpy(), true, 1.0, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("fmod", np.fmod),
        ("remainder", np.remainder),
        ("floor_divide", np.floor_divide),
        ("nextafter", np.nextafter),
        ("copysign", np.copysign),
    ],
)
def test_exact_function_of_two(name: str, true: Callable[..., Array], dtype: type) -> None:
    """Also where the quotient is a hair from an integer."""
    x, y = pairs(Function(name, true), dtype)
    rng = np.random.default_rng(4)
    divisor = rng.uniform(0.01, 3, COUNT).astype(dtype)
    multiple = (divisor * rng.integers(0, 2**20, COUNT)).astype(dtype)
    beside = np.nextafter(multiple, dtype(INF) * rng.choice([-1, 1], COUNT).astype(dtype))
    sign = rng.choice([-1, 1], COUNT).astype(dtype)
    x, y = np.concatenate([x, multiple, beside * sign]), np.concatenate([y, divisor, divisor])
    with np.errstate(all="ignore"):
        expected = true(x, y)
    result = apply(name, x, y)
    np.testing.assert_array_equal(result, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maximum_and_minimum_order_zeros_and_keep_nan(dtype: type) -> None:
    x = np.array([0.0, -0.0, -0.0, NAN, 1.0, NAN, INF], dtype)
    y = np.array([-0.0, 0.0, -0.0, 1.0, NAN, NAN, NAN], dtype)
    for name, expected in [
        ("maximum", [0.0, 0.0, -0.0, NAN, NAN, NAN, NAN]),
        ("minimum", [-0.0, -0.0, -0.0, NAN, NAN, NAN, NAN]),
        ("fmax", [0.0, 0.0, -0.0, 1.0, 1.0, NAN, INF]),
        ("fmin", [-0.0, -0.0, -0.0, 1.0, 1.0, NAN, INF]),
    ]:
        result = apply(name, x, y)
        np.testing.assert_array_equal(result, np.array(expected, dtype), err_msg=name)
        np.testing.assert_array_equal(np.signbit(result[:3]), np.signbit(expected[:3]), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", UNARY, ids=lambda f: f.name)
def test_an_element_does_not_depend_on_its_neighbours(function: Function, dtype: type) -> None:
    """Same bits alone, in a short run, in a long one and from a strided view."""
    x = arguments(dtype, function.low, function.high)[COUNT - 300 : COUNT + 300]
    whole = apply(function.name, x)
    for start, n in [(0, 1), (0, 7), (3, 15), (5, 17), (9, 33), (300, 100)]:
        np.testing.assert_array_equal(apply(function.name, x[start : start + n]), whole[start : start + n])
    strided = attrgetter(function.name)(vs)(vs.tensor(x)[::3]).numpy()
    np.testing.assert_array_equal(strided, whole[::3])


def test_every_float16_converts_exactly_and_back() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    halves = bits.view(np.float16)
    wide = vs.tensor(halves).to(vs.float32)
    np.testing.assert_array_equal(wide.numpy(), halves.astype(np.float32))
    numbers = ~np.isnan(halves)
    np.testing.assert_array_equal(wide.to(vs.float16).numpy().view(np.uint16)[numbers], bits[numbers])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float16_rounds_to_nearest_even_once(dtype: type) -> None:
    rng = np.random.default_rng(5)
    halves = rng.integers(0, 0x7BFF, COUNT, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = (halves + np.nextafter(halves.astype(np.float16), np.float16(INF)).astype(np.float64)) / 2
    x = np.concatenate([arguments(dtype, -7e4, 7e4), ties.astype(dtype)])
    with np.errstate(all="ignore"):
        x = np.concatenate([x, np.nextafter(x, dtype(0)), np.nextafter(x, dtype(INF))])
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(vs.tensor(x).to(vs.float16).numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bfloat16_rounds_to_nearest_even_once(dtype: type) -> None:
    x = arguments(dtype, -10, 10)
    x = x[np.abs(x) < 3e38]
    upper = np.random.default_rng(6).integers(0, 0x7F00, COUNT, dtype=np.uint32)
    ties = (upper << 16 | 0x8000).view(np.float32).astype(dtype)
    x = np.concatenate([x, ties, np.nextafter(ties, dtype(0)), np.nextafter(ties, dtype(INF))])
    # The two bfloat16 beside x: the nearer, or at the same distance the even one.
    inner = (np.abs(x).astype(np.float32).view(np.uint32) >> 16).astype(np.uint32)
    inner -= (inner << 16).view(np.float32).astype(np.float64) > np.abs(x)
    low = (inner << 16).view(np.float32).astype(np.float64)
    high = (inner + 1 << 16).view(np.float32).astype(np.float64)
    below, above = np.abs(x) - low, high - np.abs(x)
    nearest = np.where((below < above) | ((below == above) & (inner % 2 == 0)), low, high)
    result = vs.tensor(x).to(vs.bfloat16).to(vs.float32).numpy()
    np.testing.assert_array_equal(result, np.copysign(nearest, x).astype(np.float32))


def test_integers_wrap_and_divide_like_python() -> None:
    low = -(2**63)
    x = np.array([low, low, low, 7, -7, 7, -7, 5], np.int64)
    y = np.array([-1, 1, 3, 3, 3, -3, -3, -5], np.int64)
    python = [(int(a), int(b)) for a, b in zip(x, y, strict=True)]
    wrapped = [(a // b + 2**63) % 2**64 - 2**63 for a, b in python]
    np.testing.assert_array_equal(apply("floor_divide", x, y), np.array(wrapped, np.int64))
    np.testing.assert_array_equal(apply("remainder", x, y), np.array([a % b for a, b in python], np.int64))
    np.testing.assert_array_equal(apply("abs", x[:1]), x[:1])


def test_divisors_of_all_integers() -> None:
    low, high = -(2**63), 2**63 - 1
    x = np.array([0, 0, 12, -18, low, low, high, 2**62], np.int64)
    y = np.array([0, -5, 18, 12, 6, 0, high, 3 * 2**40], np.int64)
    expected = [math.gcd(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    wrapped = [(g + 2**63) % 2**64 - 2**63 for g in expected]
    assert apply("gcd", x, y).tolist() == wrapped
    assert apply("lcm", x[:4], y[:4]).tolist() == [0, 0, 36, 36]


def test_shifts_beyond_the_width() -> None:
    x = np.array([1, -1, -8, 8], np.int64)
    y = np.array([64, 64, 100, -1], np.int64)
    np.testing.assert_array_equal(apply("bitwise_left_shift", x, y), np.zeros(4, np.int64))
    np.testing.assert_array_equal(apply("bitwise_right_shift", x, y), np.array([0, -1, -1, 0]))
