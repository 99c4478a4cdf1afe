"""Forward-mode derivatives by dual numbers, as PyTorch spells them; `versant.func.jvp` is the same as a
function.

>>> import versant as vs
>>> from versant.autograd import forward_ad
>>> with forward_ad.dual_level():
...     x = forward_ad.make_dual(vs.tensor(3.0), vs.tensor(1.0))
...     forward_ad.unpack_dual(x * x).tangent
tensor(6.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from versant import Tensor, _core

_levels: list[int] = []


class UnpackedDualTensor(NamedTuple):
    """A value and its derivative, which is None where there is none."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Opens a level of dual numbers and returns its number. Prefer `dual_level`."""
    _levels.append(_core.level_enter(False, 0, 0))
    return _levels[-1]


def exit_dual_level(*, level: int | None = None) -> None:
    """Closes the innermost level; its dual numbers become their values."""
    if not _levels or (level is not None and level != _levels[-1]):
        raise RuntimeError("[exit_dual_level] this is not the innermost level that is open")
    if _core.level_depth() != _levels[-1]:
        raise RuntimeError("[exit_dual_level] a transform that was begun inside is still open")
    _levels.pop()
    _core.level_leave()


@contextmanager
def dual_level() -> Iterator[int]:
    """A level of dual numbers for the body of a with statement."""
    level = enter_dual_level()
    try:
        yield level
    finally:
        exit_dual_level(level=level)


def _open(level: int | None, who: str) -> int:
    if not _levels:
        raise RuntimeError(f"[{who}] no level is open; use `with forward_ad.dual_level():`")
    return _levels[-1] if level is None or level < 0 else level


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor` with a derivative, of its shape and dtype, that ops inside the level carry on.

    Raises RuntimeError outside of a level or for other shapes, ValueError for other dtypes.
    """
    at = _open(level, "make_dual")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(f"[make_dual] expected a floating-point tensor, got {tensor.dtype.name}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            f"[make_dual] expected a tangent of shape {tuple(tensor.shape)}, got {tuple(tangent.shape)}"
        )
    if tensor.dtype != tangent.dtype:
        raise ValueError(
            f"[make_dual] expected a tangent of dtype {tensor.dtype.name}, got {tangent.dtype.name}"
        )
    return _core.make_dual(tensor, tangent, at)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The value and the derivative of a dual number; of another tensor, itself and None."""
    if not _levels:
        return UnpackedDualTensor(tensor, None)
    at = _open(level, "unpack_dual")
    return UnpackedDualTensor(_core.value_at(tensor, at), _core.tangent_at(tensor, at))
