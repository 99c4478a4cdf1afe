"""Programs for several processes or devices on one: groups, collectives, models, samplers."""

import pytest

import versant as vs
import versant.distributed as dist
from versant import nn
from versant.data import DataLoader, DistributedSampler


@pytest.fixture
def group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    dist.init_process_group("gloo")
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_a_group_of_one(group) -> None:
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    x = vs.tensor([1.0, 2.0])
    dist.all_reduce(x, op=dist.ReduceOp.SUM)
    assert dist.all_reduce(x, async_op=True).wait()
    assert x.tolist() == [1, 2]
    parts = [vs.zeros(2)]
    dist.all_gather(parts, x)
    assert parts[0].tolist() == [1, 2]
    objects = [None]
    dist.all_gather_object(objects, "one")
    assert objects == ["one"]
    flat = vs.zeros(1, 2)
    dist.all_gather_into_tensor(flat, x)
    assert flat.tolist() == [[1, 2]]
    dist.barrier()
    with pytest.raises(ValueError, match="twice"):
        dist.init_process_group()
    with pytest.raises(ValueError, match="expected rank 0"):
        dist.broadcast(x, src=1)
    dist.destroy_process_group()
    assert not dist.is_initialized()


def test_groups_of_more_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(RuntimeError, match="expected one process, of rank 0, got rank 2 of 4"):
        dist.init_process_group("nccl")
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.get_rank()


@pytest.mark.parametrize("around", [nn.DataParallel, nn.parallel.DistributedDataParallel])
def test_models_are_called_as_they_are(around, group) -> None:
    model = nn.Linear(3, 2)
    wrapped = around(model)
    x = vs.randn(4, 3)
    assert wrapped(x).tolist() == model(x).tolist()
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    wrapped(x).sum().backward()
    assert model.weight.grad is not None


def test_a_distributed_model_asks_for_a_group_and_gradients(group) -> None:
    with pytest.raises(RuntimeError, match="any parameter that requires a gradient"):
        nn.parallel.DistributedDataParallel(nn.ReLU())
    with nn.parallel.DistributedDataParallel(nn.Linear(1, 1)).no_sync():
        pass
    dist.destroy_process_group()
    with pytest.raises(ValueError, match="has not been initialized"):
        nn.parallel.DistributedDataParallel(nn.Linear(1, 1))


@pytest.mark.parametrize("size", [10, 12, 2])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_of_a_dataset(size, drop_last) -> None:
    shares = []
    for rank in range(4):
        sampler = DistributedSampler(range(size), 4, rank, seed=1, drop_last=drop_last)
        sampler.set_epoch(3)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler)
    assert len({len(share) for share in shares}) == 1
    seen = [index for share in shares for index in share]
    if drop_last:
        assert len(set(seen)) == len(seen) == size // 4 * 4
    else:
        assert set(seen) == set(range(size))


def test_the_order_follows_from_the_epoch() -> None:
    sampler = DistributedSampler(range(20), 2, 1)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(DistributedSampler(range(6), 2, 1, shuffle=False)) == [1, 3, 5]
    loader = DataLoader(vs.arange(6), batch_size=2, sampler=DistributedSampler(range(6), 2, 0, shuffle=False))
    assert [batch.tolist() for batch in loader] == [[0, 2], [4]]
    with pytest.raises(ValueError, match="Invalid rank 2"):
        DistributedSampler(range(6), 2, 2)
