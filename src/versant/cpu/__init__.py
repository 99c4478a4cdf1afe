"""The CPU as PyTorch names it: mixed precision under `cpu.amp`."""

from versant.cpu import amp

__all__ = ["amp"]
