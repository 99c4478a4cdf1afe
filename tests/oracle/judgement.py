"""What of two results may be compared, and which of two that differ is nearer to the exact one."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from oracle.bridge import to_torch
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import versant as vs

# Where elements are equal, PyTorch leaves open which is named. The position of `dim` among the arguments.
CHOOSING = {"topk": 1, "kthvalue": 1, "mode": 0, "sort": 0, "argsort": 0}


def specified(op: OpInfo, sample: SampleInput, result: Any) -> Any:
    """The result with indices exchanged for the elements they name, where equal ones leave a choice."""
    if op.name not in CHOOSING or sample.kwargs.get("stable"):
        return result
    if isinstance(result, (torch.Tensor, vs.Tensor)):
        return chosen(op, sample, result)
    return [result[0], *chosen(op, sample, result[1])]


def chosen(op: OpInfo, sample: SampleInput, index: Any) -> list[Any]:
    """The elements that an index names along its axis, its shape, dtype, and whether it names any twice."""
    place = CHOOSING[op.name]
    dim = sample.kwargs.get("dim", sample.args[place] if len(sample.args) > place else -1)
    plain = to_torch(index) if isinstance(index, vs.Tensor) else index
    source, at = torch.atleast_1d(sample.input.detach()), plain
    if at.dim() < source.dim():
        at = at.unsqueeze(dim)
    named = source.take_along_dim(at, dim)
    distinct = bool((at.sort(dim).values.diff(dim=dim) != 0).all())
    return [named.double().tolist(), tuple(index.shape), str(index.dtype).rpartition(".")[2], distinct]


def each_tensor(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same nested value with its tensors exchanged."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(each_tensor(item, change) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(each_tensor(item, change) for item in value)
    if isinstance(value, dict):
        return {key: each_tensor(item, change) for key, item in value.items()}
    return value


WIDE = {
    torch.float16: torch.float64, torch.bfloat16: torch.float64, torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}  # fmt: skip


def widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(WIDE.get(tensor.dtype, tensor.dtype))


def exact(op: OpInfo, sample: SampleInput) -> Any:
    """PyTorch's result for the same numbers in double precision."""
    call = inspect.unwrap(op.op)
    return call(*each_tensor((sample.input, *sample.args), widened), **each_tensor(sample.kwargs, widened))


def error(result: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Distances from the truth: 0 where both are the same infinity or NaN, infinite where only one is."""
    wide = result.to(truth.dtype)
    same = (wide == truth) | (wide.isnan() & truth.isnan())
    distance = (wide - truth).abs()
    return torch.where(same, 0.0, torch.where(distance.isnan(), torch.inf, distance))


def nearer(op: OpInfo, sample: SampleInput, ours: Any, theirs: Any) -> bool:
    """Whether a floating-point result that differs from PyTorch's is at least as near to the exact one.

    Both its largest and its mean error are compared, tensor by tensor.
    """
    if op.name in CHOOSING:
        return False
    try:
        truth = sample.output_process_fn_grad(exact(op, sample))
    except Exception:
        return False  # PyTorch does not take the sample in double precision
    if isinstance(theirs, torch.Tensor):
        ours, theirs, truth = [ours], [theirs], [truth]
    if not isinstance(theirs, (list, tuple)) or not isinstance(ours, (list, tuple)):
        return False
    if not len(ours) == len(theirs) == len(truth):
        return False
    return all(nearer_tensor(*parts) for parts in zip(ours, theirs, truth, strict=True))


def nearer_tensor(ours: Any, theirs: Any, truth: Any) -> bool:
    if not isinstance(theirs, torch.Tensor) or not isinstance(ours, vs.Tensor):
        return bool(ours == theirs)
    mine = to_torch(ours)
    if mine.dtype is not theirs.dtype or mine.shape != theirs.shape or mine.shape != truth.shape:
        return False
    if theirs.dtype not in WIDE:
        return torch.equal(mine, theirs)
    if truth.dtype is not WIDE[theirs.dtype]:
        return False
    own, other = error(mine, truth), error(theirs.detach(), truth)
    return bool(own.max() <= other.max() and own.mean() <= other.mean()) if own.numel() else True
