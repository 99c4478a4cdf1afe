"""Losses. `reduction` is "mean" (the default), "sum" or "none"."""

from __future__ import annotations

from versant._core import ShapeError, Tensor
from versant.ops.activations import logsigmoid
from versant.ops.arithmetic import abs
from versant.ops.comparison import choose, eq, ne
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.normalization import cosine_similarity, log_softmax_along
from versant.ops.powers import exp, log, square, xlogy
from versant.ops.record import composite, elementwise, primitive
from versant.ops.reductions import aminmax, mean, sum
from versant.ops.rounding import clamp_min
from versant.ops.samples import array, call, fixed, integers, probability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def reduced(loss: Tensor, reduction: str, who: str) -> Tensor:
    """The loss of each element as one number, or as it is."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f'[{who}] expected reduction "mean", "sum" or "none", got {reduction!r}')


def reduce_reference(loss: Any, reduction: str) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def weighted(loss: Tensor, weight: Tensor | None) -> Tensor:
    return loss if weight is None else loss * weight


def average(loss: Tensor, weight: Tensor | None, reduction: str, who: str) -> Tensor:
    """A loss of numbers, reduced; with weights, "mean" is the weighted mean."""
    if weight is not None and reduction == "mean":
        return sum(loss * weight) / sum(weight.expand(loss.shape))
    return reduced(weighted(loss, weight), reduction, who)


# --- of numbers -------------------------------------------------------------------------------------------


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean": reduce_reference((x - y) ** 2, reduction),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), reduction="none")],
    places="nn.functional",
)
def mse_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """(input - target)**2"""
    return average(square(input - target), weight, reduction, "mse_loss")


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean": reduce_reference(np.abs(x - y), reduction),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), reduction="sum")],
    places="nn.functional",
)
def l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """|input - target|"""
    return average(abs(input - target), weight, reduction, "l1_loss")


huber = elementwise(
    "huber_loss.each",
    lambda d, delta: m.select(m.abs(d) <= delta, 0.5 * d * d, delta * (m.abs(d) - 0.5 * delta)),
    "d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2)",
    signature="input, delta: number",
    rule="float",
    ref=lambda d, delta: np.where(np.abs(d) <= delta, 0.5 * d * d, delta * (np.abs(d) - 0.5 * delta)),
    settings=[{"delta": 0.7}],
)


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean", delta=1.0: reduce_reference(
        np.where(np.abs(x - y) <= delta, 0.5 * (x - y) ** 2, delta * (np.abs(x - y) - 0.5 * delta)), reduction
    ),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), delta=0.3)],
    places="nn.functional",
)
def huber_loss(
    input: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with d = input - target (Huber 1964)."""
    if delta <= 0:
        raise ValueError(f"[huber_loss] expected a positive delta, got {delta}")
    return average(huber(input - target, delta), weight, reduction, "huber_loss")


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean", beta=1.0: reduce_reference(
        np.where(np.abs(x - y) < beta, 0.5 * (x - y) ** 2 / beta, np.abs(x - y) - 0.5 * beta), reduction
    ),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), beta=0.3)],
    places="nn.functional",
)
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d**2 / (2 * beta) where |d| < beta, else |d| - beta / 2, with d = input - target (Girshick 2015)."""
    if beta < 0:
        raise ValueError(f"[smooth_l1_loss] expected beta of 0 or more, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return reduced(huber(input - target, beta) / beta, reduction, "smooth_l1_loss")


# --- of probabilities -------------------------------------------------------------------------------------

binary = elementwise(
    "binary_cross_entropy.each",
    lambda p, t: (t - 1) * m.max(m.log1p(-p), -100) - t * m.max(m.log(p), -100),
    "-(target * log(p) + (1 - target) * log(1 - p)); each log counts -100 at least",
    d=lambda p, t, y: (
        (p - t) / m.max((1 - p) * p, 1e-12),
        m.max(m.log1p(-p), -100) - m.max(m.log(p), -100),
    ),
    signature="input, target",
    rule="float",
    ref=lambda p, t: (t - 1) * np.maximum(np.log1p(-p), -100) - t * np.maximum(np.log(p), -100),
    sample=probability,
)


@composite(
    autocast="float32",
    ref=lambda p, t, reduction="mean": reduce_reference(
        -(t * np.log(p) + (1 - t) * np.log(1 - p)), reduction
    ),
    samples=[
        call(array(3, 4, domain=probability), array(3, 4, domain=probability)),
        call(array(5, domain=probability), array(5, domain=probability), reduction="sum"),
    ],
    places="nn.functional",
)
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-(target * log(input) + (1 - target) * log(1 - input)) of probabilities; a log counts -100 at least."""
    if input.shape != target.shape:
        raise ShapeError(
            f"[binary_cross_entropy] shapes differ: input {tuple(input.shape)}, target {tuple(target.shape)}"
        )
    for name, given in (("input", input), ("target", target)):
        if given.numel():
            low, high = (limit.item() for limit in aminmax(given.detach()))
            if not (low >= 0 and high <= 1):
                raise RuntimeError(
                    f"[binary_cross_entropy] {name} must lie between 0 and 1, got {low} to {high}; "
                    "of logits, use binary_cross_entropy_with_logits"
                )
    return reduced(weighted(binary(input, target), weight), reduction, "binary_cross_entropy")


@composite(
    autocast="float32",
    ref=lambda x, t, weight=None, reduction="mean", pos_weight=None: reduce_reference(
        (1 - t) * x + (1 + ((1 if pos_weight is None else pos_weight) - 1) * t) * np.logaddexp(0, -x),
        reduction,
    ),
    samples=[
        call(array(3, 4), array(3, 4, domain=probability)),
        call(array(3, 4), array(3, 4, domain=probability), pos_weight=array(4, domain=probability)),
    ],
    places="nn.functional",
)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy(sigmoid(input), target), stable.  pos_weight: a factor for the positive entries"""
    if input.shape != target.shape:
        raise ShapeError(
            "[binary_cross_entropy_with_logits] shapes differ: "
            f"input {tuple(input.shape)}, target {tuple(target.shape)}"
        )
    positives = (
        logsigmoid(input) if pos_weight is None else logsigmoid(input) * (1 + (pos_weight - 1) * target)
    )
    loss = (1 - target) * input - positives
    return reduced(weighted(loss, weight), reduction, "binary_cross_entropy_with_logits")


@composite(
    autocast="float32",
    ref=lambda x, t, reduction="mean", log_target=False: (
        reduce_reference(np.exp(t) * (t - x) if log_target else t * (np.log(t) - x), reduction)
        if reduction != "batchmean"
        else np.sum(t * (np.log(t) - x)) / x.shape[0]
    ),
    samples=[
        call(array(3, 4), array(3, 4, domain=probability)),
        call(array(3, 4), array(3, 4), log_target=True),
        call(array(3, 4), array(3, 4, domain=probability), reduction="batchmean"),
    ],
    places="nn.functional",
)
def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log(target) - input), for input in log space (Kullback and Leibler 1951).

    log_target: target is in log space too. reduction: also "batchmean", the sum divided by the batch size.
    """
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return sum(loss) / input.shape[0]
    return reduced(loss, reduction, "kl_div")


# --- of classes -------------------------------------------------------------------------------------------


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
    "log_probs, target, weight: tensor?, ignore_index: int, reduction: text",
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
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], the negative log-likelihood of the classes.

    input: log-probabilities (N, C), (C,) or (N, C, ...); target: classes (N,), () or (N, ...); weight: (C,);
    the class ignore_index does not count.
    """
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
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of softmax(input) and target.

    input: logits (N, C), (C,) or (N, C, ...); target: classes (N,), () or (N, ...), or probabilities in the
    shape of input; weight: (C,); the class ignore_index does not count; label_smoothing mixes target with the
    uniform distribution (Szegedy et al. 2015). The mean is weighted.
    """
    return cross_entropy_whole(input, target, weight, reduction, ignore_index, label_smoothing)


# --- of counts and pairs ----------------------------------------------------------------------------------


@composite(
    autocast="float32",
    ref=lambda x, t: np.mean(np.exp(x) - t * x),
    samples=[call(array(3, 4), array(3, 4))],
    places="nn.functional",
)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target * input, for counts; input itself is the rate without log_input.

    full: with Stirling's approximation of log(target!).
    """
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        stirling = target * log(target) - target + 0.5 * log(2 * 3.141592653589793 * target)
        loss = loss + choose(target <= 1, 0, stirling)
    return reduced(loss, reduction, "poisson_nll_loss")


@composite(
    ref=lambda x, t, var: np.mean(0.5 * (np.log(var) + (x - t) ** 2 / var)),
    samples=[call(array(3, 4), array(3, 4), array(3, 4, domain=probability))],
    places="nn.functional",
)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    *,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (input - target)**2 / var) / 2; var counts eps at least.  full: with the constant term"""
    if not isinstance(var, Tensor):
        var = input.new_full(input.shape, var)
    if var.shape != input.shape and tuple(var.shape) == tuple(input.shape[:-1]):
        var = var.unsqueeze(-1)
    floor = clamp_min(var.detach(), eps)
    held = var + (floor - var.detach())
    loss = 0.5 * (log(held) + square(input - target) / held)
    return reduced(loss + 0.9189385332046727 if full else loss, reduction, "gaussian_nll_loss")


@composite(
    autocast="float32",
    ref=lambda x, t, margin=1.0: np.mean(np.where(t == 1, x, np.maximum(0, margin - x))),
    samples=[
        call(array(6), integers(6, start=1, below=2)),
        call(array(6), integers(6, start=-1, below=0), margin=2.0),
    ],
    places="nn.functional",
)
def hinge_embedding_loss(
    input: Tensor, target: Tensor, *, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1."""
    loss = choose(eq(target, 1), input, clamp_min(margin - input, 0))
    return reduced(loss, reduction, "hinge_embedding_loss")


@composite(
    autocast="float32",
    ref=lambda a, b, t, margin=0.0: np.mean(np.maximum(0, -t * (a - b) + margin)),
    samples=[call(array(6), array(6), array(6), margin=0.3)],
    places="nn.functional",
)
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, *, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - target * (input1 - input2)), target 1 where input1 should rank higher, else -1."""
    return reduced(clamp_min(margin - target * (input1 - input2), 0), reduction, "margin_ranking_loss")


@composite(
    autocast="float32",
    ref=lambda a, b, t, margin=0.0: np.mean(
        1 - np.sum(a * b, 1) / np.sqrt(np.sum(a * a, 1) * np.sum(b * b, 1))
    ),
    samples=[call(array(3, 4), array(3, 4), integers(3, start=1, below=2))],
    places="nn.functional",
)
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, *, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1, cos the similarity of the rows."""
    cosine = cosine_similarity(input1, input2, -1)
    loss = choose(eq(target, 1), 1 - cosine, clamp_min(cosine - margin, 0))
    return reduced(loss, reduction, "cosine_embedding_loss")


@composite(
    autocast="float32",
    ref=lambda x, t: np.mean(np.logaddexp(0, -t * x)),
    samples=[call(array(6), array(6))],
    places="nn.functional",
)
def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), target 1 or -1."""
    return reduced(-logsigmoid(target * input), reduction, "soft_margin_loss")
