"""Embedding: a learned vector for each of a number of indices."""

from typing import Any

import versant
from versant import Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """Row x of a learned table.  x: (...) of ints below num_embeddings -> (..., embedding_dim)

    padding_idx: the row of this index starts at zero and gets no gradient; negative ones count from the end.
    """

    weight: Parameter  # (num_embeddings, embedding_dim)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = positive("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = positive("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"[Embedding] padding_idx {padding_idx} is outside of {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = Parameter(versant.empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table from N(0, 1); the row of padding_idx is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with versant.no_grad():
                self.weight[self.padding_idx].zero_()

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else text + f", padding_idx={self.padding_idx}"
