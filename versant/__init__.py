"""Versant: a deep-learning framework."""

from versant._core import version as __version__

__all__ = ["__version__"]
