"""Convolutions. Images are (N, H, W, C) unless data_format="channels_first"."""

from typing import Any

from versant.tf import arrays, neural
from versant.tf.keras import activations, initializers, regularizers
from versant.tf.keras.layers.layer import Layer, pair
from versant.tf.tensors import convert

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Cropping2D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "UpSampling2D",
    "ZeroPadding2D",
]


def layout(n: int, data_format: Any) -> str:
    """TensorFlow's name of a layout: NHWC for "channels_last"."""
    axes = {1: "W", 2: "HW", 3: "DHW"}[n]
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(f"[data_format] expected 'channels_last' or 'channels_first', got {data_format!r}")
    return f"NC{axes}" if data_format == "channels_first" else f"N{axes}C"


class _Conv(Layer):
    """activation(convolution(x, kernel) + bias).  kernel: (*kernel_size, channels / groups, filters)."""

    n = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: Any = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        if padding.lower() not in ("valid", "same", "causal"):
            raise ValueError(f"[{type(self).__name__}] padding must be 'valid' or 'same', got {padding!r}")
        self.filters, self.groups = filters, groups
        self.kernel_size = pair(kernel_size, self.n)
        self.strides, self.dilation_rate = pair(strides, self.n), pair(dilation_rate, self.n)
        self.padding = padding.upper()
        self.data_format = layout(self.n, data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)

    def _channels(self, input_shape: Any) -> int:
        n = input_shape[1 if self.data_format.startswith("NC") else -1]
        if n is None:
            raise ValueError(f"[{type(self).__name__}] the number of channels must be known")
        return int(n)

    def _kernel_shape(self, channels: int) -> tuple[int, ...]:
        if channels % self.groups:
            raise ValueError(
                f"[{type(self).__name__}] {channels} channels do not divide into {self.groups} groups"
            )
        return (*self.kernel_size, channels // self.groups, self.filters)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        shape = self._kernel_shape(self._channels(input_shape))
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self._n_outputs(shape),),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                name="bias",
            )
        self.built = True

    def _n_outputs(self, shape: tuple[int, ...]) -> int:
        return self.filters

    def _convolved(self, x: Any) -> Any:
        padding = self.padding
        if padding == "CAUSAL":
            before = (self.kernel_size[0] - 1) * self.dilation_rate[0]
            x = arrays.pad(x, [[0, 0], [before, 0], [0, 0]])
            padding = "VALID"
        return neural.convolution(x, self.kernel, self.strides, padding, self.data_format, self.dilation_rate)

    def call(self, inputs: Any) -> Any:
        """The convolution, with bias and activation."""
        found = self._convolved(convert(inputs))
        if self.bias is not None:
            found = neural.bias_add(found, self.bias, self.data_format)
        return found if self.activation is activations.linear else self.activation(found)


class Conv1D(_Conv):
    """Convolution of (N, W, C); padding="causal" looks at earlier places only."""

    n = 1


class Conv2D(_Conv):
    """Convolution of images."""


class Conv3D(_Conv):
    """Convolution of (N, D, H, W, C)."""

    n = 3


class DepthwiseConv2D(_Conv):
    """Convolution of each channel for itself.  kernel: (KH, KW, C, depth_multiplier)."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: Any = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        self.depth_multiplier = depth_multiplier
        super().__init__(
            0,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            1,
            activation,
            use_bias,
            depthwise_initializer,
            bias_initializer,
            **kwargs,
        )

    def _kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (*self.kernel_size, channels, self.depth_multiplier)

    def _n_outputs(self, shape: tuple[int, ...]) -> int:
        return shape[-2] * shape[-1]

    def _convolved(self, x: Any) -> Any:
        return neural.depthwise_conv2d(
            x, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )


class SeparableConv2D(_Conv):
    """DepthwiseConv2D, then a convolution of 1 by 1."""

    def __init__(self, filters: int, kernel_size: Any, depth_multiplier: int = 1, **kwargs: Any) -> None:
        self.depth_multiplier = depth_multiplier
        super().__init__(filters, kernel_size, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make both kernels and the bias."""
        c = self._channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, c, self.depth_multiplier), self.kernel_initializer, name="depthwise_kernel"
        )
        self.pointwise_kernel = self.add_weight(
            (1, 1, c * self.depth_multiplier, self.filters), self.kernel_initializer, name="pointwise_kernel"
        )
        self.bias = (
            self.add_weight((self.filters,), self.bias_initializer, name="bias") if self.use_bias else None
        )
        self.built = True

    def _convolved(self, x: Any) -> Any:
        return neural.separable_conv2d(
            x,
            self.depthwise_kernel,
            self.pointwise_kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )


class Conv2DTranspose(_Conv):
    """The gradient of Conv2D by its input.  kernel: (KH, KW, filters, C)."""

    def _kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (*self.kernel_size, self.filters, channels)

    def _convolved(self, x: Any) -> Any:
        first = self.data_format.startswith("NC")
        sizes = list(x.shape)
        spatial = sizes[2:] if first else sizes[1:-1]
        target = []
        for size, k, s in zip(spatial, self.kernel_size, self.strides, strict=True):
            target.append(size * s if self.padding == "SAME" else size * s + max(k - s, 0))
        shape = [sizes[0], self.filters, *target] if first else [sizes[0], *target, self.filters]
        return neural.conv2d_transpose(
            x, self.kernel, shape, self.strides, self.padding, self.data_format, self.dilation_rate
        )


class ZeroPadding2D(Layer):
    """Zeros around images: one number, (height, width), or ((top, bottom), (left, right))."""

    def __init__(self, padding: Any = 1, data_format: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True
        self.padding = [pair(p) for p in pair_of_pairs(padding)]
        self.data_format = layout(2, data_format)

    def call(self, inputs: Any) -> Any:
        """The padded images."""
        own = [list(p) for p in self.padding]
        around = [[0, 0], [0, 0], *own] if self.data_format.startswith("NC") else [[0, 0], *own, [0, 0]]
        return arrays.pad(inputs, around)


def pair_of_pairs(value: Any) -> Any:
    """One number, two, or two pairs, as two of one number or pair."""
    return (value, value) if isinstance(value, int) else tuple(value)


class Cropping2D(Layer):
    """Images without their borders: one number, (height, width), or ((top, bottom), (left, right))."""

    def __init__(self, cropping: Any = 0, data_format: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True
        self.cropping = [pair(c) for c in pair_of_pairs(cropping)]
        self.data_format = layout(2, data_format)

    def call(self, inputs: Any) -> Any:
        """The cropped images."""
        x = convert(inputs)
        first = 2 if self.data_format.startswith("NC") else 1
        key: list[Any] = [slice(None)] * 4
        for i, (before, after) in enumerate(self.cropping):
            key[first + i] = slice(before, x.shape[first + i] - after)
        return x[tuple(key)]


class UpSampling2D(Layer):
    """Each place of an image repeated."""

    def __init__(self, size: Any = 2, data_format: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True
        self.size = pair(size)
        self.data_format = layout(2, data_format)

    def call(self, inputs: Any) -> Any:
        """The larger images."""
        first = 2 if self.data_format.startswith("NC") else 1
        return arrays.repeat(arrays.repeat(inputs, self.size[0], first), self.size[1], first + 1)
