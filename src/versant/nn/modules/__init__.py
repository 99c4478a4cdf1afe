"""The layers at the addresses that they have in PyTorch's source: `nn.modules.batchnorm._BatchNorm`."""

from versant.nn import *
from versant.nn.modules import batchnorm, conv, instancenorm, loss, module, utils

__all__ = ["batchnorm", "conv", "instancenorm", "loss", "module", "utils"]
