"""Tensors of random values for tests: `testing.make_tensor`."""

import math
from typing import Any

import versant
from versant import Tensor

__all__ = ["make_tensor"]


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of values between low and high, below high: by default -9 to 9, of integers to 10.

    Of bool from 0 to 2, of unsigned integers from 0 to 10. exclude_zero: zeros become the smallest positive
    number. noncontiguous: every other element of a larger tensor, along the last axis.
    Raises ValueError for limits that are NaN or hold no value, and for integers that require grad.
    """
    size = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError("[make_tensor] expected noncontiguous or memory_format, not both")
    inexact = dtype.is_floating_point or dtype.is_complex
    if requires_grad and not inexact:
        raise ValueError(f"[make_tensor] expected a floating-point dtype for requires_grad, got {dtype}")
    lowest, highest = (0, 2) if dtype is versant.bool else (0, 10) if dtype is versant.uint8 else (-9, 10)
    begin = lowest if low is None else low
    end = (9 if inexact else highest) if high is None else high
    if math.isnan(begin) or math.isnan(end):
        raise ValueError(f"[make_tensor] expected limits that are numbers, got low={low}, high={high}")
    if begin >= end:
        raise ValueError(f"[make_tensor] expected low below high, got low={begin}, high={end}")
    stored = (*size[:-1], 2 * size[-1]) if noncontiguous and math.prod(size) > 1 else size
    if inexact:
        real = {versant.complex64: versant.float32, versant.complex128: versant.float64}.get(dtype, dtype)
        reach = float(versant.finfo(real).max)
        begin, end = max(begin, -reach), min(end, reach)
        pairs = (*stored, 2) if dtype.is_complex else stored
        values = versant.rand(pairs, dtype=real) * (end - begin) + begin
        values = values.clamp(begin, math.nextafter(end, begin) if real is versant.float64 else end)
        result = versant.view_as_complex(values) if dtype.is_complex else values
        smallest = float(versant.finfo(real).tiny)
    else:
        reach = 2 if dtype is versant.bool else int(versant.iinfo(dtype).max)
        first = max(math.ceil(begin), 0 if dtype is versant.bool else int(versant.iinfo(dtype).min))
        result = versant.randint(first, min(math.ceil(end), reach), stored).to(dtype)
        smallest = 1
    if stored != size:
        result = result[..., ::2]
    if exclude_zero:
        result[result == 0] = complex(smallest, smallest) if dtype.is_complex else smallest
    if memory_format is not None:
        result = result.contiguous(memory_format=memory_format)
    return result.requires_grad_(requires_grad)
