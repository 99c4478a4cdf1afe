"""TensorShape: the sizes of a tensor's axes, in TensorFlow's class."""

from typing import Any, Self

__all__ = ["TensorShape"]


class TensorShape(tuple[Any, ...]):
    """Sizes of axes; None stands for one that is not known.  It equals lists and tuples of the same sizes.

    >>> TensorShape([2, 3]) == [2, 3]
    True
    """

    __slots__ = ()

    def __new__(cls, dims: Any) -> Self:
        if isinstance(dims, int):
            dims = (dims,)
        return super().__new__(cls, (d if d is None else int(d) for d in dims))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list | tuple) and tuple(self) == tuple(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return TensorShape(found) if isinstance(key, slice) else found

    def __add__(self, other: Any) -> Any:
        return TensorShape((*self, *other))

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))}{',' * (len(self) == 1)})"

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return len(self)

    ndims = rank

    @property
    def dims(self) -> list[Any]:
        """The sizes as a list."""
        return list(self)

    def as_list(self) -> list[Any]:
        """The sizes as a list."""
        return list(self)

    def num_elements(self) -> Any:
        """The product of the sizes; None when one is not known."""
        count = 1
        for size in self:
            if size is None:
                return None
            count *= size
        return count

    numel = num_elements

    def is_fully_defined(self) -> bool:
        """Whether all sizes are known."""
        return None not in self

    def is_compatible_with(self, other: Any) -> bool:
        """Whether the sizes agree where both are known."""
        other = TensorShape(other)
        return len(self) == len(other) and all(
            a == b or a is None or b is None for a, b in zip(self, other, strict=True)
        )

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raise ValueError unless the sizes agree where both are known."""
        if not self.is_compatible_with(other):
            raise ValueError(f"[TensorShape] {self} and {TensorShape(other)} are incompatible")

    def assert_has_rank(self, rank: int) -> None:
        """Raise ValueError unless there are so many axes."""
        if len(self) != rank:
            raise ValueError(f"[TensorShape] {self} must have rank {rank}")

    def concatenate(self, other: Any) -> Any:
        """The sizes of both, one after the other."""
        return self + tuple(other)
