"""Losses of numbers, probabilities and counts.

Of all losses `reduction` is "mean" (the default), "sum" or "none"; `size_average` and `reduce` say the same
in older programs: reduce=False is "none", size_average=False "sum".
"""

from __future__ import annotations

from versant._core import ShapeError, Tensor
from versant.ops.activations import logsigmoid
from versant.ops.comparison import choose
from versant.ops.expression import Expression, m
from versant.ops.lazy import np
from versant.ops.powers import exp, log, square, xlogy
from versant.ops.record import composite, elementwise
from versant.ops.reductions import aminmax, mean, sum
from versant.ops.rounding import clamp_min
from versant.ops.samples import array, call, probability
from versant.ops.values import all_samples, every

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


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the older two arguments ask for, where one is given."""
    if size_average is None and reduce is None:
        return reduction
    for name, given in (("size_average", size_average), ("reduce", reduce)):
        if not isinstance(given, bool | None):
            raise TypeError(f"[loss] expected {name} of True, False or None, got {given!r}; see reduction=")
    if reduce is not None and not reduce:
        return "none"
    return "mean" if size_average is None or size_average else "sum"


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

squared_difference = elementwise(
    "mse_loss.each",
    lambda x, t: m.square(x - t),
    "(input - target)**2",
    signature="input, target",
    d=lambda x, t, y: (2 * (x - t), -2 * (x - t)),
    ref=lambda x, t: (x - t) ** 2,
)
distance = elementwise(
    "l1_loss.each",
    lambda x, t: m.abs(x - t),
    "|input - target|",
    signature="input, target",
    ref=lambda x, t: np.abs(x - t),
    without={"integers": "l1_loss takes the difference in their dtype, where it may wrap around"},
)


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean": reduce_reference((x - y) ** 2, reduction),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), reduction="none")],
    places="nn.functional",
)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)**2"""
    reduction = reduction_of(size_average, reduce, reduction)
    return average(squared_difference(input, target), weight, reduction, "mse_loss")


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean": reduce_reference(np.abs(x - y), reduction),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), reduction="sum")],
    places="nn.functional",
)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|"""
    reduction = reduction_of(size_average, reduce, reduction)
    exact = not (input.dtype.is_floating_point or target.dtype.is_floating_point)
    loss = abs(input - target) if exact else distance(input, target)
    return average(loss, weight, reduction, "l1_loss")


def clamped(x: Expression, t: Expression, limit: Expression) -> Expression:
    """x - t, between -limit and limit: the slope of the loss of Huber."""
    return m.min(m.max(x - t, -limit), limit)


huber = elementwise(
    "huber_loss.each",
    lambda x, t, delta: m.select(
        m.abs(x - t) <= delta, 0.5 * m.square(x - t), delta * (m.abs(x - t) - 0.5 * delta)
    ),
    "d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with d = input - target",
    d=lambda x, t, delta, y: (clamped(x, t, delta), -clamped(x, t, delta)),
    signature="input, target, delta: number",
    rule="float",
    ref=lambda x, t, delta: np.where(
        np.abs(x - t) <= delta, 0.5 * (x - t) ** 2, delta * (np.abs(x - t) - 0.5 * delta)
    ),
    settings=[{"delta": 0.7}],
)
smooth_l1 = elementwise(
    "smooth_l1_loss.each",
    lambda x, t, beta: m.select(m.abs(x - t) < beta, 0.5 * m.square(x - t) / beta, m.abs(x - t) - 0.5 * beta),
    "d**2 / (2 * beta) where |d| < beta, else |d| - beta / 2, with d = input - target",
    d=lambda x, t, beta, y: (clamped(x, t, beta) / beta, -(clamped(x, t, beta) / beta)),
    signature="input, target, beta: number",
    rule="float",
    ref=lambda x, t, beta: np.where(
        np.abs(x - t) < beta, 0.5 * (x - t) ** 2 / beta, np.abs(x - t) - 0.5 * beta
    ),
    settings=[{"beta": 0.7}],
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
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with d = input - target (Huber 1964)."""
    if delta <= 0:
        raise ValueError(f"[huber_loss] expected a positive delta, got {delta}")
    return average(huber(input, target, delta), weight, reduction, "huber_loss")


