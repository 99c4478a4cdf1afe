"""Penalties on weights."""

from typing import Any

from versant.tf.elementwise import MATH
from versant.tf.reductions import reduce_sum

__all__ = ["L1", "L1L2", "L2", "get", "l1", "l2"]


class L1L2:
    """l1 * sum(|w|) + l2 * sum(w^2)."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = float(l1 or 0.0), float(l2 or 0.0)

    def __call__(self, x: Any) -> Any:
        return reduce_sum(MATH["abs"](x)) * self.l1 + reduce_sum(MATH["square"](x)) * self.l2


def L1(l1: float = 0.01) -> L1L2:
    """l1 * sum(|w|)."""
    return L1L2(l1=l1)


def L2(l2: float = 0.01) -> L1L2:
    """l2 * sum(w^2)."""
    return L1L2(l2=l2)


l1, l2 = L1, L2


def get(identifier: Any) -> Any:
    """The regularizer of that name, or the function given."""
    if identifier is None or callable(identifier):
        return identifier
    return {"l1": L1, "l2": L2}[str(identifier).lower()]()
