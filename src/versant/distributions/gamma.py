"""Distributions made of gamma draws."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import versant
from versant import Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.continuous import _LocationScale
from versant.distributions.distribution import Distribution, broadcast_all, standard_normal
from versant.distributions.transformed import OfParameters
from versant.distributions.transforms import PowerTransform

__all__ = ["Beta", "Chi2", "Dirichlet", "FisherSnedecor", "Gamma", "InverseGamma", "StudentT"]


def gamma_draws(concentration: Tensor, shape: Sequence[int]) -> Tensor:
    """Draws of rate 1, with the gradient by the concentration."""
    result: Tensor = versant._standard_gamma(concentration.expand(shape))
    return result


def above_zero(x: Tensor) -> Tensor:
    """x, held above 0 without a change of its gradient."""
    return x + (x.detach().clamp(min=versant.finfo(x.dtype).tiny) - x.detach())


class Gamma(Distribution):
    """The density rate**c * x**(c - 1) * exp(-rate * x) / gamma(c), c the concentration.

    >>> import versant as vs
    >>> from versant.distributions import Gamma
    >>> Gamma(2.0, 1.0).log_prob(vs.tensor(1.0))
    tensor(-1.)
    """

    concentration: Tensor
    rate: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return above_zero(gamma_draws(self.concentration, shape) / self.rate.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        value = versant.as_tensor(value, dtype=self.rate.dtype)
        c, rate = self.concentration, self.rate
        powers = versant.xlogy(c, rate) + versant.xlogy(c - 1, value)
        result: Tensor = powers - rate * value - c.lgamma()
        return result

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        result: Tensor = versant.special.gammainc(self.concentration, self.rate * value)
        return result

    def entropy(self) -> Tensor:
        c = self.concentration
        return c - self.rate.log() + c.lgamma() + (1 - c) * c.digamma()


class Chi2(Gamma):
    """The sum of the squares of df standard normal numbers."""

    df: Tensor
    arg_constraints: ClassVar[Constraints] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = broadcast_all(df)
        Distribution.__init__(self, self.df.shape, validate_args=validate_args)

    @property
    def concentration(self) -> Tensor:  # type: ignore[override]
        return 0.5 * self.df

    @property
    def rate(self) -> Tensor:  # type: ignore[override]
        return versant.full_like(self.df, 0.5)


class InverseGamma(OfParameters):
    """1 / x of a gamma distributed x of this concentration and rate."""

    concentration: Tensor
    rate: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        base = Gamma(self.concentration, self.rate, validate_args)
        power = PowerTransform(-versant.ones((), dtype=self.rate.dtype))
        super().__init__(base, power, validate_args)

    @property
    def mean(self) -> Tensor:
        c = self.concentration
        result: Tensor = versant.where(c > 1, self.rate / (c - 1), math.inf)
        return result

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        finite = self.rate.square() / ((c - 1).square() * (c - 2))
        result: Tensor = versant.where(c > 2, finite, math.inf)
        return result

    def entropy(self) -> Tensor:
        c = self.concentration
        return c + self.rate.log() + c.lgamma() - (1 + c) * c.digamma()


class Dirichlet(Distribution):
    """Vectors on the simplex, with a density in proportion to the product of x**(concentration - 1).

    concentration: (..., n)
    """

    concentration: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    has_rsample = True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("[Dirichlet] `concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        over = (self.concentration - 1).clamp(min=0)
        inside = over / over.sum(-1, keepdim=True)
        corner = versant.nn.functional.one_hot(inside.argmax(-1), self._event_shape[0]).to(inside.dtype)
        result: Tensor = versant.where((self.concentration < 1).all(-1, keepdim=True), corner, inside)
        return result

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        total = c.sum(-1, keepdim=True)
        return c * (total - c) / (total.square() * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        result: Tensor = versant._sample_dirichlet(
            self.concentration.expand(self._extended_shape(sample_shape))
        )
        return result

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        c = self.concentration
        powers: Tensor = versant.xlogy(c - 1, value).sum(-1)
        return powers + c.sum(-1).lgamma() - c.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        c = self.concentration
        total, n = c.sum(-1), self._event_shape[0]
        norm = c.lgamma().sum(-1) - total.lgamma()
        return norm - (n - total) * total.digamma() - ((c - 1) * c.digamma()).sum(-1)


class Beta(Distribution):
    """The first part of a Dirichlet draw of two: x**(c1 - 1) * (1 - x)**(c0 - 1) up to a constant.

    >>> import versant as vs
    >>> from versant.distributions import Beta
    >>> Beta(2.0, 2.0).log_prob(vs.tensor(0.5)).exp()
    tensor(1.5000)
    """

    concentration1: Tensor
    concentration0: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def _dirichlet(self) -> Dirichlet:
        return Dirichlet(versant.stack([self.concentration1, self.concentration0], -1), False)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._dirichlet.rsample(sample_shape)[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return self._dirichlet.log_prob(versant.stack([value, 1.0 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()


class FisherSnedecor(Distribution):
    """The ratio of two Chi2 draws, each divided by its degrees of freedom."""

    df1: Tensor
    df2: Tensor
    arg_constraints: ClassVar[Constraints] = {"df1": constraints.positive, "df2": constraints.positive}
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast_all(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    @property
    def mean(self) -> Tensor:
        df2 = versant.where(self.df2 <= 2, math.nan, self.df2)
        result: Tensor = df2 / (df2 - 2)
        return result

    @property
    def mode(self) -> Tensor:
        inside = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        result: Tensor = versant.where(self.df1 <= 2, math.nan, inside)
        return result

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, versant.where(self.df2 <= 4, math.nan, self.df2)
        result: Tensor = 2 * b.square() * (a + b - 2) / (a * (b - 2).square() * (b - 4))
        return result

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        over, under = (Gamma(df * 0.5, df, False).rsample(sample_shape) for df in (self.df1, self.df2))
        return above_zero(over / under)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        norm = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return norm + a * ratio.log() + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()


class StudentT(_LocationScale):
    """loc + scale * x / sqrt(z / df) of a standard normal x and a Chi2 draw z of df degrees of freedom."""

    df: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, loc, scale = broadcast_all(df, loc, scale)
        super().__init__(loc, scale, validate_args)

    @property
    def mean(self) -> Tensor:
        result: Tensor = versant.where(self.df <= 1, math.nan, self.loc)
        return result

    @property
    def variance(self) -> Tensor:
        df = self.df
        heavy = versant.where(df <= 1, math.nan, math.inf)
        result: Tensor = versant.where(df > 2, self.scale.square() * df / (df - 2), heavy)
        return result.to(self.scale.dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        x = standard_normal(self._extended_shape(sample_shape), self.loc)
        z = Chi2(self.df, False).rsample(sample_shape)
        return self.loc + self.scale * x * (z / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        y, df = (value - self.loc) / self.scale, self.df
        norm = self.scale.log() + 0.5 * (df.log() + math.log(math.pi))
        norm = norm + (0.5 * df).lgamma() - (0.5 * (df + 1)).lgamma()
        return -0.5 * (df + 1) * (y.square() / df).log1p() - norm

    def entropy(self) -> Tensor:
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = half.lgamma() + 0.5 * math.log(math.pi) - more.lgamma()
        slopes = more * (more.digamma() - half.digamma())
        return self.scale.log() + slopes + 0.5 * self.df.log() + log_beta
