"""Sample inputs of ops, described without numpy: the tests draw them."""

from math import inf, nan
from typing import Any, NamedTuple


class Domain(NamedTuple):
    """Where an elementwise op is tried: the interval from which its input is drawn."""

    low: float
    high: float


normal = Domain(-3.0, 3.0)
positive = Domain(0.1, 4.0)
inside_unit = Domain(-0.95, 0.95)
above_one = Domain(1.05, 5.0)
probability = Domain(0.03, 0.97)
small_counts = Domain(0.0, 6.0)

# The inputs that every elementwise op is tried with; records add their own.
CORNERS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, inf, -inf, nan)


class Array(NamedTuple):
    """An array argument of a sample call."""

    shape: tuple[int, ...]
    domain: Domain = normal
    dtype: str = "float"  # "float": the dtype under test; "int", "bool": not differentiated


class Call(NamedTuple):
    """The arguments of a sample call; `Array`s in them, at any depth of lists and tuples, are drawn."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def array(*shape: int, domain: Domain = normal) -> Array:
    return Array(shape, domain)


def integers(*shape: int, below: int, start: int = 0) -> Array:
    """Indices and classes: start <= i < below."""
    return Array(shape, Domain(start, below), "int")


def booleans(*shape: int) -> Array:
    return Array(shape, Domain(0, 2), "bool")


def call(*args: Any, **kwargs: Any) -> Call:
    return Call(args, kwargs)
