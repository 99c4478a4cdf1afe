"""Distributions of matrices, and normal vectors whose covariance is of low rank plus a diagonal."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import versant
from versant import Tensor
from versant.distributions import constraints
from versant.distributions.constraints import Constraint, Constraints
from versant.distributions.distribution import (
    HALF_LOG_2PI,
    Centred,
    Distribution,
    broadcast_all,
    lazy,
    standard_normal,
)
from versant.distributions.gamma import Beta, Chi2
from versant.distributions.joint import OF_MATRICES, OfCovariance, one_matrix

__all__ = ["LKJCholesky", "LowRankMultivariateNormal", "Wishart"]


class LKJCholesky(Distribution):
    """Cholesky factors (dim, dim) of correlation matrices, of density det**(concentration - 1).

    Lewandowski, Kurowicka and Joe 2009, by the onion method.
    """

    concentration: Tensor
    arg_constraints: ClassVar[Constraints] = {"concentration": constraints.positive}

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(
                f"[LKJCholesky] Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.corr_cholesky

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        dtype = self.concentration.dtype
        before = (versant.arange(self.dim, dtype=dtype) - 1).clamp(min=0)
        marginal = (self.concentration + 0.5 * (self.dim - 2)).unsqueeze(-1)
        with versant.no_grad():
            squares = Beta(before + 0.5, marginal - 0.5 * before, False).sample(sample_shape).unsqueeze(-1)
            normal = standard_normal(self._extended_shape(sample_shape), self.concentration).tril(-1)
            lengths = versant.linalg.vector_norm(normal, dim=-1, keepdim=True)
            rows = squares.sqrt() * normal / lengths.where(lengths > 0, 1)
            left = (1 - rows.square().sum(-1)).clamp(min=versant.finfo(dtype).tiny).sqrt()
            return rows + left.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        c, n = self.concentration, self.dim - 1
        powers = 2 * (c - 1).unsqueeze(-1) + self.dim - versant.arange(2, self.dim + 1)
        density = (powers * value.diagonal(dim1=-2, dim2=-1)[..., 1:].log()).sum(-1)
        alpha = c + 0.5 * n
        norm = 0.5 * n * math.log(math.pi) + versant.mvlgamma(alpha - 0.5, n) - n * alpha.lgamma()
        return density - norm


class Wishart(OfCovariance):
    """The sum of x x' over df normal vectors x of mean 0.

    One of covariance_matrix, precision_matrix and scale_tril is given, as of MultivariateNormal.
    df: above n - 1, not necessarily whole; the matrices: (..., n, n).
    """

    df: Tensor
    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = one_matrix("Wishart", covariance_matrix, precision_matrix, scale_tril)
        n = matrix.shape[-1]
        df = df if isinstance(df, Tensor) else versant.tensor(float(df), dtype=matrix.dtype)
        batch: Any = versant.broadcast_shapes(matrix.shape[:-2], df.shape)
        self.df = df.expand(batch)
        if bool((self.df <= n - 1).any()):
            raise ValueError(f"[Wishart] Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        self.__dict__[name] = matrix.expand(*batch, n, n)
        super().__init__(batch, (n, n), validate_args)

    arg_constraints: ClassVar[Constraints] = {
        "df": constraints.positive,
        **OF_MATRICES,
    }

    @property
    def support(self) -> Constraint:
        return constraints.positive_definite

    @property
    def _wide_df(self) -> Tensor:
        return self.df.reshape(*self._batch_shape, 1, 1)

    @property
    def mean(self) -> Tensor:
        return self._wide_df * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self._wide_df - self._event_shape[0] - 1
        result: Tensor = versant.where(factor > 0, factor, math.nan) * self.covariance_matrix
        return result

    @property
    def variance(self) -> Tensor:
        diagonal = self.covariance_matrix.diagonal(dim1=-2, dim2=-1)
        squares = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._wide_df * (self.covariance_matrix.square() + squares)

    def _shifted(self, x: Tensor) -> Tensor:
        """x, x - 1, ..., x - n + 1, along a new last axis."""
        return x.unsqueeze(-1) - versant.arange(self._event_shape[0], dtype=x.dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """The triangular factor's diagonal from Chi2, the rest normal (Bartlett 1933)."""
        diagonal = Chi2(self._shifted(self.df), False).rsample(sample_shape).sqrt()
        below = standard_normal(self._extended_shape(sample_shape), self.df).tril(-1)
        factor = self.scale_tril @ (below + diagonal.diag_embed())
        return factor @ factor.mT

    def _log_det(self) -> Tensor:
        """Half of that of the covariance matrix."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        df, n = self.df, self._event_shape[0]
        norm = df * (n * math.log(2) / 2 + self._log_det()) + versant.mvlgamma(df / 2, n)
        size = versant.linalg.slogdet(value)[1]
        shape: Any = versant.broadcast_shapes(value.shape, self.scale_tril.shape)
        trace = versant.cholesky_solve(value.expand(shape), self.scale_tril.expand(shape))
        result: Tensor = (df - n - 1) / 2 * size - trace.diagonal(dim1=-2, dim2=-1).sum(-1) / 2 - norm
        return result

    def entropy(self) -> Tensor:
        df, n = self.df, self._event_shape[0]
        size = (n + 1) * (n * math.log(2) / 2 + self._log_det())
        slopes = (self._shifted(df) / 2).digamma().sum(-1)
        result: Tensor = size + versant.mvlgamma(df / 2, n) - (df - n - 1) / 2 * slopes + df * n / 2
        return result


class LowRankMultivariateNormal(Centred):
    """Normal vectors of covariance cov_factor @ cov_factor.T + diag(cov_diag).

    loc, cov_diag: (..., n). cov_factor: (..., n, m); costs grow with m and not with n (Woodbury's identity).
    """

    loc: Tensor
    cov_factor: Tensor
    cov_diag: Tensor
    arg_constraints: ClassVar[Constraints] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    has_rsample = True

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        name = "[LowRankMultivariateNormal]"
        if loc.ndim < 1:
            raise ValueError(f"{name} loc must be at least one-dimensional.")
        n = loc.shape[-1]
        if cov_factor.ndim < 2 or cov_factor.shape[-2] != n:
            raise ValueError(
                f"{name} cov_factor must be a batch of matrices with shape {n} x m, "
                f"got {tuple(cov_factor.shape)}"
            )
        if cov_diag.ndim < 1 or cov_diag.shape[-1] != n:
            raise ValueError(
                f"{name} cov_diag must be a batch of vectors with shape {(n,)}, got {tuple(cov_diag.shape)}"
            )
        batches = (loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        try:
            batch: Any = versant.broadcast_shapes(*batches)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{name} Incompatible batch shapes {batches}") from error
        self.loc, self.cov_diag = loc.expand(*batch, n), cov_diag.expand(*batch, n)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        super().__init__(batch, (n,), validate_args)

    @property
    def _weighted(self) -> Tensor:
        """cov_factor.T / cov_diag"""
        return self.cov_factor.mT / self.cov_diag.unsqueeze(-2)

    @property
    def _capacitance(self) -> Tensor:
        """The Cholesky factor of 1 + cov_factor.T / cov_diag @ cov_factor."""
        eye = versant.eye(self.cov_factor.shape[-1], dtype=self.loc.dtype)
        return versant.linalg.cholesky(self._weighted @ self.cov_factor + eye)

    @lazy
    def covariance_matrix(self) -> Tensor:
        """cov_factor @ cov_factor.T + diag(cov_diag)"""
        return self.cov_factor @ self.cov_factor.mT + self.cov_diag.diag_embed()

    @lazy
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance matrix."""
        return versant.linalg.cholesky(self.covariance_matrix)

    @lazy
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        a = versant.linalg.solve_triangular(self._capacitance, self._weighted, upper=False)
        return self.cov_diag.reciprocal().diag_embed() - a.mT @ a

    @property
    def support(self) -> Constraint:
        return constraints.real_vector

    @property
    def variance(self) -> Tensor:
        return self.cov_factor.square().sum(-1) + self.cov_diag

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        inner = standard_normal((*shape[:-1], self.cov_factor.shape[-1], 1), self.loc)
        outer = standard_normal(shape, self.loc)
        return self.loc + (self.cov_factor @ inner).squeeze(-1) + self.cov_diag.sqrt() * outer

    def _half_log_det(self, capacitance: Tensor) -> Tensor:
        return capacitance.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * self.cov_diag.log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        difference, capacitance = value - self.loc, self._capacitance
        part = self._weighted @ difference.unsqueeze(-1)
        factor = capacitance.expand(*part.shape[:-2], *capacitance.shape[-2:])
        inside = versant.linalg.solve_triangular(factor, part, upper=False).square().sum((-2, -1))
        distance = (difference.square() / self.cov_diag).sum(-1) - inside
        n = self._event_shape[0]
        return -0.5 * distance - n * HALF_LOG_2PI - self._half_log_det(capacitance)

    def entropy(self) -> Tensor:
        return self._event_shape[0] * (0.5 + HALF_LOG_2PI) + self._half_log_det(self._capacitance)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        return type(self)(
            self.loc.expand(*batch_shape, *self._event_shape), self.cov_factor, self.cov_diag, False
        )
