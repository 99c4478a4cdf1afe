"""The layers at the addresses that they have in PyTorch's source: `nn.modules.batchnorm._BatchNorm`."""

from versant import addresses, nn
from versant.nn.modules import batchnorm, conv, instancenorm, loss, module, utils

addresses.place(
    __name__,
    "versant.nn",
    """activation adaptive channelshuffle container distance dropout flatten fold lazy linear normalization
    padding pixelshuffle pooling rnn sparse transformer upsampling""",
)


def __getattr__(name: str) -> object:
    return getattr(nn, name)


__all__ = ["batchnorm", "conv", "instancenorm", "loss", "module", "utils"]
