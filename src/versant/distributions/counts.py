"""Distributions of counts: successes, failures, counts of several categories."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import versant
import versant.nn.functional as F
from versant import Size, Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.discrete import Categorical, _Odds, given
from versant.distributions.distribution import Distribution, broadcast_all
from versant.distributions.gamma import Gamma

__all__ = ["Binomial", "Multinomial", "NegativeBinomial"]


class _Trials(_Odds):
    """What distributions share that count trials of one probability of success."""

    total_count: Tensor

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given(type(self).__name__, probs, logits)
        self.total_count, value = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = self.total_count.to(value.dtype)
        name, other = ("logits", "probs") if probs is None else ("probs", "logits")
        _Odds.__init__(self, **{name: value, other: None}, validate_args=validate_args)


class Binomial(_Trials):
    """The number of successes in total_count trials, each of probability probs."""

    arg_constraints: ClassVar[Constraints] = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(total_count, probs, logits, validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with versant.no_grad():
            return versant.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # n log(1 + exp(logits)), without overflow
        return ways + value * logits - n * (logits.clamp(min=0) + (-logits.abs()).exp().log1p())

    def entropy(self) -> Tensor:
        log_prob = self.log_prob(self._counts("entropy", False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counts("enumerate_support", expand)

    def _counts(self, who: str, expand: bool) -> Tensor:
        most = int(self.total_count.max())
        if int(self.total_count.min()) != most:
            raise NotImplementedError(f"[Binomial] Inhomogeneous total count not supported by `{who}`.")
        return self._enumerated(versant.arange(most + 1, dtype=self.total_count.dtype), expand)


class NegativeBinomial(_Trials):
    """The number of successes, each of probability probs, before total_count failures."""

    arg_constraints: ClassVar[Constraints] = {
        "total_count": constraints.nonnegative,
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.mean / versant.sigmoid(-self.logits)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            rate = Gamma(self.total_count, (-self.logits).exp(), False).sample(sample_shape)
            return versant.poisson(rate)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n, logits = self.total_count, self.logits
        powers = n * F.logsigmoid(-logits) + value * F.logsigmoid(logits)
        ways = (n + value).lgamma() - (value + 1).lgamma() - n.lgamma()
        result: Tensor = powers + versant.where(n + value == 0, 0, ways)
        return result


class Multinomial(Distribution):
    """How often each category comes in total_count draws.  probs or logits: (..., categories)"""

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("[Multinomial] inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        return self._categorical.param_shape

    @property
    def support(self) -> Constraint:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            drawn = self._categorical.sample((self.total_count, *sample_shape))
            return F.one_hot(drawn, self._event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        powers = versant.where((value == 0) & logits.isinf(), 0, logits) * value
        result: Tensor = ways + powers.sum(-1)
        return result

    def entropy(self) -> Tensor:
        n = float(self.total_count)
        counts = Binomial(self.total_count, self.probs, validate_args=False)
        values = counts.enumerate_support(expand=False)[1:]
        repeated = (counts.log_prob(values).exp() * (values + 1).lgamma()).sum((0, -1))
        return (
            n * self._categorical.entropy() - versant.tensor(n + 1, dtype=repeated.dtype).lgamma() + repeated
        )

    def expand(self, batch_shape: Sequence[int]) -> Self:
        new = self._blank(batch_shape)
        new._categorical = self._categorical.expand(batch_shape)
        return new
