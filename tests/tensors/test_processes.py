"""Tensors in other processes: copies through queues, shared memory with forked ones."""

import os

import pytest

import versant as vs
from versant import multiprocessing as mp


def add(i: int, x: vs.Tensor) -> None:
    x.add_(10.0**i)


def fail(i: int) -> None:
    if i == 1:
        raise ValueError("no such luck")


def leave(i: int) -> None:
    os._exit(3)


def answer(questions: mp.Queue, answers: mp.Queue) -> None:
    x = questions.get()
    answers.put((x.detach() * 2, x.requires_grad))


def test_forked_processes_share_what_was_asked_for() -> None:
    shared, own = vs.zeros(3).share_memory_(), vs.zeros(3)
    assert shared.is_shared()
    assert not own.is_shared()
    for x in (shared, own):
        mp.start_processes(add, (x,), nprocs=2, start_method="fork")
    assert shared.tolist() == [11.0] * 3
    assert own.tolist() == [0.0] * 3


def test_a_module_shares_its_parameters() -> None:
    model = vs.nn.BatchNorm1d(2).share_memory()
    assert all(x.is_shared() for x in (*model.parameters(), *model.buffers()))
    model(vs.ones(3, 2)).sum().backward()
    assert model.weight.grad is not None


def test_memory_that_is_gone_is_not_shared() -> None:
    from versant.tensors.methods import _shared

    before = dict(_shared)
    x = vs.ones(5).share_memory_()
    assert len(_shared) == len(before) + 1
    del x
    assert _shared == before


def test_queues_carry_copies() -> None:
    context = mp.get_context("fork")
    questions, answers = context.Queue(), context.Queue()
    process = context.Process(target=answer, args=(questions, answers))
    process.start()
    questions.put(vs.ones(2, requires_grad=True))
    doubled, recorded = answers.get(timeout=60)
    process.join()
    assert doubled.tolist() == [2.0, 2.0]
    assert recorded


def test_what_a_process_raises_is_raised() -> None:
    with pytest.raises(mp.ProcessRaisedException, match=r"(?s)\[spawn\] process 1 .*no such luck") as found:
        mp.start_processes(fail, nprocs=2, start_method="fork")
    assert found.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match=r"\[spawn\] process 0 .*exit code 3"):
        mp.start_processes(leave, start_method="fork")
