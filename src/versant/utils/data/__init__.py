"""versant.data under the name by which PyTorch's programs import it."""

from versant.data import *  # noqa: F403
from versant.data import __all__ as __all__
