"""Functions over lists of tensors, as optimizers of programs' own call them: `versant._foreach_add_(a, b)`.

Each does for every tensor of the first list what the method of its name does. Other arguments are one for all
tensors, or a list of one for each.
"""

from __future__ import annotations

import versant
from versant import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PREFIX = "_foreach_"
NAMES = """abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min copy cos cosh div erf erfc exp
expm1 floor frac lerp lgamma log log10 log1p log2 maximum minimum mul neg norm pow reciprocal round rsqrt
sigmoid sign sin sinh sqrt sub tan tanh trunc zero"""
ONLY_IN_PLACE = frozenset({"copy", "zero"})
BOUNDS = {"maximum": "clamp_min", "minimum": "clamp_max"}  # by numbers


def function(name: str) -> Callable[..., Any] | None:
    """The function of that name, if there is one."""
    op = name.removeprefix(PREFIX)
    in_place = op.endswith("_")
    op = op.removesuffix("_")
    if op not in NAMES.split() or (op in ONLY_IN_PLACE and not in_place) or (op == "norm" and in_place):
        return None

    def over_lists(self: Any, *others: Any, **options: Any) -> tuple[Tensor, ...] | None:
        tensors = list(self)
        columns = [column(name, other, len(tensors)) for other in others]
        value = options.pop("value", None)
        if op in ("addcdiv", "addcmul") and len(columns) == 3:
            value = columns.pop()
        values = column(name, 1 if value is None else value, len(tensors))
        results = []
        for i, tensor in enumerate(tensors):
            arguments = [other[i] for other in columns]
            more = {**options, "value": values[i]} if op in ("addcdiv", "addcmul") else options
            results.append(method(op, in_place, tensor, arguments)(*arguments, **more))
        return None if in_place else tuple(results)

    over_lists.__name__ = over_lists.__qualname__ = name
    over_lists.__doc__ = f"Tensor.{name.removeprefix(PREFIX)} of every tensor of a list."
    return over_lists


def column(name: str, other: Any, count: int) -> list[Any]:
    """One argument for each of `count` tensors."""
    if isinstance(other, (list, tuple)):
        if len(other) != count:
            raise RuntimeError(
                f"[{name}] Tensor lists must have the same number of tensors, got {count} and {len(other)}"
            )
        return list(other)
    return [other] * count


def method(op: str, in_place: bool, tensor: Tensor, arguments: list[Any]) -> Callable[..., Any]:
    if op == "norm":
        return lambda ord=2, dtype=None: versant.linalg.vector_norm(tensor, ord, dtype=dtype)
    if op in BOUNDS and not isinstance(arguments[0], Tensor):
        op = BOUNDS[op]
    if op in BOUNDS and in_place:
        return lambda other: tensor.copy_(getattr(tensor, op)(other))
    found: Callable[..., Any] = getattr(tensor, op + "_" * in_place)
    return found
