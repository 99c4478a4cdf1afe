"""Regions of automatic mixed precision, and the functions that ask for and set their state.

How each op casts its arguments stands in the op table: `Record.autocast`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

from versant import _core
from versant._core import dtype
from versant.autograd.modes import _Mode

if TYPE_CHECKING:
    from types import TracebackType

LOWER = (_core.bfloat16, _core.float16)


class autocast(_Mode):
    """Inside the region products, convolutions and attention run in the lower precision.

    Their float32 inputs are cast, a weight once in a region; losses and other ops that need the range get
    float32. Gradients flow through the casts, so weights and their gradients stay float32. A context manager
    and a decorator; regions nest.

    device_type: "cpu"; a dtype in its place is taken as `dtype`.
    dtype: bfloat16 or float16; by default what `get_autocast_dtype` tells, bfloat16 at first.
    enabled: False makes a region without casts.
    cache_enabled: whether a weight is cast once in a region; by default what is set.

    >>> import versant as vs
    >>> layer = vs.nn.Linear(3, 2)
    >>> with vs.autocast("cpu", dtype=vs.bfloat16):
    ...     y = layer(vs.ones(1, 3))
    >>> y.dtype
    versant.bfloat16
    >>> y.sum().backward()
    >>> layer.weight.grad.dtype
    versant.float32

    Micikevicius et al. 2018, Mixed Precision Training, https://arxiv.org/abs/1710.03740
    """

    def __init__(
        self,
        device_type: str | dtype,
        dtype: dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        super().__init__()
        if isinstance(device_type, _core.dtype):
            device_type, dtype = "cpu", device_type  # type: ignore[assignment]
        check_device(device_type, "autocast")
        now = _core.get_autocast()
        self.device = device_type
        self.fast_dtype = now[1] if dtype is None else dtype
        self._enabled = bool(enabled) and supported(device_type, self.fast_dtype)
        self._cache_enabled = now[2] if cache_enabled is None else bool(cache_enabled)

    def _again(self) -> autocast:
        return type(self)(self.device, self.fast_dtype, self._enabled, self._cache_enabled)

    def _enter(self) -> Any:
        before = _core.get_autocast()
        if self.device == "cpu":
            lower = self.fast_dtype if self._enabled else before[1]
            _core.set_autocast(self._enabled, lower, self._cache_enabled)
        _core.nest_autocast(1)
        return before

    def _exit(self, before: Any) -> None:
        if _core.nest_autocast(-1) == 0:
            _core.clear_autocast_cache()
        _core.set_autocast(*before)

    def __enter__(self) -> Self:  # type: ignore[override]
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, value, traceback)


class cpu_autocast(autocast):
    """`autocast` of the CPU: the name `versant.cpu.amp.autocast`."""

    def __init__(
        self, enabled: bool = True, dtype: dtype = _core.bfloat16, cache_enabled: bool = True
    ) -> None:
        super().__init__("cpu", dtype, enabled, cache_enabled)

    def _again(self) -> autocast:
        return type(self)(self._enabled, self.fast_dtype, self._cache_enabled)


DEVICES = ("cpu", "cuda", "mps", "xpu", "xla", "hpu", "ipu", "mtia", "maia", "meta")


def check_device(device_type: Any, who: str) -> None:
    """Raises unless it is a kind of device."""
    if not isinstance(device_type, str):
        raise ValueError(f"[{who}] expected device_type as a string, got {type(device_type).__name__}")
    if device_type not in DEVICES:
        raise RuntimeError(f"[{who}] expected device_type 'cpu', got {device_type!r}")


def supported(device_type: str, lower: dtype) -> bool:
    """Whether a region can cast; warns where not."""
    if device_type != "cpu":
        warnings.warn(
            f"[autocast] there is no device {device_type!r} here: the region does not cast", stacklevel=3
        )
    elif lower not in LOWER:
        warnings.warn(
            f"[autocast] expected dtype bfloat16 or float16, got {lower}: the region does not cast",
            stacklevel=3,
        )
    else:
        return True
    return False


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast works on a kind of device."""
    check_device(device_type, "is_autocast_available")
    return device_type == "cpu"


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether ops of this thread cast their arguments."""
    check_device(device_type, "is_autocast_enabled")
    return device_type == "cpu" and _core.get_autocast()[0]


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switches autocast of this thread; `with autocast(...)` puts things back by itself."""
    if enabled is None:
        device_type, enabled = "cpu", bool(device_type)
    check_cpu(device_type, "set_autocast_enabled")
    now = _core.get_autocast()
    _core.set_autocast(bool(enabled), now[1], now[2])


def get_autocast_dtype(device_type: str = "cpu") -> dtype:
    """The lower precision of regions that do not name one."""
    check_cpu(device_type, "get_autocast_dtype")
    return _core.get_autocast()[1]


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Sets the lower precision of regions that do not name one: bfloat16 or float16."""
    check_cpu(device_type, "set_autocast_dtype")
    if dtype not in LOWER:
        raise ValueError(f"[set_autocast_dtype] expected bfloat16 or float16, got {dtype}")
    now = _core.get_autocast()
    _core.set_autocast(now[0], dtype, now[2])


def check_cpu(device_type: Any, who: str) -> None:
    """Raises unless it is the kind of device that there is."""
    check_device(device_type, who)
    if device_type != "cpu":
        raise RuntimeError(f"[{who}] expected device_type 'cpu', got {device_type!r}")


def is_autocast_cache_enabled() -> bool:
    """Whether a weight is cast once in a region."""
    return _core.get_autocast()[2]


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Sets whether a weight is cast once in a region."""
    now = _core.get_autocast()
    _core.set_autocast(now[0], now[1], bool(enabled))


def clear_autocast_cache() -> None:
    """Forgets the weights that were cast."""
    _core.clear_autocast_cache()


def is_autocast_cpu_enabled() -> bool:
    """Whether ops of this thread cast their arguments."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Switches autocast of this thread."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> dtype:
    """The lower precision of regions that do not name one."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: dtype) -> None:
    """Sets the lower precision of regions that do not name one."""
    set_autocast_dtype("cpu", dtype)


def autocast_increment_nesting() -> int:
    """Enters a region by hand; returns the depth of regions."""
    return _core.nest_autocast(1)


def autocast_decrement_nesting() -> int:
    """Leaves a region by hand; returns the depth of regions. Cast weights are kept."""
    return _core.nest_autocast(-1)
