"""Making tensors: filled, in steps, like another one; copies and casts."""

from __future__ import annotations

import math

from versant import _core
from versant._core import Tensor
from versant.ops.axes import Size, sizes_given, sizes_of
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def new(
    who: str,
    size: Sequence[int],
    value: Any,
    dtype: Any,
    device: Any = None,
    requires_grad: bool = False,
    like: Tensor | None = None,
) -> Tensor:
    """A tensor of one value; of None, with whatever is in memory.

    who: the op that errors name; like: a tensor whose order of axes in memory it takes over.
    """
    if device is not None:
        _core.device(device)
    return _core.full(size, value, dtype, requires_grad, who, like)


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
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    return new(
        "zeros",
        sizes_given(sizes, size, "zeros"),
        0,
        dtype or _core.get_default_dtype(),
        device,
        requires_grad,
    )


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
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones."""
    return new(
        "ones", sizes_given(sizes, size, "ones"), 1, dtype or _core.get_default_dtype(), device, requires_grad
    )


@composite(differentiable=False, places="versant", without={"ref": "its values are whatever is in memory"})
def empty(
    *sizes: Size,
    size: Size | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with whatever is in memory."""
    return new(
        "empty",
        sizes_given(sizes, size, "empty"),
        None,
        dtype or _core.get_default_dtype(),
        device,
        requires_grad,
    )


