"""Pooling. Images are (N, H, W, C) unless data_format="channels_first"."""

from typing import Any

from versant.tf import neural, reductions
from versant.tf.keras.layers.convolutional import layout
from versant.tf.keras.layers.layer import Layer, pair

__all__: list[str] = []


def _windows(kind: str, n: int) -> type[Layer]:
    class Pooling(Layer):
        def __init__(
            self,
            pool_size: Any = 2,
            strides: Any = None,
            padding: str = "valid",
            data_format: Any = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.built = True
            self.pool_size = pair(pool_size, n)
            self.strides = self.pool_size if strides is None else pair(strides, n)
            self.padding = padding.upper()
            self.data_format = layout(n, data_format)

        def call(self, inputs: Any) -> Any:
            """The pooled inputs."""
            pool = neural.POOLING[f"{kind}_pool{n}d"]
            return pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    Pooling.__doc__ = f"The {'largest' if kind == 'max' else 'mean'} of windows over {n} axes."
    return Pooling


def _whole(kind: str, n: int) -> type[Layer]:
    class GlobalPooling(Layer):
        def __init__(self, data_format: Any = None, keepdims: bool = False, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.built = True
            self.keepdims = keepdims
            self.data_format = layout(n, data_format)

        def call(self, inputs: Any) -> Any:
            """The pooled inputs."""
            first = 2 if self.data_format.startswith("NC") else 1
            reduce = reductions.reduce_max if kind == "max" else reductions.reduce_mean
            return reduce(inputs, tuple(range(first, first + n)), self.keepdims)

    GlobalPooling.__doc__ = f"The {'largest' if kind == 'max' else 'mean'} of all places."
    return GlobalPooling


for _n in (1, 2, 3):
    for _kind, _long, _short in (("max", "MaxPooling", "MaxPool"), ("avg", "AveragePooling", "AvgPool")):
        for _prefix, _make in (("", _windows), ("Global", _whole)):
            _class = _make(_kind, _n)
            _class.__name__ = _class.__qualname__ = f"{_prefix}{_long}{_n}D"
            for _name in (f"{_prefix}{_long}{_n}D", f"{_prefix}{_short}{_n}D"):
                globals()[_name] = _class
                __all__ += [_name]
