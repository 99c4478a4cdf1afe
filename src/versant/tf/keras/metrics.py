"""Metrics: numbers gathered over batches, in variables."""

from collections.abc import Callable
from typing import Any

from versant.tf import arrays, dtypes, gathering
from versant.tf.elementwise import MATH, divide_no_nan
from versant.tf.keras import losses
from versant.tf.modules import Module
from versant.tf.reductions import argmax, reduce_sum
from versant.tf.tensors import cast, convert, identity
from versant.tf.variables import Variable

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CosineSimilarity",
    "FalseNegatives",
    "FalsePositives",
    "KLDivergence",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
]


class Metric(Module):
    """update_state takes a batch in, result gives the number so far, reset_state begins anew."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name)
        self._states: list[Variable] = []

    def add_weight(
        self, name: Any = None, shape: Any = (), initializer: Any = "zeros", dtype: Any = dtypes.float32
    ) -> Variable:
        """A number that is gathered."""
        if isinstance(name, tuple | list):
            name, shape = None, name
        value = arrays.ones(shape, dtype) if initializer in ("ones",) else arrays.zeros(shape, dtype)
        variable = Variable(value, trainable=False, name=name)
        self._states.append(variable)
        return variable

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch in."""
        raise NotImplementedError(f"[{type(self).__name__}] update_state is not defined")

    def result(self) -> Any:
        """The number so far."""
        raise NotImplementedError(f"[{type(self).__name__}] result is not defined")

    def reset_state(self) -> None:
        """Begin anew."""
        for variable in self._states:
            variable.assign(arrays.zeros(tuple(variable.shape), variable.dtype))

    reset_states = reset_state

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()


class _Total(Metric):
    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_weight("total")
        self.count = self.add_weight("count")

    def _take(self, values: Any, sample_weight: Any = None) -> None:
        x = cast(convert(values), dtypes.float32)
        if sample_weight is None:
            self.total.assign_add(reduce_sum(x))
            self.count.assign_add(convert(float(x.numel())))
            return
        weight = cast(convert(sample_weight), dtypes.float32)
        while weight.dim() > x.dim() and weight.shape[-1] == 1:
            weight = weight[..., 0]
        while 0 < weight.dim() < x.dim():
            weight = weight[..., None]
        weight = arrays.broadcast_to(weight, tuple(x.shape))
        self.total.assign_add(reduce_sum(x * weight))
        self.count.assign_add(reduce_sum(weight))

    def result(self) -> Any:
        """The mean so far; 0 before anything came in."""
        return divide_no_nan(self.total, self.count)


class Mean(_Total):
    """The mean of the values."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values in."""
        self._take(values, sample_weight)


class Sum(_Total):
    """The sum of the values."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values in."""
        self._take(values, sample_weight)

    def result(self) -> Any:
        """The sum so far."""
        return identity(self.total)


class MeanMetricWrapper(_Total):
    """The mean of a function of (y_true, y_pred)."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name, dtype)
        self._fn, self._fn_kwargs = fn, kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take labels and predictions in."""
        self._take(self._fn(y_true, y_pred, **self._fn_kwargs), sample_weight)


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where both are equal."""
    pred = convert(y_pred)
    return cast(cast(convert(y_true), pred.dtype) == pred, dtypes.float32)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y_pred > threshold is what y_true says."""
    pred = cast(convert(y_pred) > threshold, dtypes.float32)
    return cast(cast(convert(y_true), dtypes.float32) == pred, dtypes.float32)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest prediction is in the place of the largest label."""
    return cast(argmax(y_true, -1) == argmax(y_pred, -1), dtypes.float32)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest prediction is in the place that the label names."""
    labels, pred = cast(convert(y_true), dtypes.int64), convert(y_pred)
    if labels.dim() == pred.dim() and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return cast(labels == argmax(pred, -1), dtypes.float32)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the largest label is among the k largest predictions."""
    return cast(gathering.in_top_k(argmax(y_true, -1), y_pred, k), dtypes.float32)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the label is among the k largest predictions."""
    return cast(gathering.in_top_k(cast(convert(y_true), dtypes.int64), y_pred, k), dtypes.float32)


