"""Layers of several inputs."""

from functools import reduce
from typing import Any

from versant.tf import arrays, products
from versant.tf.elementwise import MATH
from versant.tf.keras.layers.layer import Layer
from versant.tf.tensors import convert

__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"]


class _Merge(Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def _inputs(self, inputs: Any, least: int = 2) -> list[Any]:
        if not isinstance(inputs, list | tuple) or len(inputs) < least:
            raise ValueError(f"[{type(self).__name__}] expected a list of at least {least} inputs")
        return [convert(x) for x in inputs]


class Add(_Merge):
    """The sum of the inputs."""

    def call(self, inputs: Any) -> Any:
        """The sum."""
        return reduce(lambda a, b: a + b, self._inputs(inputs))


class Subtract(_Merge):
    """The first input less the second."""

    def call(self, inputs: Any) -> Any:
        """The difference."""
        first, second = self._inputs(inputs)
        return first - second


class Multiply(_Merge):
    """The product of the inputs, element by element."""

    def call(self, inputs: Any) -> Any:
        """The product."""
        return reduce(lambda a, b: a * b, self._inputs(inputs))


class Average(_Merge):
    """The mean of the inputs."""

    def call(self, inputs: Any) -> Any:
        """The mean."""
        values = self._inputs(inputs)
        return reduce(lambda a, b: a + b, values) / float(len(values))


class Maximum(_Merge):
    """The largest of the inputs, element by element."""

    def call(self, inputs: Any) -> Any:
        """The maximum."""
        return reduce(MATH["maximum"], self._inputs(inputs))


class Minimum(_Merge):
    """The smallest of the inputs, element by element."""

    def call(self, inputs: Any) -> Any:
        """The minimum."""
        return reduce(MATH["minimum"], self._inputs(inputs))


class Concatenate(_Merge):
    """The inputs joined along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """The inputs, joined."""
        return arrays.concat(self._inputs(inputs, 1), self.axis)


class Dot(_Merge):
    """The products of two inputs, summed over an axis of each; normalize: of length 1 before."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Any) -> Any:
        """The products of each sample."""
        a, b = self._inputs(inputs)
        first, second = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        if self.normalize:
            a, b = products.l2_normalize(a, first), products.l2_normalize(b, second)
        letters = "bcdefghij"
        left = list(letters[: a.dim()])
        right = ["b", *"klmnopqrst"[: b.dim() - 1]]
        right[second] = left[first]
        gone = left[first]
        out = [x for x in left if x != gone] + [x for x in right[1:] if x != gone]
        found = products.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", a, b)
        return found if found.dim() > 1 else arrays.expand_dims(found, -1)
