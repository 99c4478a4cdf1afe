"""nan_guard in programs of many kinds: transforms, loops, checkpoints, mixed precision, layers, updates."""

from typing import Any

import pytest
from debug import planted_kinds

import versant as vs
from versant import nn
from versant.debug import NonFiniteError, nan_guard


def caught(kind: planted_kinds.Kind, compiled: bool) -> NonFiniteError:
    vs.manual_seed(0)
    step, plant = kind.make()
    run: Any = vs.compile(step) if compiled else step
    with nan_guard():
        for _ in range(3):
            run()
    with vs.no_grad():
        plant()
    with nan_guard(), pytest.raises(NonFiniteError) as caught:
        run()
    return caught.value


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", planted_kinds.KINDS, ids=lambda kind: kind.name)
def test_a_planted_nan_is_reported(kind, compiled):
    error = caught(kind, compiled)
    found = (error.op, error.kind, error.back, error.module, error.line.rpartition("/")[2])
    assert found == (kind.op, kind.kind, kind.back, kind.module, kind.line)


@pytest.mark.parametrize("compiled", [False, True])
def test_overflows_of_scaled_gradients_are_the_scalers_affair(compiled):
    vs.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = vs.optim.SGD(net.parameters(), lr=0.1)
    scaler = vs.amp.GradScaler("cpu", init_scale=2.0**30)
    x, slope = vs.randn(16, 8), vs.ones(())

    def step():
        optimizer.zero_grad()
        with vs.autocast("cpu", dtype=vs.float16):
            y = net(x * slope)
        loss = y.float().square().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss

    run = vs.compile(step) if compiled else step
    with nan_guard():
        losses = [run().item() for _ in range(20)]
        assert scaler.get_scale() < 2.0**30  # steps were left out
        assert losses[-1] < losses[0]
        slope.fill_(3e38)
        with pytest.raises(NonFiniteError) as caught:  # what is wrong outside of gradients is told
            run()
    assert not caught.value.back


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_looked_at_again_behind_the_scalers_update(compiled):
    w = vs.ones(3, requires_grad=True)
    optimizer = vs.optim.SGD([w], lr=1.0)
    scaler = vs.amp.GradScaler("cpu")
    with nan_guard():
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        root = vs.compile(lambda: w.sqrt().sum()) if compiled else lambda: w.sqrt().sum()
        with pytest.raises(NonFiniteError, match="gradient of sqrt gave Inf"):
            root().backward()


def test_what_tracing_computes_from_samples_is_no_fault():
    """The way back of a body is traced with gradients of one; those of the loop are smaller ones."""
    x = vs.zeros(3, requires_grad=True)

    @vs.compile
    def f(x):
        total, _ = vs.scan(lambda h, _: (h + x * 1e30 * 1e30, h), vs.zeros(3), vs.arange(4.0))
        return (total * 1e-38).sum()

    with nan_guard():
        for _ in range(3):
            f(x).backward()
    assert x.grad.isfinite().all()