@composite(
    differentiable=False,
    ref=np.full,
    samples=[call((2, 3), 1.5), call((), 2.0), call((2,), 7), call((2,), True)],
    places="versant",
)
def full(
    size: Size, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value, by default in the value's dtype."""
    return new("full", sizes_of((size,)), number(fill_value, "full"), dtype, device, requires_grad)


@composite(differentiable=False, ref=np.zeros_like, samples=[call(array(2, 3))], places="versant")
def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of input."""
    return new("zeros_like", input.shape, 0, dtype or input.dtype, device, requires_grad, input)


@composite(differentiable=False, ref=np.ones_like, samples=[call(array(2, 3))], places="versant")
def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and dtype of input."""
    return new("ones_like", input.shape, 1, dtype or input.dtype, device, requires_grad, input)


@composite(differentiable=False, places="versant", without={"ref": "its values are whatever is in memory"})
def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Whatever is in memory, in the shape and dtype of input."""
    return new("empty_like", input.shape, None, dtype or input.dtype, device, requires_grad, input)


@composite(
    differentiable=False,
    ref=np.full_like,
    samples=[call(array(2, 3), 1.5)],
    places="versant",
)
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape and dtype of input."""
    value = number(fill_value, "full_like")
    return new("full_like", input.shape, value, dtype or input.dtype, device, requires_grad, input)


@composite(
    differentiable=False,
    ref=lambda x, *size: np.zeros(sizes_of(size)),
    samples=[call(array(2), 2, 3), call(array(2), (4,))],
    places="Tensor",
)
def new_zeros(
    input: Tensor, *size: Size, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of this size in the dtype of the tensor."""
    return new("new_zeros", sizes_of(size), 0, dtype or input.dtype, device, requires_grad)


@composite(
    differentiable=False,
    ref=lambda x, *size: np.ones(sizes_of(size)),
    samples=[call(array(2), 2, 3), call(array(2), (4,))],
    places="Tensor",
)
def new_ones(
    input: Tensor, *size: Size, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of this size in the dtype of the tensor."""
    return new("new_ones", sizes_of(size), 1, dtype or input.dtype, device, requires_grad)


@composite(differentiable=False, places="Tensor", without={"ref": "its values are whatever is in memory"})
def new_empty(
    input: Tensor, *size: Size, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Whatever is in memory, of this size in the dtype of the tensor."""
    return new("new_empty", sizes_of(size), None, dtype or input.dtype, device, requires_grad)


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
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value, of this size in the dtype of the tensor."""
    value = number(fill_value, "new_full")
    return new("new_full", sizes_of((size,)), value, dtype or input.dtype, device, requires_grad)


@composite(
    differentiable=False,
    places="Tensor",
    ref=lambda x, data: np.asarray(data),
    samples=[call(array(2), [1.0, 2.0])],
)
def new_tensor(
    input: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The data as a tensor in the dtype of the tensor."""
    return _core.tensor(data, dtype or input.dtype, requires_grad)


@composite(differentiable=False, ref=np.asarray, samples=[call(1.5)], places="versant")
def scalar_tensor(s: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A number as a tensor without axes."""
    return new("scalar_tensor", (), s, dtype or _core.get_default_dtype(), device, requires_grad)


# --- in steps ---------------------------------------------------------------------------------------------

arange_steps = primitive(
    "arange.steps",
    "start: number, end: number, step: number, dtype: dtype",
    "start, start + step ... before end.",
    target="arange_fill",
    differentiable=False,
    onnx="Range",
    stablehlo="iota",
    without={"ref": "arange has it"},
)
linspace_steps = primitive(
    "linspace.steps",
    "start: number, end: number, steps: int, dtype: dtype",
    "Evenly spaced from start to end.",
    target="linspace_fill",
    differentiable=False,
    stablehlo="iota",
    without={"ref": "linspace has it", "onnx": "exporters store the values"},
)
identity = primitive(
    "eye.matrix",
    "n: int, m: int, dtype: dtype",
    "Ones on the diagonal, zeros elsewhere.",
    target="eye",
    differentiable=False,
    onnx="EyeLike",
    without={"ref": "eye has it", "stablehlo": "exporters compare two iotas"},
)


@composite(
    differentiable=False,
    ref=np.arange,
    samples=[call(5), call(2, 9, 3), call(1.0, 2.0, 0.25), call(5, 0, -2), call(0)],
    places="versant",
)
def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start (0), start + step ... before end; int64 when all three are integers."""
    if end is None:
        start, end = 0, start
    if end is None:
        raise TypeError("[arange] expected an end")
    start = 0 if start is None else start
    limits = [v.item() if isinstance(v, Tensor) else v for v in (start, end, step)]
    if dtype is None:
        whole = all(hasattr(v, "__index__") for v in limits)
        dtype = _core.int64 if whole else _core.get_default_dtype()
    result: Tensor = arange_steps(*limits, dtype)
    return result.requires_grad_() if requires_grad else result


@composite(
    differentiable=False,
    ref=np.linspace,
    samples=[call(0, 1, 5), call(-2.0, 3.0, 4), call(1, 2, 1), call(0, 1, 0)],
    places="versant",
)
def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers, evenly spaced from start to end, both included."""
    result: Tensor = linspace_steps(start, end, steps, dtype or _core.get_default_dtype())
    return result.requires_grad_() if requires_grad else result


@composite(
    differentiable=False,
    ref=lambda start, end, steps, base=10.0: np.logspace(start, end, steps, base=base),
    samples=[call(0, 1, 5), call(-1.0, 2.0, 4, 2.0)],
    places="versant",
)
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base**start to base**end, with evenly spaced exponents."""
    exponents = linspace(start, end, steps, dtype=_core.float64)
    result = (exponents * math.log(base)).exp().to(dtype or _core.get_default_dtype())
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, ref=np.eye, samples=[call(3), call(2, 4), call(0)], places="versant")
def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The (n, m) matrix with ones on the diagonal, zeros elsewhere; n rows and columns without m."""
    result: Tensor = identity(n, n if m is None else m, dtype or _core.get_default_dtype())
    return result.requires_grad_() if requires_grad else result


@composite(
    differentiable=False,
    ref=lambda r, c, k=0: np.stack(np.tril_indices(r, k, c)),
    samples=[call(3, 4), call(3, 3, 1)],
    places="versant",
)
def tril_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The row and column indices of a lower triangle: (2, n)."""
    return ones(row, col, dtype=_core.int64).tril(offset).nonzero().t().contiguous()


@composite(
    differentiable=False,
    ref=lambda r, c, k=0: np.stack(np.triu_indices(r, k, c)),
    samples=[call(3, 4), call(3, 3, 1)],
    places="versant",
)
def triu_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The row and column indices of an upper triangle: (2, n)."""
    return ones(row, col, dtype=_core.int64).triu(offset).nonzero().t().contiguous()


# --- copies and casts -------------------------------------------------------------------------------------

clone_as_is = primitive(
    "clone.keep",
    "input",
    "A copy with memory of its own.",
    target="clone",
    ref=np.copy,
    samples=[call(array(2, 3)), call(array(0))],
    onnx="Identity",
    without={"stablehlo": "values have no memory there"},
)
row_major = primitive(
    "contiguous.rows",
    "input",
    "The same values, row by row in memory; input itself where they are already.",
    target="contiguous",
    ref=np.copy,
    samples=[call(array(2, 3)), call(array(0))],
    onnx="Identity",
    without={"stablehlo": "values have no memory there"},
)


@composite(ref=np.copy, samples=[call(array(2, 3))])
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with memory of its own; gradients flow through."""
    return clone_as_is(input)


@composite(ref=np.copy, samples=[call(array(2, 3))], places="Tensor")
def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The same values, row by row in memory; the tensor itself where they are already."""
    return row_major(input)


cast = primitive(
    "cast",
    "input, dtype: dtype",
    "The values in another dtype, rounded to it; input itself where it has that dtype.",
    places="Tensor",
    onnx="Cast",
    stablehlo="convert",
    without={"ref": "tests of dtypes cover it"},
)
detach = primitive(
    "detach",
    "input",
    "A view from which no gradient flows back.",
    differentiable=False,
    ref=np.copy,
    samples=[call(array(2, 3))],
    onnx="Identity",
    without={"stablehlo": "there are no gradients to cut"},
)
