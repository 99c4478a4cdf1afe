"""Distributions that transforms make of uniform, exponential and normal numbers."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import versant
from versant import Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.continuous import EULER, Exponential, Normal, Uniform
from versant.distributions.distribution import Distribution, broadcast_all
from versant.distributions.transformed import OfParameters, TransformedDistribution
from versant.distributions.transforms import (
    AffineTransform,
    ExpTransform,
    PowerTransform,
    StickBreakingTransform,
)

__all__ = ["GeneralizedPareto", "Kumaraswamy", "LogisticNormal", "Pareto", "Weibull"]


class Pareto(OfParameters):
    """The density alpha * scale**alpha / x**(alpha + 1), x from scale."""

    scale: Tensor
    alpha: Tensor
    arg_constraints: ClassVar[Constraints] = {"scale": constraints.positive, "alpha": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = self.alpha.clamp(min=2)
        return self.scale.square() * a / ((a - 1).square() * (a - 2))

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + 1 + self.alpha.reciprocal()


class GeneralizedPareto(Distribution):
    """Excesses over a high threshold loc: (1 + c z)**(-1 / c - 1) / scale, z = (x - loc) / scale.

    c is the concentration; 0 gives the exponential distribution (Pickands 1975).
    """

    loc: Tensor
    scale: Tensor
    concentration: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, versant.where(self.concentration < 0, end, math.inf))

    def _split(self) -> tuple[Tensor, Tensor]:
        """Where the distribution is exponential, and the concentration elsewhere."""
        none: Tensor = self.concentration.abs() <= 1e-8
        return none, versant.where(none, 1, self.concentration)

    @property
    def mean(self) -> Tensor:
        c = versant.where(self.concentration < 1, self.concentration, math.nan)
        result: Tensor = self.loc + self.scale / (1 - c)
        return result

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        c = versant.where(self.concentration < 0.5, self.concentration, math.nan)
        result: Tensor = self.scale.square() / ((1 - c).square() * (1 - 2 * c))
        return result

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(versant.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        z, (none, c) = (value - self.loc) / self.scale, self._split()
        power = 1 / c + 1
        bent = versant.where(power == 0, 0, power * (c * z).log1p())
        result: Tensor = -self.scale.log() - versant.where(none, z, bent)
        return result

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log of the probability of a sample above value"""
        self._validate_sample(value)
        z, (none, c) = (value - self.loc) / self.scale, self._split()
        result: Tensor = versant.where(none, -z, -(c * z).log1p() / c)
        return result

    def log_cdf(self, value: Tensor) -> Tensor:
        """log(cdf)"""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        none, c = self._split()
        log_left = (-value).log1p()
        result: Tensor = self.loc + self.scale * versant.where(none, -log_left, (-c * log_left).expm1() / c)
        return result

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1


class Weibull(OfParameters):
    """The cdf 1 - exp(-(x / scale)**concentration)."""

    scale: Tensor
    concentration: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(versant.ones_like(self.scale), validate_args)
        power = PowerTransform(self.concentration.reciprocal())
        super().__init__(base, [power, AffineTransform(0, self.scale)], validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    def _power_mean(self, n: int) -> Tensor:
        """log of the mean of (x / scale)**n"""
        return (1 + n * self.concentration.reciprocal()).lgamma()

    @property
    def mean(self) -> Tensor:
        return self.scale * self._power_mean(1).exp()

    @property
    def mode(self) -> Tensor:
        c = self.concentration
        return self.scale * ((c - 1) / c) ** c.reciprocal()

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (self._power_mean(2).exp() - (2 * self._power_mean(1)).exp())

    def entropy(self) -> Tensor:
        c = self.concentration
        return EULER * (1 - c.reciprocal()) + (self.scale / c).log() + 1


class Kumaraswamy(OfParameters):
    """The cdf 1 - (1 - x**concentration1)**concentration0 on the unit interval (Kumaraswamy 1980)."""

    concentration1: Tensor
    concentration0: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = a, b = broadcast_all(concentration1, concentration0)
        base = Uniform(versant.zeros_like(a), versant.ones_like(a), validate_args)
        steps = [PowerTransform(b.reciprocal()), AffineTransform(1.0, -1.0), PowerTransform(a.reciprocal())]
        super().__init__(base, steps, validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    def _power_mean(self, n: int) -> Tensor:
        """The mean of x**n."""
        a, b = 1 + n / self.concentration1, self.concentration0
        return b * (a.lgamma() + b.lgamma() - (a + b).lgamma()).exp()

    @property
    def mean(self) -> Tensor:
        return self._power_mean(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        inside = ((a - 1) / (a * b - 1)) ** a.reciprocal()
        result: Tensor = versant.where((a < 1) | (b < 1) | (a * b == 1), math.nan, inside)
        return result

    @property
    def variance(self) -> Tensor:
        return self._power_mean(2) - self.mean.square()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - a.log() - b.log()


class LogisticNormal(TransformedDistribution):
    """Points of the simplex in n + 1 by stick breaking of n normal numbers.  loc, scale: (..., n)"""

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        if not base.batch_shape:
            base = base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def _normal(self) -> Any:
        return self.base_dist.base_dist  # type: ignore[attr-defined]

    @property
    def loc(self) -> Tensor:
        return self._normal.loc  # type: ignore[no-any-return]

    @property
    def scale(self) -> Tensor:
        return self._normal.scale  # type: ignore[no-any-return]
