"""Copies and casts of tensors."""

from __future__ import annotations

from versant._core import Tensor
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call
from versant.tensors import formats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
