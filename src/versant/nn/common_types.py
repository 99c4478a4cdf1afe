"""Types of sizes, as layers write them down: one number for all axes, or one for each."""

from versant import Tensor

_scalar_or_tuple_any = int | tuple[int, ...]
_size_any_t = _scalar_or_tuple_any
_size_1_t = int | tuple[int]
_size_2_t = int | tuple[int, int]
_size_3_t = int | tuple[int, int, int]
_size_4_t = int | tuple[int, int, int, int]
_size_5_t = int | tuple[int, int, int, int, int]
_size_6_t = int | tuple[int, int, int, int, int, int]
_ratio_2_t = float | tuple[float, float]
_ratio_3_t = float | tuple[float, float, float]
_ratio_any_t = float | tuple[float, ...]
_tensor_list_t = Tensor | list[Tensor]

__all__ = ["_size_1_t", "_size_2_t", "_size_3_t", "_size_any_t"]
