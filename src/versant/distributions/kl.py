"""Kullback-Leibler divergences of pairs of distributions."""

import math
from collections.abc import Callable
from typing import Any

import versant
from versant import Tensor
from versant.distributions.bounded import ContinuousBernoulli
from versant.distributions.continuous import EULER as _EULER
from versant.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    Laplace,
    Normal,
    Uniform,
)
from versant.distributions.counts import Binomial
from versant.distributions.derived import Pareto
from versant.distributions.discrete import Bernoulli, Categorical, Geometric, Poisson
from versant.distributions.distribution import Distribution, sum_rightmost
from versant.distributions.gamma import Beta, Dirichlet, Gamma
from versant.distributions.joint import Independent, MultivariateNormal
from versant.distributions.matrices import LowRankMultivariateNormal, Wishart
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
@register_kl(HalfCauchy, HalfCauchy)
def _half(p: Any, q: Any) -> Tensor:
    """That of the symmetric distributions: both sides have the same ratio of densities."""
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    """Chyzak and Nielsen 2019"""
    distance = (p.scale + q.scale).square() + (p.loc - q.loc).square()
    return distance.log() - (4 * p.scale * q.scale).log()


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    powers = b * (p.rate / q.rate).log() + (a - b) * a.digamma()
    return powers + b.lgamma() - a.lgamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    norms = a.sum(-1).lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return norms + ((a - b) * (a.digamma() - a.sum(-1, keepdim=True).digamma())).sum(-1)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    inside = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    result: Tensor = versant.where(p.scale < q.scale, math.inf, inside)
    return result


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    norms = p._log_norm() + (-p.probs).log1p() - q._log_norm() - (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + norms


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError(
            "[kl_divergence] KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    parts = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    result: Tensor = versant.where(p.total_count > q.total_count, math.inf, p.total_count * parts)
    return result


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
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("[kl_divergence] the event axes of the two distributions differ")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _multivariate(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError("[kl_divergence] expected normal vectors of one length")
    solve = versant.linalg.solve_triangular
    n = p.event_shape[0]
    shape: Any = versant.broadcast_shapes(p.batch_shape, q.batch_shape)
    q_scale = q.scale_tril.expand(*shape, n, n)
    trace = solve(q_scale, p.scale_tril.expand(*shape, n, n), upper=False).square().sum((-2, -1))
    distance = solve(q_scale, (q.loc - p.loc).unsqueeze(-1), upper=False).square().sum((-2, -1))
    half_log_dets = [d.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1) for d in (q, p)]
    result: Tensor = half_log_dets[0] - half_log_dets[1] + 0.5 * (trace + distance - n)
    return result


@register_kl(Wishart, Wishart)
def _wishart(p: Wishart, q: Wishart) -> Tensor:
    n = p._event_shape[0]
    shape: Any = versant.broadcast_shapes(p.scale_tril.shape, q.scale_tril.shape)
    factor = versant.linalg.solve_triangular(
        q.scale_tril.expand(shape), p.scale_tril.expand(shape), upper=False
    )
    sizes = q.df * (q._log_det() - p._log_det()) + p.df / 2 * (factor.square().sum((-2, -1)) - n)
    norms = versant.mvlgamma(q.df / 2, n) - versant.mvlgamma(p.df / 2, n)
    result: Tensor = sizes + norms + (p.df - q.df) / 2 * (p._shifted(p.df) / 2).digamma().sum(-1)
    return result
