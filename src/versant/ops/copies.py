"""Copies and casts of tensors."""

from __future__ import annotations

import math
from operator import mul

from versant._core import ShapeError, Tensor
from versant.ops.axes import sizes_of
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call
from versant.tensors import formats, methods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

stays = {"onnx": "values have no memory there", "stablehlo": "values have no memory there"}

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
    """A copy with memory of its own; gradients flow through.

    memory_format: by default the order of axes that input has, where it leaves no gaps.
    """
    if memory_format is not None:
        order = formats.order_of(memory_format, input.ndim, "clone")
        if order is not None:
            return formats.copied(input, order)
    return clone_as_is(input)


@composite(ref=np.copy, samples=[call(array(2, 3))], places="Tensor")
def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The same values, row by row in memory; the tensor itself where they are already.

    memory_format: another order, such as versant.channels_last.
    """
    if memory_format is None or memory_format is formats.contiguous_format:
        return row_major(input)
    if memory_format is formats.preserve_format:
        raise RuntimeError("[contiguous] preserve_format is not an order of axes in memory")
    return formats.laid_out(input, memory_format, "contiguous")


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


# --- other sizes in place -----------------------------------------------------------------------------------


@composite(
    differentiable=False,
    places="Tensor",
    without={"ref": "new elements hold anything; tests look at the old ones", **stays},
)
def resize_(input: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Gives the tensor these sizes, row by row: more elements hold whatever is in memory.

    Its memory is kept where it is large enough, else new, and then shared with no other tensor.
    Raises RuntimeError for a tensor that requires a gradient.
    """
    wanted = sizes_of(sizes)
    if input.requires_grad:
        raise RuntimeError("[resize_] cannot resize variables that require grad")
    if any(size < 0 for size in wanted):
        raise RuntimeError(f"[resize_] expected sizes of at least 0, got {tuple(wanted)}")
    order = None if memory_format is None else formats.order_of(memory_format, len(wanted), "resize_")
    steps = [wanted[axis] for axis in order] if order is not None else list(wanted)
    strides = [math.prod(steps[i + 1 :]) for i in range(len(steps))]
    if order is not None:
        strides = [strides[order.index(axis)] for axis in range(len(steps))]
    if tuple(wanted) == tuple(input.shape) and memory_format is None:
        return input
    try:
        return input.set_(input.as_strided(wanted, strides))
    except ShapeError:  # beyond its memory
        room = input.new_empty(math.prod(wanted))
        span = 0 if input.numel() == 0 else 1 + sum(map(mul, (n - 1 for n in input.shape), input.stride()))
        room[:span].copy_(input.as_strided((span,), (1,)))
        return input.set_(room.as_strided(wanted, strides))


@composite(
    differentiable=False,
    places="Tensor",
    without={"ref": "new elements hold anything; tests look at the old ones", **stays},
)
def resize_as_(input: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """resize_ to the sizes of another tensor."""
    return resize_(input, *the_template.shape, memory_format=memory_format)


# --- Python functions of elements ---------------------------------------------------------------------------


@composite(
    differentiable=False, places="Tensor", without={"ref": "it calls a function of the caller's", **stays}
)
def apply_(input: Tensor, callable: Any) -> Tensor:
    """Puts callable(element) in the place of each element: for tests, as it is slow.

    Raises RuntimeError for a tensor that requires a gradient.
    """
    return mapped("apply_", input, callable)


@composite(
    differentiable=False, places="Tensor", without={"ref": "it calls a function of the caller's", **stays}
)
def map_(input: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Puts callable(element, element of tensor) in the place of each element; tensor broadcasts."""
    return mapped("map_", input, callable, tensor.expand(input.shape))


def mapped(who: str, input: Tensor, function: Any, *others: Tensor) -> Tensor:
    if any(x.requires_grad for x in (input, *others)):
        raise RuntimeError(f"[{who}] cannot be called on variables that require grad; use detach() first")
    columns = (x.reshape(-1).tolist() for x in (input, *others))
    values: Any = [function(*items) for items in zip(*columns, strict=True)]
    made = methods.tensor(values, dtype=input.dtype)
    return input.copy_(made.reshape(input.shape))
