"""Tensors in steps: ranges, the identity, the indices of triangles."""

from __future__ import annotations

import builtins
import math

from versant import _core
from versant._core import Tensor
from versant.ops.creation import check_place, ones
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def plain(value: Any) -> Any:
    """A number; of a tensor, its one element."""
    return value.item() if isinstance(value, Tensor) else value


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
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """start (0), start + step ... before end; int64 when all three are integers."""
    check_place("arange", device, layout, pin_memory)
    if end is None:
        start, end = 0, start
    if end is None:
        raise TypeError("[arange] expected an end")
    start = 0 if start is None else start
    limits = [plain(v) for v in (start, end, step)]
    if dtype is None:
        whole = all(hasattr(v, "__index__") for v in limits)
        dtype = _core.int64 if whole else _core.get_default_dtype()
    result: Tensor = arange_steps(*limits, dtype)
    return result.requires_grad_() if requires_grad else result


@composite(
    differentiable=False,
    ref=lambda start, end, step=1: np.arange(start, end + step / 2, step),
    samples=[call(0.0, 3.0), call(1.0, 2.0, 0.25), call(5.0, 0.0, -2.0)],
    places="versant",
)
def range(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step ... up to end, which is included."""
    start, end = (0, start) if end is None else (start, end)
    first, last, by = (float(plain(v)) for v in (start, end, step))
    beyond = first + (math.floor((last - first) / by) + 0.5) * by if by else last
    return arange(
        first,
        beyond,
        by,
        dtype=dtype or _core.get_default_dtype(),
        layout=layout,
        device=device,
        pin_memory=pin_memory,
        requires_grad=requires_grad,
    )


@composite(
    differentiable=False,
    ref=np.linspace,
    samples=[call(0, 1, 5), call(-2.0, 3.0, 4), call(1, 2, 1), call(0, 1, 0)],
    places="versant",
)
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers, evenly spaced from start to end, both included.

    Among integers start, end and each number are cut to whole ones.
    """
    check_place("linspace", device, layout, pin_memory)
    if stands_for_samples(start, end):
        return between(start, end, steps, dtype or _core.get_default_dtype())
    first, last = ends(start, end, dtype, "linspace")
    if dtype is None:
        dtype = _core.get_default_dtype()
        if isinstance(first, complex) or isinstance(last, complex):
            dtype = dtype.to_complex()
    if dtype.is_complex:
        result = complex_steps(first, last, steps, dtype)
    else:
        result = linspace_steps(first, last, steps, dtype)
    return result.requires_grad_() if requires_grad else result


def stands_for_samples(*values: Any) -> bool:
    return builtins.any(isinstance(value, Tensor) and _core.level_of(value) > 0 for value in values)


def between(start: Any, end: Any, steps: int, dtype: Any) -> Tensor:
    """linspace between tensors whose values cannot be read, under vmap."""
    share = linspace_steps(0.0, 1.0, steps, dtype)
    result: Tensor = start * (1 - share) + end * share
    return result.to(dtype)


def complex_steps(start: complex, end: complex, steps: int, dtype: Any) -> Tensor:
    """linspace of the real parts and of the imaginary parts."""
    from versant.ops.complex_numbers import join

    parts = [
        linspace_steps(a, b, steps, dtype.to_real())
        for a, b in ((start.real, end.real), (start.imag, end.imag))
    ]
    return join(parts[0], parts[1], None)


@composite(
    differentiable=False,
    ref=lambda start, end, steps, base=10.0: np.logspace(start, end, steps, base=base),
    samples=[call(0, 1, 5), call(-1.0, 2.0, 4, 2.0)],
    places="versant",
)
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base**start to base**end, with evenly spaced exponents."""
    check_place("logspace", device, layout, pin_memory)
    dtype = dtype or _core.get_default_dtype()
    if stands_for_samples(start, end):
        exponents = between(start, end, steps, _core.float64)
    else:
        exponents = linspace_steps(*ends(start, end, dtype, "logspace"), steps, _core.float64)
    result: Tensor = (exponents.new_full((), float(base)) ** exponents).to(dtype)
    return result.requires_grad_() if requires_grad else result


def ends(start: Any, end: Any, dtype: Any, who: str) -> tuple[Any, Any]:
    """Both ends as numbers of the dtype."""
    for value in (start, end):
        if isinstance(value, Tensor) and value.ndim:
            raise RuntimeError(f"[{who}] expected a number or a 0-d tensor, got shape {tuple(value.shape)}")
    start, end = plain(start), plain(end)
    whole = dtype is not None and not (dtype.is_floating_point or dtype.is_complex)
    return (int(start), int(end)) if whole else (start, end)


@composite(differentiable=False, ref=np.eye, samples=[call(3), call(2, 4), call(0)], places="versant")
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """The (n, m) matrix with ones on the diagonal, zeros elsewhere; n rows and columns without m."""
    check_place("eye", device, layout, pin_memory)
    result: Tensor = identity(n, n if m is None else m, dtype or _core.get_default_dtype())
    return result.requires_grad_() if requires_grad else result


def triangle(who: str, row: int, col: int, dtype: Any, device: Any, layout: Any) -> Tensor:
    """Ones, of which a triangle is to be kept."""
    check_place(who, device, layout, False)
    if dtype not in (None, _core.int32, _core.int64):
        raise TypeError(f"[{who}] expected dtype int32 or int64, got {dtype}")
    if row < 0 or col < 0:
        raise ValueError(f"[{who}] row and col must not be negative, got {row} and {col}")
    return ones(row, col, dtype=_core.bool)


@composite(
    differentiable=False,
    ref=lambda r, c, k=0: np.stack(np.tril_indices(r, k, c)),
    samples=[call(3, 4), call(3, 3, 1)],
    places="versant",
)
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
) -> Tensor:
    """The row and column indices of a lower triangle: (2, n)."""
    kept = triangle("tril_indices", row, col, dtype, device, layout).tril(offset)
    return kept.nonzero().t().contiguous().to(dtype or _core.int64)


@composite(
    differentiable=False,
    ref=lambda r, c, k=0: np.stack(np.triu_indices(r, k, c)),
    samples=[call(3, 4), call(3, 3, 1)],
    places="versant",
)
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
) -> Tensor:
    """The row and column indices of an upper triangle: (2, n)."""
    kept = triangle("triu_indices", row, col, dtype, device, layout).triu(offset)
    return kept.nonzero().t().contiguous().to(dtype or _core.int64)
