"""Layers: modules and their parameters, initial values, losses."""

from versant.nn import functional, init
from versant.nn.activation import GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from versant.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from versant.nn.conv import Conv2d
from versant.nn.dropout import Dropout
from versant.nn.embedding import Embedding
from versant.nn.linear import Identity, Linear
from versant.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from versant.nn.module import Module
from versant.nn.normalization import BatchNorm2d, LayerNorm
from versant.nn.parameter import Parameter
from versant.nn.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from versant.nn.shape import Flatten, Unflatten

__all__ = [
    "GELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Tanh",
    "Unflatten",
    "functional",
    "init",
]
