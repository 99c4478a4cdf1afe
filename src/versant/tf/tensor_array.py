"""tf.TensorArray: tensors written one by one."""

from typing import Any

import versant
from versant import _core
from versant.tf.dtypes import as_dtype
from versant.tf.errors import InvalidArgumentError, OutOfRangeError
from versant.tf.shapes import TensorShape
from versant.tf.tensors import brand, convert

__all__ = ["TensorArray"]


class TensorArray:
    """A list of tensors of one dtype. `write` gives the array to go on with, as loops in graphs need it.

    size: how many there are; with dynamic_size more as they are written. clear_after_read: an element may be
    read once. element_shape: that all must have; the first one's where nothing is said.

    >>> import versant.tf as tf
    >>> squares = tf.TensorArray(tf.float32, size=3)
    >>> for i in range(3):
    ...     squares = squares.write(i, float(i * i))
    >>> squares.stack().numpy().tolist()
    [0.0, 1.0, 4.0]
    """

    def __init__(
        self,
        dtype: Any,
        size: Any = 0,
        dynamic_size: bool = False,
        clear_after_read: bool = True,
        tensor_array_name: Any = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: Any = None,
    ) -> None:
        self.dtype = as_dtype(dtype)
        self.dynamic_size = bool(dynamic_size)
        self._clears = bool(clear_after_read)
        self._items: list[Any] = [None] * int(size)
        self._read: set[int] = set()
        self._shape = None if element_shape is None else TensorShape(element_shape)
        self._infers = bool(infer_shape)

    @property
    def element_shape(self) -> Any:
        """The shape that all elements have, as far as it is known."""
        return TensorShape(None) if self._shape is None else self._shape

    def size(self, name: Any = None) -> Any:
        """How many elements there are."""
        return convert(len(self._items))

    def identity(self) -> "TensorArray":
        """The array."""
        return self

    def _place(self, index: Any) -> int:
        place = int(index)
        if place < 0 or (place >= len(self._items) and not self.dynamic_size):
            raise OutOfRangeError(
                f"[TensorArray] index {place} in an array of {len(self._items)} elements; dynamic_size=True "
                "lets it grow"
            )
        self._items += [None] * (place + 1 - len(self._items))
        return place

    def write(self, index: Any, value: Any, name: Any = None) -> "TensorArray":
        """The array with `value` at `index`."""
        tensor = convert(value) if isinstance(value, _core.Tensor) else convert(value, self.dtype)
        if tensor.dtype is not self.dtype:
            raise InvalidArgumentError(
                f"[TensorArray] expected elements of {self.dtype.name}, got {tensor.dtype.name}"
            )
        shape = TensorShape(tuple(tensor.shape))
        if self._shape is None and self._infers:
            self._shape = shape
        elif self._shape is not None and not self._shape.is_compatible_with(shape):
            raise ValueError(f"[TensorArray] expected elements of shape {self._shape}, got {shape}")
        self._items[self._place(index)] = tensor
        return self

    def read(self, index: Any, name: Any = None) -> Any:
        """The element at `index`."""
        place = int(index)
        if not 0 <= place < len(self._items):
            raise OutOfRangeError(f"[TensorArray] index {place} in an array of {len(self._items)} elements")
        found = self._items[place]
        if found is None:
            if place in self._read:
                raise InvalidArgumentError(
                    f"[TensorArray] element {place} was read before; clear_after_read=False keeps elements"
                )
            return self._zeros()
        if self._clears:
            self._items[place] = None
            self._read.add(place)
        return found

    def _zeros(self) -> Any:
        if self._shape is None:
            raise InvalidArgumentError("[TensorArray] nothing was written, and the shape is not known")
        return brand(versant.zeros(tuple(self._shape.as_list()), dtype=self.dtype))

    def _all(self) -> list[Any]:
        return [_core.plain(self._zeros() if item is None else item) for item in self._items]

    def stack(self, name: Any = None) -> Any:
        """All elements, along a new first axis; zeros where nothing was written."""
        if not self._items:
            shape = () if self._shape is None else tuple(self._shape.as_list())
            return brand(versant.zeros((0, *shape), dtype=self.dtype))
        return brand(versant.stack(self._all()))

    def concat(self, name: Any = None) -> Any:
        """All elements, one after the other along their first axis."""
        return brand(versant.cat(self._all()))

    def gather(self, indices: Any, name: Any = None) -> Any:
        """The elements at these places, along a new first axis."""
        return brand(versant.stack([_core.plain(self.read(i)) for i in convert(indices).numpy().tolist()]))

    def unstack(self, value: Any, name: Any = None) -> "TensorArray":
        """The array with the rows of `value`."""
        rows = convert(value, self.dtype)
        if len(rows) > len(self._items) and not self.dynamic_size:
            raise ValueError(f"[TensorArray] {len(rows)} rows in an array of {len(self._items)} elements")
        for i in range(len(rows)):
            self.write(i, rows[i])
        return self

    def scatter(self, indices: Any, value: Any, name: Any = None) -> "TensorArray":
        """The array with the rows of `value` at these places."""
        rows = convert(value, self.dtype)
        for row, place in enumerate(convert(indices).numpy().tolist()):
            self.write(place, rows[row])
        return self

    def close(self, name: Any = None) -> None:
        """Forget the elements."""
        self._items.clear()
