"""DataLoader: batches of a dataset, in order or shuffled."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import versant
from versant.data.collate import convert, default_collate
from versant.data.sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Iterating gives the batches of one pass over `dataset`.

    dataset: anything with __getitem__ and __len__; one with a `batch` method is read a batch at a time.
    batch_size: samples in a batch; None gives single samples. drop_last: leave out a shorter last batch.
    shuffle: a new random order on every pass, drawn from `generator`, or from an own one made from `seed`.
    sampler, batch_sampler: iterables of indices, or of lists of indices, in place of the above.
    collate_fn: joins a list of samples to a batch (default_collate); without a batch_size, it is given each
        sample.
    num_workers: must be 0; samples are read by the calling thread. `pin_memory` is taken and changes nothing.

    >>> import versant as vs
    >>> from versant.data import DataLoader, TensorDataset
    >>> loader = DataLoader(TensorDataset(vs.arange(5)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Any = None,
        seed: int | None = None,
    ) -> None:
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise TypeError(
                f"[DataLoader] a dataset has __getitem__ and __len__, got {type(dataset).__name__}"
            )
        if num_workers != 0:
            raise ValueError(f"[DataLoader] num_workers must be 0, got {num_workers}")
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] sampler and shuffle exclude each other")
        if seed is not None and generator is not None:
            raise ValueError("[DataLoader] seed and generator exclude each other")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("[DataLoader] batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise ValueError("[DataLoader] drop_last needs a batch_size")
        if seed is not None:
            generator = versant.Generator()
            generator.manual_seed(seed)
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn
        self.generator = generator
        self.num_workers = 0

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            collate = self.collate_fn or convert
            yield from (collate(self.dataset[index]) for index in self.sampler)
        elif self.collate_fn is None and hasattr(self.dataset, "batch"):
            yield from map(self.dataset.batch, self._index_tensors())
        else:
            collate = self.collate_fn or default_collate
            for indices in self.batch_sampler:
                yield collate([self.dataset[index] for index in indices])

    def _index_tensors(self) -> Iterator[Any]:
        if isinstance(self.batch_sampler, BatchSampler):
            return self.batch_sampler.tensors()
        return (versant.tensor(list(indices), dtype=versant.int64) for indices in self.batch_sampler or ())

    def __len__(self) -> int:
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
