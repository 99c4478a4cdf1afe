"""DataLoader: batches of a dataset, in order or shuffled."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import versant
from versant.data.collate import convert, default_collate
from versant.data.dataset import IterableDataset
from versant.data.sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Iterating gives the batches of one pass over `dataset`.

    dataset: anything with __getitem__ and __len__; one with a `batch` method is read a batch at a time, one
        with `__getitems__` a list of samples at a time. An IterableDataset is read in its own order.
    batch_size: samples in a batch; None gives single samples. drop_last: leave out a shorter last batch.
    shuffle: a new random order on every pass, drawn from `generator`, or from an own one made from `seed`.
    sampler, batch_sampler: iterables of indices, or of lists of indices, in place of the above.
    collate_fn: joins a list of samples to a batch (default_collate); without a batch_size, it is given each
        sample.
    num_workers: taken, as are all other arguments that concern workers and page-locked memory, and changes
        nothing: the calling thread reads the samples, so that batches are the same for any number.

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
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
    ) -> None:
        own_order = isinstance(dataset, IterableDataset)
        if own_order and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("[DataLoader] an IterableDataset excludes shuffle, sampler and batch_sampler")
        if not own_order and not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise TypeError(
                f"[DataLoader] a dataset has __getitem__ and __len__, got {type(dataset).__name__}"
            )
        if num_workers < 0:
            raise ValueError(f"[DataLoader] num_workers must not be negative, got {num_workers}")
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
        if sampler is None and not own_order:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn
        self.generator = generator
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers

    def __iter__(self) -> Iterator[Any]:
        if self.sampler is None and self.batch_sampler is None:
            yield from self._as_they_come()
        elif self.batch_sampler is None:
            collate = self.collate_fn or convert
            yield from (collate(self.dataset[index]) for index in self.sampler or ())
        elif self.collate_fn is None and hasattr(self.dataset, "batch"):
            yield from map(self.dataset.batch, self._index_tensors())
        else:
            collate = self.collate_fn or default_collate
            several = getattr(self.dataset, "__getitems__", None)
            for indices in self.batch_sampler:
                samples = [self.dataset[index] for index in indices] if several is None else several(indices)
                yield collate(samples)

    def _as_they_come(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn or convert, samples)
            return
        collate = self.collate_fn or default_collate
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield collate(batch)

    def _index_tensors(self) -> Iterator[Any]:
        if isinstance(self.batch_sampler, BatchSampler):
            return self.batch_sampler.tensors()
        return (versant.tensor(list(indices), dtype=versant.int64) for indices in self.batch_sampler or ())

    def __len__(self) -> int:
        if self.sampler is None and self.batch_sampler is None:
            count, size = len(self.dataset), self.batch_size or 1
            return count // size if self.drop_last else -(-count // size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
