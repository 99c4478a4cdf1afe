"""State that calls carry on: tensors that a function reads in an attribute, a container or a variable and
replaces there. Compiled, each call finds and leaves what eager calls do."""

import types

import pytest
from compiler.comparison import bits

import versant as vs
from versant import nn
from versant.compiler import CompileError

CASES = {}


def case(make):
    """make(): the function, its arguments in call i, and the state to be looked at."""
    CASES[make.__name__] = make
    return make


@case
def an_attribute_of_a_module():
    class Moving(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.register_buffer("mean", vs.zeros(3))

        def forward(self, x):
            y = self.linear(x - self.mean)
            self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
            return y

    net = Moving()
    return net, lambda i: (vs.randn(4, 3),), net.state_dict


@case
def a_tuple_that_is_none_at_first():
    cell, state = nn.LSTMCell(3, 4), types.SimpleNamespace(hidden=None)
    optimizer = vs.optim.Adam(cell.parameters(), lr=0.01)

    def step(x):
        hidden, memory = cell(x, state.hidden)
        loss = hidden.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state.hidden = hidden.detach(), memory.detach()
        return loss

    return step, lambda i: (vs.randn(2, 3),), lambda: [state.hidden, *cell.parameters()]


@case
def items_and_a_decision():
    kept, others = {"h": vs.zeros(3)}, [vs.ones(2)]

    def step(x):
        kept["h"] = kept["h"] * 0.5 + x
        others[0] = others[0] + kept["h"][:2]
        if kept["h"].sum() > 2:
            kept["h"] = kept["h"] * 0
        return kept["h"]

    return step, lambda i: (vs.rand(3),), lambda: [kept["h"], others[0]]


@case
def a_variable_around():
    state = vs.zeros(3)

    def step(x):
        nonlocal state
        state = (state + x).tanh()
        return state * 2

    return step, lambda i: (vs.rand(3),), lambda: state


@case
def the_argument_of_the_call_before():
    state = types.SimpleNamespace(before=vs.zeros(2))

    def step(x):
        difference, state.before = x - state.before, x
        return difference

    return step, lambda i: (vs.rand(2),), lambda: state.before


@case
def two_that_change_places():
    state = types.SimpleNamespace(a=vs.zeros(2), b=vs.ones(2))

    def step(x):
        state.a, state.b = state.b, state.a + x
        return state.a + 0

    return step, lambda i: (vs.rand(2),), lambda: [state.a, state.b]


@case
def one_that_is_changed_in_place_too():
    state = types.SimpleNamespace(a=vs.zeros(2))

    def step(x):
        state.a.add_(x)
        y = state.a.clone()
        state.a = state.a * 2
        return y

    return step, lambda i: (vs.rand(2),), lambda: state.a


@case
def one_that_not_every_call_replaces():
    state = types.SimpleNamespace(a=vs.zeros(2))

    def step(x, adds):
        if adds:
            state.a = state.a + x
        return state.a * 1

    return step, lambda i: (vs.rand(2), i % 2 == 0), lambda: state.a


@case
def what_is_set_between_calls():
    state = types.SimpleNamespace(a=vs.zeros(2))

    def arguments(i):
        if i == 4:
            state.a = vs.full((2,), 9.0)
        if i == 6:
            state.a = vs.zeros(2, dtype=vs.float64)
        return (vs.ones(2),)

    def step(x):
        state.a = state.a + x
        return state.a

    return step, arguments, lambda: state.a


@case
def a_number_of_it_that_python_reads():
    state = types.SimpleNamespace(h=vs.zeros(2))

    def step(x):
        positive = bool(state.h.sum() > 1)
        state.h = x * 2 if positive else state.h + x
        return x + positive

    return step, lambda i: (vs.rand(2),), lambda: state.h


@case
def one_that_also_stands_elsewhere():
    state = types.SimpleNamespace(a=vs.zeros(2), b=vs.ones(2))

    def arguments(i):
        if i in (1, 2):
            state.b = state.a
        return (vs.rand(2),)

    def step(x):
        state.a = state.a * 2 + state.b + x
        return state.a - state.b

    return step, arguments, lambda: [state.a, state.b]


@pytest.mark.parametrize("name", CASES)
def test_calls_leave_what_eager_calls_leave(name):
    seen = []
    for compiled in (False, True):
        vs.manual_seed(1)
        function, arguments, look = CASES[name]()
        called = vs.compile(function) if compiled else function
        seen.append([(bits(called(*arguments(i))), bits(look())) for i in range(8)])
    assert seen[0] == seen[1]
    assert called.stats()["replays"] > 2


def test_what_calls_before_left_stays_as_it_was():
    state = types.SimpleNamespace(a=vs.zeros(2))

    @vs.compile
    def step(x):
        state.a = state.a + x
        return state.a * 2

    kept = []
    for _ in range(6):
        result = step(vs.ones(2))
        kept.append((state.a, result))
    assert [(a.tolist(), result.tolist()) for a, result in kept] == [
        ([n, n], [2 * n, 2 * n]) for n in range(1, 7)
    ]
    assert step.stats() == {"traces": 1, "recompilations": 0, "replays": 4}  # the first call only tells


def test_numbers_that_change_beside_it_are_refused():
    state = types.SimpleNamespace(a=vs.zeros(2), count=0)

    def step(x):
        state.count += 1
        state.a = state.a + x
        return state.a

    with pytest.raises(CompileError, match=r"count was 0, now 1"):
        vs.compile(step)(vs.ones(2))


def test_such_functions_are_not_saved(tmp_path):
    state = types.SimpleNamespace(a=vs.zeros(2))

    @vs.compile
    def step(x):
        state.a = state.a + x
        return state.a

    for _ in range(3):
        step(vs.ones(2))
    with pytest.raises(CompileError, match="save"):
        step.save(tmp_path / "step.vsp", vs.ones(2))
    with pytest.raises(CompileError):
        step.save(tmp_path / "step.vsp")
    assert not list(tmp_path.iterdir())
