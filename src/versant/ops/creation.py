"""Making tensors of one value, or like another one."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.ops.axes import Size, sizes_given, sizes_of
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.values import with_samples_of
from versant.tensors import formats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def check_place(who: str, device: Any, layout: Any, pin_memory: bool | None) -> None:
    """Raises unless the keywords ask for what there is: strided memory of the CPU."""
    if device is not None:
        _core.device(device)
    if layout is not None:
        formats.check_layout(layout, who)
    if pin_memory:
        formats.check_pinned(pin_memory, who)


def new(
    who: str,
    size: Sequence[int],
    value: Any,
    dtype: Any,
    device: Any = None,
    requires_grad: bool = False,
    like: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool | None = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of one value; of None, with whatever is in memory.

    who: the op that errors name; like: a tensor whose order of axes in memory it takes over.
    """
    if device is not None or layout is not None or pin_memory:
        check_place(who, device, layout, pin_memory)
    if memory_format is None:
        return _core.full(size, value, dtype, requires_grad, who, like)
    result = formats.new_in(memory_format, who, size, value, dtype, like)
    return result.requires_grad_() if requires_grad else result


def number(value: Any, who: str) -> Any:
    """The value that a tensor is filled with."""
    if value is None:
        raise TypeError(f"[{who}] fill_value must be a number, got None")
    return value


# --- filled -----------------------------------------------------------------------------------------------


