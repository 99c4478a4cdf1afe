"""The memory of tensors as an object, for programs that ask where it lies and how large it is."""

from typing import Any

from versant._core import Tensor, uint8

__all__ = ["UntypedStorage"]


class UntypedStorage:
    """The memory of a tensor and of all views of it: in bytes, or in elements of a dtype."""

    def __init__(self, tensor: Tensor, dtype: Any = uint8) -> None:
        whole = (tensor if tensor._base is None else tensor._base).detach()
        last = sum((n - 1) * s for n, s in zip(whole.shape, whole.stride(), strict=True))
        length = whole.storage_offset() + last + 1 if whole.numel() else 0
        self._elements = whole.as_strided((length,), (1,), 0).view(dtype)
        self.dtype, self.device = dtype, tensor.device

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._elements.data_ptr()

    def size(self) -> int:
        """How many elements it has."""
        return self._elements.numel()

    __len__ = size

    def element_size(self) -> int:
        return int(self.dtype.itemsize)

    def nbytes(self) -> int:
        """How many bytes it has."""
        return self.size() * self.element_size()

    def tolist(self) -> list[Any]:
        """The elements."""
        return list(self._elements.tolist())

    def __getitem__(self, i: int) -> Any:
        return self._elements[i].item()

    def untyped(self) -> "UntypedStorage":
        """The same in bytes."""
        return UntypedStorage(self._elements)
