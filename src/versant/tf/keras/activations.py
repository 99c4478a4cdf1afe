"""Activations by name."""

from typing import Any

from versant.tf import neural
from versant.tf.elementwise import MATH
from versant.tf.tensors import convert

__all__ = [
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]


def linear(x: Any) -> Any:
    """x."""
    return convert(x)


def relu(x: Any, negative_slope: float = 0.0, max_value: Any = None, threshold: float = 0.0) -> Any:
    """max(x, 0), with a slope below, an upper bound and another threshold."""
    x = convert(x)
    if not negative_slope and max_value is None and not threshold:
        return neural.NAMES["relu"](x)
    from versant.tf.gathering import where

    found = where(x >= threshold, x, (x - threshold) * negative_slope)
    return found if max_value is None else MATH["minimum"](found, max_value)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x))."""
    return neural.softmax(x, axis)


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return neural.NAMES["relu6"](convert(x) + 3.0) / 6.0


def mish(x: Any) -> Any:
    """x * tanh(softplus(x))."""
    x = convert(x)
    return x * MATH["tanh"](MATH["softplus"](x))


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function at x."""
    return neural.gelu(x, approximate)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """max(x, negative_slope * x)."""
    return neural.leaky_relu(x, negative_slope)


exponential = MATH["exp"]
log_softmax = neural.log_softmax
elu, relu6, selu, sigmoid, silu, softplus, softsign, swish, tanh = (
    neural.NAMES[name]
    for name in ("elu", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "swish", "tanh")
)


def get(identifier: Any) -> Any:
    """The activation of that name, or the function given; None is linear."""
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    if identifier not in __all__ or identifier == "get":
        raise ValueError(f"[activations] there is no activation {identifier!r}")
    return globals()[identifier]
