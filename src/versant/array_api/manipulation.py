"""The shape of arrays, and the order of their elements."""

from __future__ import annotations

from collections.abc import Sequence

import versant as vs
from versant import Tensor
from versant.array_api.data_types import axes_of, together


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """A view of x in a shape that it broadcasts to."""
    return vs.broadcast_to(x, shape)


def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """The arrays one after another along an axis, in their common dtype; axis=None: all in one row."""
    parts = together("concat", *arrays)
    return vs.cat([p.reshape(-1) for p in parts]) if axis is None else vs.cat(parts, axis)


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """The arrays along a new axis, in their common dtype."""
    return vs.stack(together("stack", *arrays), axis)


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along an axis."""
    return tuple(vs.unbind(x, axis))


def expand_dims(x: Tensor, /, *, axis: int = 0) -> Tensor:
    """x with a new axis of size 1 at that place."""
    return vs.unsqueeze(x, axis)


def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """x without these axes. Raises ValueError where one of them has another size than 1."""
    axes = axes_of(axis, x.ndim)
    for each in axes:
        if not -x.ndim <= each < x.ndim:
            raise vs.AxisError(f"[squeeze] axis {each} is not among those of {tuple(x.shape)}")
        if x.shape[each] != 1:
            raise ValueError(f"[squeeze] expected axis {each} of size 1, got shape {tuple(x.shape)}")
    return vs.squeeze(x, axes)


def flip(x: Tensor, /, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The elements in reverse order along these axes; None: along all."""
    return vs.flip(x, axes_of(axis, x.ndim))


def roll(x: Tensor, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The elements further by `shift`, round the end of the axis; axis=None: of all elements in a row."""
    return vs.roll(x, shift) if axis is None else vs.roll(x, shift, axis)


def moveaxis(x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Tensor:
    """x with these axes at other places, the others in their order."""
    return vs.moveaxis(x, source, destination)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """x with its axes in that order."""
    return vs.permute(x, axes)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """x in another shape; one size may be -1.  copy: True always, False never, None if needed."""
    if copy is False:
        try:
            return x.view(shape)
        except RuntimeError as error:
            raise ValueError(f"[reshape] copy=False: {error}") from None
    return vs.reshape(x.clone() if copy else x, shape)


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element `repeats` times along an axis; None: all elements in a row."""
    if isinstance(repeats, Tensor) and repeats.ndim == 1 and repeats.shape[0] == 1:
        repeats = repeats.reshape(())
    return vs.repeat_interleave(x, repeats) if axis is None else vs.repeat_interleave(x, repeats, axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """x, several times over along its axes."""
    return vs.tile(x, repetitions)