def _wrapped(name: str, function: Callable[..., Any], **options: Any) -> type[MeanMetricWrapper]:
    snake = "".join("_" * (c.isupper() and i > 0) + c.lower() for i, c in enumerate(name))

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        # Of options with a default the first come before the name only where Keras has them there.
        first = [key for key in options if key in ("k",)]
        given = {**options, **dict(zip([*first, "name", "dtype"], args, strict=False)), **kwargs}
        label, dtype = given.pop("name", None) or snake, given.pop("dtype", None)
        MeanMetricWrapper.__init__(self, function, label, dtype, **given)

    return type(name, (MeanMetricWrapper,), {"__init__": __init__, "__doc__": function.__doc__})


Accuracy = _wrapped("Accuracy", accuracy)
BinaryAccuracy = _wrapped("BinaryAccuracy", binary_accuracy, threshold=0.5)
CategoricalAccuracy = _wrapped("CategoricalAccuracy", categorical_accuracy)
SparseCategoricalAccuracy = _wrapped("SparseCategoricalAccuracy", sparse_categorical_accuracy)
TopKCategoricalAccuracy = _wrapped("TopKCategoricalAccuracy", top_k_categorical_accuracy, k=5)
SparseTopKCategoricalAccuracy = _wrapped(
    "SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy, k=5
)
MeanSquaredError = _wrapped("MeanSquaredError", losses.mean_squared_error)
MeanAbsoluteError = _wrapped("MeanAbsoluteError", losses.mean_absolute_error)
KLDivergence = _wrapped("KLDivergence", losses.kl_divergence)
BinaryCrossentropy = _wrapped(
    "BinaryCrossentropy", losses.binary_crossentropy, from_logits=False, label_smoothing=0.0
)
CategoricalCrossentropy = _wrapped(
    "CategoricalCrossentropy", losses.categorical_crossentropy, from_logits=False, label_smoothing=0.0
)
SparseCategoricalCrossentropy = _wrapped(
    "SparseCategoricalCrossentropy", losses.sparse_categorical_crossentropy, from_logits=False
)


def _similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine of the angle between both."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


CosineSimilarity = _wrapped("CosineSimilarity", _similarity, axis=-1)


class RootMeanSquaredError(_Total):
    """The square root of the mean squared error."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take labels and predictions in."""
        pred = cast(convert(y_pred), dtypes.float32)
        self._take(MATH["square"](pred - cast(convert(y_true), dtypes.float32)), sample_weight)

    def result(self) -> Any:
        """The root so far."""
        return MATH["sqrt"](divide_no_nan(self.total, self.count))