@composite(
    differentiable=False,
    ref=lambda *size: np.zeros(sizes_of(size)),
    samples=[call(2, 3), call((2, 0)), call(())],
    places="versant",
)
def zeros(
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    size = sizes_given(sizes, size, "zeros")
    dtype = dtype or _core.get_default_dtype()
    return new("zeros", size, 0, dtype, device, requires_grad, None, layout, pin_memory)


@composite(
    differentiable=False,
    ref=lambda *size: np.ones(sizes_of(size)),
    samples=[call(2, 3), call((2, 0)), call(())],
    places="versant",
)
def ones(
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones."""
    size = sizes_given(sizes, size, "ones")
    dtype = dtype or _core.get_default_dtype()
    return new("ones", size, 1, dtype, device, requires_grad, None, layout, pin_memory)


@composite(differentiable=False, places="versant", without={"ref": "its values are whatever is in memory"})
def empty(
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor with whatever is in memory."""
    size = sizes_given(sizes, size, "empty")
    dtype = dtype or _core.get_default_dtype()
    return new("empty", size, None, dtype, device, requires_grad, None, layout, pin_memory, memory_format)


@composite(
    differentiable=False,
    ref=np.full,
    samples=[call((2, 3), 1.5), call((), 2.0), call((2,), 7), call((2,), True)],
    places="versant",
)
def full(
    size: Size,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one value, by default in the value's dtype."""
    value = number(fill_value, "full")
    return new("full", sizes_of((size,)), value, dtype, device, requires_grad, None, layout, pin_memory)


@composite(
    differentiable=False,
    places="versant",
    without={"ref": "its values are whatever is in memory"},
)
def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with whatever is in memory, with these strides (in elements)."""
    check_place("empty_strided", device, layout, pin_memory)
    extent = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    room = _core.full((extent,), None, dtype or _core.get_default_dtype(), False, "empty_strided")
    result = room.set_(room.as_strided(size, stride))
    return result.requires_grad_() if requires_grad else result


def new_like(
    who: str,
    input: Tensor,
    value: Any,
    dtype: Any,
    device: Any,
    requires_grad: bool,
    layout: Any,
    pin_memory: bool | None,
    memory_format: Any,
) -> Tensor:
    """The same, of the shape of input and, unless memory_format says otherwise, its order in memory."""
    dtype = dtype or input.dtype
    shape = input.shape
    if value is None and _core.level_of(input):
        value = 0  # it is copied for the samples, and a trace does not copy what nothing was written to
    made = new(who, shape, value, dtype, device, requires_grad, input, layout, pin_memory, memory_format)
    return with_samples_of(made, input)


@composite(differentiable=False, ref=np.zeros_like, samples=[call(array(2, 3))], places="versant")
def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros in the shape and dtype of input."""
    return new_like("zeros_like", input, 0, dtype, device, requires_grad, layout, pin_memory, memory_format)


@composite(differentiable=False, ref=np.ones_like, samples=[call(array(2, 3))], places="versant")
def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones in the shape and dtype of input."""
    return new_like("ones_like", input, 1, dtype, device, requires_grad, layout, pin_memory, memory_format)


@composite(differentiable=False, places="versant", without={"ref": "its values are whatever is in memory"})
def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Whatever is in memory, in the shape and dtype of input."""
    return new_like(
        "empty_like", input, None, dtype, device, requires_grad, layout, pin_memory, memory_format
    )


@composite(differentiable=False, ref=np.full_like, samples=[call(array(2, 3), 1.5)], places="versant")
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """One value in the shape and dtype of input."""
    return new_like(
        "full_like",
        input,
        number(fill_value, "full_like"),
        dtype,
        device,
        requires_grad,
        layout,
        pin_memory,
        memory_format,
    )


@composite(
    differentiable=False,
    ref=lambda x, *size: np.zeros(sizes_of(size)),
    samples=[call(array(2), 2, 3), call(array(2), (4,))],
    places="Tensor",
)
def new_zeros(
    input: Tensor,
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of this size in the dtype of the tensor."""
    size = sizes_given(sizes, size, "new_zeros")
    return with_samples_of(
        new("new_zeros", size, 0, dtype or input.dtype, device, requires_grad, None, layout, pin_memory),
        input,
    )


@composite(
    differentiable=False,
    ref=lambda x, *size: np.ones(sizes_of(size)),
    samples=[call(array(2), 2, 3), call(array(2), (4,))],
    places="Tensor",
)
def new_ones(
    input: Tensor,
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of this size in the dtype of the tensor."""
    size = sizes_given(sizes, size, "new_ones")
    return with_samples_of(
        new("new_ones", size, 1, dtype or input.dtype, device, requires_grad, None, layout, pin_memory), input
    )


@composite(differentiable=False, places="Tensor", without={"ref": "its values are whatever is in memory"})
def new_empty(
    input: Tensor,
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Whatever is in memory, of this size in the dtype of the tensor."""
    size = sizes_given(sizes, size, "new_empty")
    return with_samples_of(
        new("new_empty", size, None, dtype or input.dtype, device, requires_grad, None, layout, pin_memory),
        input,
    )


@composite(
    differentiable=False,
    ref=lambda x, size, value: np.full(size, value),
    samples=[call(array(2), (2, 3), 1.5)],
    places="Tensor",
)
def new_full(
    input: Tensor,
    size: Size,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """One value, of this size in the dtype of the tensor."""
    value, dtype = number(fill_value, "new_full"), dtype or input.dtype
    return with_samples_of(
        new("new_full", sizes_of((size,)), value, dtype, device, requires_grad, None, layout, pin_memory),
        input,
    )


@composite(
    differentiable=False,
    places="Tensor",
    without={"ref": "its values are whatever is in memory"},
)
def new_empty_strided(
    input: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Whatever is in memory, with these strides (in elements), in the dtype of the tensor."""
    return empty_strided(
        size,
        stride,
        dtype=dtype or input.dtype,
        layout=layout,
        device=device,
        pin_memory=pin_memory,
        requires_grad=requires_grad,
    )


@composite(
    differentiable=False,
    places="Tensor",
    ref=lambda x, data: np.asarray(data),
    samples=[call(array(2), [1.0, 2.0])],
)
def new_tensor(
    input: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """The data as a tensor in the dtype of the tensor."""
    check_place("new_tensor", device, layout, pin_memory)
    return _core.tensor(data, dtype or input.dtype, requires_grad)


@composite(differentiable=False, ref=np.asarray, samples=[call(1.5)], places="versant")
def scalar_tensor(
    s: float,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """A number as a tensor without axes."""
    dtype = dtype or _core.get_default_dtype()
    return new("scalar_tensor", (), s, dtype, device, requires_grad, None, layout, pin_memory)
