"""Losses of classes: the likelihood of one class, and margins between classes.

`reduction`, `size_average` and `reduce` are those of losses.py.
"""

from __future__ import annotations

from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.comparison import choose, ne
from versant.ops.lazy import np
from versant.ops.linear import linear
from versant.ops.losses import (
    binary_of_logits,
    reduce_reference,
    reduced,
    reduction_of,
    weighted,
)
from versant.ops.normalization import log_softmax_along
from versant.ops.powers import square
from versant.ops.record import composite, primitive
from versant.ops.reductions import mean, sum
from versant.ops.rounding import clamp_min
from versant.ops.samples import array, call, fixed, integers, probability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def per_class(values: Tensor, rank: int) -> Tensor:
    """A vector over classes, laid along axis 1."""
    return values.view((-1,) + (1,) * (rank - 2)) if rank > 1 else values


def nll_loss_composite(
    log_probs: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str
) -> Tensor:
    dim = 1 if log_probs.ndim > 1 else 0
    counts = ne(target, ignore_index)
    classes = choose(counts, target, 0)
    picked = log_probs.gather(dim, classes.unsqueeze(dim)).squeeze(dim)
    weights = counts.to(log_probs.dtype) if weight is None else weight.take(classes) * counts
    loss = choose(counts, -picked, 0) * weights
    return sum(loss) / sum(weights) if reduction == "mean" else reduced(loss, reduction, "nll_loss")


def nll_reference(x: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """Class by class, for log-probabilities (N, C, ...) or (C,)."""
    x = np.moveaxis(x, min(1, x.ndim - 1), -1)
    weight = np.ones(x.shape[-1]) if weight is None else weight
    counts = target != ignore_index
    classes = np.where(counts, target, 0)
    factors = weight[classes] * counts
    loss = -np.take_along_axis(x, classes[..., None], -1)[..., 0] * factors
    return np.sum(loss) / np.sum(factors) if reduction == "mean" else reduce_reference(loss, reduction)


nll = primitive(
    "nll_loss.whole",
    "input, target, weight: tensor?, ignore_index: int, reduction: text",
    "nll_loss, with all arguments.",
    target="nll_loss",
    definition=nll_loss_composite,
    ref=nll_reference,
    samples=[
        call(array(4, 3), integers(4, below=3), None, -100, "mean"),
        call(array(4, 3), integers(4, below=3), fixed(3, domain=probability), 1, "mean"),
        call(array(2, 3, 4), integers(2, 4, below=3), None, 2, "sum"),
        call(array(4, 3), integers(4, below=3), fixed(3, domain=probability), -100, "none"),
        call(array(3), integers(below=3), None, -100, "mean"),
    ],
    onnx="NegativeLogLikelihoodLoss",
)


@composite(
    autocast="float32",
    ref=lambda x, t, weight=None, ignore_index=-100, reduction="mean": nll_reference(
        x, t, weight, ignore_index, reduction
    ),
    samples=[
        call(array(4, 3), integers(4, below=3)),
        call(array(4, 3), integers(4, below=3), reduction="sum"),
    ],
    places="nn.functional",
)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], the negative log-likelihood of the classes.

    input: log-probabilities (N, C), (C,) or (N, C, ...); target: classes (N,), () or (N, ...); weight: (C,);
    the class ignore_index does not count.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return nll(input, target, weight, ignore_index, reduction)


