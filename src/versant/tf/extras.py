"""What stands in no larger family: bincount, confusion_matrix, print and a few more."""

from typing import Any

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import plainly
from versant.tf.dtypes import as_dtype
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import brand, cast, convert

__all__ = ["bincount", "confusion_matrix", "invert_permutation", "print_"]


def bincount(
    arr: Any,
    weights: Any = None,
    minlength: Any = None,
    maxlength: Any = None,
    dtype: Any = dtypes.int32,
    name: Any = None,
    axis: Any = None,
    binary_output: bool = False,
) -> Any:
    """How often each integer from 0 on occurs, or the sum of its weights."""
    values = plainly(arr).reshape(-1).to(dtypes.int64)
    if values.numel() and int(values.min()) < 0:
        raise InvalidArgumentError("[bincount] values must not be negative")
    n = int(values.max()) + 1 if values.numel() else 0
    n = max(n, int(minlength or 0))
    own = None if weights is None else plainly(weights).reshape(-1)
    if maxlength is not None:
        n = min(n, int(maxlength))
        keep = values < n
        values, own = values[keep], own if own is None else own[keep]
    if own is None:
        return brand(versant.bincount(values, minlength=n).to(as_dtype(dtype)))
    return brand(versant.zeros(n, dtype=own.dtype).scatter_add(0, values, own))


def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: Any = None,
    weights: Any = None,
    dtype: Any = dtypes.int32,
    name: Any = None,
) -> Any:
    """(n, n): how often label i was predicted as j."""
    true, pred = (plainly(x).reshape(-1).to(dtypes.int64) for x in (labels, predictions))
    n = int(num_classes) if num_classes is not None else int(max(true.max(), pred.max())) + 1
    own = (
        versant.ones(true.numel(), dtype=as_dtype(dtype))
        if weights is None
        else plainly(cast(convert(weights), dtype))
    )
    found = versant.zeros(n * n, dtype=own.dtype).scatter_add(0, true * n + pred, own)
    return brand(found.reshape((n, n)))


def invert_permutation(x: Any, name: Any = None) -> Any:
    """Where each place went."""
    order = plainly(x)
    n = order.numel()
    if sorted(order.tolist()) != list(range(n)):
        raise InvalidArgumentError("[invert_permutation] not a permutation of 0 to n - 1")
    return brand(versant.argsort(order.to(dtypes.int64)).to(order.dtype))


def print_(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int = 3,
    sep: str = " ",
    end: str = "\n",
    name: Any = None,
) -> None:
    """Print values; in a compiled function at every call."""
    import sys

    if _core.is_tracing():
        text = sep.join("{}" if isinstance(x, _core.Tensor) else str(x).replace("{", "{{") for x in inputs)
        versant.debug.print(text, *[_core.plain(x) for x in inputs if isinstance(x, _core.Tensor)])
        return
    stream = output_stream if hasattr(output_stream, "write") else sys.stderr
    parts = [str(x.numpy()) if isinstance(x, _core.TensorLike) else str(x) for x in inputs]
    stream.write(sep.join(parts) + end)
