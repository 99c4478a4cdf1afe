"""Tables of vectors that are looked up by number: embedding, bags of embeddings, one-hot vectors."""

from __future__ import annotations

from versant._core import DTypeError, ShapeError, Tensor
from versant.autograd.function import Function
from versant.autograd.modes import no_grad
from versant.ops.comparison import where
from versant.ops.creation import zeros
from versant.ops.lazy import np
from versant.ops.ordered import searchsorted
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call, integers
from versant.ops.sequences import arange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

embedding_rows = primitive(
    "embedding.rows",
    "weight, indices, padding_idx: int = -1",
    "The rows of weight at indices; row padding_idx gets no gradient.",
    target="embedding",
    ref=lambda weight, indices: weight[indices],
    samples=[call(array(5, 3), integers(2, 4, below=5)), call(array(5, 3), integers(below=5))],
    onnx="Gather",
    stablehlo="gather",
)


class Scaled(Function):
    """The value as it is; its gradient times `factor`."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return grads[0] * factor, None


def shrink_rows(weight: Tensor, used: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the used rows of `weight` that are longer than max_norm down to it, in place.

    Rows that are used several times are written several times, with the same values.
    """
    with no_grad():
        rows = weight.detach()[used]
        norms = rows.norm(norm_type, 1, True)
        weight[used] = where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)


def row_of(op: str, name: str, index: int, weight: Tensor) -> int:
    rows = weight.shape[0]
    if not -rows <= index < rows:
        raise ValueError(f"[{op}] {name} {index} is out of range for {rows} rows")
    return index % rows


def check_indices(op: str, indices: Tensor) -> None:
    if indices.dtype.name not in ("int32", "int64"):
        raise DTypeError(f"[{op}] expected indices of int32 or int64, got {indices.dtype.name}")


@composite(
    ref=lambda index, weight: weight[index],
    samples=[call(integers(2, 4, below=5), array(5, 3))],
    places="nn.functional",
)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of weight at input.  weight: (num_embeddings, embedding_dim)

    padding_idx: the row that gets no gradient; max_norm: rows that are used and longer (in the norm of
    norm_type) are first scaled down to it, in the table itself; scale_grad_by_freq: gradients are divided by
    how often their row occurs in input; sparse is taken and changes nothing: gradients are dense.
    """
    padding = -1 if padding_idx is None else row_of("embedding", "padding_idx", padding_idx, weight)
    if max_norm is None and not scale_grad_by_freq:
        return embedding_rows(weight, input, padding)
    check_indices("embedding", input)
    if max_norm is not None:
        shrink_rows(weight, input.reshape(-1), max_norm, norm_type)
    result = embedding_rows(weight, input, padding)
    if scale_grad_by_freq:
        counts = input.flatten().long().bincount(minlength=weight.shape[0])[input.long()]
        result = Scaled.apply(result, 1 / counts.to(weight.dtype).unsqueeze(-1))
    return result


def bag_reference(index: Any, weight: Any, offsets: Any = None, mode: str = "mean") -> Any:
    bags = list(index) if index.ndim == 2 else np.split(index, offsets[1:])
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    return np.stack([reduce(weight[bag], 0) for bag in bags])


@composite(
    ref=bag_reference,
    samples=[
        call(integers(2, 4, below=5), array(5, 3)),
        call(integers(2, 4, below=5), array(5, 3), mode="sum"),
        call(integers(2, 4, below=5), array(5, 3), mode="max"),
    ],
    places="nn.functional",
)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of weight in each bag of indices.  -> (bags, embedding_dim)

    input: (bags, n), or the indices of all bags in a row, which begin at `offsets`: (bags,) (with
    include_last_offset, the end of the last bag follows them). per_sample_weights: factors of the rows, in
    the shape of input, for mode "sum". padding_idx: a row that counts in no bag. An empty bag gives zeros.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"[embedding_bag] mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if weight.dtype.name in ("int32", "int64") and not input.dtype.name.startswith("int"):
        input, weight = weight, input  # the order of arguments before
    check_indices("embedding_bag", input)
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("[embedding_bag] scale_grad_by_freq does not go with mode 'max'")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"[embedding_bag] per_sample_weights go with mode 'sum', got {mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ShapeError(
                f"[embedding_bag] expected per_sample_weights in the shape {tuple(input.shape)} of input, "
                f"got {tuple(per_sample_weights.shape)}"
            )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("[embedding_bag] offsets are for a 1-D input; the rows of a 2-D one are bags")
        bags, size = input.shape
        bag = arange(bags).repeat_interleave(size)
        flat = input.reshape(-1)
        factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    elif input.ndim == 1:
        if offsets is None or offsets.ndim != 1:
            raise ValueError("[embedding_bag] a 1-D input needs offsets, a vector")
        flat, factors = input, per_sample_weights
        bags = offsets.shape[0] - include_last_offset
        starts = offsets[:bags].long()
        if bags > 0 and starts[0] != 0:
            raise ValueError(f"[embedding_bag] the first offset must be 0, got {int(starts[0])}")
        if bags > 0 and offsets[-1] > flat.shape[0]:
            raise ValueError(f"[embedding_bag] offset {int(offsets[-1])} is past {flat.shape[0]} indices")
        bag = searchsorted(starts, arange(flat.shape[0]), right=True) - 1
    else:
        raise ShapeError(f"[embedding_bag] expected a 1-D or 2-D input, got shape {tuple(input.shape)}")
    if padding_idx is not None:
        kept = flat != row_of("embedding_bag", "padding_idx", padding_idx, weight)
        flat, bag = flat[kept], bag[kept]
        factors = None if factors is None else factors[kept]
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq)
    if weight.dtype.itemsize == 2 and mode != "max":
        rows = rows.float()  # a sum is rounded once
    if factors is not None:
        rows = rows * factors.unsqueeze(-1)
    empty = zeros(1, weight.shape[1], dtype=rows.dtype).expand(bags, weight.shape[1])
    if mode == "max":
        places = bag.unsqueeze(-1).expand(rows.shape)
        return empty.scatter_reduce(0, places, rows, "amax", include_self=False)
    total = empty.index_add(0, bag, rows)
    if mode == "mean":
        total = total / bag.bincount(minlength=bags).clamp(min=1).to(total.dtype).unsqueeze(-1)
    return total.to(weight.dtype)


one_hot = primitive(
    "one_hot",
    "input, num_classes: int = -1",
    "Vectors of 0 with a 1 at input; -1 classes: the largest of input and one more.",
    differentiable=False,
    ref=lambda x, n=-1: np.eye(n if n > 0 else x.max() + 1, dtype="int64")[x],
    samples=[call(integers(2, 3, below=4), 5), call(integers(6, below=4))],
    places="nn.functional",
    onnx="OneHot",
    without={"stablehlo": "exporters compare with an iota"},
)
