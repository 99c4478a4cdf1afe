"""Reading values: what ops may ask of arguments that stand for those of many samples."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor


def every(condition: Tensor) -> bool:
    """Whether a condition without axes holds; under vmap, for every sample."""
    if not _core.level_of(condition):
        return bool(condition)
    before = _core.level_show(0)
    try:
        return bool(_core.innermost(condition).all())
    finally:
        _core.level_show(before)


def all_samples(x: Tensor) -> Tensor:
    """The tensor; under vmap that of all samples, with axes for them in front, for looking only."""
    return _core.innermost(x) if _core.level_of(x) else x


def with_samples_of(result: Tensor, like: Tensor) -> Tensor:
    """The result, which was just made; with a batch wherever `like` has one, so that it can take its values
    in place."""
    return _core.spread_as(result, like) if _core.level_of(like) else result


def has_derivative(x: Tensor) -> bool:
    """Whether somebody differentiates by the tensor, backward or forward."""
    return x.requires_grad or _core.is_dual(x)
