"""Random tensors. Draws are functions of the generator's seed and counter: threads do not change them."""

from __future__ import annotations

import math

from versant import _core
from versant._core import DTypeError, Tensor
from versant.ops.axes import Size, sizes_given, sizes_of
from versant.ops.creation import check_place, new, new_like
from versant.ops.powers import exp, log1p
from versant.ops.record import composite, primitive
from versant.ops.rounding import ceil, clamp_min
from versant.ops.trigonometric import tan
from versant.ops.values import every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

drawn = {
    "ref": "random; tests look at moments and seeds",
    "onnx": "exported programs take random numbers as inputs",
    "stablehlo": "exported programs take random numbers as inputs",
}

# --- filling a tensor -------------------------------------------------------------------------------------

uniform_ = primitive(
    "uniform_",
    "input, from: number = 0, to: number = 1, *, generator: generator? = None",
    "Fills the tensor with numbers from `from` (included) to `to` (excluded); both parts of complex ones.",
    differentiable=False,
    places="Tensor",
    without=drawn,
)
normal_ = primitive(
    "normal_",
    "input, mean: number = 0, std: number = 1, *, generator: generator? = None",
    "Fills the tensor with normally distributed numbers. Each part of a complex one has half the variance.",
    differentiable=False,
    places="Tensor",
    without=drawn,
)
random_int_ = primitive(
    "random_int_",
    "input, low: int, high: int, *, generator: generator? = None",
    "Fills the tensor with integers from low to high, high excluded.",
    differentiable=False,
    places="",
    without=drawn,
)
random_ = primitive(
    "random_",
    "input, from: int? = None, to: int? = None, *, generator: generator? = None",
    """Fills the tensor with integers from `from` (0) to `to` (excluded): random_(to) or random_(from, to).

    Without `to`, with all integers up to the largest that its dtype holds, of floating-point dtypes up to the
    largest below which they hold all.
    """,
    differentiable=False,
    places="Tensor",
    without=drawn,
)
bernoulli_draw = primitive(
    "bernoulli.draw",
    "input, *, generator: generator? = None",
    "1 with the probability that input gives, else 0.",
    target="bernoulli",
    differentiable=False,
    places="",
    without=drawn,
)


@composite(differentiable=False, places="Tensor", without=drawn)
def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fills the tensor with 1 with probability p (a number or a tensor), else 0."""
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise RuntimeError(f"[bernoulli_] expected p from 0 to 1, got {p}")
    odds = p if isinstance(p, Tensor) else _core.full(input.shape, float(p), None, False)
    return input.copy_(bernoulli_draw(odds.expand(input.shape), generator=generator))


@composite(differentiable=False, without=drawn)
def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that input (or p) gives, else 0."""
    odds = input if p is None else new("bernoulli", input.shape, float(p), input.dtype)
    return bernoulli_draw(odds, generator=generator)


