"""Distribution: parameters with batch axes, samples with event axes behind them, densities of samples."""

import math
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any, ClassVar, Self

import versant
from versant import Size, Tensor, _core
from versant.distributions.constraints import Constraint, Constraints, is_dependent


class lazy:
    """An attribute that is computed when it is first asked for, with its history whatever the mode is."""

    def __init__(self, compute: Callable[[Any], Tensor]) -> None:
        self.compute = compute
        self.name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Tensor:
        if instance is None:
            raise AttributeError(f"[distributions] {self.name} belongs to instances")
        with versant.enable_grad():
            value = self.compute(instance)
        instance.__dict__[self.name] = value
        return value


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers as tensors of one shape; numbers take the dtype of the first tensor."""
    for value in values:
        if not isinstance(value, (Tensor, Number)):
            raise ValueError(f"[distributions] expected tensors or numbers, got {type(value).__name__}")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = versant.get_default_dtype() if first is None else first.dtype
    tensors = [v if isinstance(v, Tensor) else versant.tensor(v, dtype=dtype) for v in values]
    return tuple(versant.broadcast_tensors(*tensors))


def sum_rightmost(value: Tensor, axes: int) -> Tensor:
    """The sum over the last `axes` axes."""
    return value.flatten(value.ndim - axes).sum(-1) if axes else value


def standard_normal(shape: Sequence[int], like: Tensor) -> Tensor:
    return versant.randn(tuple(shape), dtype=like.dtype)


def unit_uniform(shape: Sequence[int], like: Tensor) -> Tensor:
    """Numbers above 0 and below 1."""
    tiny = versant.finfo(like.dtype).tiny
    return versant.rand(tuple(shape), dtype=like.dtype).clamp(min=tiny)


class Distribution:
    """The base of all distributions.

    batch_shape: of the parameters. event_shape: of one sample. A sample of sample_shape S has the shape
    S + batch_shape + event_shape; log_prob sums over the event axes.
    validate_args: whether parameters and values are checked; by default they are. Compiled functions do not
        look at values.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[Constraints] = {}
    _validate_args = True

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if name in self.__dict__ and not is_dependent(constraint):
                    self._check(f"parameter {name}", constraint, self.__dict__[name])

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check what they are given when nothing is said."""
        if not isinstance(value, bool):
            raise ValueError(f"[Distribution] expected True or False, got {value!r}")
        Distribution._validate_args = value

    def _check(self, what: str, constraint: Constraint, value: Tensor) -> None:
        if _core.is_tracing():  # a replay could not take the answer back
            return
        holds = constraint.check(value).all()
        if _core.level_of(holds):  # under vmap it stands for many answers
            return
        if not holds:
            raise ValueError(
                f"[{type(self).__name__}] Expected {what} of shape {tuple(value.shape)} to satisfy "
                f"{constraint!r}, but found invalid values:\n{value}"
            )

    def _validate_sample(self, value: Any) -> None:
        """Raises ValueError unless the distribution can have the value."""
        if not self._validate_args:
            return
        name = type(self).__name__
        if not isinstance(value, Tensor):
            raise ValueError(f"[{name}] The value argument must be a Tensor, got {type(value).__name__}")
        shape, wanted = tuple(value.shape), (*self._batch_shape, *self._event_shape)
        if shape[len(shape) - len(self._event_shape) :] != tuple(self._event_shape):
            raise ValueError(f"[{name}] expected values of shape (..., *{self._event_shape}), got {shape}")
        if any(1 not in (a, b) and a != b for a, b in zip(shape[::-1], wanted[::-1], strict=False)):
            raise ValueError(f"[{name}] values of shape {shape} do not broadcast with {wanted}")
        self._check("value", self.support, value)

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample."""
        return self._event_shape

    @property
    def support(self) -> Constraint:
        """Which values samples have."""
        raise NotImplementedError(f"[{type(self).__name__}] support is not defined")

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] mean is not defined")

    @property
    def mode(self) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] mode is not defined")

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] variance is not defined")

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws, without gradient."""
        with versant.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws as functions of the parameters, with gradient."""
        raise NotImplementedError(f"[{type(self).__name__}] rsample is not defined")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, of a value."""
        raise NotImplementedError(f"[{type(self).__name__}] log_prob is not defined")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a sample of at most value."""
        raise NotImplementedError(f"[{type(self).__name__}] cdf is not defined")

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of cdf."""
        raise NotImplementedError(f"[{type(self).__name__}] icdf is not defined")

    def entropy(self) -> Tensor:
        """The mean of -log_prob."""
        raise NotImplementedError(f"[{type(self).__name__}] entropy is not defined")

    def perplexity(self) -> Tensor:
        """exp(entropy)"""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first axis."""
        raise NotImplementedError(f"[{type(self).__name__}] enumerate_support is not defined")

    def _enumerated(self, values: Tensor, expand: bool) -> Tensor:
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values

    def expand(self, batch_shape: Sequence[int]) -> Self:
        """The same distribution with its parameters expanded to a batch_shape."""
        new = self._blank(batch_shape)
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                event = value.shape[len(self._batch_shape) :]
                new.__dict__[name] = value.expand(*batch_shape, *event)
        return new

    def _blank(self, batch_shape: Sequence[int]) -> Self:
        """A copy without parameters, of a batch_shape."""
        new = object.__new__(type(self))
        new.__dict__.update({k: v for k, v in self.__dict__.items() if not isinstance(v, Tensor)})
        new._batch_shape = Size(batch_shape)
        return new

    def __repr__(self) -> str:
        parameters = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = (f"{k}: {v if v.numel() == 1 else v.shape}" for k, v in parameters.items())
        return f"{type(self).__name__}({', '.join(shown)})"


class Centred(Distribution):
    """What distributions share whose mean and mode are loc."""

    loc: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc


def logits_of(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of probabilities, or of their odds."""
    eps = versant.finfo(probs.dtype).eps
    held = probs.clamp(min=eps, max=1 - eps)
    return held.log() - (-held).log1p() if is_binary else held.log()


HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
