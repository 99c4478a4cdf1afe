"""Mixed precision on CUDA, which is not there: regions do not cast and scalers do not scale, and say so."""

from typing import Any

from versant import _core, addresses
from versant.amp.functions import custom_bwd, custom_fwd
from versant.amp.regions import autocast as any_autocast
from versant.amp.scaler import CudaGradScaler as GradScaler


class autocast(any_autocast):
    """`amp.autocast("cuda")`."""

    def __init__(self, enabled: bool = True, dtype: Any = _core.float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)

    def _again(self) -> any_autocast:
        return type(self)(self._enabled, self.fast_dtype, self._cache_enabled)


def amp_definitely_not_available() -> bool:
    """True."""
    return True


__all__ = ["GradScaler", "amp_definitely_not_available", "autocast", "custom_bwd", "custom_fwd"]

addresses.place(__name__, __name__, "autocast_mode common grad_scaler")
