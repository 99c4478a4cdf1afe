"""Random tensors. Draws are functions of the generator's seed and counter: threads do not change them."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor
from versant.ops.axes import Size, sizes_given, sizes_of
from versant.ops.creation import new
from versant.ops.record import composite, primitive

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
    "Fills the tensor with numbers from `from` (included) to `to` (excluded).",
    differentiable=False,
    places="Tensor",
    without=drawn,
)
normal_ = primitive(
    "normal_",
    "input, mean: number = 0, std: number = 1, *, generator: generator? = None",
    "Fills the tensor with normally distributed numbers.",
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
def random_(input: Tensor, low: int = 0, high: int | None = None, *, generator: Any = None) -> Tensor:
    """Fills the tensor with integers from low to high, high excluded."""
    if high is None:
        limits = {"uint8": 256, "int8": 128, "int16": 32768, "int32": 2**31, "bool": 2, "float16": 2049}
        low, high = (0, low) if low else (0, limits.get(input.dtype.name, 2**24 + 1))
    return random_int_(input, low, high, generator=generator)


@composite(differentiable=False, places="Tensor", without=drawn)
def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fills the tensor with 1 with probability p (a number or a tensor), else 0."""
    odds = p if isinstance(p, Tensor) else _core.full(input.shape, float(p), None, False)
    return input.copy_(bernoulli_draw(odds.expand(input.shape), generator=generator))


@composite(differentiable=False, without=drawn)
def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that input (or p) gives, else 0."""
    odds = input if p is None else new("bernoulli", input.shape, float(p), input.dtype)
    return bernoulli_draw(odds, generator=generator)


# --- new tensors ------------------------------------------------------------------------------------------


@composite(differentiable=False, places="versant", without=drawn)
def rand(
    *sizes: Size,
    size: Size | None = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from 0 (included) to 1 (excluded)."""
    result = new("rand", sizes_given(sizes, size, "rand"), None, dtype or _core.get_default_dtype(), device)
    uniform_(result, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def randn(
    *sizes: Size,
    size: Size | None = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed numbers of mean 0 and variance 1."""
    result = new("randn", sizes_given(sizes, size, "randn"), None, dtype or _core.get_default_dtype(), device)
    normal_(result, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0) to high, high excluded: randint(high, size) or randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    if high is None or size is None:
        raise TypeError("[randint] expected high and size")
    result = new("randint", sizes_of((size,)), None, dtype or _core.int64, device)
    random_int_(result, low, high, generator=generator)
    return result.requires_grad_() if requires_grad else result


@composite(differentiable=False, places="versant", without=drawn)
def rand_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from 0 to 1 in the shape and dtype of input."""
    return rand(
        input.shape,
        generator=generator,
        dtype=dtype or input.dtype,
        device=device,
        requires_grad=requires_grad,
    )


@composite(differentiable=False, places="versant", without=drawn)
def randn_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed numbers in the shape and dtype of input."""
    return randn(
        input.shape,
        generator=generator,
        dtype=dtype or input.dtype,
        device=device,
        requires_grad=requires_grad,
    )


@composite(differentiable=False, places="versant", without=drawn)
def randint_like(
    input: Tensor, low: int, high: int | None = None, *, generator: Any = None, dtype: Any = None
) -> Tensor:
    """Integers from low (0) to high, high excluded, in the shape and dtype of input."""
    first, last = (0, low) if high is None else (low, high)
    return randint(first, last, tuple(input.shape), generator=generator, dtype=dtype or input.dtype)


@composite(differentiable=False, places="versant", without=drawn)
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None
) -> Tensor:
    """Normally distributed numbers; mean and std are numbers or tensors."""
    if bool((std < 0).any()) if isinstance(std, Tensor) else std < 0:
        raise ValueError(f"[normal] expected a standard deviation of at least 0, got {std}")
    if size is None:
        like = mean if isinstance(mean, Tensor) else std
        if not isinstance(like, Tensor):
            raise TypeError("[normal] expected a size, or a tensor as mean or std")
        shape = (mean + std).shape if isinstance(mean, Tensor) and isinstance(std, Tensor) else like.shape
        return mean + std * randn(shape, generator=generator, dtype=like.dtype)
    return mean + std * randn(*sizes_of((size,)), generator=generator, dtype=dtype)


permutation = primitive(
    "randperm.draw",
    "n: int, *, generator: generator? = None",
    "The numbers below n in random order.",
    target="randperm",
    differentiable=False,
    places="",
    without=drawn,
)
multinomial = primitive(
    "multinomial",
    "input, num_samples: int, replacement: bool = False, *, generator: generator? = None",
    "Draws of indices of the last axis, with probabilities in proportion to input.",
    differentiable=False,
    without=drawn,
)


@composite(differentiable=False, places="versant", without=drawn)
def randperm(
    n: int, *, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The numbers below n in random order."""
    result = permutation(n, generator=generator)
    return result if dtype is None else result.to(dtype)
