"""Tensors in attributes and dicts, and modes of modules, that calls leave behind: replays leave them too."""

import types

import pytest
from compiler.comparison import bits, once

import versant as vs
from versant import nn
from versant.compiler import CompileError
from versant.nn import functional as F


class Attention(nn.Module):
    """Keeps its weights to be looked at."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(4, 4)
        self.weights = None

    def forward(self, x):
        self.weights = F.softmax(self.query(x) @ x.mT, dim=-1)
        self.entropy = -(self.weights * self.weights.log()).sum().detach()
        return self.weights @ x


class Steps:
    """All of a step in attributes."""

    def __init__(self):
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
        self.optimizer = vs.optim.Adam(self.net.parameters(), lr=0.01)

    def forward(self):
        self.output = self.net(self.given)

    def step(self, x):
        self.given = x
        self.forward()
        self.loss = F.mse_loss(self.output, self.given)
        self.optimizer.zero_grad()
        self.loss.backward()
        self.optimizer.step()


def both(make, calls=5):
    """What eager and compiled calls leave; make(): the function, its arguments, what is looked at."""
    seen = []
    for compiled in (False, True):
        vs.manual_seed(1)
        function, arguments, look = make()
        called = vs.compile(function) if compiled else function
        seen.append([(bits(called(*arguments())), bits(look())) for _ in range(calls)])
    assert seen[0] == seen[1]
    return called


def test_attributes_of_modules():
    def make():
        model = Attention()
        return model, lambda: (vs.randn(2, 3, 4),), lambda: [model.weights, model.entropy]

    once(both(make), 2)  # None at first, a tensor later


def test_a_step_that_keeps_all_in_attributes():
    def make():
        steps = Steps()

        def look():
            return [steps.loss, steps.output, steps.given, steps.net.state_dict()]

        return steps.step, lambda: (vs.randn(5, 3),), look

    once(both(make), 2)


def test_what_hooks_keep_in_a_dict():
    def make():
        kept, model = {}, nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        for name, layer in model.named_children():
            layer.register_forward_hook(lambda layer, args, out, name=name: kept.update({name: out.detach()}))
        return model, lambda: (vs.randn(2, 3),), lambda: kept

    once(both(make), 2)


def test_the_argument_itself_and_a_tensor_that_was_there():
    def make():
        holder, constant = types.SimpleNamespace(a=None, b=None), vs.ones(2)

        def function(x):
            holder.a, holder.b = x, constant
            return x + holder.b

        return function, lambda: (vs.randn(2),), lambda: [holder.a, holder.b]

    both(make)


def test_another_kind_of_tensor_there_is_another_trace():
    holder = types.SimpleNamespace(last=vs.zeros(2))

    def size(x):
        before = holder.last.shape[0]
        holder.last = x * 2
        return x * before

    compiled = vs.compile(size)
    assert compiled(vs.ones(2)).tolist() == [2, 2]
    assert compiled(vs.ones(2)).tolist() == [2, 2]
    holder.last = vs.zeros(7)
    assert compiled(vs.ones(2)).tolist() == [7, 7]
    holder.last = None
    with pytest.raises(AttributeError):
        compiled(vs.ones(2))


def test_tensors_of_calls_before_are_let_go():
    holder = types.SimpleNamespace(last=None)

    def function(x):
        holder.last = x * 2
        return x + 1

    compiled, x = vs.compile(function), vs.ones(1 << 20)
    for _ in range(3):
        compiled(x)
    before = vs.memory.stats()["live_bytes"]
    for _ in range(3):
        compiled(x)
    assert vs.memory.stats()["live_bytes"] == before
    holder.last = None
    assert vs.memory.stats()["live_bytes"] <= before - (4 << 20)


def test_such_functions_are_not_saved(tmp_path):
    holder = types.SimpleNamespace(last=None)

    def function(x):
        holder.last = x * 2
        return x + 1

    compiled = vs.compile(function)
    with pytest.raises(CompileError, match=r"leaves a tensor in holder\.last"):
        compiled.save(tmp_path / "f.vsp", vs.ones(2))


def test_modes_of_modules():
    def make():
        model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))

        def function(x):
            model.train()
            y = model(x)
            model.eval()
            return y, model(x)

        return function, lambda: (vs.randn(3, 4),), lambda: [model.state_dict(), model.training]

    once(both(make), 2)  # it trains at first, and does not later


def test_a_mode_that_is_set_behind_its_use():
    model = nn.Dropout(0.5)

    def function(x):
        y = model(x)
        model.eval()
        return y

    compiled, x = vs.compile(function), vs.ones(1000)
    assert (compiled(x) == 0).any()
    for _ in range(3):
        assert (compiled(x) == 1).all()
        model.train()
        assert (compiled(x) == 0).any()
        assert not model.training
    once(compiled, 2)


def test_setting_the_mode_that_there_is_compiles_nothing_again():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    compiled = vs.compile(model)
    compiled(vs.ones(2))
    model.eval()
    compiled(vs.ones(2))
    model.train()
    compiled(vs.ones(2))
    once(compiled, 2)
