"""Programs as strangers write them: compiled, they leave the bits of eager mode and compile nothing twice."""

import random
from typing import Any

import numpy as np
import pytest

import versant as vs
from tests.compiler.comparison import bits, state_of
from tests.compiler.programs import (  # noqa: F401
    agents,
    generative,
    habits,
    language,
    learning,
    machines,
    methods,
    nested,
    optimizing,
    probabilistic,
    science,
    sequences,
    structures,
    turns,
    tutorials,
    vision,
)
from tests.compiler.programs.table import PROGRAMS, Program
from versant import nn


def left(value: Any) -> Any:
    """What is left in modules, optimizers and tensors."""
    if isinstance(value, nn.Module):
        return state_of(value)
    if isinstance(value, vs.Tensor):
        return bits([value, value.grad])
    return bits(value.state_dict() if hasattr(value, "state_dict") else value)


def run(program: Program, compiled: bool) -> Any:
    vs.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    step, arguments, kept = program.make()
    function = vs.compile(step) if compiled else step
    results, traces = [], []
    for i in range(program.calls):
        results.append(bits(function(*arguments(i))))
        if compiled:
            traces.append(function.stats()["traces"])
    if compiled:
        assert traces[-1] <= program.traces, function.explain()
        assert function.stats()["replays"] == program.calls - traces[-1]
    return results, [left(value) for value in kept], bits(vs.rand(2))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, threads: int) -> None:
    before = vs.get_num_threads()
    vs.set_num_threads(threads)
    try:
        expected, found = run(PROGRAMS[name], False), run(PROGRAMS[name], True)
    finally:
        vs.set_num_threads(before)
    assert found == expected
