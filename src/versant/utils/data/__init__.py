"""versant.data under the name by which PyTorch's programs import it."""

from versant import addresses
from versant.data import *  # noqa: F403
from versant.data import __all__ as __all__

addresses.place(__name__, __name__, "dataset dataloader sampler distributed _utils")
addresses.place(f"{__name__}._utils", __name__, "collate")