class _Counts(Metric):
    """Counts of right and wrong predictions at one threshold."""

    counted = ""

    def __init__(
        self, thresholds: Any = None, name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name, dtype)
        self.threshold = 0.5 if thresholds is None else float(thresholds)
        self.right_positive = self.add_weight("true_positives")
        self.wrong_positive = self.add_weight("false_positives")
        self.wrong_negative = self.add_weight("false_negatives")
        self.right_negative = self.add_weight("true_negatives")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take labels and predictions in."""
        pred = cast(convert(y_pred) > self.threshold, dtypes.float32)
        true = cast(cast(convert(y_true), dtypes.bool), dtypes.float32)
        if true.dim() != pred.dim():
            true = arrays.reshape(true, tuple(pred.shape))
        weight = 1.0 if sample_weight is None else cast(convert(sample_weight), dtypes.float32)
        self.right_positive.assign_add(reduce_sum(true * pred * weight))
        self.wrong_positive.assign_add(reduce_sum((1.0 - true) * pred * weight))
        self.wrong_negative.assign_add(reduce_sum(true * (1.0 - pred) * weight))
        self.right_negative.assign_add(reduce_sum((1.0 - true) * (1.0 - pred) * weight))

    def result(self) -> Any:
        """The count so far."""
        return identity(getattr(self, self.counted))


class Precision(_Counts):
    """The share of predicted positives that are right."""

    def result(self) -> Any:
        """The share so far."""
        return divide_no_nan(self.right_positive, self.right_positive + self.wrong_positive)


class Recall(_Counts):
    """The share of positives that are predicted."""

    def result(self) -> Any:
        """The share so far."""
        return divide_no_nan(self.right_positive, self.right_positive + self.wrong_negative)


class TruePositives(_Counts):
    """How many positives are predicted."""

    counted = "right_positive"


class FalsePositives(_Counts):
    """How many negatives are predicted positive."""

    counted = "wrong_positive"


class FalseNegatives(_Counts):
    """How many positives are predicted negative."""

    counted = "wrong_negative"


class TrueNegatives(_Counts):
    """How many negatives are predicted."""

    counted = "right_negative"


class AUC(Metric):
    """The area under a curve over thresholds: "ROC", by trapezoids, or "PR" (precision over recall).

    The precision between two thresholds is taken as Davis and Goadrich do ("The relationship between
    precision-recall and ROC curves", 2006). y_pred: probabilities; with from_logits, before the sigmoid.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        if curve not in ("ROC", "PR"):
            raise ValueError(f"[AUC] curve must be 'ROC' or 'PR', got {curve!r}")
        if num_thresholds < 2:
            raise ValueError(f"[AUC] expected at least 2 thresholds, got {num_thresholds}")
        self.curve, self.from_logits = curve, from_logits
        inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        self.thresholds = [-1e-7, *inner, 1 + 1e-7]
        shape = (num_thresholds,)
        self.right_positive = self.add_weight("true_positives", shape)
        self.wrong_positive = self.add_weight("false_positives", shape)
        self.wrong_negative = self.add_weight("false_negatives", shape)
        self.right_negative = self.add_weight("true_negatives", shape)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take labels and predictions in."""
        pred = arrays.reshape(cast(convert(y_pred), dtypes.float32), (1, -1))
        pred = MATH["sigmoid"](pred) if self.from_logits else pred
        true = arrays.reshape(cast(cast(convert(y_true), dtypes.bool), dtypes.float32), (1, -1))
        weight = convert(1.0) if sample_weight is None else cast(convert(sample_weight), dtypes.float32)
        weight = arrays.reshape(weight, (1, -1))
        above = cast(pred > arrays.reshape(convert(self.thresholds), (-1, 1)), dtypes.float32)
        self.right_positive.assign_add(reduce_sum(above * true * weight, 1))
        self.wrong_positive.assign_add(reduce_sum(above * (1.0 - true) * weight, 1))
        self.wrong_negative.assign_add(reduce_sum((1.0 - above) * true * weight, 1))
        self.right_negative.assign_add(reduce_sum((1.0 - above) * (1.0 - true) * weight, 1))

    def result(self) -> Any:
        """The area so far."""
        tp, fp = identity(self.right_positive), identity(self.wrong_positive)
        positives = tp + self.wrong_negative
        if self.curve == "ROC":
            recall, rate = divide_no_nan(tp, positives), divide_no_nan(fp, fp + self.right_negative)
            return reduce_sum((rate[:-1] - rate[1:]) * (recall[:-1] + recall[1:]) / 2.0)
        predicted = tp + fp
        step = tp[:-1] - tp[1:]
        slope = divide_no_nan(step, MATH["maximum"](predicted[:-1] - predicted[1:], 0.0))
        intercept = tp[1:] - slope * predicted[1:]
        both = MATH["logical_and"](predicted[:-1] > 0.0, predicted[1:] > 0.0)
        ratio = divide_no_nan(predicted[:-1], predicted[1:])
        ratio = gathering.where(both, ratio, arrays.ones_like(ratio))
        return reduce_sum(divide_no_nan(slope * (step + intercept * MATH["log"](ratio)), positives[1:]))
