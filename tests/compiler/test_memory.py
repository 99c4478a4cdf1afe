"""Replays hold less memory than eager mode, with the same bits."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import versant as vs
from tests.compiler.comparison import bits, state_of
from versant import nn
from versant.nn import functional as F

Step = Callable[[], vs.Tensor]
ROOT = Path(__file__).resolve().parents[2]


def convolutions() -> tuple[nn.Module, Step]:
    """Activations are large at first, weights in the end: batch normalisation and ReLU, in place or not."""
    widths = [(3, 32, 1), (32, 32, 1), (32, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    layers: list[nn.Module] = []
    for i, (before, after, stride) in enumerate(widths):
        layers += [
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(i % 2 == 0),
        ]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    return model, train(model, vs.randn(16, 3, 32, 32), vs.randint(0, 10, (16,)))


def perceptrons() -> tuple[nn.Module, Step]:
    """Normalised rows and activations of many tokens."""
    block = [nn.LayerNorm(128), nn.Linear(128, 512), nn.GELU("tanh"), nn.Linear(512, 128)]
    model = nn.Sequential(*block, *[nn.LayerNorm(128), nn.Linear(128, 512), nn.SiLU(), nn.Linear(512, 128)])
    return model, train(model, vs.randn(4096, 128), vs.randint(0, 128, (4096,)))


def train(model: nn.Module, x: vs.Tensor, y: vs.Tensor) -> Step:
    optimizer = vs.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> vs.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def peak_of(step: Step) -> int:
    vs.memory.reset_peak()
    step()
    return vs.memory.stats()["peak_bytes"]


@pytest.mark.parametrize(("make", "most"), [(convolutions, 0.85), (perceptrons, 0.65)])
def test_the_peak_of_a_training_step_is_lower(
    make: Callable[[], tuple[nn.Module, Step]], most: float
) -> None:
    models, peaks = [], []
    for compiles in (False, True):
        vs.manual_seed(0)
        model, step = make()
        if compiles:
            step = vs.compile(step)
        before = vs.memory.stats()["live_bytes"]
        for _ in range(3):
            step()
        peaks.append(peak_of(step) - before)
        models.append(model)
    assert peaks[1] <= most * peaks[0]
    assert state_of(models[0]) == state_of(models[1])


TAKEN = """
import versant as vs
from tests.compiler.test_memory import peak_of, perceptrons

before = vs.memory.stats()
_, step = perceptrons()
step = vs.compile(step)
for _ in range(3):
    step()
peak = peak_of(step) - before["live_bytes"]
print((vs.memory.stats()["system_bytes"] - before["system_bytes"]) / peak)
"""


def test_little_more_is_taken_from_the_system_than_arrays_need() -> None:
    """Of a few processes the best: where the system has put something else beside a stretch, the next one
    lies apart, and what is free at their ends does not join."""
    skip_without_cache()
    shares = []
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", TAKEN], capture_output=True, text=True, check=True, cwd=ROOT
        )
        shares.append(float(done.stdout))
    assert min(shares) <= 1.06


def test_a_value_that_was_changed_meanwhile_is_not_computed_again() -> None:
    """The weight that a value depends on changes between its first use and its last."""
    weight = vs.ones(1024)
    turns = [vs.randn(1024, 1024) / 32 for _ in range(6)]

    def chain(x: vs.Tensor) -> list[vs.Tensor]:
        values, parts = [], [x]
        for turn in turns:
            values.append(parts[-1] @ turn)
            parts.append((values[-1] * weight).tanh())
        weight.copy_(turns[0][0])
        return [part[:32] @ value for part, value in zip(parts[1:], values, strict=True)]

    x = vs.randn(1024, 1024)
    expected = chain(x)
    weight.fill_(1)
    compiled = vs.compile(chain)
    for _ in range(3):
        assert bits(compiled(x)) == bits(expected)
        weight.fill_(1)


def skip_without_cache() -> None:
    x = vs.ones(10 << 20)
    del x
    if vs.memory.stats()["cached_bytes"] == 0:
        pytest.skip("this build of the allocator keeps no blocks")


def test_memory_of_the_trace_alone_goes_back() -> None:
    skip_without_cache()
    compiled = vs.compile(lambda x: (x * 2).exp().cumsum(0).sum())
    compiled(vs.ones(3000, 3000))
    assert vs.memory.stats()["cached_bytes"] < 64 << 20
