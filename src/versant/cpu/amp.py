"""Mixed precision on the CPU."""

from versant.amp.regions import cpu_autocast as autocast
from versant.amp.scaler import CpuGradScaler as GradScaler

__all__ = ["GradScaler", "autocast"]
