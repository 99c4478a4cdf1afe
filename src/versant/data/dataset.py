"""Datasets: collections of samples, read by index."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any

import versant
from versant import Tensor


class Dataset:
    """The base of all datasets: `dataset[i]` is sample i, `len(dataset)` their number; a + b joins two.

    A dataset that can read many samples at once may also define `batch(indices)`: given an int64 tensor of
    indices it returns those samples collated, and DataLoader calls it in place of one read for each sample.
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] define __getitem__(self, index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"[{type(self).__name__}] define __len__(self)")

    def __add__(self, other: "Dataset") -> "Dataset":
        return ConcatDataset([self, other])

    def __class_getitem__(cls, sample: Any) -> type["Dataset"]:
        """The class itself: `Dataset[tuple[Tensor, int]]` tells readers what a sample is."""
        return cls


class IterableDataset(Dataset):
    """The base of datasets that are read in their own order: iterating gives the samples of one pass.

    A DataLoader batches them as they come. `len(dataset)` need not be defined.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"[{type(self).__name__}] define __iter__(self)")

    def __len__(self) -> int:
        raise TypeError(f"[{type(self).__name__}] this dataset does not know its length")

    def __add__(self, other: Dataset) -> Dataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Sample i is (a[i], b[i], ...) for tensors of the same first size.

    >>> import versant as vs
    >>> from versant.data import TensorDataset
    >>> dataset = TensorDataset(vs.arange(6).reshape(3, 2), vs.tensor([7, 8, 9]))
    >>> dataset[1]
    (tensor([2, 3]), tensor(8))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("[TensorDataset] expected at least one tensor")
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"[TensorDataset] argument {i} must be a Tensor, got {type(tensor).__name__}")
            if tensor.ndim == 0:
                raise ValueError(f"[TensorDataset] tensor {i} has no axes, so it holds no samples")
        sizes = [tensor.shape[0] for tensor in tensors]
        if len(set(sizes)) > 1:
            raise ValueError(f"[TensorDataset] the tensors differ in their first size: {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def batch(self, indices: Tensor) -> list[Tensor]:
        return [tensor.index_select(0, indices) for tensor in self.tensors]


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Any, indices: Sequence[int] | Tensor) -> None:
        self.dataset = dataset
        self.indices = indices.tolist() if isinstance(indices, Tensor) else indices
        if hasattr(dataset, "batch"):
            self.batch = self._batch

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def _batch(self, indices: Tensor) -> Any:
        return self.dataset.batch(versant.tensor([self.indices[i] for i in indices.tolist()]))


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Any = None) -> list[Subset]:
    """Deal the samples out at random into subsets that do not overlap.

    lengths: how many samples each gets, all of them together; or shares that add up to 1, where samples
    left over by rounding go one each to the first subsets.
    """
    total = len(dataset)
    if any(length < 0 for length in lengths):
        raise ValueError(f"[random_split] lengths must not be negative, got {list(lengths)}")
    if any(isinstance(length, float) for length in lengths):
        if not math.isclose(math.fsum(lengths), 1.0):
            raise ValueError(f"[random_split] shares must add up to 1, got {math.fsum(lengths)}")
        counts = [math.floor(total * share) for share in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(length) for length in lengths]
    if sum(counts) != total:
        raise ValueError(f"[random_split] lengths {counts} do not add up to the {total} samples")
    order: Iterator[int] = iter(versant.randperm(total, generator=generator).tolist())
    return [Subset(dataset, [next(order) for _ in range(count)]) for count in counts]


class ConcatDataset(Dataset):
    """The samples of several datasets, one after another.

    >>> from versant.data import ConcatDataset
    >>> joined = ConcatDataset([["a", "b"], ["c"]])
    >>> len(joined), joined[2], joined[-3]
    (3, 'c', 'a')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] expected at least one dataset")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise TypeError("[ConcatDataset] an IterableDataset has no index; join it by ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: Any) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"[ConcatDataset] index {index} is out of range for {size} samples")
        index %= size
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset):
    """The samples of several iterable datasets, one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"[ChainDataset] expected IterableDatasets, got {type(dataset).__name__}")

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(map(len, self.datasets))


class StackDataset(Dataset):
    """Sample i is what several datasets of one length have at i: a tuple, or a dict where they have names."""

    datasets: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("[StackDataset] datasets are given all by position or all by name")
        if not args and not kwargs:
            raise ValueError("[StackDataset] expected at least one dataset")
        sizes = [len(dataset) for dataset in args or kwargs.values()]
        if len(set(sizes)) > 1:
            raise ValueError(f"[StackDataset] the datasets differ in length: {sizes}")
        self.datasets = args or kwargs

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return len(
            next(iter(self.datasets.values())) if isinstance(self.datasets, dict) else self.datasets[0]
        )
