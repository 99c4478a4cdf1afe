"""Optimizers: what turns gradients into better parameters."""

from versant.optim.adam import Adam, AdamW
from versant.optim.optimizer import Optimizer
from versant.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
