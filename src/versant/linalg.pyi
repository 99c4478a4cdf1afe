"""The functions of linalg, from the op table by tools/make_stubs.py."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from versant._core import Tensor
from versant.ops.axes import Axes, Pair, Size

def cross(input: Tensor, other: Tensor, dim: int=-1, *, out: Any = None) -> Tensor: ...
def matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def vecdot(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def vector_norm(x: Tensor, ord: float=2, dim: Axes=None, keepdim: bool=False, *, dtype: Any=None, out: Any = None) -> Tensor: ...
