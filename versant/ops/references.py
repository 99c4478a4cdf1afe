"""Plain reference values of functions that numpy lacks, in double precision."""

import math
from collections.abc import Callable
from typing import Any

from versant.ops.lazy import np


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
    if math.isnan(x) or n != int(n) or n < 0:
        return math.nan
    if x <= 0 and x == math.floor(x):
        return math.inf
    s = int(n) + 1
    total = 0.0
    while x < 20:
        total += 1 / x**s
        x += 1
    if math.isinf(x):
        return 0.0
    total += x ** (1 - s) / (s - 1) + 0.5 / x**s
    term = s / x ** (s + 1)  # s (s+1) ... (s+2j-2) / x**(s+2j-1)
    for j, bernoulli in ((1, 1 / 12), (2, -1 / 720), (3, 1 / 30240), (4, -1 / 1209600)):
        total += bernoulli * term
        term *= (s + 2 * j - 1) * (s + 2 * j) / x**2
    return (-1.0) ** s * math.factorial(int(n)) * total