@composite(differentiable=False, places="Tensor", without=drawn)
def exponential_(input: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of density lambd * exp(-lambd * x), x above 0."""
    if not lambd > 0:
        raise RuntimeError(f"[exponential_] expected lambd greater than 0, got {lambd}")
    draws = -log1p(-fractions("exponential_", input, generator))
    least = 2.0**-53 if draws.dtype is _core.float64 else 2.0**-24  # logarithms of draws are finite
    return input.copy_(clamp_min(draws, least) / lambd)


@composite(differentiable=False, places="Tensor", without=drawn)
def cauchy_(input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of density 1 / (pi * sigma * (1 + ((x - median) / sigma)**2))."""
    if not sigma > 0:
        raise RuntimeError(f"[cauchy_] expected sigma greater than 0, got {sigma}")
    angles = math.pi * (fractions("cauchy_", input, generator) - 0.5)
    return input.copy_(median + sigma * tan(angles))


@composite(differentiable=False, places="Tensor", without=drawn)
def log_normal_(input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers whose logarithms are normal, of this mean and standard deviation."""
    if not std > 0:
        raise RuntimeError(f"[log_normal_] expected std greater than 0, got {std}")
    draws = normal_(room("log_normal_", input), mean, std, generator=generator)
    return input.copy_(exp(draws))


@composite(differentiable=False, places="Tensor", without=drawn)
def geometric_(input: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fills the tensor with the numbers of trials up to the first success, each of probability p."""
    if not 0 < p < 1:
        raise RuntimeError(f"[geometric_] expected p between 0 and 1, got {p}")
    draws = uniform_(_core.full(input.shape, None, _core.float64, False), generator=generator)
    return input.copy_(clamp_min(ceil(log1p(-draws) / math.log1p(-p)), 1))


def room(who: str, input: Tensor) -> Tensor:
    """Memory for draws that fill `input`: of its shape, in float32 or float64."""
    if not input.dtype.is_floating_point:
        raise DTypeError(f"[{who}] expected a floating-point tensor, got {input.dtype}")
    dtype = _core.float64 if input.dtype is _core.float64 else _core.float32
    return _core.full(input.shape, None, dtype, False)


def fractions(who: str, input: Tensor, generator: Any) -> Tensor:
    """Numbers from 0 to 1, 1 excluded, one for each element of `input`."""
    result: Tensor = uniform_(room(who, input), generator=generator)
    return result


# --- new tensors ------------------------------------------------------------------------------------------


@composite(differentiable=False, places="versant", without=drawn)
def rand(
    *sizes: Size,
    size: Size | None = None,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from 0 (included) to 1 (excluded)."""
    sizes, dtype = sizes_given(sizes, size, "rand"), dtype or _core.get_default_dtype()
    result = new("rand", sizes, None, dtype, device, False, None, layout, pin_memory)
    uniform_(result, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def randn(
    *sizes: Size,
    size: Size | None = None,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed numbers of mean 0 and variance 1."""
    sizes, dtype = sizes_given(sizes, size, "randn"), dtype or _core.get_default_dtype()
    result = new("randn", sizes, None, dtype, device, False, None, layout, pin_memory)
    normal_(result, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0) to high, high excluded: randint(high, size) or randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("[randint] expected high and size")
    result = new(
        "randint", sizes_of((size,)), None, dtype or _core.int64, device, False, None, layout, pin_memory
    )
    random_int_(result, low, high, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def rand_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Numbers from 0 to 1 in the shape and dtype of input."""
    result = new_like("rand_like", input, None, dtype, device, False, layout, pin_memory, memory_format)
    uniform_(result, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def randn_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Normally distributed numbers in the shape and dtype of input."""
    result = new_like("randn_like", input, None, dtype, device, False, layout, pin_memory, memory_format)
    normal_(result, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def randint_like(
    input: Tensor,
    low: Any = 0,
    high: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Integers from low (0) to high, high excluded, in the shape and dtype of input."""
    if high is None:
        low, high = 0, low
    result = new_like("randint_like", input, None, dtype, device, False, layout, pin_memory, memory_format)
    random_int_(result, low, high, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed numbers; mean and std are numbers, with a size, or tensors."""
    check_place("normal", device, layout, pin_memory)
    if not every(~(std < 0).any()) if isinstance(std, Tensor) else std < 0:
        raise ValueError(f"[normal] expected a standard deviation of at least 0, got {std}")
    if size is None:
        like = mean if isinstance(mean, Tensor) else std
        if not isinstance(like, Tensor):
            raise TypeError("[normal] expected a size, or a tensor as mean or std")
        shape = (mean + std).shape if isinstance(mean, Tensor) and isinstance(std, Tensor) else like.shape
        result = mean + std * randn(shape, generator=generator, dtype=like.dtype)
    else:
        result = mean + std * randn(*sizes_of((size,)), generator=generator, dtype=dtype)
    return result.requires_grad_() if requires_grad else result


permutation = primitive(
    "randperm.draw",
    "n: int, *, generator: generator? = None",
    "The numbers below n in random order.",
    target="randperm",
    differentiable=False,
    places="",
    without=drawn,
)
poisson = primitive(
    "poisson",
    "input, generator: generator? = None",
    "Counts of the Poisson distributions with the rates of input (floating-point, of 0 or more).",
    differentiable=False,
    places="versant",
    without=drawn,
)
multinomial_draw = primitive(
    "multinomial.draw",
    "input, num_samples: int, replacement: bool = False, *, generator: generator? = None",
    "Draws of indices of the last axis, with probabilities in proportion to input.",
    target="multinomial",
    differentiable=False,
    places="",
    without=drawn,
)


@composite(differentiable=False, without=drawn)
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Draws of indices of the last axis, with probabilities in proportion to input.

    input: weights (C,) or (N, C); the result is (num_samples,) or (N, num_samples), of int64.
    """
    if out is not None and out.dtype is not _core.int64:
        raise DTypeError(f"[multinomial] expected out of int64, got {out.dtype}")
    return multinomial_draw(input, num_samples, replacement, generator=generator, out=out)


@composite(differentiable=False, places="versant", without=drawn)
def randperm(
    n: int,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = False,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers below n in random order.  dtype: int64 by default, one that holds n - 1"""
    check_place("randperm", device, layout, pin_memory)
    result = permutation(n, generator=generator)
    if dtype is not None and dtype is not _core.int64:
        exact = result.to(dtype)
        if n > 0 and exact.max().item() != n - 1:
            raise RuntimeError(f"[randperm] {dtype} does not hold the numbers below {n}")
        result = exact
    return result.requires_grad_() if requires_grad else result
