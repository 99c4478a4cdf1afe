"""Elements picked and placed by index: gather, scatter, where, masks."""

from typing import Any, NamedTuple

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import argument_errors, axes_of, plainly, sizes_of
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import brand, convert, same_dtype


def _places(op: str, indices: Any) -> Any:
    at = plainly(indices)
    if at.dtype not in dtypes.INTEGERS:
        raise InvalidArgumentError(f"[{op}] indices must be integers, got {at.dtype.name}")
    return at.to(dtypes.int64)


def _check_range(op: str, at: Any, size: int) -> None:
    """TensorFlow counts no index from the end."""
    if not at.numel() or _core.is_tracing():
        return
    if int(at.min()) < 0 or int(at.max()) >= size:
        bad = at.reshape(-1)[((at < 0) | (at >= size)).reshape(-1)][0]
        raise InvalidArgumentError(f"[{op}] index {int(bad)} is not in [0, {size})")


def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    axis: Any = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Any:
    """The slices of params at indices along axis: shape params[:axis] + indices + params[axis + 1:].

    batch_dims: so many leading axes are shared by both.
    """
    x, at = plainly(params), _places("gather", indices)
    shared = batch_dims if batch_dims >= 0 else batch_dims + at.dim()
    axis = shared if axis is None else int(axes_of(axis)) % x.dim()
    sizes, places = tuple(x.shape), tuple(at.shape)
    _check_range("gather", at, sizes[axis])
    if not shared:
        found = versant.index_select(x, axis, at.reshape(-1))
        return brand(found.reshape((*sizes[:axis], *places, *sizes[axis + 1 :])))
    if sizes[:shared] != places[:shared]:
        raise InvalidArgumentError(f"[gather] the first {shared} axes of {sizes} and {places} differ")
    x = versant.movedim(x, axis, shared)  # (*batch, n, *before axis, *after it)
    flat = at.reshape((*places[:shared], -1))
    index = flat.reshape((*tuple(flat.shape), *(1,) * (x.dim() - shared - 1)))
    index = index.expand((*tuple(flat.shape), *tuple(x.shape)[shared + 1 :]))
    found = versant.gather(x, shared, index)
    middle = len(sizes[shared:axis])
    found = found.reshape((*places[:shared], *places[shared:], *tuple(x.shape)[shared + 1 :]))
    if middle:
        inner = len(places) - shared
        order = [*range(shared), *range(shared + inner, shared + inner + middle)]
        order += [*range(shared, shared + inner), *range(shared + inner + middle, found.dim())]
        found = found.permute(order)
    return brand(found)


def gather_nd(params: Any, indices: Any, batch_dims: int = 0, name: str | None = None) -> Any:
    """The slices of params that each row of indices, (..., depth), names."""
    x, at = plainly(params), _places("gather_nd", indices)
    depth = tuple(at.shape)[-1]
    for k in range(depth):
        _check_range("gather_nd", at[..., k], tuple(x.shape)[batch_dims + k])
    key: tuple[Any, ...] = ()
    for b in range(batch_dims):
        n = tuple(x.shape)[b]
        key += (versant.arange(n).reshape((n,) + (1,) * (at.dim() - 2 - b)),)
    key += tuple(at.unbind(-1))
    return brand(x[key] if key else x.expand((*tuple(at.shape)[:-1], *tuple(x.shape))))


def _scattered(op: str, base: Any, indices: Any, updates: Any, accumulate: bool) -> Any:
    at, new = _places(op, indices), plainly(updates)
    if new.dtype is not base.dtype:
        raise InvalidArgumentError(f"[{op}] the tensor is {base.dtype.name}, updates are {new.dtype.name}")
    depth = tuple(at.shape)[-1]
    for k in range(depth):
        _check_range(op, at[..., k], tuple(base.shape)[k])
    expected = (*tuple(at.shape)[:-1], *tuple(base.shape)[depth:])
    if tuple(new.shape) != expected:
        raise InvalidArgumentError(f"[{op}] updates must have shape {expected}, got {tuple(new.shape)}")
    return brand(base.index_put(tuple(at.unbind(-1)), new, accumulate=accumulate))


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    """Zeros of that shape, with updates added at indices (..., depth)."""
    new = plainly(updates)
    return _scattered("scatter_nd", versant.zeros(sizes_of(shape), dtype=new.dtype), indices, new, True)


