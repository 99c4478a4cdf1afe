"""Distributions on a bounded range: the unit interval, the circle."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import versant
import versant.nn.functional as F
from versant import Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.discrete import _Odds
from versant.distributions.distribution import Centred, broadcast_all, lazy, unit_uniform

__all__ = ["ContinuousBernoulli", "VonMises"]


class ContinuousBernoulli(_Odds):
    """The density probs**x * (1 - probs)**(1 - x) up to a constant (Loaiza-Ganem and Cunningham 2019).

    lims: between them, around probs = 1/2, power series take the place of formulas that are 0 / 0 there.
    """

    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        super().__init__(probs, logits, validate_args)
        if "probs" in self.__dict__:
            self.probs = self._held(self.__dict__["probs"])

    @staticmethod
    def _held(probs: Tensor) -> Tensor:
        eps = versant.finfo(probs.dtype).eps
        return probs.clamp(min=eps, max=1 - eps)

    @lazy
    def probs(self) -> Tensor:
        """sigmoid(logits)"""
        return self._held(versant.sigmoid(self.logits))

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where formulas hold, probs there, and log(1 - probs) - log(probs) of them."""
        outside: Tensor = (self.probs <= self._lims[0]) | (self.probs > self._lims[1])
        cut: Tensor = versant.where(outside, self.probs, self._lims[0])
        return outside, cut, (-cut).log1p() - cut.log()

    def _log_norm(self) -> Tensor:
        outside, cut, odds = self._split()
        x = (self.probs - 0.5).square()
        series = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        result: Tensor = versant.where(outside, odds.abs().log() - (1 - 2 * cut).abs().log(), series)
        return result

    @property
    def mean(self) -> Tensor:
        outside, cut, odds = self._split()
        x = self.probs - 0.5
        series = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.square()) * x
        result: Tensor = versant.where(outside, cut / (2.0 * cut - 1.0) + 1.0 / odds, series)
        return result

    @property
    def variance(self) -> Tensor:
        outside, cut, odds = self._split()
        x = (self.probs - 0.5).square()
        series = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        inside = cut * (cut - 1.0) / (1.0 - 2.0 * cut).square() + odds.square().reciprocal()
        result: Tensor = versant.where(outside, inside, series)
        return result

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(versant.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        outside, cut, _ = self._split()
        inside = (cut**value * (1 - cut) ** (1 - value) + cut - 1) / (2 * cut - 1)
        result: Tensor = versant.where(outside, inside, value).clamp(min=0, max=1)
        return result

    def icdf(self, value: Tensor) -> Tensor:
        outside, cut, odds = self._split()
        inside = ((-cut).log1p() - (value * (2 * cut - 1) - cut).log1p()) / odds
        result: Tensor = versant.where(outside, inside, value)
        return result

    def entropy(self) -> Tensor:
        none, one = (-self.probs).log1p(), self.probs.log()
        return self.mean * (none - one) - self._log_norm() - none


PROPOSALS = 48  # at least two of three are accepted, so that none is once in 1e22 draws


class VonMises(Centred):
    """Angles around loc: the density exp(concentration * cos(x - loc)) up to a constant."""

    loc: Tensor
    concentration: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "loc": constraints.real,
        "concentration": constraints.positive,
    }

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def variance(self) -> Tensor:
        """1 - the mean of cos(x - loc)"""
        k = self.concentration
        result: Tensor = 1 - versant.special.i1e(k) / versant.special.i0e(k)
        return result

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        k = self.concentration
        norm = math.log(2 * math.pi) + versant.special.i0e(k).log()
        result: Tensor = k * ((value - self.loc).cos() - 1) - norm
        return result

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Rejection from a wrapped Cauchy distribution (Best and Fisher 1979), all proposals at once."""
        with versant.no_grad():
            k = self.concentration.double()
            root = (1 + 4 * k.square()).sqrt()
            rho = (1 + root - (2 * (1 + root)).sqrt()) / (2 * k)
            r = versant.where(k < 1e-5, 1 / k + k, (1 + rho.square()) / (2 * rho))
            shape = self._extended_shape(sample_shape)
            u, v, w = unit_uniform((3, PROPOSALS, *shape), k)
            z = (math.pi * u).cos()
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
            accepted = (c * (2 - c) - v > 0) | ((c / v).log() + 1 - c >= 0)
            angles = (w - 0.5).sign() * f.clamp(min=-1, max=1).acos()
            angle = angles.gather(0, accepted.long().argmax(0, keepdim=True))[0]
            turned = (angle + math.pi + self.loc) % (2 * math.pi) - math.pi
            result: Tensor = turned.to(self.loc.dtype)
            return result