def cross_entropy_composite(
    input: Tensor,
    target: Tensor,
    weight: Any,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> Tensor:
    dim = 1 if input.ndim > 1 else 0
    classes = input.shape[dim]
    log_probs = log_softmax_along(input, dim)
    if target.dtype.is_floating_point:  # probabilities of classes
        target = target * (1 - label_smoothing) + label_smoothing / classes
        scaled = log_probs if weight is None else log_probs * per_class(weight, input.ndim)
        loss = -sum(scaled * target, dim)
        if reduction != "mean":
            return reduced(loss, reduction, "cross_entropy")
        return sum(loss) / max(input.numel() // classes, 1)
    likelihood = nll_loss_composite(log_probs, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return likelihood
    counts = ne(target, ignore_index)
    scaled = log_probs if weight is None else log_probs * per_class(weight, input.ndim)
    smooth = choose(counts, -sum(scaled, dim), 0)
    if reduction == "mean":
        of_target = choose(counts, target, 0)
        weights = counts.to(input.dtype) if weight is None else weight.take(of_target) * counts
        smooth = sum(smooth) / sum(weights)
    else:
        smooth = reduced(smooth, reduction, "cross_entropy")
    return (1 - label_smoothing) * likelihood + label_smoothing / classes * smooth


def cross_entropy_reference(
    x: Any, target: Any, weight: Any, reduction: str, ignore_index: int, label_smoothing: float
) -> Any:
    x = np.moveaxis(x, min(1, x.ndim - 1), -1)
    classes = x.shape[-1]
    log_probs = x - np.log(np.sum(np.exp(x), -1, keepdims=True))
    weight = np.ones(classes) if weight is None else weight
    if target.dtype.kind == "f":
        wanted = np.moveaxis(target, min(1, target.ndim - 1), -1)
        counts, factors = np.ones(x.shape[:-1]), np.ones(x.shape[:-1])
    else:
        counts = target != ignore_index
        wanted = np.eye(classes)[np.where(counts, target, 0)]
        factors = weight[np.where(counts, target, 0)] * counts
    wanted = wanted * (1 - label_smoothing) + label_smoothing / classes
    loss = -np.sum(log_probs * wanted * weight, -1) * counts
    return np.sum(loss) / np.sum(factors) if reduction == "mean" else reduce_reference(loss, reduction)


cross_entropy_whole = primitive(
    "cross_entropy.whole",
    "input, target, weight: tensor?, reduction: text, ignore_index: int, label_smoothing: number",
    "cross_entropy, with all arguments.",
    target="cross_entropy",
    definition=cross_entropy_composite,
    ref=cross_entropy_reference,
    samples=[
        call(array(4, 3), integers(4, below=3), None, "mean", -100, 0.0),
        call(array(4, 3), integers(4, below=3), fixed(3, domain=probability), "mean", 1, 0.0),
        call(array(4, 3), integers(4, below=3), fixed(3, domain=probability), "mean", -100, 0.2),
        call(array(2, 3, 4), integers(2, 4, below=3), None, "sum", 0, 0.1),
        call(array(4, 3), array(4, 3, domain=probability), None, "mean", -100, 0.0),
        call(array(4, 3), array(4, 3, domain=probability), fixed(3, domain=probability), "none", -100, 0.1),
        call(array(3), integers(below=3), None, "mean", -100, 0.0),
    ],
    onnx="SoftmaxCrossEntropyLoss",
)


@composite(
    autocast="float32",
    ref=lambda x, t, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0: (
        cross_entropy_reference(x, t, weight, reduction, ignore_index, label_smoothing)
    ),
    samples=[
        call(array(4, 3), integers(4, below=3)),
        call(array(4, 3), integers(4, below=3), reduction="sum", label_smoothing=0.1),
    ],
    places="nn.functional",
)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of softmax(input) and target.

    input: logits (N, C), (C,) or (N, C, ...); target: classes (N,), () or (N, ...), or probabilities in the
    shape of input; weight: (C,); the class ignore_index does not count; label_smoothing mixes target with the
    uniform distribution (Szegedy et al. 2015). The mean is weighted.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return cross_entropy_whole(input, target, weight, reduction, ignore_index, label_smoothing)


@composite(
    autocast="float32",
    ref=lambda x, w, t: cross_entropy_reference(x @ w.T, t, None, "mean", -100, 0.0),
    samples=[call(array(4, 5), array(3, 5), integers(4, below=3))],
    places="nn.functional",
)
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy(linear(input, linear_weight, linear_bias), target), also with several outputs per class.

    input: (N, F) or (F,); linear_weight: (C, F) or (C, ..., F); linear_bias: (C, ...); target: as of
    cross_entropy with logits (N, C, ...). options, PyTorch's choice of an implementation, changes nothing.
    """
    name = "linear_cross_entropy"
    if input.ndim not in (1, 2) or linear_weight.ndim < 2 or input.shape[-1] != linear_weight.shape[-1]:
        raise ShapeError(
            f"[{name}] expected input (N, F) or (F,) and linear_weight (C, ..., F), "
            f"got {tuple(input.shape)} and {tuple(linear_weight.shape)}"
        )
    outputs = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise ShapeError(f"[{name}] expected linear_bias {outputs}, got {tuple(linear_bias.shape)}")
    if len(outputs) > 1 and input.ndim == 1:
        raise ShapeError(f"[{name}] expected input (N, F) where classes have outputs {outputs[1:]}, got (F,)")
    shape = (*input.shape[:-1], *outputs)
    if ignore_index is not None and tuple(target.shape) == shape:
        raise RuntimeError(f"[{name}] ignore_index has no meaning where target holds probabilities")
    flat = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, input.shape[-1]), flat).reshape(shape)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy_whole(logits, target, weight, reduction, ignored, label_smoothing)


# --- margins ----------------------------------------------------------------------------------------------


def check_rows(input: Tensor, target: Tensor, who: str, labels: tuple[int, ...]) -> None:
    """input (N, C), (C,) or () of one class, and target of the shape of `labels`."""
    if input.ndim > 2 or 0 in input.shape[-1:]:
        raise ShapeError(f"[{who}] expected input (N, C) or (C,) with classes, got {tuple(input.shape)}")
    if tuple(target.shape) != labels:
        raise ShapeError(
            f"[{who}] expected target of shape {labels} for input {tuple(input.shape)}, "
            f"got {tuple(target.shape)}"
        )
    if target.dtype.is_floating_point or target.dtype.is_complex:
        raise DTypeError(f"[{who}] expected target classes of an integer dtype, got {target.dtype}")


def multi_margin_reference(
    x: Any, t: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    gaps = np.maximum(0, margin - np.take_along_axis(x, t[..., None], -1) + x) ** p
    gaps = gaps * (np.arange(x.shape[-1]) != t[..., None])
    if weight is not None:
        gaps = gaps * weight[t][..., None]
    return reduce_reference(gaps.mean(-1), reduction)


@composite(
    autocast="float32",
    ref=multi_margin_reference,
    samples=[
        call(array(4, 3), integers(4, below=3)),
        call(array(4, 3), integers(4, below=3), 2, 0.5, fixed(3, domain=probability), reduction="none"),
        call(array(3), integers(below=3), reduction="sum"),
    ],
    places="nn.functional",
)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes i of weight[target] * max(0, margin - input[target] + input[i])**p, i not target.

    input: (N, C) or (C,); target: classes (N,) or (); p: 1 or 2; weight: (C,).
    """
    name = "multi_margin_loss"
    reduction = reduction_of(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError(f"[{name}] expected p of 1 or 2, got {p}")
    one = input.ndim < 2 and tuple(target.shape) == (1,)
    check_rows(input, target, name, (1,) if one else tuple(input.shape[:-1]))
    classes = input.shape[-1] if input.ndim else 1
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(f"[{name}] expected weight ({classes},), got {tuple(weight.shape)}")
    if target.numel() and ((target < 0) | (target >= classes)).any():
        raise IndexError(f"[{name}] expected targets from 0 to {classes - 1}, got {target}")
    rows, of_rows = input.reshape(-1, classes), target.reshape(-1, 1)
    gaps = clamp_min(margin - rows.gather(1, of_rows) + rows, 0)
    gaps = gaps if p == 1 else square(gaps)
    if weight is not None:
        gaps = gaps * weight.take(of_rows)
    loss = sum(gaps.scatter(1, of_rows, 0.0), 1) / classes
    return reduced(loss.reshape(target.shape), reduction, name)


def multilabel_margin_reference(x: Any, t: Any, reduction: str = "mean") -> Any:
    def of_row(x: Any, t: Any) -> float:
        labels = t[: np.argmax(t < 0) if (t < 0).any() else len(t)]
        others = np.delete(x, labels)
        return float(np.maximum(0, 1 - x[labels][:, None] + others).sum() / len(x))

    if x.ndim == 1:
        return np.asarray(of_row(x, t))
    return reduce_reference(np.array([of_row(a, b) for a, b in zip(x, t, strict=True)]), reduction)


label_margins = primitive(
    "multilabel_margin_loss.each",
    "input, target",
    "multilabel_margin_loss of rows (N, C), without reduction.",
    target="multilabel_margin_loss",
    ref=lambda x, t: multilabel_margin_reference(x, t, "none"),
    samples=[call(array(4, 5), integers(4, 5, start=-1, below=5))],
    places="",
    without={"onnx": "ONNX has no such loss", "stablehlo": "it takes a loop over labels"},
)


@composite(
    autocast="float32",
    ref=multilabel_margin_reference,
    samples=[
        call(array(4, 3), integers(4, 3, start=-1, below=3)),
        call(array(4, 5), integers(4, 5, start=-1, below=5), reduction="none"),
        call(array(5), integers(5, start=-1, below=5), reduction="sum"),
    ],
    places="nn.functional",
)
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, 1 - input[j] + input[i]), summed over labels j and classes i without label, divided by C.

    input: (N, C) or (C,); target: (N, C) or (C,), in each row the labels up to the first negative number.
    """
    name = "multilabel_margin_loss"
    reduction = reduction_of(size_average, reduce, reduction)
    check_rows(input, target, name, tuple(input.shape))
    classes = input.shape[-1] if input.ndim else 1
    loss = label_margins(input.reshape(-1, classes), target.reshape(-1, classes))
    return reduced(loss if input.ndim > 1 else loss.squeeze(0), reduction, name)


@composite(
    autocast="float32",
    ref=lambda x, t, weight=1.0, reduction="mean": reduce_reference(
        np.mean(weight * (np.logaddexp(0, x) - t * x), -1), reduction
    ),
    samples=[
        call(array(4, 3), array(4, 3, domain=probability)),
        call(array(4, 3), array(4, 3, domain=probability), weight=fixed(3, domain=probability)),
        call(array(4, 3), array(4, 3, domain=probability), reduction="none"),
    ],
    places="nn.functional",
)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of binary_cross_entropy_with_logits.  input, target: (..., C); weight: (C,)"""
    reduction = reduction_of(size_average, reduce, reduction)
    loss = weighted(binary_of_logits(input, target), weight)
    return reduced(mean(loss, -1), reduction, "multilabel_soft_margin_loss")
