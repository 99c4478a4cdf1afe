"""Transforms: invertible functions that carry one distribution into another."""

from versant.distributions.transforms.combined import *
from versant.distributions.transforms.elementwise import *
from versant.distributions.transforms.events import *
from versant.distributions.transforms.transform import *
