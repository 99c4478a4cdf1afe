"""What weights begin with."""

import math
from typing import Any

from versant.tf import arrays, dtypes, random
from versant.tf.dtypes import as_dtype
from versant.tf.tensors import convert

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]


class Initializer:
    """A function of shape and dtype that gives the values."""

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] __call__ is not defined")


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        return arrays.zeros(shape, dtype)


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        return arrays.ones(shape, dtype)


class Constant(Initializer):
    """One value, or an array of the weight's shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        value = convert(self.value, dtype)
        return arrays.broadcast_to(value, shape) if value.dim() == 0 else arrays.reshape(value, shape)


class RandomNormal(Initializer):
    """Normally distributed numbers."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)


class TruncatedNormal(RandomNormal):
    """Normally distributed numbers not further than two deviations from the mean."""

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class RandomUniform(Initializer):
    """Uniformly distributed numbers."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)


class VarianceScaling(Initializer):
    """Random numbers of variance scale / n, n being the inputs, the outputs or the mean of both of a unit.

    mode: "fan_in", "fan_out" or "fan_avg". distribution: "truncated_normal", "untruncated_normal" or
    "uniform".
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ) -> None:
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"[VarianceScaling] unknown mode {mode!r}")
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Any, dtype: Any = dtypes.float32) -> Any:
        sizes = tuple(shape)
        if len(sizes) < 2:
            fan_in = fan_out = sizes[0] if sizes else 1
        else:
            field = math.prod(sizes[:-2])
            fan_in, fan_out = sizes[-2] * field, sizes[-1] * field
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(sizes, -limit, limit, as_dtype(dtype), self.seed)
        if self.distribution == "truncated_normal":
            # The deviation of a normal number cut off at two deviations.
            return random.truncated_normal(
                sizes, 0.0, math.sqrt(variance) / 0.87962566103423978, as_dtype(dtype), self.seed
            )
        return random.normal(sizes, 0.0, math.sqrt(variance), as_dtype(dtype), self.seed)


def _scaled(name: str, scale: float, mode: str, distribution: str, source: str) -> type[VarianceScaling]:
    def __init__(self: Any, seed: Any = None) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed)

    return type(name, (VarianceScaling,), {"__init__": __init__, "__doc__": source})


GlorotUniform = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform", "Glorot and Bengio, 2010.")
GlorotNormal = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal", "Glorot and Bengio, 2010.")
HeUniform = _scaled("HeUniform", 2.0, "fan_in", "uniform", "He et al., 2015.")
HeNormal = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal", "He et al., 2015.")
LecunUniform = _scaled("LecunUniform", 1.0, "fan_in", "uniform", "LeCun et al., 1998.")
LecunNormal = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal", "LeCun et al., 1998.")


def get(identifier: Any) -> Any:
    """The initializer of that name, class or object; None stays None."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    if isinstance(identifier, type):
        return identifier()
    wanted = str(identifier).replace("_", "").lower()
    for name in __all__:
        if name.lower() == wanted:
            return globals()[name]()
    raise ValueError(f"[initializers] there is no initializer {identifier!r}")


zeros, ones = Zeros, Ones
