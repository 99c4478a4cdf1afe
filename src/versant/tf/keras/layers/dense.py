"""Dense, Embedding, and layers that work on each element or on the shape."""

from collections.abc import Callable
from typing import Any

from versant.tf import arrays, dtypes, gathering, neural, products, random
from versant.tf.keras import activations, initializers, regularizers
from versant.tf.keras.layers.layer import Layer
from versant.tf.tensors import cast, convert

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "Identity",
    "InputLayer",
    "Lambda",
    "LeakyReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
]


class Dense(Layer):
    """activation(x @ kernel + bias): (..., n) to (..., units).  kernel: (n, units)."""

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"[Dense] units must be a positive integer, got {units!r}")
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = (
            self.add_weight(
                (self.units,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )
            if self.use_bias
            else None
        )
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> Any:
        """activation(inputs @ kernel + bias)."""
        x = convert(inputs)
        if x.shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"[Dense] expected a last axis of size {self.kernel.shape[0]}, got shape {tuple(x.shape)}"
            )
        if x.dim() < 2:
            raise ValueError(f"[Dense] expected at least 2 axes, got shape {tuple(x.shape)}")
        found = products.matmul(x, self.kernel)
        if self.bias is not None:
            found = found + self.bias
        return found if self.activation is activations.linear else self.activation(found)


class Embedding(Layer):
    """Rows of a table, (input_dim, output_dim), at integers."""

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "random_uniform",
        embeddings_regularizer: Any = None,
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_dim, self.output_dim = input_dim, output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = embeddings_regularizer
        self.mask_zero = mask_zero

    def build(self, input_shape: Any) -> None:
        """Make the table."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            name="embeddings",
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The rows."""
        ids = convert(inputs)
        return gathering.gather(
            self.embeddings, ids if ids.dtype in dtypes.INTEGERS else cast(ids, dtypes.int64)
        )


class _Elementwise(Layer):
    """A layer without weights."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True


class Activation(_Elementwise):
    """An activation by name, or a function."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        """activation(inputs)."""
        return self.activation(inputs)


class ReLU(_Elementwise):
    """max(x, 0), with a slope below and an upper bound."""

    def __init__(
        self, max_value: Any = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs: Any) -> Any:
        """The rectified inputs."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(_Elementwise):
    """max(x, negative_slope * x)."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def call(self, inputs: Any) -> Any:
        """The rectified inputs."""
        return neural.leaky_relu(inputs, self.negative_slope)


class ELU(_Elementwise):
    """x, below 0 alpha * (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        """The rectified inputs."""
        from versant.nn import functional

        return functional.elu(convert(inputs), self.alpha)


class Softmax(_Elementwise):
    """Probabilities along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """softmax(inputs)."""
        return neural.softmax(inputs, self.axis)


class Dropout(_Elementwise):
    """With training=True elements are set to 0 with probability rate, the others divided by 1 - rate."""

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"[Dropout] rate must be in [0, 1], got {rate}")
        super().__init__(**kwargs)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def call(self, inputs: Any, training: Any = False) -> Any:
        """The inputs, some of them 0 while training."""
        if not training or self.rate == 0:
            return inputs
        return neural.dropout(inputs, self.rate, self.noise_shape, self.seed)


class GaussianNoise(_Elementwise):
    """With training=True normal noise of that deviation is added."""

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev, self.seed = stddev, seed

    def call(self, inputs: Any, training: Any = False) -> Any:
        """The inputs, with noise while training."""
        if not training:
            return inputs
        x = convert(inputs)
        return x + random.normal(tuple(x.shape), 0.0, self.stddev, x.dtype, self.seed)


class Flatten(_Elementwise):
    """(N, ...) to (N, the product of the others)."""

    def __init__(self, data_format: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """The inputs as a matrix."""
        x = convert(inputs)
        return arrays.reshape(x, (x.shape[0], -1 if x.numel() else 0))


class Reshape(_Elementwise):
    """Each sample in another shape; one size may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Any) -> Any:
        """The inputs in that shape."""
        x = convert(inputs)
        return arrays.reshape(x, (x.shape[0], *self.target_shape))


class Permute(_Elementwise):
    """The axes of each sample in another order, counted from 1."""

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)

    def call(self, inputs: Any) -> Any:
        """The inputs in that order."""
        return arrays.transpose(inputs, (0, *self.dims))


class RepeatVector(_Elementwise):
    """(N, C) to (N, n, C)."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def call(self, inputs: Any) -> Any:
        """The inputs, n times."""
        return arrays.repeat(arrays.expand_dims(inputs, 1), self.n, 1)


class Rescaling(_Elementwise):
    """x * scale + offset."""

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Any) -> Any:
        """inputs * scale + offset, in the layer's dtype."""
        return cast(convert(inputs), self.dtype) * self.scale + self.offset


class Identity(_Elementwise):
    """The inputs."""

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs


class Lambda(_Elementwise):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Any], output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs: Any) -> Any:
        """function(inputs)."""
        return self.function(inputs)


class InputLayer(_Elementwise):
    """States the shape of what a Sequential model is given."""

    def __init__(
        self,
        shape: Any = None,
        batch_size: Any = None,
        dtype: Any = None,
        input_shape: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        given = shape if shape is not None else input_shape
        self.batch_shape = (batch_size, *tuple(given)) if given is not None else None

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs
