"""Probability distributions: samples, densities, moments, divergences, and transforms between them."""

from versant.distributions import constraints as constraints
from versant.distributions import transforms as transforms
from versant.distributions.continuous import *
from versant.distributions.discrete import *
from versant.distributions.distribution import Distribution as Distribution
from versant.distributions.joint import *
from versant.distributions.kl import kl_divergence as kl_divergence
from versant.distributions.kl import register_kl as register_kl
from versant.distributions.transformed import *
from versant.distributions.transforms import *
