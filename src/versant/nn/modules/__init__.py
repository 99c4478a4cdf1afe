"""The layers at the addresses that they have in PyTorch's source: `nn.modules.batchnorm._BatchNorm`."""

from versant import nn
from versant.nn.modules import batchnorm, conv, instancenorm, loss, module, utils


def __getattr__(name: str) -> object:
    return getattr(nn, name)


__all__ = ["batchnorm", "conv", "instancenorm", "loss", "module", "utils"]
