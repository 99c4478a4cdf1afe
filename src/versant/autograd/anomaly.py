"""Backward passes that stop at the first NaN: PyTorch's names for what `debug.nan_guard` does."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

_switched: list[Any] = []  # the guard that set_detect_anomaly(True) began
_inside = 0


class detect_anomaly(ContextDecorator):
    """Inside, a backward pass that computes NaN raises, and names the forward line whose gradient it is.

    check_nan: False looks for nothing: errors in backward passes name the forward line in any case. The
    exception is `debug.NonFiniteError`, which is a RuntimeError.

    >>> import versant as vs
    >>> x = vs.zeros(1, requires_grad=True)
    >>> with vs.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).sum().backward()
    Traceback (most recent call last):
    ...
    versant.debug.guard.NonFiniteError: [nan_guard] the gradient of sqrt gave NaN at ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._guards: list[Any] = []

    def __enter__(self) -> None:
        global _inside
        from versant.debug.guard import nan_guard

        _inside += 1
        guard = nan_guard(inf=False, forward=False) if self.check_nan else None
        self._guards.append(guard)
        if guard is not None:
            guard.__enter__()

    def __exit__(self, *error: object) -> None:
        global _inside
        _inside -= 1
        guard = self._guards.pop()
        if guard is not None:
            guard.__exit__(*error)


class set_detect_anomaly:
    """Switches detect_anomaly on or off at once, as a call; as a context manager also back."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _switched[0].check_nan if _switched else None
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _switch(self._before is not None, bool(self._before))


def _switch(mode: bool, check_nan: bool) -> None:
    while _switched:
        _switched.pop().__exit__(None, None, None)
    if mode:
        _switched.append(detect_anomaly(check_nan))
        _switched[0].__enter__()


def is_anomaly_enabled() -> bool:
    """Whether backward passes are looked at."""
    return _inside > 0
