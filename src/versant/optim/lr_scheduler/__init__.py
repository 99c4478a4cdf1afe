"""Schedulers: how learning rates change from step to step. Call `step()` after the optimizer's."""

from versant.optim.lr_scheduler.annealing import (
    SWALR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    PolynomialLR,
)
from versant.optim.lr_scheduler.base import LRScheduler
from versant.optim.lr_scheduler.composition import ChainedScheduler, SequentialLR
from versant.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from versant.optim.lr_scheduler.plateau import ReduceLROnPlateau
from versant.optim.lr_scheduler.scaling import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)

_LRScheduler = LRScheduler  # by its first name

__all__ = [
    "SWALR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
