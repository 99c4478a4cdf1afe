"""Losses under PyTorch's address, with their bases."""

from versant.nn.loss import *
from versant.nn.loss import _Loss as _Loss
from versant.nn.loss import _WeightedLoss as _WeightedLoss
