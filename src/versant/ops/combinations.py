"""Elements of vectors taken together: products of sets, subsets, powers, pairs of rows."""

from __future__ import annotations

import itertools
import math

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.joining import cat, meshgrid, stack
from versant.ops.lazy import np
from versant.ops.matrices import multi_dot
from versant.ops.record import composite
from versant.ops.reductions import cumprod, vector_norm
from versant.ops.samples import array, call, integers
from versant.ops.sequences import triu_indices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def check_vector(name: str, x: Tensor) -> None:
    if x.ndim != 1:
        raise ShapeError(f"[{name}] expected a vector, got shape {tuple(x.shape)}")


@composite(
    ref=lambda *arrays: np.stack(np.meshgrid(*arrays, indexing="ij"), -1).reshape(-1, len(arrays)),
    samples=[call(array(2), array(3)), call(array(2), array(3), array(2))],
    places="versant",
)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All choices of one element from each vector, the last varying fastest: (n1 * n2 * ..., vectors).

    Of one vector, the vector itself.
    """
    for tensor in tensors:
        check_vector("cartesian_prod", tensor)
    if len(tensors) == 1:
        return tensors[0]
    return stack(meshgrid(*tensors, indexing="ij"), -1).reshape(-1, len(tensors))


@composite(
    ref=lambda x, r=2, with_replacement=False: np.array(list(choices(x, r, with_replacement))),
    samples=[call(array(4)), call(array(4), 3), call(array(3), 2, True)],
    places="versant",
)
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """The subsets of r elements of a vector, in the order of itertools: (subsets, r)."""
    check_vector("combinations", input)
    if r < 0:
        raise RuntimeError(f"[combinations] expected r of at least 0, got {r}")
    if r == 0:
        return input.new_empty((0,))
    places = list(choices(range(len(input)), r, with_replacement))
    return input[_core.tensor(places, _core.int64).reshape(-1, r)]


def choices(items: Iterable[Any], r: int, with_replacement: bool) -> Iterable[tuple[Any, ...]]:
    if with_replacement:
        return itertools.combinations_with_replacement(items, r)
    return itertools.combinations(items, r)


@composite(
    ref=lambda *matrices: np.linalg.multi_dot(matrices),
    samples=[call(array(2, 3), array(3, 4), array(4, 2))],
    places="versant",
)
def chain_matmul(*matrices: Tensor) -> Tensor:
    """linalg.multi_dot of its arguments; of one matrix, the matrix."""
    return multi_dot(matrices) if len(matrices) > 1 else matrices[0]


def powers(x: Tensor, n: int) -> Tensor:
    """x**0, ..., x**(n - 1) along a new last axis."""
    first = x.new_ones((*x.shape, 1))
    others = cumprod(x.unsqueeze(-1).expand(*x.shape, n - 1), -1)
    return cat([first.to(others.dtype), others], -1)


@composite(
    ref=lambda x, N=None, increasing=False: np.vander(x, N, increasing),
    samples=[call(array(4)), call(array(3), 2), call(array(3), 4, True), call(array(3), 0)],
    places="versant",
)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element of a vector, highest first unless increasing: (n, N), by default N = n."""
    check_vector("vander", x)
    n = len(x) if N is None else N
    if n < 0:
        raise RuntimeError(f"[vander] expected N of at least 0, got {n}")
    if n == 0:
        return x.new_empty((len(x), 0))
    result = powers(x, n)
    return result if increasing else result.flip(-1)


@composite(
    name="linalg.vander",
    ref=lambda x, N=None: x[..., None] ** np.arange(x.shape[-1] if N is None else N),
    samples=[call(array(4)), call(array(2, 3), N=4)],
    places="",
)
def batched_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of each element, by default as many as elements: (..., n) -> (..., n, N)."""
    points = x.reshape(1) if x.ndim == 0 else x
    n = points.shape[-1] if N is None else N
    if n < (1 if N is None else 2):
        raise RuntimeError(f"[linalg.vander] expected N > 1, got {n} for shape {tuple(x.shape)}")
    return powers(points, n)


@composite(
    ref=lambda x, p=2.0: np.linalg.norm(
        x[np.triu_indices(len(x), 1)[0]] - x[np.triu_indices(len(x), 1)[1]], p, -1
    ),
    samples=[call(array(4, 3)), call(array(4, 3), 1.0), call(array(2, 3), math.inf)],
    places="versant nn.functional",
)
def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The p-norm distances of all pairs of rows: (n, k) -> (n (n - 1) / 2,), in the order of `combinations`.

    The gradient at distance 0 is 0.
    """
    if input.ndim != 2:
        raise ShapeError(f"[pdist] expected a matrix, got shape {tuple(input.shape)}")
    if not input.is_floating_point():
        raise DTypeError(f"[pdist] expected floating-point rows, got {input.dtype.name}")
    if p < 0:
        raise RuntimeError(f"[pdist] expected p >= 0, got {p}")
    first, second = triu_indices(len(input), len(input), 1)
    return vector_norm(input[first] - input[second], p, -1)


def renormed(x: Any, p: float, dim: int, maxnorm: float) -> Any:
    axes = tuple(d for d in range(x.ndim) if d != dim % x.ndim)
    norm = (np.abs(x) ** p).sum(axes, keepdims=True) ** (1 / p)
    return np.where(norm > maxnorm, x * (maxnorm / (norm + 1e-7)), x)


@composite(
    ref=renormed,
    samples=[call(array(3, 4), 2.0, 0, 1.0), call(array(2, 3, 2), 1.0, -1, 5.0)],
    in_place=True,
)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """input with each part along dim whose p-norm is above maxnorm scaled down to it."""
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"[renorm] expected p > 0 and maxnorm >= 0, got {p} and {maxnorm}")
    if input.ndim < 2:
        raise ShapeError(f"[renorm] expected at least 2 axes, got shape {tuple(input.shape)}")
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"[renorm] Dimension out of range for shape {tuple(input.shape)}: {dim}")
    axes = [d for d in range(input.ndim) if d != dim % input.ndim]
    norm = vector_norm(input, p, axes, True)
    scale = (maxnorm / (norm + 1e-7)).where(norm > maxnorm, norm.new_ones(()))
    return input * scale.to(input.dtype)


@composite(
    differentiable=False,
    ref=lambda indices, shape: np.unravel_index(indices, shape),
    samples=[call(integers(4, below=24), (2, 3, 4)), call(integers(2, 3, below=6), (6,))],
    places="versant",
)
def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The index along each axis of a tensor of that shape, from indices of its elements row by row."""
    if not isinstance(indices, Tensor):
        raise TypeError(f"[unravel_index] expected a tensor of indices, got {type(indices).__name__}")
    if indices.dtype.is_floating_point or indices.dtype.is_complex or indices.dtype is _core.bool:
        raise TypeError(f"[unravel_index] expected integer indices, got {indices.dtype.name}")
    indices = indices.to(_core.int64)
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if any(size < 0 for size in sizes):
        raise ValueError(f"[unravel_index] expected no negative size, got {tuple(sizes)}")
    strides = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
    return tuple(
        (indices // stride) % size if size else indices for stride, size in zip(strides, sizes, strict=True)
    )
