"""Small helpers of tf.keras.utils."""

from typing import Any

from versant.tf import random

__all__ = ["normalize", "set_random_seed", "to_categorical"]


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Integers as one-hot numpy rows."""
    import numpy

    labels = numpy.asarray(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return numpy.eye(num_classes or int(labels.max()) + 1, dtype="float64")[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """A numpy array divided by its norm over axis."""
    import numpy

    size = numpy.atleast_1d(numpy.linalg.norm(x, order, axis))
    size[size == 0] = 1
    return x / numpy.expand_dims(size, axis)


def set_random_seed(seed: int) -> None:
    """Start the generators of Python, numpy and Versant anew."""
    import random as python

    import numpy

    python.seed(seed)
    numpy.random.seed(seed)
    random.set_seed(seed)
