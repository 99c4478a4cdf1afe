"""Mixed precision on CUDA, which is not there: regions do not cast and scalers do not scale, and say so."""

from typing import Any

from versant import _core
from versant.amp.regions import autocast as any_autocast
from versant.amp.scaler import GradScaler as AnyGradScaler


class autocast(any_autocast):
    """`amp.autocast("cuda")`."""

    def __init__(self, enabled: bool = True, dtype: Any = _core.float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)

    def _again(self) -> any_autocast:
        return type(self)(self._enabled, self.fast_dtype, self._cache_enabled)


class GradScaler(AnyGradScaler):
    """`amp.GradScaler("cuda")`."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


__all__ = ["GradScaler", "autocast"]
