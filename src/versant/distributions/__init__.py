"""Probability distributions: samples, densities, moments, divergences, and transforms between them."""

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
