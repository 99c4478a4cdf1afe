"""Samplers: in which order a DataLoader reads a dataset."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import versant
from versant import Tensor


class Sampler:
    """The base of all samplers: iterating gives the indices of one pass over the data."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"[{type(self).__name__}] define __iter__(self)")

    def __len__(self) -> int:
        raise NotImplementedError(f"[{type(self).__name__}] define __len__(self)")

    def __class_getitem__(cls, index: Any) -> type["Sampler"]:
        """The class itself: `Sampler[int]` tells readers what iterating gives."""
        return cls


class OrderSampler(Sampler):
    """A sampler that makes the order of a whole pass at once: `order()` gives it as an int64 tensor."""

    def order(self) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] define order(self)")

    def __iter__(self) -> Iterator[int]:
        return iter(cast("list[int]", self.order().tolist()))


class SequentialSampler(OrderSampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def order(self) -> Tensor:
        return versant.arange(len(self))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(OrderSampler):
    """All indices in random order, a new one on every pass.

    replacement: draw each index anew, so that one may come several times; num_samples: how many to give.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"[RandomSampler] num_samples must be positive, got {num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = num_samples
        self.generator = generator

    def order(self) -> Tensor:
        size, wanted = len(self.data_source), len(self)
        if wanted and not size:
            raise ValueError(f"[RandomSampler] cannot draw {wanted} samples from an empty dataset")
        if self.replacement:
            return versant.randint(0, max(size, 1), (wanted,), generator=self.generator)
        passes = [versant.randperm(size, generator=self.generator) for _ in range(-(-wanted // max(size, 1)))]
        return versant.cat(passes)[:wanted] if passes else versant.arange(0)

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples


class SubsetRandomSampler(OrderSampler):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def order(self) -> Tensor:
        chosen = versant.tensor(list(self.indices), dtype=versant.int64)
        return chosen.index_select(0, versant.randperm(len(self), generator=self.generator))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(OrderSampler):
    """`num_samples` indices drawn with probability proportional to `weights`."""

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        if num_samples < 1:
            raise ValueError(f"[WeightedRandomSampler] num_samples must be positive, got {num_samples}")
        self.weights = weights if isinstance(weights, Tensor) else versant.tensor(list(weights))
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def order(self) -> Tensor:
        return versant.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices from another sampler; drop_last leaves out a shorter last one."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"[BatchSampler] batch_size must be a positive int, got {batch_size!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        if isinstance(self.sampler, OrderSampler):
            return (indices.tolist() for indices in self.tensors())
        return self._lists()

    def tensors(self) -> Iterator[Tensor]:
        """The batches as int64 tensors."""
        if isinstance(self.sampler, OrderSampler):
            order = self.sampler.order()
            for start in range(0, len(self) * self.batch_size, self.batch_size):
                yield order[start : start + self.batch_size]
        else:
            for indices in self._lists():
                yield versant.tensor(indices, dtype=versant.int64)

    def _lists(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


class DistributedSampler(OrderSampler):
    """The share of one of several processes: every num_replicas-th index, beginning with its rank.

    num_replicas, rank: by default those of the process group (`versant.distributed`).
    drop_last: leaves indices out so that all get as many; else the first ones come twice.
    Call set_epoch(epoch) before each pass: the order depends on seed + epoch alone.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = versant.distributed.get_world_size()
        if rank is None:
            rank = versant.distributed.get_rank()
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"[DistributedSampler] Invalid rank {rank}, rank should be in the interval "
                f"[0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last

    @property
    def num_samples(self) -> int:
        size = len(self.dataset)
        return size // self.num_replicas if self.drop_last else -(-size // self.num_replicas)

    @property
    def total_size(self) -> int:
        return self.num_samples * self.num_replicas

    def order(self) -> Tensor:
        size = len(self.dataset)
        if self.shuffle:
            generator = versant.Generator().manual_seed(self.seed + self.epoch)
            every = versant.randperm(size, generator=generator)
        else:
            every = versant.arange(size)
        if not self.drop_last and size:
            every = every.repeat(-(-self.total_size // size))
        return every[self.rank : self.total_size : self.num_replicas]

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """The number of the next pass, of which the order depends."""
        self.epoch = epoch
