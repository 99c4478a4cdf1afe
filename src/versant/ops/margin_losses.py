"""Losses with a margin: of pairs and triplets of rows, and of targets 1 and -1.

`reduction`, `size_average` and `reduce` are those of losses.py.
"""

from __future__ import annotations

from versant._core import ShapeError, Tensor
from versant.ops.comparison import choose, eq
from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.losses import reduce_reference, reduced, reduction_of
from versant.ops.normalization import cosine_similarity, pairwise_distance
from versant.ops.record import composite, elementwise
from versant.ops.rounding import clamp_min, minimum
from versant.ops.samples import array, call, integers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

hinge = elementwise(
    "hinge_embedding_loss.each",
    lambda x, t, margin: m.select(m.ne(t, 1), m.max(margin - x, 0), 0) + m.select(m.ne(t, -1), x, 0),
    "input where target is 1, max(0, margin - input) where it is -1; the sum of both for other targets",
    signature="input, target, margin: number",
    ref=lambda x, t, margin: np.where(t != 1, np.maximum(margin - x, 0), 0) + np.where(t != -1, x, 0),
    settings=[{"margin": 0.7}],
    rule="float",
)
soft_margin = elementwise(
    "soft_margin_loss.each",
    lambda x, t: m.log1p(m.exp(-m.abs(t * x))) - m.min(t * x, 0),
    "log(1 + exp(-target * input)), stable",
    signature="input, target",
    d=lambda x, t, y: (-t * m.sigmoid(-t * x), -x * m.sigmoid(-t * x)),
    ref=lambda x, t: np.logaddexp(0, -t * x),
    rule="float",
)


@composite(
    autocast="float32",
    ref=lambda x, t, margin=1.0: np.mean(np.where(t == 1, x, np.maximum(0, margin - x))),
    samples=[
        call(array(6), integers(6, start=1, below=2)),
        call(array(6), integers(6, start=-1, below=0), margin=2.0),
    ],
    places="nn.functional",
)
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1; the sum of both for other targets."""
    reduction = reduction_of(size_average, reduce, reduction)
    return reduced(hinge(input, target, margin), reduction, "hinge_embedding_loss")


@composite(
    autocast="float32",
    ref=lambda a, b, t, margin=0.0: np.mean(np.maximum(0, -t * (a - b) + margin)),
    samples=[call(array(6), array(6), array(6), margin=0.3)],
    places="nn.functional",
)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target * (input1 - input2)), target 1 where input1 should rank higher, else -1."""
    reduction = reduction_of(size_average, reduce, reduction)
    return reduced(
        clamp_min(-target * (input1 - input2) + float(margin), 0), reduction, "margin_ranking_loss"
    )


@composite(
    autocast="float32",
    ref=lambda a, b, t, margin=0.0: np.mean(
        1 - np.sum(a * b, 1) / np.sqrt(np.sum(a * a, 1) * np.sum(b * b, 1))
    ),
    samples=[call(array(3, 4), array(3, 4), integers(3, start=1, below=2))],
    places="nn.functional",
)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1, cos the similarity of the rows."""
    reduction = reduction_of(size_average, reduce, reduction)
    cosine = cosine_similarity(input1, input2, -1)
    loss = choose(eq(target, 1), 1 - cosine, clamp_min(cosine - margin, 0))
    return reduced(loss, reduction, "cosine_embedding_loss")


@composite(
    autocast="float32",
    ref=lambda x, t: np.mean(np.logaddexp(0, -t * x)),
    samples=[call(array(6), array(6))],
    places="nn.functional",
)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * input)), target 1 or -1."""
    reduction = reduction_of(size_average, reduce, reduction)
    return reduced(soft_margin(input, target), reduction, "soft_margin_loss")


# --- triplets ---------------------------------------------------------------------------------------------


def triplet_reference(
    a: Any, p: Any, n: Any, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
) -> Any:
    def distance(a: Any, b: Any) -> Any:
        return np.sqrt(((a - b + 1e-6) ** 2).sum(-1))

    negative = np.minimum(distance(a, n), distance(p, n)) if swap else distance(a, n)
    return reduce_reference(np.maximum(0, margin + distance(a, p) - negative), reduction)


def check_triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, who: str) -> None:
    if not margin > 0:
        raise ValueError(f"[{who}] expected a margin greater than 0, got {margin}")
    shapes = [tuple(t.shape) for t in (anchor, positive, negative)]
    if len({len(shape) for shape in shapes}) > 1:
        raise ShapeError(f"[{who}] expected anchor, positive and negative of as many axes, got {shapes}")


def triplet(
    distance: Callable[[Tensor, Tensor], Tensor],
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float,
    swap: bool,
) -> Tensor:
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return clamp_min(margin + distance(anchor, positive) - far, 0)


@composite(
    autocast="float32",
    ref=triplet_reference,
    samples=[
        call(array(4, 3), array(4, 3), array(4, 3)),
        call(array(4, 3), array(4, 3), array(4, 3), margin=2.0, swap=True, reduction="none"),
        call(array(3), array(3), array(3), reduction="sum"),
    ],
    places="nn.functional",
)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-06,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|) of rows, with p-norms (Balntas et al. 2016).

    anchor, positive, negative: (N, D) or (D,); swap: count the nearer of |anchor - negative| and
    |positive - negative|.
    """
    name = "triplet_margin_loss"
    check_triplet(anchor, positive, negative, margin, name)
    loss = triplet(lambda a, b: pairwise_distance(a, b, p, eps), anchor, positive, negative, margin, swap)
    return reduced(loss, reduction_of(size_average, reduce, reduction), name)


@composite(
    autocast="float32",
    ref=triplet_reference,
    samples=[call(array(4, 3), array(4, 3), array(4, 3), swap=True)],
    places="nn.functional",
)
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with another distance: a function of two tensors; by default the Euclidean one."""
    name = "triplet_margin_with_distance_loss"
    check_triplet(anchor, positive, negative, margin, name)
    distance = distance_function or (lambda a, b: pairwise_distance(a, b))
    return reduced(triplet(distance, anchor, positive, negative, margin, swap), reduction, name)
