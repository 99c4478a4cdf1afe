"""Layers: modules and their parameters, initial values, losses.

Each file says in its `__all__` what it adds to this namespace.
"""

from versant.nn import functional as functional
from versant.nn import init as init
from versant.nn.activation import *
from versant.nn.adaptive import *
from versant.nn.attention import *
from versant.nn.container import *
from versant.nn.conv import *
from versant.nn.dropout import *
from versant.nn.embedding import *
from versant.nn.group_norm import *
from versant.nn.lazy import *
from versant.nn.linear import *
from versant.nn.loss import *
from versant.nn.module import *
from versant.nn.normalization import *
from versant.nn.padding import *
from versant.nn.parameter import *
from versant.nn.pooling import *
from versant.nn.rearranging import *
from versant.nn.rectifiers import *
from versant.nn.recurrent import *
from versant.nn.recurrent_layers import *
from versant.nn.shape import *
from versant.nn.similarity import *
from versant.nn.transformer import *


def __getattr__(name: str) -> object:
    if name in ("common_types", "modules", "parallel", "utils"):
        from importlib import import_module

        return import_module(f"versant.nn.{name}")
    if name == "DataParallel":
        from versant.nn.parallel import DataParallel

        return DataParallel
    raise AttributeError(f"module 'versant.nn' has no attribute {name!r}")
