"""Datasets, samplers and the loader."""

from collections import namedtuple

import numpy as np
import pytest

import versant as vs
from versant import data


class Squares(data.Dataset):
    """A dataset without a `batch` method."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __getitem__(self, index: int):
        return vs.tensor([float(index)]), index**2

    def __len__(self) -> int:
        return self.size


def columns(size: int = 10) -> data.TensorDataset:
    return data.TensorDataset(vs.arange(size), vs.arange(size) * 10)


def seen(loader) -> list[list[int]]:
    return [x.tolist() for x, _ in loader]


def test_tensor_dataset() -> None:
    dataset = columns()
    assert len(dataset) == 10
    assert [value.item() for value in dataset[3]] == [3, 30]
    assert [value.tolist() for value in dataset[2:4]] == [[2, 3], [20, 30]]
    assert [value.tolist() for value in dataset.batch(vs.tensor([9, 0]))] == [[9, 0], [90, 0]]


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ((), ValueError, "at least one tensor"),
        ((vs.ones(2), vs.ones(3)), ValueError, r"differ in their first size: \[2, 3\]"),
        ((vs.tensor(1.0),), ValueError, "tensor 0 has no axes"),
        (([1, 2],), TypeError, "argument 0 must be a Tensor, got list"),
    ],
)
def test_tensor_dataset_refuses(tensors, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        data.TensorDataset(*tensors)


def test_subset() -> None:
    part = data.Subset(columns(), [7, 1, 4])
    assert len(part) == 3
    assert [value.item() for value in part[-1]] == [4, 40]
    assert [value.tolist() for value in part[1:]] == [[1, 4], [10, 40]]
    assert seen(data.DataLoader(part, 2)) == [[7, 1], [4]]
    assert [y.tolist() for _, y in data.DataLoader(data.Subset(Squares(5), vs.tensor([2, 3])), 2)] == [[4, 9]]


def test_random_split_deals_out_every_sample_once() -> None:
    generator = vs.Generator()
    parts = [
        data.random_split(columns(), lengths, generator.manual_seed(1)) for lengths in ([7, 3], [0.7, 0.3])
    ]
    for first, second in parts:
        assert (len(first), len(second)) == (7, 3)
        assert sorted(first.indices + second.indices) == list(range(10))
    assert parts[0][0].indices == parts[1][0].indices
    assert [len(part) for part in data.random_split(columns(), [0.25] * 4)] == [3, 3, 2, 2]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 4], "do not add up to the 10"),
        ([0.5, 0.6], "must add up to 1"),
        ([11, -1], "must not be negative"),
    ],
)
def test_random_split_refuses(lengths, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.random_split(columns(), lengths)


# Loader -----------------------------------------------------------------------------------------------------


def test_batches_in_order() -> None:
    loader = data.DataLoader(columns(), batch_size=4)
    assert seen(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    loader = data.DataLoader(columns(), batch_size=4, drop_last=True)
    assert seen(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(loader) == 2


def test_shuffling_is_seeded_new_on_every_pass_and_complete() -> None:
    loader, twin = (data.DataLoader(columns(50), batch_size=8, shuffle=True, seed=3) for _ in range(2))
    first, second = seen(loader), seen(loader)
    assert sorted(index for batch in first for index in batch) == list(range(50))
    assert first != second
    assert [first, second] == [seen(twin), seen(twin)]
    assert first != seen(data.DataLoader(columns(50), batch_size=8, shuffle=True, seed=4))
    assert all((y == x * 10).all() for x, y in loader)


def test_shuffling_follows_manual_seed_without_a_generator() -> None:
    loader = data.DataLoader(columns(), batch_size=10, shuffle=True)
    orders = []
    for _ in range(2):
        vs.manual_seed(5)
        orders.append(seen(loader))
    assert orders[0] == orders[1]


def test_batches_are_copies() -> None:
    dataset = columns()
    for x, _ in data.DataLoader(dataset, batch_size=5):
        x.zero_()
    assert dataset.tensors[0].tolist() == list(range(10))


def test_samples_of_other_datasets_are_collated() -> None:
    (x, y), *_ = data.DataLoader(Squares(5), batch_size=3)
    assert x.tolist() == [[0.0], [1.0], [2.0]]
    assert y.tolist() == [0, 1, 4]
    assert y.dtype is vs.int64


def test_collate_fn_sampler_and_batch_sampler() -> None:
    loader = data.DataLoader(columns(4), batch_size=2, collate_fn=lambda samples: len(samples))
    assert list(loader) == [2, 2]
    assert seen(data.DataLoader(columns(), batch_size=2, sampler=[5, 1, 8])) == [[5, 1], [8]]
    assert seen(data.DataLoader(columns(), batch_sampler=[[0, 9], [3]])) == [[0, 9], [3]]
    assert [x.item() for x, _ in data.DataLoader(columns(3), batch_size=None)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers must not be negative, got -1"),
        ({"batch_size": 0}, "batch_size must be a positive int, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a positive int, got 2.5"),
        ({"shuffle": True, "sampler": [0]}, "sampler and shuffle exclude each other"),
        ({"seed": 1, "generator": vs.Generator()}, "seed and generator exclude each other"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler excludes batch_size"),
        ({"batch_size": None, "drop_last": True}, "drop_last needs a batch_size"),
    ],
)
def test_loader_refuses(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.DataLoader(columns(), **options)


def test_loader_refuses_what_is_no_dataset() -> None:
    with pytest.raises(TypeError, match="__getitem__ and __len__, got int"):
        data.DataLoader(3)


def test_an_empty_dataset_gives_no_batches() -> None:
    empty = data.TensorDataset(vs.empty(0, 3))
    assert list(data.DataLoader(empty, 4)) == []
    assert list(data.DataLoader(empty, 4, shuffle=True)) == []


# Samplers and collating -------------------------------------------------------------------------------------


def test_samplers() -> None:
    dataset = columns(5)
    assert list(data.SequentialSampler(dataset)) == [0, 1, 2, 3, 4]
    assert sorted(data.RandomSampler(dataset)) == [0, 1, 2, 3, 4]
    twice = list(data.RandomSampler(dataset, num_samples=7))
    assert len(twice) == 7
    assert sorted(twice[:5]) == [0, 1, 2, 3, 4]
    drawn = list(data.RandomSampler(dataset, replacement=True, num_samples=200))
    assert set(drawn) == {0, 1, 2, 3, 4}
    assert sorted(data.SubsetRandomSampler([4, 2])) == [2, 4]
    assert set(data.WeightedRandomSampler([0.0, 1.0, 0.0, 3.0], 50)) == {1, 3}
    batches = data.BatchSampler(data.SequentialSampler(dataset), 2, drop_last=False)
    assert list(batches) == [[0, 1], [2, 3], [4]]
    assert len(batches) == 3


def test_default_collate() -> None:
    point = namedtuple("point", ["x", "y"])
    samples = [
        {"a": 1.5, "b": [vs.zeros(2), "text"], "c": point(True, np.float32(i)), "d": np.ones(3)}
        for i in range(2)
    ]
    batch = data.default_collate(samples)
    assert batch["a"].dtype is vs.float64
    assert tuple(batch["b"][0].shape) == (2, 2)
    assert batch["b"][1] == ["text", "text"]
    assert batch["c"].x.dtype is vs.bool
    assert batch["c"].y.tolist() == [0.0, 1.0]
    assert tuple(batch["d"].shape) == (2, 3)
    with pytest.raises(TypeError, match="got object"):
        data.default_collate([object()])
    with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
        data.default_collate([[1], [1, 2]])


def test_single_samples_are_converted_or_collated():
    samples = [np.ones(2), {"x": (np.zeros(1), "a")}, 3]
    array, nested, number = data.DataLoader(samples, batch_size=None)
    assert array.tolist() == [1.0, 1.0]
    assert nested["x"][0].tolist() == [0.0]
    assert nested["x"][1] == "a"
    assert number == 3
    assert list(data.DataLoader([1, 2], batch_size=None, collate_fn=lambda x: x * 10)) == [10, 20]


# Datasets of datasets, and those with an order of their own -------------------------------------------------


class Stream(data.IterableDataset):
    def __init__(self, start, stop):
        self.start, self.stop = start, stop

    def __iter__(self):
        return iter(range(self.start, self.stop))


class Counted(Stream):
    def __len__(self):
        return self.stop - self.start


def test_workers_change_nothing() -> None:
    options = {"num_workers": 4, "persistent_workers": True, "prefetch_factor": 2, "worker_init_fn": print}
    loaders = [data.DataLoader(columns(), 3, shuffle=True, seed=1, **more) for more in ({}, options)]
    assert seen(loaders[0]) == seen(loaders[1])
    assert data.get_worker_info() is None


def test_streams_are_batched_as_they_come() -> None:
    stream = Counted(0, 7)
    assert [x.tolist() for x in data.DataLoader(stream, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    short = data.DataLoader(stream, 3, drop_last=True)
    assert [x.tolist() for x in short] == [[0, 1, 2], [3, 4, 5]]
    assert (len(data.DataLoader(stream, 3)), len(short)) == (3, 2)
    assert list(data.DataLoader(stream, batch_size=None)) == list(range(7))
    assert list(data.DataLoader(Stream(0, 5) + Stream(8, 9), 4, collate_fn=list)) == [[0, 1, 2, 3], [4, 8]]
    with pytest.raises(TypeError, match="does not know its length"):
        len(data.DataLoader(Stream(0, 5)))
    with pytest.raises(ValueError, match="an IterableDataset excludes shuffle"):
        data.DataLoader(stream, shuffle=True)


def test_datasets_are_joined_and_stacked() -> None:
    joined = Squares(3) + Squares(2)
    assert len(joined) == 5
    assert [joined[i][1] for i in (0, 2, 3, 4, -1)] == [0, 4, 0, 1, 1]
    with pytest.raises(IndexError, match="index 5 is out of range for 5 samples"):
        joined[5]
    assert len(data.ChainDataset([Counted(0, 2), Counted(0, 3)])) == 5
    pairs = data.StackDataset([1, 2, 3], "abc")
    assert (len(pairs), pairs[1]) == (3, (2, "b"))
    named = data.StackDataset(x=[1, 2], y=[3, 4])
    assert [b["y"].tolist() for b in data.DataLoader(named, 2)] == [[3, 4]]


def test_lists_of_samples_are_read_at_once() -> None:
    class Several(Squares):
        def __getitems__(self, indices):
            return [("read", i) for i in indices]

    assert list(data.DataLoader(Several(3), 2, collate_fn=list)) == [
        [("read", 0), ("read", 1)],
        [("read", 2)],
    ]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data.ConcatDataset([]), ValueError, "at least one dataset"),
        (lambda: data.ConcatDataset([Stream(0, 1)]), TypeError, "join it by ChainDataset"),
        (lambda: data.ChainDataset([[1]]), TypeError, "expected IterableDatasets, got list"),
        (lambda: data.StackDataset(), ValueError, "at least one dataset"),
        (lambda: data.StackDataset([1], x=[1]), ValueError, "all by position or all by name"),
        (lambda: data.StackDataset([1], [1, 2]), ValueError, r"differ in length: \[1, 2\]"),
        (lambda: next(iter(data.IterableDataset())), NotImplementedError, "define __iter__"),
    ],
)
def test_datasets_refuse(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
