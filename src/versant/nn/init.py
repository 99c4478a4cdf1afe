"""Initial values of parameters. Every function fills its tensor in place, unseen by autodiff, and returns it.

Sources: xavier: Glorot and Bengio 2010; kaiming: He et al. 2015; orthogonal: Saxe et al. 2013; sparse:
Martens 2010.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import versant
from versant import Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through `nonlinearity`; `param`: the slope of leaky_relu (0.01)."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"[calculate_gain] unknown nonlinearity {nonlinearity!r}; known: {[*_GAINS, 'leaky_relu']}"
        )
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with draws from U(a, b)."""
    with versant.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with draws from N(mean, std**2)."""
    with versant.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Fill with draws from N(mean, std**2) that lie in [a, b] (absolute bounds, not multiples of std)."""
    if not a < b:
        raise ValueError(f"[trunc_normal_] needs a < b, got a={a}, b={b}")
    lower, upper = (0.5 * (1.0 + math.erf((bound - mean) / (std * math.sqrt(2.0)))) for bound in (a, b))
    with versant.no_grad():  # the inverse of the distribution function at uniform draws
        tensor.uniform_(2.0 * lower - 1.0, 2.0 * upper - 1.0, generator=generator)
        return tensor.erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(min=a, max=b)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    with versant.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill from U(-b, b) with b = gain * sqrt(6 / (fan_in + fan_out))."""
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill from N(0, std**2) with std = gain * sqrt(2 / (fan_in + fan_out))."""
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill from U(-b, b) with b = gain * sqrt(3 / fan); `a` is leaky_relu's negative slope."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan("kaiming_uniform_", tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill from N(0, std**2) with std = gain / sqrt(fan); `a` is leaky_relu's negative slope."""
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan("kaiming_normal_", tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill so that the rows, each flattened, are orthonormal times gain; the columns if they are fewer."""
    if tensor.ndim < 2:
        raise ValueError(f"[orthogonal_] expected at least 2 dimensions, got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    with versant.no_grad():
        rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
        dtype = versant.float32 if tensor.dtype.itemsize == 2 else tensor.dtype
        drawn = tensor.new_empty((max(rows, columns), min(rows, columns)), dtype=dtype)
        q, r = versant.linalg.qr(drawn.normal_(generator=generator))
        q = q * r.diagonal().sgn()  # without it Q would not be uniform (Mezzadri 2007)
        return tensor.copy_((q.mT if rows < columns else q).reshape(tensor.shape) * gain)


def eye_(tensor: Tensor) -> Tensor:
    """Fill with the unit matrix: a linear layer then keeps as many of its inputs as it can."""
    if tensor.ndim != 2:
        raise ValueError(f"[eye_] expected 2 dimensions, got shape {tuple(tensor.shape)}")
    with versant.no_grad():
        return tensor.copy_(versant.eye(*tensor.shape, dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill so that a convolution keeps as many of its input channels as it can, in each group."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"[dirac_] expected 3, 4 or 5 dimensions, got shape {tuple(tensor.shape)}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"[dirac_] groups = {groups} must divide the {tensor.shape[0]} output channels")
    center = tuple(size // 2 for size in tensor.shape[2:])
    each = tensor.shape[0] // groups
    with versant.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(each, tensor.shape[1])):
                tensor[(group * each + channel, channel, *center)] = 1
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill from N(0, std**2), with the part `sparsity` of each column zero."""
    if tensor.ndim != 2:
        raise ValueError(f"[sparse_] expected 2 dimensions, got shape {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with versant.no_grad():
        normal_(tensor, 0.0, std, generator)
        for column in range(columns):
            tensor[versant.randperm(rows, generator=generator)[:zeros], column] = 0
    return tensor


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Inputs that feed one output of a weight (out, in, *kernel), and outputs that one input feeds."""
    if tensor.ndim < 2:
        raise ValueError(
            f"[{name}] expected a weight of at least 2 dimensions, got shape {tuple(tensor.shape)}"
        )
    kernel = math.prod(tensor.shape[2:])
    return max(tensor.shape[1] * kernel, 1), max(tensor.shape[0] * kernel, 1)


def _fan(name: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[{name}] mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _fans(name, tensor)[mode == "fan_out"]


def _by_first_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function under the name that it had before in-place functions ended in "_"; it warns."""
    now = function.__name__

    def first(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"nn.init.{now[:-1]} is now nn.init.{now}", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    first.__name__, first.__doc__ = now[:-1], f"{now} by its first name."
    return first


uniform, normal, constant = (_by_first_name(f) for f in (uniform_, normal_, constant_))
eye, dirac, sparse, orthogonal = (_by_first_name(f) for f in (eye_, dirac_, sparse_, orthogonal_))
xavier_uniform, xavier_normal = _by_first_name(xavier_uniform_), _by_first_name(xavier_normal_)
kaiming_uniform, kaiming_normal = _by_first_name(kaiming_uniform_), _by_first_name(kaiming_normal_)
