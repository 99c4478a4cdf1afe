"""Orthogonal polynomials of any degree, by their recurrences (Abramowitz and Stegun 22.7)."""

from __future__ import annotations

from versant._core import Tensor, get_default_dtype
from versant.ops.comparison import where
from versant.ops.creation import ones_like, scalar_tensor, zeros_like
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.shape import broadcast_tensors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Step = Callable[[int, Any, Any, Any], Any]


def polynomial(name: str, says: str, first: Callable[[Any], Any], step: Step) -> None:
    """Adds a record.  first: the polynomial of degree 1; step: that of degree k + 1, from k, x, and those of
    degrees k and k - 1."""

    def degree(x: Any, n: int, one: Any) -> Any:
        if n <= 0:
            return one if n == 0 else one * 0
        before, value = one, first(x)
        for k in range(1, n):
            before, value = value, step(k, x, value, before)
        return value

    def family(input: Tensor | float, n: Tensor | int) -> Tensor:
        if not isinstance(input, (Tensor, int, float)):
            raise TypeError(
                f"[{name}] argument 'input' must be a tensor or a number, got {type(input).__name__}"
            )
        x = input if isinstance(input, Tensor) else scalar_tensor(float(input), dtype=get_default_dtype())
        x = x if x.is_floating_point() else x.to(get_default_dtype())
        if not isinstance(n, Tensor):
            return degree(x, int(n), ones_like(x))
        x, degrees = broadcast_tensors(x, n.long())
        found = zeros_like(x)
        for k in sorted(set(degrees.reshape(-1).tolist())):
            found = where(degrees == k, degree(x, k, ones_like(x)), found)
        return found

    family.__doc__ = f"The {says} of degree n, a number or a tensor of integers; 0 below degree 0."
    composite(
        name=f"special.{name}",
        ref=lambda x, n: degree(x, n, np.ones_like(x)),
        samples=[call(array(3, 4), 0), call(array(5), 7)],
    )(family)


def doubled(k: int, x: Any, value: Any, before: Any) -> Any:
    return 2 * x * value - before


def shifted(k: int, x: Any, value: Any, before: Any) -> Any:
    return (4 * x - 2) * value - before


def line(a: float, b: float) -> Callable[[Any], Any]:
    return lambda x: a * x + b


for _letter, _kind, _slope, _shift in (
    ("t", "first", 1, 0),
    ("u", "second", 2, 0),
    ("v", "third", 2, -1),
    ("w", "fourth", 2, 1),
):
    _says = f"Chebyshev polynomial of the {_kind} kind"
    polynomial(f"chebyshev_polynomial_{_letter}", _says, line(_slope, _shift), doubled)
    polynomial(
        f"shifted_chebyshev_polynomial_{_letter}",
        f"{_says} at 2 * input - 1,",
        line(2 * _slope, _shift - _slope),
        shifted,
    )
polynomial(
    "hermite_polynomial_h", "Hermite polynomial", lambda x: 2 * x, lambda k, x, v, b: 2 * (x * v - k * b)
)
polynomial(
    "hermite_polynomial_he",
    "Hermite polynomial of probability",
    lambda x: x,
    lambda k, x, v, b: x * v - k * b,
)
polynomial(
    "laguerre_polynomial_l",
    "Laguerre polynomial",
    lambda x: 1 - x,
    lambda k, x, v, b: ((2 * k + 1 - x) * v - k * b) / (k + 1),
)
polynomial(
    "legendre_polynomial_p",
    "Legendre polynomial",
    lambda x: x,
    lambda k, x, v, b: ((2 * k + 1) * x * v - k * b) / (k + 1),
)
