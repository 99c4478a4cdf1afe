"""`vmap`: a function of one sample as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from versant import Tensor, _core
from versant.func.levels import RANDOMNESS, apart, batch_level, described, refuse_others, together
from versant.structure import Structure, children

Axes = Any  # an int, None, or a container of them that follows that of the values


def axes_of(prefix: Axes, structure: Structure, what: str) -> list[Any]:
    """An axis, or None, for each tensor of a structure; one entry stands for all that lies below it."""
    kind = structure[0]
    if kind == "tensor":
        if prefix is not None and (isinstance(prefix, bool) or not isinstance(prefix, int)):
            raise ValueError(f"[vmap] expected {what} to be an int or None for each tensor, got {prefix!r}")
        return [prefix]
    if kind in ("value", "object"):
        if prefix is not None:
            shown = structure[1].__name__ if kind == "value" else type(structure[1].value).__name__
            raise ValueError(
                f"[vmap] got {what}={prefix!r} for an input of type {shown}; only tensors can be "
                "mapped over, say None there"
            )
        return []
    parts = [part for _, part in children(structure, "")]
    if not parts:
        return []
    if prefix is None or isinstance(prefix, int):
        below = [prefix] * len(parts)
    elif isinstance(kind, type) and issubclass(kind, dict) and isinstance(prefix, dict):
        if set(prefix) != set(structure[1]):
            raise ValueError(f"[vmap] {what} has keys {list(prefix)}, the value {list(structure[1])}")
        below = [prefix[key] for key in structure[1]]
    elif isinstance(prefix, tuple | list) and issubclass(kind, tuple | list):
        below = list(prefix)
    else:
        raise ValueError(
            f"[vmap] {what} must follow the structure of the value, got {prefix!r} for a {kind.__name__}"
        )
    if len(below) != len(parts):
        raise ValueError(f"[vmap] {what} has {len(below)} entries for a {kind.__name__} of {len(parts)}")
    # A number in a container that an int covers is no tensor to map over.
    return [axis for part, entry in zip(parts, below, strict=True) for axis in axes_of(entry, part, what)]


def checked_axis(axis: int, x: Tensor) -> int:
    if x.dim() == 0:
        raise ValueError(f"[vmap] got in_dim={axis} for a tensor without dimensions; say None for it")
    if not -x.dim() <= axis < x.dim():
        raise ValueError(
            f"[vmap] got in_dim={axis} for an input of {x.dim()} dimensions; expected one from {-x.dim()} to "
            f"{x.dim() - 1}"
        )
    return axis % x.dim()


def samples_of(axes: list[Any], tensors: list[Tensor]) -> int:
    """How many samples the inputs hold."""
    sizes = [x.shape[axis] for axis, x in zip(axes, tensors, strict=True) if axis is not None]
    if not sizes:
        raise ValueError(
            "[vmap] expected an input to map over: all of in_dims is None, or there is no tensor"
        )
    if len(set(sizes)) > 1:
        raise ValueError(
            f"[vmap] expected all tensors to have the same size in the mapped dimension, got sizes {sizes}"
        )
    size: int = sizes[0]
    return size


def vmap(
    func: Callable[..., Any],
    in_dims: Axes = 0,
    out_dims: Axes = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that does for many samples what `func` does for one.

    in_dims: along which axis of each argument the samples lie (an int for all, or a tuple with an entry for
    each; entries may follow the containers that arguments are), None where an argument is the same for all.
    out_dims: where they shall lie in the results.
    randomness: what random ops are inside: "error", "same" numbers in all samples, or "different" ones.
    chunk_size: at most so many samples at once, for less memory.
    Raises ValueError where in_dims and arguments do not fit, RuntimeError where the function asks for the
    value of a sample (`if x > 0`, `x.item()`) or returns what is no tensor.

    >>> import versant as vs
    >>> vs.func.vmap(vs.dot)(vs.ones(3, 2), vs.ones(3, 2))
    tensor([2., 2., 2.])
    """
    if randomness not in RANDOMNESS:
        raise RuntimeError(f"[vmap] randomness must be 'error', 'same' or 'different', got {randomness!r}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"[vmap] chunk_size must be at least 1, got {chunk_size}")
    if not (isinstance(in_dims, int | tuple | list | dict)):
        raise ValueError(
            f"[vmap] expected in_dims to be an int or a tuple that follows the arguments, got {in_dims!r}"
        )

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        form, tensors = apart(args)
        prefix = tuple(in_dims) if isinstance(in_dims, list) else in_dims
        axes = axes_of(prefix, form, "in_dims")
        # Arguments by keyword are mapped along their first axis, as in PyTorch.
        more, named = apart(kwargs)
        axes = axes + [0] * len(named)
        tensors = tensors + named
        axes = [
            axis if axis is None else checked_axis(axis, x) for axis, x in zip(axes, tensors, strict=True)
        ]
        size = samples_of(axes, tensors)
        count = len(tensors) - len(named)

        def run(chunk: list[Tensor], samples: int) -> tuple[Structure, list[Tensor], list[Any]]:
            with batch_level(samples, randomness) as level:
                inside = [
                    x if axis is None else _core.make_batch(x.movedim(axis, 0) if axis else x, level)
                    for axis, x in zip(axes, chunk, strict=True)
                ]
                result = func(*together(form, inside[:count]), **together(more, inside[count:]))
                structure, outputs = apart(result)
                refuse_results(structure, result)
                out_axes = axes_of(out_dims, structure, "out_dims")
                found = [leaving(y, axis, level) for y, axis in zip(outputs, out_axes, strict=True)]
            return structure, found, out_axes

        if chunk_size is None or chunk_size >= size:
            structure, found, _ = run(tensors, size)
            return together(structure, found)
        parts = []
        for begin in range(0, size, chunk_size):
            samples = min(chunk_size, size - begin)
            parts.append(
                run(
                    [part_of(x, axis, begin, samples) for x, axis in zip(tensors, axes, strict=True)], samples
                )
            )
        structure, _, out_axes = parts[0]
        joined = [
            pieces[0] if axis is None else join(list(pieces), axis)
            for axis, *pieces in zip(out_axes, *(found for _, found, _ in parts), strict=True)
        ]
        return together(structure, joined)

    return mapped


def refuse_results(structure: Structure, result: Any) -> None:
    try:
        refuse_others(structure, "vmap")
    except TypeError as error:
        raise ValueError(f"{error}; {described(result)} was returned") from None


def leaving(y: Tensor, axis: int | None, level: int) -> Tensor:
    """A result outside of the level."""
    if axis is None:
        if _core.has_level(y, level):
            raise ValueError("[vmap] out_dims is None for a result that differs between samples")
        return y
    samples = _core.samples_at(y, level)
    if not -samples.dim() <= axis < samples.dim():
        raise IndexError(f"[vmap] got out_dim={axis} for a result of {samples.dim()} dimensions")
    with_axis: Tensor = samples.movedim(0, axis) if axis else samples
    return with_axis


def part_of(x: Tensor, axis: int | None, begin: int, count: int) -> Tensor:
    if axis is None:
        return x
    part: Tensor = x.narrow(axis, begin, count)
    return part


def join(pieces: list[Tensor], axis: int) -> Tensor:
    from versant import cat  # the op table is above this room

    return cat(pieces, axis)
