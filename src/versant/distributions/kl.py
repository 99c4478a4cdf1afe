"""Kullback-Leibler divergences of pairs of distributions."""

import math
from collections.abc import Callable
from typing import Any

import versant
from versant import Tensor
from versant.distributions.continuous import EULER as _EULER
from versant.distributions.continuous import Exponential, Gumbel, HalfNormal, Laplace, Normal, Uniform
from versant.distributions.discrete import Bernoulli, Categorical, Geometric, Poisson
from versant.distributions.distribution import Distribution, sum_rightmost
from versant.distributions.joint import Independent, MultivariateNormal
from versant.distributions.transformed import LogNormal, TransformedDistribution

Divergence = Callable[[Any, Any], Tensor]
_registered: dict[tuple[type, type], Divergence] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Divergence], Divergence]:
    """Registers the decorated function of (p, q) for these types and those that derive from them."""
    if not (issubclass(type_p, Distribution) and issubclass(type_q, Distribution)):
        raise TypeError("[register_kl] expected two classes of distributions")

    def register(function: Divergence) -> Divergence:
        _registered[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log p(x) - log q(x) over x of p, for each distribution of the batch.

    >>> import versant as vs
    >>> from versant.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    for first in type(p).__mro__:
        for second in type(q).__mro__:
            if (first, second) in _registered:
                return _registered[first, second](p, q)
    raise NotImplementedError(
        f"[kl_divergence] No KL(p || q) is implemented for p type {type(p).__name__} and q type "
        f"{type(q).__name__}"
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio - 1 - ratio.log())


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, shift = p.scale / q.scale, q.loc / q.scale
    moved = p.loc / q.scale
    t3 = (shift - moved + (1 + ratio).lgamma()).exp()
    return t3 - (1 + _EULER) - ratio.log() - shift + ratio * _EULER + moved


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    ratio = ((q.high - q.low) / (p.high - p.low)).log()
    result: Tensor = versant.where((q.low > p.low) | (q.high < p.high), math.inf, ratio)
    return result


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    softplus = versant.nn.functional.softplus
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    yes = versant.where(p.probs == 0, 0, versant.where(q.probs == 0, math.inf, yes))
    no = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    result: Tensor = yes + versant.where(p.probs == 1, 0, versant.where(q.probs == 1, math.inf, no))
    return result


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    t = versant.where((q.probs == 0).expand_as(t), math.inf, t)
    result: Tensor = versant.where((p.probs == 0).expand_as(t), 0, t).sum(-1)
    return result


@register_kl(LogNormal, LogNormal)
def _log_normal(p: LogNormal, q: LogNormal) -> Tensor:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("[kl_divergence] the transforms of the two distributions differ")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p._more_events)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("[kl_divergence] the event axes of the two distributions differ")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError("[kl_divergence] expected normal vectors of one length")
    solve = versant.linalg.solve_triangular
    n = p.event_shape[0]
    shape: Any = versant.broadcast_shapes(p.batch_shape, q.batch_shape)
    q_scale = q.scale_tril.expand(*shape, n, n)
    trace = solve(q_scale, p.scale_tril.expand(*shape, n, n), upper=False).square().sum((-2, -1))
    distance = solve(q_scale, (q.loc - p.loc).unsqueeze(-1), upper=False).square().sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (trace + distance - n)
