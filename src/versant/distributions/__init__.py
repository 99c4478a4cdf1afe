"""Probability distributions: samples, densities, moments, divergences, and transforms between them."""

from versant import addresses as _addresses
from versant.distributions import constraints as constraints
from versant.distributions import kl_pairs as kl_pairs
from versant.distributions import transforms as transforms
from versant.distributions.bounded import *
from versant.distributions.constraint_registry import biject_to as biject_to
from versant.distributions.constraint_registry import transform_to as transform_to
from versant.distributions.continuous import *
from versant.distributions.counts import *
from versant.distributions.derived import *
from versant.distributions.discrete import *
from versant.distributions.distribution import Distribution as Distribution
from versant.distributions.gamma import *
from versant.distributions.joint import *
from versant.distributions.kl import kl_divergence as kl_divergence
from versant.distributions.kl import register_kl as register_kl
from versant.distributions.matrices import *
from versant.distributions.transformed import *
from versant.distributions.transforms import *

_addresses.place(
    __name__,
    __name__,
    """bernoulli beta binomial categorical cauchy chi2 continuous_bernoulli dirichlet exponential
    fishersnedecor generalized_pareto geometric gumbel half_cauchy half_normal independent inverse_gamma
    kumaraswamy laplace lkj_cholesky log_normal logistic_normal lowrank_multivariate_normal
    mixture_same_family multinomial
    multivariate_normal negative_binomial normal one_hot_categorical pareto poisson relaxed_bernoulli
    relaxed_categorical studentT transformed_distribution uniform von_mises weibull wishart""",
)
