"""Slices with negative steps, which read backwards."""

from typing import Any

import versant
from versant import Tensor, _core


def reversed_slices(x: Tensor, key: Any) -> Tensor:
    """x[key], where some slices of key have negative steps."""
    parts = list(key) if isinstance(key, tuple) else [key]
    rank = x.dim()
    given = sum(part is not None and part is not Ellipsis for part in parts)
    if Ellipsis in [part for part in parts if not isinstance(part, Tensor)]:
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (rank - given)
    sizes = iter(_core.Tensor.shape.__get__(x))  # type: ignore[attr-defined]
    forward: list[Any] = []
    flips: list[int] = []
    axis = 0
    for part in parts:
        if part is None:
            forward.append(None)
            axis += 1
            continue
        size = next(sizes)
        if isinstance(part, slice):
            if part.step is not None and part.step < 0:
                places = range(size)[part]
                part = slice(places[-1], places[0] + 1, -part.step) if len(places) else slice(0, 0)
                flips.append(axis)
            axis += 1
        forward.append(part)
    found = _core.plain(x)[tuple(forward)]
    return versant.flip(found, flips)
