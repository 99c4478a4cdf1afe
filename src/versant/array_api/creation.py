"""Arrays from numbers, sequences and other memory."""

from __future__ import annotations

from typing import Any

import versant as vs
from versant import Tensor, dtype
from versant.array_api.data_types import Scalar, check_device

Shape = int | tuple[int, ...]


def _sizes(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def asarray(
    obj: Any, /, *, dtype: dtype | None = None, device: Any = None, copy: bool | None = None
) -> Tensor:
    """A tensor of numbers, nested sequences, buffers, arrays of other libraries or tensors.

    copy: True copies always, False never (ValueError where a copy would be needed), None where needed.
    """
    check_device(device)
    if copy is False:
        result = vs.asarray(obj, dtype=dtype)
        if not (isinstance(obj, Tensor) or hasattr(obj, "__dlpack__") or hasattr(obj, "__array_interface__")):
            try:
                memoryview(obj)
            except TypeError:
                raise ValueError("[asarray] copy=False, but the numbers have no memory to share") from None
        if dtype is not None and result.dtype is not getattr(vs.asarray(obj), "dtype", None):
            raise ValueError(f"[asarray] copy=False, but {dtype} needs a copy")
        return result
    if copy and isinstance(obj, Tensor):
        return obj.cast(dtype).clone() if dtype is not None else obj.clone()
    return vs.asarray(obj, dtype=dtype, copy=copy)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of an array of any library; copy=True: in memory of its own."""
    return vs.from_dlpack(x, device=device, copy=copy)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: dtype | None = None,
    device: Any = None,
) -> Tensor:
    """Numbers from start (0 where only stop is given) up to stop, without it; none where step leads away."""
    check_device(device)
    first, last = (0, start) if stop is None else (start, stop)
    if step and (last - first) / step <= 0:
        whole = all(isinstance(n, int) for n in (first, last, step))
        return vs.empty((0,), dtype=dtype or (vs.int64 if whole else vs.get_default_dtype()))
    return vs.arange(first, last, step, dtype=dtype)


def empty(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array whose elements are whatever was in memory."""
    check_device(device)
    return vs.empty(_sizes(shape), dtype=dtype)


def zeros(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of zeros."""
    check_device(device)
    return vs.zeros(_sizes(shape), dtype=dtype)


def ones(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of ones."""
    check_device(device)
    return vs.ones(_sizes(shape), dtype=dtype)


def full(shape: Shape, fill_value: Scalar, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of one value, by default in the default dtype of the value's kind."""
    check_device(device)
    return vs.full(_sizes(shape), fill_value, dtype=dtype)


def empty_like(x: Tensor, /, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of x's shape and dtype whose elements are whatever was in memory."""
    check_device(device)
    return vs.empty_like(x, dtype=dtype)


def zeros_like(x: Tensor, /, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Zeros in x's shape and dtype."""
    check_device(device)
    return vs.zeros_like(x, dtype=dtype)


def ones_like(x: Tensor, /, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Ones in x's shape and dtype."""
    check_device(device)
    return vs.ones_like(x, dtype=dtype)


def full_like(x: Tensor, /, fill_value: Scalar, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """One value in x's shape and dtype."""
    check_device(device)
    return vs.full_like(x, fill_value, dtype=dtype)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: dtype | None = None, device: Any = None
) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""
    check_device(device)
    columns = n_rows if n_cols is None else n_cols
    offsets = vs.arange(columns) - vs.arange(n_rows).unsqueeze(1)
    return (offsets == k).cast(vs.get_default_dtype() if dtype is None else dtype)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    endpoint: bool = True,
) -> Tensor:
    """num numbers, evenly spaced from start to stop; endpoint: whether stop is one of them."""
    check_device(device)
    if dtype is None:
        whole = vs.get_default_dtype()
        dtype = whole.to_complex() if isinstance(start, complex) or isinstance(stop, complex) else whole
    return (
        vs.linspace(start, stop, num, dtype=dtype)
        if endpoint
        else vs.linspace(start, stop, num + 1, dtype=dtype)[:num]
    )


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid from those along its axes; "xy": the first two axes change places."""
    return list(vs.meshgrid(*arrays, indexing=indexing)) if arrays else []


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The elements on and below the k-th diagonal of matrices; zeros above."""
    return vs.tril(x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The elements on and above the k-th diagonal of matrices; zeros below."""
    return vs.triu(x, k)
