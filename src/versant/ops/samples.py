"""Sample inputs of ops, described without numpy: `versant.testing` draws them."""

from __future__ import annotations

from math import inf, nan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from versant.ops.tuples import NamedTuple


class Domain(NamedTuple):
    """Where an input is drawn from: an interval, of floating-point numbers, integers or truths."""

    low: float
    high: float
    kind: str = "float"  # "int", "bool": these inputs have no gradient


normal = Domain(-3.0, 3.0)
positive = Domain(0.1, 4.0)
inside_unit = Domain(-0.95, 0.95)
above_one = Domain(1.05, 5.0)
probability = Domain(0.03, 0.97)
truth = Domain(0, 2, "bool")
counts = Domain(0, 6, "int")

# Every elementwise op is tried with these inputs; records add their own.
CORNERS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, inf, -inf, nan)


class Array(NamedTuple):
    """An array argument of a sample call."""

    shape: tuple[int, ...]
    domain: Domain = normal
    fixed: bool = False  # the op gives it no gradient
    # Of matrices: "regular" ones are far from singular, of "symmetric" and "definite" (also positive) ones
    # the op looks at one triangle only.
    form: str = ""


class Call(NamedTuple):
    """The arguments of a sample call; the `Array`s in them, also in lists and tuples, are drawn."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def array(*shape: int, domain: Domain = normal, form: str = "") -> Array:
    return Array(shape, domain, form=form)


def fixed(*shape: int, domain: Domain = normal) -> Array:
    """An array by which the op is not differentiated, like running statistics."""
    return Array(shape, domain, True)


def integers(*shape: int, below: int, start: int = 0) -> Array:
    """Indices and classes: start <= i < below."""
    return Array(shape, Domain(start, below, "int"))


def booleans(*shape: int) -> Array:
    return Array(shape, truth)


def call(*args: Any, **kwargs: Any) -> Call:
    return Call(args, kwargs)
