"""Plain reference values of functions that numpy lacks, in double precision."""

from __future__ import annotations

import math
from functools import cache

from versant.ops.lazy import np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def each(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """`function` of every element; where it is undefined, NaN, and at a pole or beyond the range, inf."""

    def guarded(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return math.inf if function is math.lgamma else math.nan
        except OverflowError:
            return math.inf

    return lambda x: np.vectorize(guarded, otypes=["float64"])(x)


def erfinv_reference(y: float) -> float:
    """Solves erf(x) = y by Newton's method, on the tail where |y| is near 1."""
    if not -1 <= y <= 1:
        return math.nan
    if abs(y) == 1 or y == 0:
        return math.copysign(math.inf, y) if y else y
    tail = 1 - abs(y)
    x = math.sqrt(-math.log(tail * (2 - tail)))  # within a few percent
    for _ in range(60):
        x += (math.erfc(x) - tail) * (math.sqrt(math.pi) / 2) * math.exp(x * x)
    return math.copysign(x, y)


def digamma_reference(x: float) -> float:
    """Recurrence up to 10, then the asymptotic series (Abramowitz and Stegun 6.3.5, 6.3.18)."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:  # reflection
        return math.nan if x == math.floor(x) else digamma_reference(1 - x) - math.pi / math.tan(math.pi * x)
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    series = ((1 / 12, 2), (-1 / 120, 4), (1 / 252, 6), (-1 / 240, 8), (1 / 132, 10))
    return total + math.log(x) - 0.5 / x - sum(b / x**k for b, k in series)


def polygamma_reference(n: float, x: float) -> float:
    """(-1)**(n + 1) * n! * sum over k of 1 / (x + k)**(n + 1), the tail by Euler and Maclaurin.

    For n = 0 it is digamma.
    """
    if n == 0:
        return digamma_reference(x)
    if math.isnan(x) or (x == -math.inf and n == 1):
        return math.nan
    if math.isinf(x):
        return 0.0 if x > 0 else math.inf if n % 2 else -math.inf
    if x <= 0 and x == math.floor(x):  # a pole, approached from above
        return math.inf if n % 2 else -math.inf
    s = int(n) + 1
    total = 0.0
    while x < 20:
        total += 1 / x**s
        x += 1
    total += x ** (1 - s) / (s - 1) + 0.5 / x**s
    term = s / x ** (s + 1)  # s (s+1) ... (s+2j-2) / x**(s+2j-1)
    for j, bernoulli in ((1, 1 / 12), (2, -1 / 720), (3, 1 / 30240), (4, -1 / 1209600)):
        total += bernoulli * term
        term *= (s + 2 * j - 1) * (s + 2 * j) / x**2
    return (-1.0) ** s * math.factorial(int(n)) * total


def zeta_reference(s: float, q: float) -> float:
    """The sum over k >= 0 of (q + k)**-s: terms up to 20, then Euler and Maclaurin's formula."""
    if math.isnan(s) or math.isnan(q) or s < 1:
        return math.nan
    if s == 1 or q == -math.inf or (q <= 0 and q == math.floor(q)):
        return math.inf
    if q < 0 and s != math.floor(s):
        return math.nan
    if math.isinf(q):
        return 0.0 if q > 0 else math.inf
    if math.isinf(s):
        return 0.0 if q > 1 else 1.0 if q == 1 else math.inf
    total = 0.0
    while q < 20:
        total += q**-s
        q += 1
    total += q ** (1 - s) / (s - 1) + 0.5 * q**-s
    term = s * q ** (-s - 1)  # s (s+1) ... (s+2j-2) / q**(s+2j-1)
    for j, bernoulli in ((1, 1 / 12), (2, -1 / 720), (3, 1 / 30240), (4, -1 / 1209600)):
        total += bernoulli * term
        term *= (s + 2 * j - 1) * (s + 2 * j) / q**2
    return total


def erfcx_reference(x: float) -> float:
    """exp(x**2) * erfc(x); for large x the asymptotic series (Abramowitz and Stegun 7.1.23)."""
    if x < 25:
        return math.exp(x * x) * math.erfc(x)
    term = total = 1.0
    for k in range(1, 10):
        term *= -(2 * k - 1) / (2 * x * x)
        total += term
    return total / (x * math.sqrt(math.pi))


def log_ndtr_reference(x: float) -> float:
    """The log of the probability that a standard normal number is below x."""
    if x == -math.inf:
        return x
    if x > -1:
        return math.log1p(-0.5 * math.erfc(x * math.sqrt(0.5)))
    return math.log(0.5 * erfcx_reference(-x * math.sqrt(0.5))) - 0.5 * x * x


def bessel_reference(order: int, x: float, scaled: bool = False) -> float:
    """The modified Bessel function of the first kind, of order 0 or 1; scaled: times exp(-|x|).

    The power series below 30, the asymptotic one above (Abramowitz and Stegun 9.6.10, 9.7.1).
    """
    size = abs(x)
    if size == math.inf:
        value = 0.0 if scaled else math.inf
    elif size < 30:
        term = total = (0.5 * size) ** order
        for k in range(1, 120):
            term *= 0.25 * size * size / (k * (k + order))
            total += term
        value = total * math.exp(-size) if scaled else total
    else:
        term = total = 1.0
        for k in range(1, 30):
            term *= ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k * size)
            total += term
        growth = 1 if scaled else math.exp(size) if size < 700 else math.inf
        value = growth * total / math.sqrt(2 * math.pi * size)
    return math.copysign(value, x) if order else value


@cache
def rule() -> Any:
    return np.polynomial.legendre.leggauss(200)


def integral(f: Callable[[Any], Any], end: float) -> float:
    """The integral of a smooth function from 0 to end, by Gauss's rule of 200 points."""
    x, w = rule()
    return float(np.sum(0.5 * end * w * f(0.5 * end * (x + 1))))


def hankel_reference(n: int, x: float, second: bool = False) -> float:
    """The Bessel function of the first or second kind (Abramowitz and Stegun 9.1.21, 9.1.22)."""
    if math.isinf(x) or (second and x < 0):
        return math.nan
    if not second:
        return integral(lambda t: np.cos(n * t - x * np.sin(t)), math.pi) / math.pi
    if x == 0:
        return -math.inf
    waves = integral(lambda t: np.sin(x * np.sin(t) - n * t), math.pi)
    tail = lambda t: (np.exp(n * t) + (-1) ** n * np.exp(-n * t)) * np.exp(-x * np.sinh(t))  # noqa: E731
    return (waves - integral(tail, math.asinh(50 / x))) / math.pi


def macdonald_reference(n: int, x: float, scaled: bool = False) -> float:
    """The modified Bessel function of the second kind (same, 9.6.24); scaled: times exp(x)."""
    if not 0 < x < math.inf:
        return math.inf if x == 0 else 0.0 if x > 0 else math.nan
    value = integral(lambda t: np.exp(x - x * np.cosh(t)) * np.cosh(n * t), math.acosh(1 + 50 / x))
    return value if scaled else value * math.exp(-x)


def airy_reference(x: float) -> float:
    """Airy's integral along the ray at pi / 6, where it decays (same, 10.4.32)."""
    if math.isinf(x):
        return 0.0 if x > 0 else math.nan
    ray = complex(math.sqrt(0.75), 0.5)
    return integral(lambda r: (ray * np.exp(1j * x * ray * r - r**3 / 3)).real, 9.0) / math.pi


def gammainc_reference(a: float, x: float) -> float:
    """x**a * exp(-x) times the sum over n of x**n / gamma(a + n + 1) (Abramowitz and Stegun 6.5.29)."""
    if not (a >= 0 and x >= 0) or (a == x and (a == 0 or a == math.inf)):
        return math.nan
    if a == math.inf or x == 0:
        return 0.0
    if a == 0 or x == math.inf:
        return 1.0
    terms = (math.exp((a + n) * math.log(x) - x - math.lgamma(a + n + 1)) for n in range(400))
    return math.fsum(terms)


def gammaincc_reference(a: float, x: float) -> float:
    """1 - gammainc(a, x)"""
    return 1 - gammainc_reference(a, x)


def gamma_slope_reference(a: float, x: float) -> float:
    """-dP/da / (dP/dx), the derivative by a of each term of gammainc's sum divided by the density."""
    if not (0 < a < math.inf and 0 <= x < math.inf):
        return math.nan
    if x == 0:
        return 0.0
    terms = (
        x
        * math.exp(n * math.log(x) + math.lgamma(a) - math.lgamma(a + n + 1))
        * (digamma_reference(a + n + 1) - math.log(x))
        for n in range(400)
    )
    return math.fsum(terms)


def beta_slope_reference(x: float, a: float, b: float) -> float:
    """-dI/da / (dI/dx) / (1 - x), by the power series of the incomplete beta function I (8.17.7 of DLMF)."""
    if not (0 < a < math.inf and 0 < b < math.inf and 0 <= x <= 1):
        return math.nan
    if x == 0 or x == 1:
        return 0.0 if x == 0 else (digamma_reference(a + b) - digamma_reference(a)) / b
    change = math.log(x) + digamma_reference(a + b) - digamma_reference(a)
    factor, total = 1.0, 0.0
    for n in range(20000):
        total += factor * (change - 1 / (a + n)) / (a + n)
        factor *= (n + 1 - b) / (n + 1) * x
    return -x * (1 - x) ** -b * total
