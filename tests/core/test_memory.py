"""The allocator: what it counts, that blocks are used again, that steady loops ask the system for nothing."""

import gc

import numpy as np
import pytest

import versant as vs
from versant import memory

KIB, MIB = 2**10, 2**20


def live() -> int:
    now, before = memory.stats()["live_bytes"], -1
    while now != before:  # what other tests left may hold more
        gc.collect()
        now, before = memory.stats()["live_bytes"], now
    return now


@pytest.fixture
def keeps_blocks() -> None:
    """Builds with AddressSanitizer give every block back at once, to find uses after the end."""
    memory.release_cached()
    vs.ones(10000)
    if memory.stats()["cached_bytes"] == 0:
        pytest.skip("this build of the allocator keeps no blocks")


def test_live_bytes_follow_tensors() -> None:
    before = live()
    x = vs.ones(1000)
    held = live() - before
    assert 4000 <= held <= 5000
    view = x[1:].reshape(3, 333)
    assert live() - before == held  # views hold no memory of their own
    del x
    assert live() - before == held  # but keep that of their base
    del view
    assert live() == before


def test_small_tensors_take_no_block() -> None:
    before = memory.stats()
    small = [vs.ones(16) for _ in range(10)]
    after = memory.stats()
    assert after["allocations"] == before["allocations"]
    assert after["live_bytes"] == before["live_bytes"]
    assert len(small) == 10


@pytest.mark.parametrize("count", [17, 1000, 1001, 5 * 2**17, 2**19, 2**19 + 1, 3 * 2**20])
def test_blocks_are_aligned_and_waste_at_most_a_quarter(count: int) -> None:
    before = live()
    x = vs.empty(count)
    granted = live() - before
    assert x.data_ptr() % 64 == 0
    assert 4 * count <= granted
    assert granted <= 4 * count * 1.25 + 64 or granted <= 4 * count + 2 * MIB


def test_what_is_live_and_cached_came_from_the_system() -> None:
    x = [vs.ones(n) for n in (100, 10_000, 10**6)]
    s = memory.stats()
    assert s["live_bytes"] + s["cached_bytes"] == s["system_bytes"]
    del x
    s = memory.stats()
    assert s["live_bytes"] + s["cached_bytes"] == s["system_bytes"]
    memory.release_cached()
    s = memory.stats()
    assert s["cached_bytes"] == 0
    assert s["live_bytes"] == s["system_bytes"]


def test_peak() -> None:
    memory.reset_peak()
    start = memory.stats()["live_bytes"]
    assert memory.stats()["peak_bytes"] == start
    x = vs.ones(10**6)
    del x
    peak = memory.stats()["peak_bytes"]
    assert peak - start >= 4 * 10**6
    vs.ones(1000)
    assert memory.stats()["peak_bytes"] == peak
    memory.reset_peak()
    assert memory.stats()["peak_bytes"] < peak


@pytest.mark.usefixtures("keeps_blocks")
@pytest.mark.parametrize("count", [100, 10_000, 10**6], ids=["400 B", "40 KB", "4 MB"])
def test_a_freed_block_serves_the_next_tensor_of_its_size(count: int) -> None:
    x = vs.ones(count)
    address, calls = x.data_ptr(), memory.stats()["system_calls"]
    del x
    y = vs.zeros(count)
    assert y.data_ptr() == address
    assert memory.stats()["system_calls"] == calls
    assert y.sum().item() == 0


@pytest.mark.usefixtures("keeps_blocks")
def test_what_a_smaller_tensor_leaves_of_a_block_serves_others() -> None:
    big = vs.ones(16 * MIB)
    del big
    before = memory.stats()["system_bytes"]
    parts = [vs.full((n * MIB,), float(n)) for n in (1, 10, 5)]
    assert memory.stats()["system_bytes"] == before
    assert [part.sum().item() for part in parts] == [MIB, 100 * MIB, 25 * MIB]


@pytest.mark.usefixtures("keeps_blocks")
def test_blocks_that_lie_side_by_side_become_one_when_they_are_free() -> None:
    whole = vs.ones(10 * MIB)
    del whole
    before = memory.stats()["system_bytes"]
    parts = [vs.ones(n * MIB) for n in (1, 2, 3, 4)]
    for i in (1, 3, 0, 2):
        parts[i] = vs.ones(1)
    whole = vs.ones(10 * MIB)
    assert memory.stats()["system_bytes"] == before
    assert whole.sum().item() == 10 * MIB


@pytest.mark.usefixtures("keeps_blocks")
def test_a_training_loop_asks_the_system_for_nothing_after_its_second_step() -> None:
    rng = np.random.default_rng(0)
    data = vs.tensor(rng.normal(size=(64, 200)).astype("f4"))
    weights = [
        vs.tensor(rng.normal(size=s).astype("f4") * 0.1, requires_grad=True) for s in ((200, 300), (300, 10))
    ]

    def step() -> None:
        hidden = (data @ weights[0]).tanh()
        loss = (hidden @ weights[1]).square().mean()
        loss.backward()
        with vs.no_grad():
            for w in weights:
                w -= 0.1 * w.grad
                w.grad = None

    step()
    step()
    gc.collect()
    before = memory.stats()
    for _ in range(200):
        step()
    after = memory.stats()
    assert after["system_calls"] == before["system_calls"]
    assert after["system_bytes"] == before["system_bytes"]
    assert after["live_bytes"] == before["live_bytes"]
    assert after["object_bytes"] == before["object_bytes"]
    assert after["allocations"] > before["allocations"]


def test_errors_in_the_middle_leak_nothing() -> None:
    x = vs.ones(1000, requires_grad=True)
    before = live()
    for _ in range(50):
        with pytest.raises(vs.ShapeError):
            (x * 2) @ vs.ones(7)
        with pytest.raises(ValueError, match="mixed"):
            vs.tensor([[1.0] * 1000, 2.0])
    assert live() == before


def test_summary_names_the_counters() -> None:
    text = memory.summary()
    for name in ("live bytes", "peak bytes", "cached bytes", "system calls"):
        assert name in text
