"""Dropout (Srivastava et al. 2014)."""

from versant import Tensor
from versant.nn import functional as F
from versant.nn.checks import probability
from versant.nn.module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training mode sets each value to 0 with probability p and scales the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = probability("Dropout", p)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