def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """tensor with updates in the places of indices (..., depth)."""
    return _scattered("tensor_scatter_nd_update", plainly(tensor), indices, updates, False)


def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """tensor with updates added in the places of indices (..., depth)."""
    return _scattered("tensor_scatter_nd_add", plainly(tensor), indices, updates, True)


def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """tensor with updates subtracted in the places of indices (..., depth)."""
    return _scattered("tensor_scatter_nd_sub", plainly(tensor), indices, -plainly(updates), True)


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """x where condition is true, y elsewhere; without both, the places where it is true, (n, rank)."""
    truth = plainly(condition)
    if x is None and y is None:
        return brand(versant.nonzero(truth))
    if x is None or y is None:
        raise ValueError("[where] x and y must both be given, or neither")
    if truth.dtype is not dtypes.bool:
        raise InvalidArgumentError(f"[where] the condition must be bool, got {truth.dtype.name}")
    try:
        x, y = same_dtype("where", x, y)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(str(error)) from None
    return brand(versant.where(truth, _core.plain(x), _core.plain(y)))


def boolean_mask(tensor: Any, mask: Any, axis: Any = None, name: str = "boolean_mask") -> Any:
    """The elements, or slices from axis on, where mask is true."""
    x, truth = plainly(tensor), plainly(mask).to(dtypes.bool)
    axis = 0 if axis is None else int(axes_of(axis))
    if tuple(x.shape)[axis : axis + truth.dim()] != tuple(truth.shape):
        raise ValueError(
            f"[boolean_mask] the mask's shape {tuple(truth.shape)} is not found in "
            f"{tuple(x.shape)} at axis {axis}"
        )
    return brand(x[(slice(None),) * axis + (truth,)])


def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> Any:
    """For each i below num_partitions the slices of data where partitions is i."""
    x, which = plainly(data, partitions)
    return [brand(x[which == i]) for i in range(num_partitions)]


def dynamic_stitch(indices: Any, data: Any, name: str | None = None) -> Any:
    """One tensor, with the slices of data[k] in the places indices[k]."""
    at = versant.cat([_places("dynamic_stitch", i).reshape(-1) for i in indices])
    depth = convert(indices[0]).dim()
    parts = [plainly(d) for d in data]
    rest = tuple(parts[0].shape)[depth:]
    new = versant.cat([part.reshape((-1, *rest)) for part in parts])
    base = versant.zeros((int(at.max()) + 1, *rest), dtype=new.dtype)
    return brand(base.index_put((at,), new))


class TopK(NamedTuple):
    """The largest values, and where they are."""

    values: Any
    indices: Any


def top_k(
    input: Any, k: Any = 1, sorted: bool = True, index_type: Any = dtypes.int32, name: str | None = None
) -> Any:
    """(values, indices) of the k largest along the last axis."""
    values, places = versant.topk(plainly(input), int(k))
    return TopK(brand(values), brand(places.to(index_type)))


def in_top_k(targets: Any, predictions: Any, k: Any, name: str | None = None) -> Any:
    """Whether each target, (N,), is among the k largest of its row of predictions, (N, C)."""
    at, scores = plainly(targets, predictions)
    own = versant.gather(scores, 1, at.to(dtypes.int64).unsqueeze(1))
    return brand((scores > own).sum(1) < int(k))


NAMES = argument_errors(
    {
        function.__name__: function
        for function in (
            gather,
            gather_nd,
            scatter_nd,
            tensor_scatter_nd_update,
            tensor_scatter_nd_add,
            tensor_scatter_nd_sub,
            where,
            boolean_mask,
            dynamic_partition,
            dynamic_stitch,
        )
    }
)
