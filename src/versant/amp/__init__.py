"""Automatic mixed precision: regions in which products run in bfloat16 or float16, and scaled gradients."""

from versant import addresses
from versant.amp.functions import custom_bwd, custom_fwd
from versant.amp.regions import autocast, is_autocast_available
from versant.amp.scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

addresses.place(__name__, __name__, "autocast_mode grad_scaler")
