"""Tensors of other libraries, over the same memory."""

from versant import Tensor, from_dlpack

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> object:
    """A capsule of the tensor's memory, for another library's from_dlpack."""
    return tensor.__dlpack__()
