"""Distributions over categories and counts."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import versant
import versant.nn.functional as F
from versant import Size, Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.distribution import Distribution, broadcast_all, lazy, logits_of, unit_uniform

__all__ = [
    "Bernoulli",
    "Categorical",
    "Geometric",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
]


def given(who: str, probs: Any, logits: Any) -> None:
    """Raises unless one of the two is given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{who}] Either `probs` or `logits` must be specified, but not both.")


class _Odds(Distribution):
    """What distributions share that have the probability of success, or its log odds, as parameter."""

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given(type(self).__name__, probs, logits)
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        (self.__dict__[name],) = broadcast_all(value)
        super().__init__(self.__dict__[name].shape, validate_args=validate_args)

    @lazy
    def logits(self) -> Tensor:
        """log(probs / (1 - probs))"""
        return logits_of(self.probs, is_binary=True)

    @lazy
    def probs(self) -> Tensor:
        """sigmoid(logits)"""
        return versant.sigmoid(self.logits)

    @property
    def param_shape(self) -> Size:
        return self._batch_shape


class Bernoulli(_Odds):
    """1 with probability probs, else 0.  logits: log(probs / (1 - probs))"""

    has_enumerate_support = True

    @property
    def support(self) -> Constraint:
        return constraints.boolean

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        result: Tensor = versant.where(self.probs == 0.5, math.nan, mode)
        return result

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            return versant.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(versant.arange(2, dtype=self.probs.dtype), expand)


class Geometric(_Odds):
    """The number of failures before the first success, which has probability probs."""

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return versant.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            u = unit_uniform(self._extended_shape(sample_shape), self.probs)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        never = versant.where((probs == 1) & (value == 0), 0, probs)
        result: Tensor = value * (-never).log1p() + self.probs.log()
        return result

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs


class Poisson(Distribution):
    """Counts of events that come at a rate."""

    rate: Tensor
    arg_constraints: ClassVar[Constraints] = {"rate": constraints.nonnegative}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            return versant.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return versant.xlogy(value, rate) - rate - (value + 1).lgamma()


class Categorical(Distribution):
    """The index of one of several categories.  probs or logits: (..., categories)

    probs need not add up to 1. logits are logarithms of probabilities up to a constant.

    >>> import versant as vs
    >>> from versant.distributions import Categorical
    >>> Categorical(probs=vs.tensor([1.0, 3.0])).log_prob(vs.tensor(1)).exp()
    tensor(0.7500)
    """

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given(type(self).__name__, probs, logits)
        value: Tensor = logits if probs is None else probs
        if value.ndim < 1:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"[{type(self).__name__}] `{name}` parameter must be at least one-dimensional.")
        if probs is None:
            self.__dict__["logits"] = value - value.logsumexp(-1, keepdim=True)
        else:
            self.__dict__["probs"] = value / value.sum(-1, keepdim=True)
        self._categories = value.shape[-1]
        super().__init__(value.shape[:-1], self._event(value), validate_args)

    def _event(self, value: Tensor) -> Sequence[int]:
        return ()

    @lazy
    def logits(self) -> Tensor:
        """log(probs)"""
        return logits_of(self.probs)

    @lazy
    def probs(self) -> Tensor:
        """exp(logits): they add up to 1."""
        return F.softmax(self.logits, -1)

    @property
    def param_shape(self) -> Size:
        return Size((*self._batch_shape, self._categories))

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._categories - 1)

    @property
    def mean(self) -> Tensor:
        return versant.full(tuple(self._extended_shape()), math.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return versant.full(tuple(self._extended_shape()), math.nan, dtype=self.probs.dtype)

    def _indices(self, sample_shape: Sequence[int]) -> Tensor:
        with versant.no_grad():
            rows = self.probs.reshape(-1, self._categories)
            drawn = versant.multinomial(rows, math.prod(sample_shape), True).T
            return drawn.reshape(*sample_shape, *self._batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._indices(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        index, logits = versant.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        least = versant.finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(versant.arange(self._categories), expand)


class OneHotCategorical(Categorical):
    """A category as a vector of zeros and one 1."""

    def _event(self, value: Tensor) -> Sequence[int]:
        return value.shape[-1:]

    @property
    def support(self) -> Constraint:
        return constraints.one_hot

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self.probs.argmax(-1))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _one_hot(self, index: Tensor) -> Tensor:
        return F.one_hot(index, self._categories).to(self.probs.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._one_hot(self._indices(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        index = value.max(-1)[1]
        index, logits = versant.broadcast_tensors(index.unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self._categories
        values = versant.eye(n, dtype=self.probs.dtype).reshape(n, *[1] * len(self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose rsample has the gradient of probs (Bengio et al. 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
