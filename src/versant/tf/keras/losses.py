"""Losses: functions that give one number for each sample, and objects that also weigh and reduce them."""

from collections.abc import Callable
from typing import Any

import versant
from versant import _core
from versant.nn import functional as F
from versant.tf import dtypes, neural
from versant.tf.arrays import one_hot
from versant.tf.elementwise import MATH
from versant.tf.products import l2_normalize
from versant.tf.reductions import reduce_mean, reduce_sum
from versant.tf.tensors import brand, cast, convert

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

EPSILON = 1e-7


def _both(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as tensors in the dtype of the predictions; one axis of size 1 more or less is made equal."""
    pred = convert(y_pred)
    if not pred.dtype.is_floating_point:
        pred = cast(pred, dtypes.float32)
    true = cast(convert(y_true), pred.dtype)
    if true.dim() == pred.dim() + 1 and true.shape[-1] == 1:
        true = true[..., 0]
    elif pred.dim() == true.dim() + 1 and pred.shape[-1] == 1:
        pred = pred[..., 0]
    return true, pred


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of (y_true - y_pred)^2 over the last axis."""
    true, pred = _both(y_true, y_pred)
    return reduce_mean(MATH["square"](true - pred), -1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of |y_true - y_pred| over the last axis."""
    true, pred = _both(y_true, y_pred)
    return reduce_mean(MATH["abs"](true - pred), -1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of 100 |y_true - y_pred| / |y_true| over the last axis."""
    true, pred = _both(y_true, y_pred)
    return 100.0 * reduce_mean(MATH["abs"]((true - pred) / MATH["maximum"](MATH["abs"](true), EPSILON)), -1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of (log(1 + y_true) - log(1 + y_pred))^2 over the last axis."""
    true, pred = (MATH["log"](MATH["maximum"](x, EPSILON) + 1.0) for x in _both(y_true, y_pred))
    return reduce_mean(MATH["square"](true - pred), -1)


def _hinged(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    true, pred = _both(y_true, y_pred)
    plain = _core.plain(true)
    if bool(((plain == 0) | (plain == 1)).all()):
        true = true * 2.0 - 1.0
    return true, pred


def hinge(y_true: Any, y_pred: Any) -> Any:
    """The mean of max(1 - y_true * y_pred, 0); labels of 0 and 1 count as -1 and 1."""
    true, pred = _hinged(y_true, y_pred)
    return reduce_mean(MATH["maximum"](1.0 - true * pred, 0.0), -1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """The mean of max(1 - y_true * y_pred, 0)^2."""
    true, pred = _hinged(y_true, y_pred)
    return reduce_mean(MATH["square"](MATH["maximum"](1.0 - true * pred, 0.0)), -1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(largest score of the other classes - score of the class + 1, 0)."""
    from versant.tf.reductions import reduce_max

    true, pred = _both(y_true, y_pred)
    positive = reduce_sum(true * pred, -1)
    negative = reduce_max((1.0 - true) * pred, -1)
    return MATH["maximum"](negative - positive + 1.0, 0.0)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """The mean of half the squared error, linear beyond delta."""
    true, pred = _both(y_true, y_pred)
    found = F.huber_loss(_core.plain(pred), _core.plain(true), reduction="none", delta=delta)
    return reduce_mean(brand(found), -1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """The mean of log(cosh(y_pred - y_true))."""
    true, pred = _both(y_true, y_pred)
    x = pred - true
    return reduce_mean(x + MATH["softplus"](-2.0 * x) - 0.6931471805599453, -1)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """The sum of y_true * log(y_true / y_pred)."""
    true, pred = (brand(_core.plain(x).clamp(EPSILON, 1.0)) for x in _both(y_true, y_pred))
    return reduce_sum(true * MATH["log"](true / pred), -1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """The mean of y_pred - y_true * log(y_pred)."""
    true, pred = _both(y_true, y_pred)
    return reduce_mean(pred - true * MATH["log"](pred + EPSILON), -1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine of the angle between both, negative as a loss is."""
    true, pred = _both(y_true, y_pred)
    return -reduce_sum(l2_normalize(true, axis) * l2_normalize(pred, axis), axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """-sum(y_true * log(p)), p = y_pred normalised, or its softmax with from_logits."""
    true, pred = _both(y_true, y_pred)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + label_smoothing / true.shape[axis]
    if from_logits:
        return neural.softmax_cross_entropy_with_logits(true, pred, axis)
    pred = pred / reduce_sum(pred, axis, True)
    pred = brand(_core.plain(pred).clamp(EPSILON, 1 - EPSILON))
    return -reduce_sum(true * MATH["log"](pred), axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """-log(p[label]), p = y_pred normalised, or its softmax with from_logits."""
    pred = convert(y_pred)
    labels = cast(convert(y_true), dtypes.int64)
    if labels.dim() == pred.dim() and labels.shape[-1] == 1:
        labels = labels[..., 0]
    keep = None
    if ignore_class is not None:
        keep = labels != ignore_class
        labels = brand(versant.where(_core.plain(keep), _core.plain(labels), 0))
    if axis not in (-1, pred.dim() - 1):
        pred = brand(versant.movedim(_core.plain(pred), axis, -1))
    if not from_logits:
        pred = pred / reduce_sum(pred, -1, True)
        pred = MATH["log"](brand(_core.plain(pred).clamp(EPSILON, 1 - EPSILON)))
        found = -reduce_sum(one_hot(labels, pred.shape[-1], dtype=pred.dtype) * pred, -1)
    else:
        found = neural.sparse_softmax_cross_entropy_with_logits(labels, pred)
    return found if keep is None else brand(versant.where(_core.plain(keep), _core.plain(found), 0.0))


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """The mean of -(y log(p) + (1 - y) log(1 - p)), p = y_pred, or its sigmoid with from_logits."""
    true, pred = _both(y_true, y_pred)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return reduce_mean(_binary(true, pred, from_logits), axis)


def _binary(true: Any, pred: Any, from_logits: bool) -> Any:
    if from_logits:
        return neural.sigmoid_cross_entropy_with_logits(labels=true, logits=pred)
    p = brand(_core.plain(pred).clamp(EPSILON, 1 - EPSILON))
    return -(true * MATH["log"](p) + (1.0 - true) * MATH["log"](1.0 - p))


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """binary_crossentropy times (1 - p of the label) ** gamma. (Lin et al., 2017)"""
    true, pred = _both(y_true, y_pred)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        pred = MATH["sigmoid"](pred)
    p = true * pred + (1.0 - true) * (1.0 - pred)
    found = (1.0 - p) ** gamma * _binary(true, pred, False)
    if apply_class_balancing:
        found = found * (true * alpha + (1.0 - true) * (1.0 - alpha))
    return reduce_mean(found, axis)


class Loss:
    """A function of (y_true, y_pred) for each sample, weighed and reduced.

    reduction: "sum_over_batch_size" gives the mean over samples, "sum", "none" (or None).
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in ("sum_over_batch_size", "mean", "sum", "none", None):
            raise ValueError(f"[{type(self).__name__}] unknown reduction {reduction!r}")
        self.name = name or type(self).__name__
        self.reduction = reduction

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number for each sample."""
        raise NotImplementedError(f"[{type(self).__name__}] call is not defined")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        found = self.call(y_true, y_pred)
        if sample_weight is not None:
            weight = cast(convert(sample_weight), found.dtype)
            while weight.dim() > found.dim() and weight.shape[-1] == 1:
                weight = weight[..., 0]
            while 0 < weight.dim() < found.dim():
                weight = weight[..., None]
            found = found * weight
        if self.reduction in ("none", None):
            return found
        return reduce_sum(found) if self.reduction == "sum" else reduce_mean(found)


def _object(name: str, function: Callable[..., Any], **options: Any) -> type[Loss]:
    """A Loss of that function; its options come before reduction and name."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        names = [*options, "reduction", "name", "dtype"]
        if len(args) > len(names):
            raise TypeError(f"[{name}] takes {len(names)} arguments, got {len(args)}")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        unknown = set(given) - set(names)
        if unknown:
            raise TypeError(f"[{name}] unknown arguments: {', '.join(sorted(unknown))}")
        Loss.__init__(self, given.pop("name", None), given.pop("reduction", "sum_over_batch_size"))
        given.pop("dtype", None)
        self.options = {**options, **given}

    def call(self: Any, y_true: Any, y_pred: Any) -> Any:
        return function(y_true, y_pred, **self.options)

    return type(name, (Loss,), {"__init__": __init__, "call": call, "__doc__": function.__doc__})


MeanSquaredError = _object("MeanSquaredError", mean_squared_error)
MeanAbsoluteError = _object("MeanAbsoluteError", mean_absolute_error)
MeanAbsolutePercentageError = _object("MeanAbsolutePercentageError", mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _object("MeanSquaredLogarithmicError", mean_squared_logarithmic_error)
Hinge = _object("Hinge", hinge)
SquaredHinge = _object("SquaredHinge", squared_hinge)
CategoricalHinge = _object("CategoricalHinge", categorical_hinge)
Huber = _object("Huber", huber, delta=1.0)
LogCosh = _object("LogCosh", log_cosh)
KLDivergence = _object("KLDivergence", kl_divergence)
Poisson = _object("Poisson", poisson)
CosineSimilarity = _object("CosineSimilarity", cosine_similarity, axis=-1)
CategoricalCrossentropy = _object(
    "CategoricalCrossentropy", categorical_crossentropy, from_logits=False, label_smoothing=0.0, axis=-1
)
SparseCategoricalCrossentropy = _object(
    "SparseCategoricalCrossentropy", sparse_categorical_crossentropy, from_logits=False, ignore_class=None
)
BinaryCrossentropy = _object(
    "BinaryCrossentropy", binary_crossentropy, from_logits=False, label_smoothing=0.0, axis=-1
)
BinaryFocalCrossentropy = _object(
    "BinaryFocalCrossentropy",
    binary_focal_crossentropy,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
)

logcosh = log_cosh
kld = KLD = kullback_leibler_divergence = kl_divergence
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error


def get(identifier: Any) -> Any:
    """The loss of that name: a function, or an object for a class's name."""
    if callable(identifier) or identifier is None:
        return identifier
    found = globals().get(str(identifier))
    if found is None or not callable(found):
        raise ValueError(f"[losses] there is no loss {identifier!r}")
    return found() if isinstance(found, type) else found