@composite(
    autocast="float32",
    ref=lambda x, y, reduction="mean", beta=1.0: reduce_reference(
        np.where(np.abs(x - y) < beta, 0.5 * (x - y) ** 2 / beta, np.abs(x - y) - 0.5 * beta), reduction
    ),
    samples=[call(array(3, 4), array(3, 4)), call(array(5), array(5), beta=0.3)],
    places="nn.functional",
)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d**2 / (2 * beta) where |d| < beta, else |d| - beta / 2, with d = input - target (Girshick 2015)."""
    reduction = reduction_of(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError(f"[smooth_l1_loss] expected beta of 0 or more, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return reduced(smooth_l1(input, target, beta), reduction, "smooth_l1_loss")


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
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target * log(input) + (1 - target) * log(1 - input)) of probabilities; a log counts -100 at least."""
    if input.shape != target.shape:
        raise ShapeError(
            f"[binary_cross_entropy] shapes differ: input {tuple(input.shape)}, target {tuple(target.shape)}"
        )
    for name, given in (("input", input), ("target", target)):
        if given.numel():
            low, high = aminmax(given.detach())
            if not (every(low >= 0) and every(high <= 1)):
                raise RuntimeError(
                    f"[binary_cross_entropy] {name} must lie between 0 and 1, got "
                    f"{all_samples(low).min().item()} to {all_samples(high).max().item()}; "
                    "of logits, use binary_cross_entropy_with_logits"
                )
    reduction = reduction_of(size_average, reduce, reduction)
    return reduced(weighted(binary(input, target), weight), reduction, "binary_cross_entropy")


binary_of_logits = elementwise(
    "binary_cross_entropy_with_logits.each",
    lambda x, t: (1 - t) * x - (m.min(x, 0) - m.log1p(m.exp(-m.abs(x)))),
    "(1 - target) * input - log(sigmoid(input))",
    signature="input, target",
    d=lambda x, t, y: (m.sigmoid(x) - t, -x),
    rule="float",
    ref=lambda x, t: (1 - t) * x + np.logaddexp(0, -x),
)


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
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy(sigmoid(input), target), stable.  pos_weight: a factor for the positive entries"""
    if input.shape != target.shape:
        raise ShapeError(
            "[binary_cross_entropy_with_logits] shapes differ: "
            f"input {tuple(input.shape)}, target {tuple(target.shape)}"
        )
    if pos_weight is None:
        loss = binary_of_logits(input, target)
    else:
        loss = (1 - target) * input - logsigmoid(input) * (1 + (pos_weight - 1) * target)
    reduction = reduction_of(size_average, reduce, reduction)
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
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input), for input in log space (Kullback and Leibler 1951).

    log_target: target is in log space too. reduction: also "batchmean", the sum divided by the batch size.
    """
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    reduction = reduction_of(size_average, reduce, reduction)
    if reduction == "batchmean":
        return sum(loss) / (input.shape[0] if input.ndim else 1)
    return reduced(loss, reduction, "kl_div")


# --- of counts --------------------------------------------------------------------------------------------


@composite(
    autocast="float32",
    ref=lambda x, t: np.mean(np.exp(x) - t * x),
    samples=[call(array(3, 4), array(3, 4))],
    places="nn.functional",
)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-08,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target * input, for counts; input itself is the rate without log_input.

    full: with Stirling's approximation of log(target!).
    """
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        stirling = target * log(target) - target + 0.5 * log(2 * 3.141592653589793 * target)
        loss = loss + choose(target <= 1, 0, stirling)
    reduction = reduction_of(size_average, reduce, reduction)
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
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (input - target)**2 / var) / 2; var counts eps at least.  full: with the constant term

    var: in the shape of input, without its last axis, or with axes of one element; or a number.
    """
    if not isinstance(var, Tensor):
        var = input.new_full(input.shape, var)
    if not every(~(var < 0).any()):
        raise ValueError("[gaussian_nll_loss] expected var of 0 or more, got a negative entry")
    shape = tuple(input.shape)
    if tuple(var.shape) == shape[:-1] and shape:
        var = var.unsqueeze(-1)
    elif var.ndim != len(shape) or any(v not in (1, n) for v, n in zip(var.shape, shape, strict=True)):
        raise ShapeError(
            f"[gaussian_nll_loss] expected var of a shape like input's {shape}, got {tuple(var.shape)}"
        )
    floor = clamp_min(var.detach(), eps)
    held = var + (floor - var.detach())
    loss = 0.5 * (log(held) + square(input - target) / held)
    return reduced(loss + 0.9189385332046727 if full else loss, reduction, "gaussian_nll_loss")
