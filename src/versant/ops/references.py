"""Plain reference values of functions that numpy lacks, in double precision."""

from __future__ import annotations

import math

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
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == math.inf:
        return 0.0
    if x <= 0 and x == math.floor(x):  # a pole: of one sign for odd n, of two for even n
        return math.inf if n % 2 else math.nan
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


# --- images -----------------------------------------------------------------------------------------------


def windows(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> list[list[int]]:
    """For each output place, the input places of its window; some lie in the margin."""
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= n + padding:
        count -= 1
    starts = (i * stride - padding for i in range(count))
    return [[start + k * dilation for k in range(kernel)] for start in starts]


def pool(
    x: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil: bool,
    combine: Any,
    whole: bool = False,
) -> Any:
    """Combines each window.  whole: the mean counts the margin, as zeros, but not what lies beyond it"""
    height, width = x.shape[-2:]
    sides = [
        windows(*numbers, ceil)
        for numbers in zip((height, width), kernel, stride, padding, dilation, strict=True)
    ]
    result = np.zeros((*x.shape[:-2], len(sides[0]), len(sides[1])))
    for i, rows in enumerate(sides[0]):
        for j, columns in enumerate(sides[1]):
            inside = [r for r in rows if 0 <= r < height], [c for c in columns if 0 <= c < width]
            values = combine(x[..., inside[0], :][..., inside[1]], (-2, -1))
            if whole:
                counted = sum(r < height + padding[0] for r in rows) * sum(
                    c < width + padding[1] for c in columns
                )
                values = values * (len(inside[0]) * len(inside[1]) / counted)
            result[..., i, j] = values
    return result


def pooled_argmax(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    """Where each window's largest element is, counted row by row in its image."""
    height, width = x.shape[-2:]
    place = np.arange(height * width).reshape(height, width)

    def largest(values: Any, _: Any) -> Any:
        flat = values.reshape(*values.shape[:-2], -1)
        return np.argmax(flat, -1)

    sides = [
        windows(*numbers, ceil)
        for numbers in zip((height, width), kernel, stride, padding, dilation, strict=True)
    ]
    result = np.zeros((*x.shape[:-2], len(sides[0]), len(sides[1])), "int64")
    for i, rows in enumerate(sides[0]):
        for j, columns in enumerate(sides[1]):
            inside = [r for r in rows if 0 <= r < height], [c for c in columns if 0 <= c < width]
            best = largest(x[..., inside[0], :][..., inside[1]], None)
            result[..., i, j] = place[inside[0], :][:, inside[1]].ravel()[best]
    return result


def adaptive_windows(x: Any, size: Any, combine: Any) -> Any:
    """Combines windows that divide each image evenly; without `combine`, where the largest elements are."""
    height, width = x.shape[-2:]
    place = np.arange(height * width).reshape(height, width)
    result = np.zeros((*x.shape[:-2], *size), None if combine else "int64")
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(i * height // size[0], -(-(i + 1) * height // size[0]))
            columns = slice(j * width // size[1], -(-(j + 1) * width // size[1]))
            values = x[..., rows, columns]
            if combine:
                result[..., i, j] = combine(values, (-2, -1))
            else:
                best = np.argmax(values.reshape(*values.shape[:-2], -1), -1)
                result[..., i, j] = place[rows, columns].ravel()[best]
    return result
