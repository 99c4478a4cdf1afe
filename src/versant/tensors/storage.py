"""The memory of tensors as an object, for programs that ask where it lies and how large it is."""

from typing import Any

from versant._core import Tensor, uint8

__all__ = ["TypedStorage", "UntypedStorage"]


class UntypedStorage:
    """The memory of a tensor and of all views of it, in bytes."""

    def __init__(self, tensor: Tensor) -> None:
        self._whole = (tensor if tensor._base is None else tensor._base).detach()
        self._begin = tensor.data_ptr() - tensor.storage_offset() * tensor.itemsize

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._begin

    def nbytes(self) -> int:
        """How many bytes it has."""
        whole = self._whole
        last = sum((n - 1) * s for n, s in zip(whole.shape, whole.stride(), strict=True))
        return (whole.storage_offset() + last + 1) * whole.itemsize if whole.numel() else 0

    def size(self) -> int:
        """How many elements it has."""
        return self.nbytes() // self.element_size()

    __len__ = size

    def element_size(self) -> int:
        return 1

    def tolist(self) -> list[Any]:
        """The elements."""
        return list(self._elements().tolist())

    def _elements(self) -> Tensor:
        whole = self._whole
        flat = whole.as_strided((self.nbytes() // whole.itemsize,), (1,), 0)
        return flat.view(uint8)

    def __getitem__(self, i: Any) -> Any:
        return self.tolist()[i]

    def is_shared(self) -> bool:
        """Whether forked processes share it."""
        return bool(self._whole.is_shared())

    @property
    def device(self) -> Any:
        return self._whole.device


class TypedStorage(UntypedStorage):
    """The memory of a tensor, in elements of its dtype."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.dtype = tensor.dtype

    def element_size(self) -> int:
        return int(self.dtype.itemsize)

    def _elements(self) -> Tensor:
        return super()._elements().view(self.dtype)

    def untyped(self) -> UntypedStorage:
        """The same in bytes."""
        return UntypedStorage(self._whole)
