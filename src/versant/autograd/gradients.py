"""`backward` and `grad`: the two ways to ask for gradients."""

from __future__ import annotations

from collections.abc import Sequence

from versant import _core
from versant._core import Tensor

TensorOrTensors = Tensor | Sequence[Tensor]


def backward(
    tensors: TensorOrTensors,
    grad_tensors: TensorOrTensors | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: TensorOrTensors | None = None,
) -> None:
    """Adds the gradients of `tensors` to `.grad` of the leaves behind them.

    grad_tensors: one weight of each tensor's shape; may be left out for tensors of one element.
    retain_graph: keep saved values for another pass (default: as create_graph).
    create_graph: record the pass itself, for gradients of gradients.
    inputs: accumulate into these tensors only.
    Raises RuntimeError when a tensor has no history, or was already used up.
    """
    _core.backward(tensors, grad_tensors, retain_graph, create_graph, inputs)


def grad(
    outputs: TensorOrTensors,
    inputs: TensorOrTensors,
    grad_outputs: TensorOrTensors | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `outputs` with respect to `inputs`, one of each input's shape.

    only_inputs: always so, as in PyTorch: nothing is added to `.grad` of other tensors.
    allow_unused: give None for an input that no output depends on, instead of raising RuntimeError.
    materialize_grads: give zeros for it.
    is_grads_batched: grad_outputs have a first axis of weights more, and gradients come with that axis too.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("[grad] materialize_grads=True needs allow_unused=True (or left out), got False")
    if is_grads_batched:
        return batched(
            outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads
        )
    return _core.grad(
        outputs, inputs, grad_outputs, retain_graph, create_graph, bool(allow_unused), materialize_grads
    )


def batched(
    outputs: TensorOrTensors,
    inputs: TensorOrTensors,
    grad_outputs: TensorOrTensors | None,
    retain_graph: bool | None,
    create_graph: bool,
    allow_unused: bool | None,
    materialize_grads: bool,
) -> tuple[Tensor, ...]:
    """The gradients for each of the weights that lie along the first axis of grad_outputs."""
    from versant.func.vmap import vmap  # a room above

    if grad_outputs is None:
        raise RuntimeError(
            "[grad] is_grads_batched=True needs grad_outputs, with an axis of weights in front"
        )
    weights = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    used: list[bool] = []

    def one(*row: Tensor) -> tuple[Tensor, ...]:
        found = _core.grad(
            outputs, inputs, row, retain_graph, create_graph, bool(allow_unused), materialize_grads
        )
        used[:] = [gradient is not None for gradient in found]
        return tuple(gradient for gradient in found if gradient is not None)

    rest = iter(vmap(one)(*weights))
    return tuple(next(rest) if has else None for has in used)  # type: ignore[misc]
