"""What transforms make of other distributions."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import versant
import versant.nn.functional as F
from versant import Size, Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.continuous import Normal
from versant.distributions.discrete import Bernoulli, Categorical
from versant.distributions.distribution import Distribution, sum_rightmost, unit_uniform
from versant.distributions.joint import Independent
from versant.distributions.transforms import ComposeTransform, ExpTransform, Transform
from versant.distributions.transforms.transform import with_events

__all__ = ["LogNormal", "RelaxedBernoulli", "RelaxedOneHotCategorical", "TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of t(x) for x of a base distribution and a transform t, or a list of them.

    >>> import versant as vs
    >>> from versant.distributions import Normal, TanhTransform, TransformedDistribution
    >>> squashed = TransformedDistribution(Normal(0.0, 1.0), TanhTransform())
    >>> squashed.log_prob(vs.tensor(0.0))
    tensor(-0.9189)
    """

    base_dist: Distribution

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(t, Transform) for t in self.transforms):
            raise ValueError(
                "[TransformedDistribution] transforms must be a Transform or a list of Transforms"
            )
        whole = ComposeTransform(self.transforms)
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        if len(shape) < whole.domain.event_dim:
            raise ValueError(
                "[TransformedDistribution] base_distribution needs to have shape with size at least "
                f"{whole.domain.event_dim}, but got {shape}"
            )
        axes = len(base_distribution.event_shape)
        after = tuple(whole.forward_shape(shape))
        before = tuple(whole.inverse_shape(after))
        if before != shape:
            base_distribution = base_distribution.expand(before[: len(before) - axes])
        if whole.domain.event_dim > axes:
            base_distribution = Independent(base_distribution, whole.domain.event_dim - axes)
        self.base_dist = base_distribution
        change = whole.codomain.event_dim - whole.domain.event_dim
        cut = len(after) - max(whole.codomain.event_dim, axes + change)
        super().__init__(after[:cut], after[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def support(self) -> Constraint:
        inner = self.transforms[-1].codomain if self.transforms else self.base_dist.support
        return with_events(inner, len(self._event_shape))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            return self._forth(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._forth(self.base_dist.rsample(sample_shape))

    def _forth(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def _back(self, y: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            y = transform._inv_call(y)
        return y

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        axes, y = len(self._event_shape), value
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform._inv_call(y)
            axes += transform.domain.event_dim - transform.codomain.event_dim
            change = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(change, axes - transform.domain.event_dim)
            y = x
        result: Tensor = total + sum_rightmost(
            self.base_dist.log_prob(y), axes - len(self.base_dist.event_shape)
        )
        return result

    def _sign(self) -> Any:
        return math.prod([transform.sign for transform in self.transforms])

    def cdf(self, value: Tensor) -> Tensor:
        below = self.base_dist.cdf(self._back(value))
        return self._turned(below)

    def icdf(self, value: Tensor) -> Tensor:
        return self._forth(self.base_dist.icdf(self._turned(value)))

    def _turned(self, odds: Tensor) -> Tensor:
        """Probabilities of the other side, where the transforms fall."""
        sign = self._sign()
        return odds if isinstance(sign, (int, float)) and sign == 1 else sign * (odds - 0.5) + 0.5

    def expand(self, batch_shape: Sequence[int]) -> Self:
        new = self._blank(batch_shape)
        shape = ComposeTransform(self.transforms).inverse_shape((*batch_shape, *self._event_shape))
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.transforms})"


class OfParameters(TransformedDistribution):
    """What transformed distributions share that are made of their parameters alone."""

    def expand(self, batch_shape: Sequence[int]) -> Self:
        make: Any = type(self)
        parameters = (self.__dict__[name].expand(batch_shape) for name in self.arg_constraints)
        new: Self = make(*parameters, validate_args=False)
        new._validate_args = self._validate_args
        return new

    __repr__ = Distribution.__repr__


class LogNormal(TransformedDistribution):
    """exp(x) of a normal x of mean loc and standard deviation scale."""

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real, "scale": constraints.positive}
    base_dist: Normal

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        return self.base_dist.scale

    @property
    def support(self) -> Constraint:
        return constraints.positive

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        squared = self.scale.square()
        return squared.expm1() * (2 * self.loc + squared).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class _Relaxed(Distribution):
    """What distributions share that soften draws of others by a temperature."""

    has_rsample = True
    inner: Any

    def __init__(self, temperature: Any, inner: Any, validate_args: bool | None) -> None:
        self.temperature = temperature
        self.inner = inner
        super().__init__(inner.batch_shape, inner.event_shape, validate_args)

    @property
    def logits(self) -> Tensor:
        return self.inner.logits  # type: ignore[no-any-return]

    @property
    def probs(self) -> Tensor:
        return self.inner.probs  # type: ignore[no-any-return]

    def expand(self, batch_shape: Sequence[int]) -> Self:
        new = self._blank(batch_shape)
        new.temperature = self.temperature
        new.inner = self.inner.expand(batch_shape)
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}(temperature: {self.temperature}, {self.inner})"


class RelaxedBernoulli(_Relaxed):
    """Numbers between 0 and 1 that a temperature near 0 drives to Bernoulli's (Maddison et al. 2016)."""

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(temperature, Bernoulli(probs, logits, validate_args), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = unit_uniform(self._extended_shape(sample_shape), self.logits)
        noise = u.log() - (-u).log1p()
        result: Tensor = ((noise + self.logits) / self.temperature).sigmoid()
        return result

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        limits = versant.finfo(value.dtype)
        held = value.clamp(min=limits.tiny, max=1.0 - limits.eps)
        x = held.log() - (-held).log1p()
        difference = self.logits - x * self.temperature
        density = versant.as_tensor(self.temperature).log() + difference - 2 * difference.exp().log1p()
        result: Tensor = density + F.softplus(-x) + F.softplus(x)
        return result


class RelaxedOneHotCategorical(_Relaxed):
    """Vectors on the simplex that a temperature near 0 drives to its corners (Jang et al. 2016)."""

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(temperature, Categorical(probs, logits, validate_args), validate_args)
        self._event_shape = Size(self.inner.param_shape[-1:])

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = unit_uniform(self._extended_shape(sample_shape), self.logits)
        eps = versant.finfo(u.dtype).eps
        noise = -(-u.clamp(max=1 - eps).log()).log()
        return versant.softmax((self.logits + noise) / self.temperature, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n, temperature = self._event_shape[0], versant.as_tensor(self.temperature)
        x = value.log()
        score = self.logits - x * temperature
        score = (score - score.logsumexp(-1, keepdim=True)).sum(-1)
        scale = temperature.log() * (n - 1) + math.lgamma(n)
        return score + scale - x.sum(-1)
