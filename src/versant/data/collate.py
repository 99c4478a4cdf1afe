"""Joining samples to a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import versant
from versant import Tensor


def default_collate(samples: list[Any]) -> Any:
    """Samples of the same form, joined leaf by leaf.

    Tensors and numpy arrays are stacked, numbers become a tensor (float64, int64 or bool), strings a list;
    tuples, lists and dicts keep their form.
    """
    first = samples[0]
    if isinstance(first, Tensor):
        return versant.stack(samples)
    if isinstance(first, bool):
        return versant.tensor(samples)
    if isinstance(first, float):
        return versant.tensor(samples, dtype=versant.float64)
    if isinstance(first, int):
        return versant.tensor(samples, dtype=versant.int64)
    if isinstance(first, str | bytes):
        return samples
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, Sequence):
        sizes = {len(sample) for sample in samples}
        if len(sizes) > 1:
            raise ValueError(f"[default_collate] samples of different lengths: {sorted(sizes)}")
        columns = [default_collate(list(column)) for column in zip(*samples, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    if hasattr(first, "__array__"):
        return versant.stack([versant.as_tensor(sample) for sample in samples])
    raise TypeError(
        "[default_collate] samples hold tensors, arrays, numbers, strings, dicts and sequences, "
        f"got {type(first).__name__}; give DataLoader a collate_fn"
    )


def convert(sample: Any) -> Any:
    """A single sample with its numpy arrays as tensors; everything else stays as it is."""
    if isinstance(sample, str | bytes | Tensor):
        return sample
    if isinstance(sample, Mapping):
        return {key: convert(value) for key, value in sample.items()}
    if isinstance(sample, Sequence) and not isinstance(sample, range):
        items = [convert(value) for value in sample]
        if hasattr(sample, "_fields"):
            return type(sample)(*items)
        return tuple(items) if isinstance(sample, tuple) else items
    return versant.as_tensor(sample) if hasattr(sample, "__array__") else sample
