"""The version, and those of the libraries of devices, of which there are none."""

from versant import __version__ as __version__

cuda = None
hip = None
xpu = None
debug = False

__all__ = ["__version__", "cuda", "debug", "hip", "xpu"]
