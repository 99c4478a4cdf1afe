"""A compiled module stands where the module may stand."""

import pytest
from compiler.comparison import bits

import versant as vs
from versant import nn

X = vs.linspace(-1, 1, 12).reshape(4, 3)


class Net(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        vs.manual_seed(0)
        self.first = wrap(nn.Linear(3, 5))
        self.blocks = nn.ModuleList([wrap(nn.Linear(5, 5)) for _ in range(2)])
        self.last = nn.Sequential(wrap(nn.Dropout(0.5)), wrap(nn.Linear(5, 1)))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x).tanh()
        return self.last(x)


def trained(net):
    optimizer = vs.optim.Adam(net.parameters(), lr=0.1)
    vs.manual_seed(1)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = net(X).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(bits(loss))
    return losses, bits(net.state_dict())


def test_its_parameters_are_those_of_the_module_around_it():
    net, plain = Net(vs.compile), Net(lambda module: module)
    assert [name for name, _ in net.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert trained(net) == trained(plain)
    assert net.first.stats()["replays"] == 3
    assert repr(net) == repr(plain)


def test_walks_meet_the_modules_themselves():
    net = Net(vs.compile)
    assert [type(m).__name__ for m in net.modules()] == [
        *("Net", "Linear", "ModuleList", "Linear", "Linear", "Sequential", "Dropout", "Linear")
    ]
    assert isinstance(net.get_submodule("blocks.1"), nn.Linear)
    assert not net.eval().last[0].training
    assert bits(net(X)) == bits(net(X))
    net.double()
    assert net(X.double()).dtype is vs.float64


def test_modules_of_a_list_may_be_compiled_later():
    plain = Net(lambda module: module)
    net = Net(lambda module: module)
    for i, block in enumerate(net.blocks):
        net.blocks[i] = vs.compile(block)
    net.first = vs.compile(net.first)
    assert trained(net) == trained(plain)


def test_attributes_are_set_on_the_module():
    class Scaled(nn.Module):
        scale = 1.0

        def forward(self, x):
            return x * self.scale

    module = Scaled()
    compiled = vs.compile(module)
    assert bits(compiled(X)) == bits(X)
    compiled.scale = 3.0
    assert module.scale == 3.0
    assert bits(compiled(X)) == bits(X * 3)
    compiled.inner = nn.Linear(2, 2)
    assert len(list(module.parameters())) == 2
    del compiled.inner
    assert not list(module.parameters())


def test_other_compiled_functions_are_no_modules():
    net = Net(vs.compile)
    net.bend = vs.compile(lambda x: x.tanh())
    assert "bend" not in dict(net.named_modules())
    with pytest.raises(TypeError, match="expected Module"):
        net.first = net.bend
