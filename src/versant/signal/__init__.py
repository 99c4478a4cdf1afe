"""Signals: windows."""

from versant.signal import windows

__all__ = ["windows"]
