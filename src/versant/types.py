"""Types of arguments, as programs write them down."""

from versant import Size, Tensor, device, dtype

__all__ = ["Device", "Number", "_dtype", "_int", "_size"]

Number = int | float | bool
Device = device | str | int | None
_TensorOrTensors = Tensor | tuple[Tensor, ...]
_dtype = dtype
_device = device
_int = int
_float = float
_bool = bool
_size = Size | list[int] | tuple[int, ...]
