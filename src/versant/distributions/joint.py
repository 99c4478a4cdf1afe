"""Distributions of several numbers at once: batch axes as event axes, normal vectors, mixtures."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import versant
from versant import Size, Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.discrete import Categorical
from versant.distributions.distribution import (
    HALF_LOG_2PI,
    Centred,
    Distribution,
    lazy,
    standard_normal,
    sum_rightmost,
)

__all__ = ["Independent", "MixtureSameFamily", "MultivariateNormal"]


class Independent(Distribution):
    """A distribution whose last batch axes count as event axes: log_prob sums over them.

    >>> import versant as vs
    >>> from versant.distributions import Independent, Normal
    >>> Independent(Normal(vs.zeros(2, 3), 1.0), 1).log_prob(vs.zeros(2, 3)).shape
    versant.Size([2])
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        if reinterpreted_batch_ndims > len(batch):
            raise ValueError(
                "[Independent] Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {reinterpreted_batch_ndims} vs {len(batch)}"
            )
        rest = len(batch) - reinterpreted_batch_ndims
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        super().__init__(batch[:rest], (*batch[rest:], *event), validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_enumerate_support and self.reinterpreted_batch_ndims == 0

    @property
    def support(self) -> Constraint:
        base, axes = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(base, axes) if axes else base

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self.reinterpreted_batch_ndims > 0:
            raise NotImplementedError("[Independent] Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        new = self._blank(batch_shape)
        axes = self._event_shape[: self.reinterpreted_batch_ndims]
        new.base_dist = self.base_dist.expand((*batch_shape, *axes))
        return new

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


def one_matrix(
    who: str, covariance: Tensor | None, precision: Tensor | None, scale_tril: Tensor | None
) -> tuple[str, Tensor]:
    """The one matrix that is given, and its name."""
    matrices = {"covariance_matrix": covariance, "precision_matrix": precision, "scale_tril": scale_tril}
    found = [(name, matrix) for name, matrix in matrices.items() if matrix is not None]
    if len(found) != 1:
        raise ValueError(f"[{who}] Exactly one of {', '.join(matrices)} must be specified.")
    if found[0][1].ndim < 2:
        raise ValueError(f"[{who}] {found[0][0]} must be at least two-dimensional.")
    return found[0]


def factor_of_inverse(matrix: Tensor) -> Tensor:
    """The Cholesky factor of a positive definite matrix's inverse."""
    # The inverse of L L' is U' U with the triangular U = inverse(L): turned about, a Cholesky factor.
    turned = versant.linalg.cholesky(matrix.flip((-2, -1))).flip((-2, -1)).mT
    eye = versant.eye(matrix.shape[-1], dtype=matrix.dtype)
    result: Tensor = versant.linalg.solve_triangular(turned, eye, upper=False)
    return result


OF_MATRICES: Constraints = {
    "covariance_matrix": constraints.positive_definite,
    "precision_matrix": constraints.positive_definite,
    "scale_tril": constraints.lower_cholesky,
}


class OfCovariance(Distribution):
    """What distributions share to which a covariance matrix is given, its inverse or its Cholesky factor."""

    @lazy
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance matrix."""
        if "covariance_matrix" in self.__dict__:
            return versant.linalg.cholesky(self.covariance_matrix)
        return factor_of_inverse(self.precision_matrix)

    @lazy
    def covariance_matrix(self) -> Tensor:
        """scale_tril times its transpose"""
        return self.scale_tril @ self.scale_tril.mT

    @lazy
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        return versant.cholesky_inverse(self.scale_tril)


class MultivariateNormal(OfCovariance, Centred):
    """Normal vectors of mean loc (..., n), and one of: covariance_matrix, precision_matrix, scale_tril.

    scale_tril: (..., n, n), the Cholesky factor of the covariance matrix.
    """

    loc: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "loc": constraints.real_vector,
        **OF_MATRICES,
    }
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("[MultivariateNormal] loc must be at least one-dimensional.")
        name, matrix = one_matrix("MultivariateNormal", covariance_matrix, precision_matrix, scale_tril)
        n = loc.shape[-1]
        batch: Any = versant.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand(*batch, n)
        self.__dict__[name] = matrix.expand(*batch, *matrix.shape[-2:])
        super().__init__(batch, (n,), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real_vector

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.square().sum(-1).expand(self._extended_shape())

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        difference = (value - self.loc).unsqueeze(-1)
        scale = self.scale_tril.expand(*difference.shape[:-1], self._event_shape[0])
        white = versant.linalg.solve_triangular(scale, difference, upper=False).squeeze(-1)
        return -0.5 * white.square().sum(-1) - self._event_shape[0] * HALF_LOG_2PI - self._half_log_det()

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        return (n * (0.5 + HALF_LOG_2PI) + self._half_log_det()).expand(self._batch_shape)


class MixtureSameFamily(Distribution):
    """Draws from one of several distributions, which are the last batch axis of component_distribution."""

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("[MixtureSameFamily] the mixture distribution needs to be a Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("[MixtureSameFamily] the component distribution needs to be a Distribution")
        batch = component_distribution.batch_shape[:-1]
        mixed = mixture_distribution.batch_shape
        if any(1 not in (a, b) and a != b for a, b in zip(batch[::-1], mixed[::-1], strict=False)):
            raise ValueError(
                f"[MixtureSameFamily] batch shapes {tuple(mixed)} of the mixture and {tuple(batch)} of the "
                "components do not fit"
            )
        count, other = mixture_distribution.param_shape[-1], component_distribution.batch_shape[-1]
        if count != other:
            raise ValueError(f"[MixtureSameFamily] a mixture of {count} got {other} components")
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        super().__init__(batch, component_distribution.event_shape, validate_args)

    def _beside_events(self, x: Tensor) -> Tensor:
        """x with an axis of size 1 for each event axis."""
        return x.reshape(*x.shape, *[1] * len(self._event_shape))

    @property
    def _axis(self) -> int:
        """The axis of components in what the component distribution gives."""
        return -1 - len(self._event_shape)

    @property
    def support(self) -> Constraint:
        return self.component_distribution.support

    @property
    def mean(self) -> Tensor:
        odds = self._beside_events(self.mixture_distribution.probs)
        return (odds * self.component_distribution.mean).sum(self._axis)

    @property
    def variance(self) -> Tensor:
        odds, parts = self._beside_events(self.mixture_distribution.probs), self.component_distribution
        apart = (parts.mean - self.mean.unsqueeze(self._axis)).square()
        return (odds * parts.variance).sum(self._axis) + (odds * apart).sum(self._axis)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        parts = self.component_distribution.log_prob(value.unsqueeze(self._axis))
        return (parts + versant.log_softmax(self.mixture_distribution.logits, -1)).logsumexp(-1)

    def cdf(self, value: Tensor) -> Tensor:
        parts = self.component_distribution.cdf(value.unsqueeze(self._axis))
        return (parts * self.mixture_distribution.probs).sum(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with versant.no_grad():
            which = self.mixture_distribution.expand(self._batch_shape).sample(sample_shape).unsqueeze(-1)
            parts = self.component_distribution.sample(sample_shape)
            index = self._beside_events(which)
            return parts.gather(self._axis, index.expand(*which.shape, *self._event_shape)).squeeze(
                self._axis
            )

    def expand(self, batch_shape: Sequence[int]) -> Self:
        new: Any = self._blank(batch_shape)
        count = self.component_distribution.batch_shape[-1]
        new.component_distribution = self.component_distribution.expand((*batch_shape, count))
        new.mixture_distribution = self.mixture_distribution.expand(Size(batch_shape))
        return new  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution}, {self.component_distribution})"
