"""Connectionist temporal classification (Graves et al. 2006)."""

from __future__ import annotations

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.losses import reduced
from versant.ops.record import composite, primitive
from versant.ops.reductions import mean
from versant.ops.rounding import clamp_min

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

each = primitive(
    "ctc_loss.each",
    "log_probs, targets, input_lengths, target_lengths, blank: int, zero_infinity: bool",
    "ctc_loss of a batch with padded targets, without reduction.",
    target="ctc_loss",
    places="",
    without={
        "ref": "tests/ops/test_ctc.py sums over all paths; its gradient is that of logits",
        "onnx": "ONNX has no such loss",
        "stablehlo": "it takes a loop over time",
    },
)


def lengths_of(lengths: Any, name: str) -> Tensor:
    """One length per sequence, from a number, a list or a tensor."""
    lengths = lengths if isinstance(lengths, Tensor) else _core.tensor(lengths, _core.int64)
    if lengths.dtype.is_floating_point or lengths.dtype.is_complex:
        raise DTypeError(f"[ctc_loss] expected {name} of an integer dtype, got {lengths.dtype}")
    return lengths.reshape(-1)


def padded(targets: Tensor, lengths: Tensor) -> Tensor:
    """Targets that stand one after the other, as rows (N, S)."""
    counts = lengths.tolist()
    if targets.numel() != sum(counts):
        raise ShapeError(
            f"[ctc_loss] expected as many targets as target_lengths say, {sum(counts)}, got {targets.numel()}"
        )
    rows = targets.new_zeros((len(counts), max(counts, default=0)))
    start = 0
    for row, count in enumerate(counts):
        rows[row, :count] = targets[start : start + count]
        start += count
    return rows


@composite(
    autocast="float32",
    places="nn.functional",
    without={"ref": "tests/ops/test_ctc.py sums over all paths; its gradient is that of logits"},
)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The negative log-likelihood of labels, over all alignments with the input (Graves et al. 2006).

    log_probs: (T, N, C) or (T, C), from log_softmax over classes; targets: labels (N, S), (S,), or those of
    all sequences one after the other; input_lengths, target_lengths: of each sequence; blank: the class
    between labels; zero_infinity: a sequence that cannot be aligned counts 0, not infinity, also in the
    gradient. "mean" divides each loss by the number of its labels first. As in PyTorch the gradient is right
    for log_probs that log_softmax made, and exists to first order.
    """
    if log_probs.ndim not in (2, 3):
        raise ShapeError(f"[ctc_loss] expected log_probs (T, N, C) or (T, C), got {tuple(log_probs.shape)}")
    if targets.dtype.is_floating_point or targets.dtype.is_complex:
        raise DTypeError(f"[ctc_loss] expected targets of an integer dtype, got {targets.dtype}")
    single = log_probs.ndim == 2
    times = lengths_of(input_lengths, "input_lengths")
    lengths = lengths_of(target_lengths, "target_lengths")
    batch = log_probs if not single else log_probs.unsqueeze(1)
    if targets.ndim < 2:
        targets = targets.reshape(1, -1) if single else padded(targets, lengths)
    losses = each(batch, targets, times, lengths, blank, zero_infinity)
    if reduction == "mean":
        return mean(losses / clamp_min(lengths, 1))
    losses = losses.squeeze(0) if single else losses
    return reduced(losses, reduction, "ctc_loss")
