"""Divergences of distributions of different families, from entropies and means.

KL(p, q) = -entropy(p) - the mean of log q(x) over x of p. Where q's density is a power or an exponential,
that mean needs only means of x, x**2, log x or exp(-x / scale) under p.
"""

import math
from collections.abc import Callable
from typing import Any

import versant
from versant import Tensor
from versant.distributions.bounded import ContinuousBernoulli
from versant.distributions.continuous import EULER, Exponential, Gumbel, Laplace, Normal, Uniform
from versant.distributions.counts import Binomial
from versant.distributions.derived import Pareto
from versant.distributions.discrete import Bernoulli, Poisson
from versant.distributions.distribution import Distribution
from versant.distributions.gamma import Beta, Gamma
from versant.distributions.kl import register_kl


def where(condition: Tensor, a: Any, b: Any) -> Tensor:
    result: Tensor = versant.where(condition, a, b)
    return result


# --- q has not all values that p has ----------------------------------------------------------------------

UNIT = (Beta, ContinuousBernoulli, Uniform)  # on an interval
BEYOND: dict[Any, tuple[Any, ...]] = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (*UNIT, Pareto),
    Gamma: (*UNIT, Pareto),
    Gumbel: (*UNIT, Exponential, Gamma, Pareto),
    Laplace: (*UNIT, Exponential, Gamma, Pareto),
    Normal: (*UNIT, Exponential, Gamma, Pareto),
    Pareto: UNIT,
    Poisson: (Bernoulli, Binomial),
}


def _infinite(p: Any, q: Any) -> Tensor:
    shape: Any = versant.broadcast_shapes(p.batch_shape, q.batch_shape)
    return versant.full(tuple(shape), math.inf, dtype=p.mean.dtype)


for first, others in BEYOND.items():
    for second in others:
        register_kl(first, second)(_infinite)

# --- means under p ----------------------------------------------------------------------------------------


def _log_mean(p: Any) -> Tensor:
    """The mean of log x."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -EULER - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return _uniform_log_mean(p.low, p.high)


def _uniform_log_mean(low: Tensor, high: Tensor) -> Tensor:
    result: Tensor = (versant.xlogy(high, high) - versant.xlogy(low, low)) / (high - low) - 1
    return result


def _exponential_mean(p: Any, t: Tensor) -> Tensor:
    """The mean of exp(-t x)."""
    if isinstance(p, Normal):
        return (-t * p.loc + 0.5 * (t * p.scale).square()).exp()
    if isinstance(p, Uniform):
        return ((-t * p.low).exp() - (-t * p.high).exp()) / (t * (p.high - p.low))
    shape = p.concentration if isinstance(p, Gamma) else 1.0
    result: Tensor = (1 + t / p.rate) ** -shape
    return result


# --- what the mean of log q is made of --------------------------------------------------------------------


def _to_normal(p: Any, q: Normal) -> Tensor:
    spread = (p.variance + (p.mean - q.loc).square()) / (2 * q.scale.square())
    return -p.entropy() + 0.5 * math.log(2 * math.pi) + q.scale.log() + spread  # type: ignore[no-any-return]


def _to_exponential(p: Any, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean  # type: ignore[no-any-return]


def _to_gamma(p: Any, q: Gamma) -> Tensor:
    c = q.concentration
    norm = c.lgamma() - c * q.rate.log()
    return -p.entropy() + norm - (c - 1) * _log_mean(p) + q.rate * p.mean  # type: ignore[no-any-return]


def _to_gumbel(p: Any, q: Gumbel) -> Tensor:
    t = q.scale.reciprocal()
    tail = (q.loc * t).exp() * _exponential_mean(p, t)
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) * t + tail  # type: ignore[no-any-return]


def _to_continuous_bernoulli(p: Any, q: ContinuousBernoulli) -> Tensor:
    mean = p.mean * q.logits + (-q.probs).log1p() + q._log_norm()
    return -p.entropy() - mean  # type: ignore[no-any-return]


def _to_beta(p: Uniform, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    powers = (a - 1) * _log_mean(p) + (b - 1) * _uniform_log_mean(1 - p.high, 1 - p.low)
    return -p.entropy() + norm - powers


def _to_pareto(p: Uniform, q: Pareto) -> Tensor:
    return -p.entropy() - q.alpha.log() - q.alpha * q.scale.log() + (q.alpha + 1) * _log_mean(p)


def _from_unit_to_uniform(p: Any, q: Uniform) -> Tensor:
    return where((q.low > 0) | (q.high < 1), math.inf, -p.entropy() + (q.high - q.low).log())


def _within(low: Any, high: Any, formula: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """The formula for a uniform p whose range is within q's, which is infinite elsewhere."""

    def kl(p: Uniform, q: Any) -> Tensor:
        least = q.scale if low is None else low
        return where((p.low < least) | (p.high > high), math.inf, formula(p, q))

    return kl


family: type[Distribution]
for family in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform):
    register_kl(family, Normal)(_to_normal)
for family in (Beta, ContinuousBernoulli, Gamma, Pareto):
    register_kl(family, Exponential)(_to_exponential)
for family in (Beta, Exponential, Pareto):
    register_kl(family, Gamma)(_to_gamma)
for family in (Exponential, Gamma, Normal, Uniform):
    register_kl(family, Gumbel)(_to_gumbel)
for family in (Beta, ContinuousBernoulli):
    register_kl(family, Uniform)(_from_unit_to_uniform)
register_kl(Beta, ContinuousBernoulli)(_to_continuous_bernoulli)
register_kl(Uniform, ContinuousBernoulli)(_within(0, 1, _to_continuous_bernoulli))
register_kl(Uniform, Exponential)(_within(0, math.inf, _to_exponential))
register_kl(Uniform, Gamma)(_within(0, math.inf, _to_gamma))
register_kl(Uniform, Beta)(_within(0, 1, _to_beta))
register_kl(Uniform, Pareto)(_within(None, math.inf, _to_pareto))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    d = p.loc - q.loc
    ratio = d / p.scale
    distance = p.scale * math.sqrt(2 / math.pi) * (-0.5 * ratio.square()).exp()
    distance = distance + d * (ratio * math.sqrt(0.5)).erf()
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)
