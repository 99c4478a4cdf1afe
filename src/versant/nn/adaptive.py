"""Softmax over very many classes, with fewer dimensions for rare ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import versant
from versant import Tensor
from versant.nn import functional as F
from versant.nn.container import ModuleList, Sequential
from versant.nn.linear import Linear
from versant.nn.module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    """output: log probability of each target. loss: their mean, negated."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """log softmax over classes ordered from frequent to rare, in clusters (Grave et al. 2017).

    input: (N, in_features) or (in_features,); target: (N,) or ().
    cutoffs: the first class of each cluster of rare ones; those before the first cutoff and the clusters
    themselves are classes of the head. div_value: by how much a cluster has fewer dimensions than the one
    before. Returns (output, loss): the log probabilities of the targets, and the negated mean of them.
    """

    head: Linear
    tail: ModuleList

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs should be a sequence of length larger than 0"
            )
        rising = all(isinstance(c, int) for c in cutoffs) and cutoffs == sorted(set(cutoffs))
        if not rising or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ValueError(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs should be a sequence of unique, positive integers "
                f"sorted in an increasing order, where each value is between 1 and n_classes-1, got {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, head_bias, **place)
        self.tail = ModuleList()
        for i, (first, last) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False), 1):
            width = int(in_features // div_value**i)
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, **place), Linear(width, last - first, False, **place)
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for cluster in self.tail:
            for layer in cluster:
                layer.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> _ASMoutput:
        name = "[AdaptiveLogSoftmaxWithLoss]"
        if target.ndim > 1 or input.ndim != target.ndim + 1:
            raise RuntimeError(
                f"{name} expected input (N, in_features) and target (N,), or (in_features,) and (), "
                f"got shapes {tuple(input.shape)} and {tuple(target.shape)}"
            )
        if target.ndim and input.shape[0] != target.shape[0]:
            raise RuntimeError(
                f"{name} Input and target should have the same size in the batch dimension, got "
                f"{input.shape[0]} and {target.shape[0]}"
            )
        if not target.ndim:
            alone, loss = self(input.unsqueeze(0), target.unsqueeze(0))
            return _ASMoutput(alone.squeeze(0), loss)
        if bool(((target < 0) | (target >= self.n_classes)).any()):
            raise RuntimeError(
                f"{name} Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found."
            )
        # The class in the head: that of the target, or of its cluster.
        head_class = target
        parts = []
        for i, cluster in enumerate(self.tail):
            first, last = self.cutoffs[i : i + 2]
            inside = (target >= first) & (target < last)
            head_class = versant.where(inside, self.shortlist_size + i, head_class)
            rows = inside.nonzero().squeeze(1)
            if rows.numel():
                within = versant.log_softmax(cluster(input.index_select(0, rows)), -1)
                chosen = (target.index_select(0, rows) - first).unsqueeze(1)
                parts.append((rows, within.gather(1, chosen).squeeze(1)))
        output: Tensor = (
            versant.log_softmax(self.head(input), -1).gather(1, head_class.unsqueeze(1)).squeeze(1)
        )
        for rows, log_prob in parts:
            output = output.index_add(0, rows, log_prob)
        return _ASMoutput(output, (-output).mean())

    def log_prob(self, input: Tensor) -> Tensor:
        """The log probabilities of all classes: (N, n_classes)."""
        head = versant.log_softmax(self.head(input), -1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            of_cluster = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(cluster(input), -1) + of_cluster)
        result: Tensor = versant.cat(parts, 1)
        return result

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row: log_prob(input).argmax(1)."""
        return self.log_prob(input).argmax(1)
