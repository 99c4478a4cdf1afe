"""Long lists of small steps, which run without bookkeeping between them, with the same bits."""

import pytest

import versant as vs
from tests.compiler.comparison import bits, once


def chain(x):
    x = x.detach().requires_grad_()
    y = x
    for i in range(120):
        y = [lambda z: z * 1.01, lambda z: z + 0.01, vs.tanh][i % 3](y)
    return y, vs.autograd.grad(y.sum(), x)


def in_place(x):
    y = x * 2
    for _ in range(40):
        y.mul_(0.9).add_(x)
        y[:2] += 1
    return y


def results_between(x):
    """Values that outlive the list, in the middle of it."""
    kept = []
    for _ in range(30):
        x = (x * 0.5).tanh()
        kept.append(x)
    return kept[::7]


def branches(x):
    for _ in range(20):
        x = (x + 0.1).sin()
    if x.sum() > 0:
        x = x * 3
    for _ in range(20):
        x = (x + 0.1).cos()
    return x


STATE = vs.zeros(5)


def state(x):
    """What stands outside of the arena is written between small steps."""
    y = x
    for _ in range(10):
        y = (y + STATE).tanh()
        STATE.add_(y)
    return y


@pytest.mark.parametrize("size", [1, 5, 16])
@pytest.mark.parametrize("program", [chain, in_place, results_between, branches], ids=lambda p: p.__name__)
def test_lists_have_the_bits_of_their_steps(program, size):
    inputs = []
    for seed in range(3):
        vs.manual_seed(seed)
        inputs.append(vs.randn(size))
    expected = [bits(program(x)) for x in inputs]
    compiled = vs.compile(program)
    for _ in range(3):
        assert [bits(compiled(x)) for x in inputs] == expected


def test_state_beside_the_list():
    x = vs.linspace(-1, 1, 5)
    seen = []
    for run in (state, vs.compile(state)):
        STATE.zero_()
        values = []
        for _ in range(4):
            before = STATE._version
            values += [bits(run(x)), bits(STATE)]
            assert STATE._version > before
        seen.append(values)
    assert seen[0] == seen[1]


def test_no_memory_stays_bound_between_replays():
    x = vs.randn(16)
    compiled = vs.compile(results_between)
    for _ in range(3):
        compiled(x)
    before = vs.memory.stats()["live_bytes"]
    for _ in range(20):
        compiled(x)
    assert vs.memory.stats()["live_bytes"] == before
    once(compiled)
