"""Embedding: a learned vector for each of a number of indices; bags of them."""

from typing import Any, Self

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn import init
from versant.nn.checks import one_of, positive
from versant.nn.module import Module
from versant.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What layers share that look rows up: the table and how it is used."""

    weight: Parameter  # (num_embeddings, embedding_dim)

    def _set_up(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        _weight: Tensor | None,
        device: Any,
        dtype: Any,
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = positive(name, "num_embeddings", num_embeddings)
        self.embedding_dim = positive(name, "embedding_dim", embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"[{name}] padding_idx {padding_idx} is outside of {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            self.weight = Parameter(versant.empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise ShapeError(
                    f"[{name}] expected a weight of shape {(num_embeddings, embedding_dim)}, "
                    f"got {tuple(_weight.shape)}"
                )
            self.weight = Parameter(_weight)

    def reset_parameters(self) -> None:
        """Draw the table from N(0, 1); the row of padding_idx is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with versant.no_grad():
                self.weight[self.padding_idx].zero_()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """A layer over the rows of `embeddings` (num_embeddings, embedding_dim); frozen or not."""
        if embeddings.ndim != 2:
            raise ShapeError(
                f"[{cls.__name__}] expected a matrix of rows, got shape {tuple(embeddings.shape)}"
            )
        rows, columns = embeddings.shape
        make: Any = cls
        layer: Self = make(num_embeddings=rows, embedding_dim=columns, _weight=embeddings, **options)
        layer.weight.requires_grad_(not freeze)
        return layer

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text + (", sparse=True" if self.sparse else "")


class Embedding(_Table):
    """Row x of a learned table.  input: (...) of ints below num_embeddings -> (..., embedding_dim)

    padding_idx: the row of this index starts at zero and gets no gradient; negative ones count from the end.
    max_norm: rows that are used and longer, in the norm of norm_type, are first scaled down to it.
    scale_grad_by_freq: gradients are divided by how often their row occurs in the input.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, device, dtype)
        self._set_up(num_embeddings, embedding_dim, *options)
        if _freeze:
            self.weight.requires_grad_(False)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows of a learned table in each bag of indices.

    input: (bags, n), or all indices in a row with offsets: (bags,) where each bag begins
    -> (bags, embedding_dim). The other arguments are those of functional.embedding_bag.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = one_of("EmbeddingBag", "mode", mode, ("sum", "mean", "max"))
        self.include_last_offset = include_last_offset
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, device, dtype)
        self._set_up(num_embeddings, embedding_dim, *options)

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else text + f", padding_idx={self.padding_idx}"
