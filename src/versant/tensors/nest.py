"""Nested containers of values: lists, tuples, named tuples and dicts, in the order of TensorFlow's tf.nest.

A dict's values come in the order of its sorted keys.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from versant._core import Tensor

__all__ = ["assert_same_structure", "flatten", "is_nested", "map_structure", "pack_sequence_as"]


_LEAVES = (Tensor, float, int, str, type(None))


def is_nested(value: Any) -> bool:
    """Whether value is a container that is walked into."""
    if isinstance(value, list | dict):
        return True
    if isinstance(value, tuple):
        return not hasattr(value, "numel")  # a shape is a value
    return not isinstance(value, _LEAVES) and isinstance(value, Mapping)


def _keys(value: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(value)
    except TypeError as error:
        raise TypeError(f"[nest] the keys of a dict must be sortable: {list(value)}") from error


def _children(value: Any) -> list[Any]:
    return [value[key] for key in _keys(value)] if isinstance(value, Mapping) else list(value)


def _rebuilt(like: Any, children: list[Any]) -> Any:
    if isinstance(like, Mapping):
        made = dict(zip(_keys(like), children, strict=True))
        ordered = {key: made[key] for key in like}
        return ordered if type(like) is dict else type(like)(ordered)  # type: ignore[call-arg]
    if hasattr(like, "_fields"):
        return type(like)(*children)
    return type(like)(children)


def flatten(structure: Any) -> list[Any]:
    """The leaves of a nested structure, from the left; of a single value, that value.

    >>> flatten({"b": [1, 2], "a": 3})
    [3, 1, 2]
    """
    if not is_nested(structure):
        return [structure]
    found: list[Any] = []
    for child in _children(structure):
        found += flatten(child)
    return found


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """The structure with the items of flat_sequence, in order, in the place of its leaves."""
    leaves: Iterator[Any] = iter(flat_sequence)

    def fill(like: Any) -> Any:
        if is_nested(like):
            return _rebuilt(like, [fill(child) for child in _children(like)])
        try:
            return next(leaves)
        except StopIteration:
            raise ValueError(
                f"[pack_sequence_as] {len(list(flat_sequence))} items do not fill the structure's "
                f"{len(flatten(structure))} places"
            ) from None

    packed = fill(structure)
    if next(leaves, leaves) is not leaves:
        raise ValueError(
            f"[pack_sequence_as] more items than the structure's {len(flatten(structure))} places"
        )
    return packed


def assert_same_structure(nest1: Any, nest2: Any, *, op: str = "assert_same_structure") -> None:
    """Raise ValueError or TypeError unless both are nested alike; leaves are not compared."""
    if is_nested(nest1) != is_nested(nest2):
        raise ValueError(f"[{op}] the structures differ: {nest1!r:.80} and {nest2!r:.80}")
    if not is_nested(nest1):
        return
    both_mappings = isinstance(nest1, Mapping) and isinstance(nest2, Mapping)
    if not both_mappings and type(nest1) is not type(nest2):
        raise TypeError(
            f"[{op}] a {type(nest1).__name__} stands where the other has a {type(nest2).__name__}"
        )
    if both_mappings and set(nest1) != set(nest2):
        raise ValueError(f"[{op}] the keys differ: {_keys(nest1)} and {_keys(nest2)}")
    first, second = _children(nest1), _children(nest2)
    if len(first) != len(second):
        raise ValueError(f"[{op}] {len(first)} items stand where the other has {len(second)}")
    for one, other in zip(first, second, strict=True):
        assert_same_structure(one, other, op=op)


def map_structure(func: Callable[..., Any], *structures: Any) -> Any:
    """func of the leaves of structures that are nested alike, in that structure.

    >>> map_structure(lambda x, y: x + y, [1, (2, 3)], [10, (20, 30)])
    [11, (22, 33)]
    """
    if not structures:
        raise ValueError("[map_structure] expected at least one structure")
    for other in structures[1:]:
        assert_same_structure(structures[0], other, op="map_structure")
    flat = [flatten(structure) for structure in structures]
    return pack_sequence_as(structures[0], [func(*leaves) for leaves in zip(*flat, strict=True)])
