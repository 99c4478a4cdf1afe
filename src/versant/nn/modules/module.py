"""Module under PyTorch's address."""

from versant.nn.module import Module

__all__ = ["Module"]
