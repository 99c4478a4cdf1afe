"""Lazy layers become the ordinary ones, with the draws that these would have made."""

import copy

import pytest

import versant as vs
from versant import nn

LAYERS = {
    "Linear": ((6,), (2, 5, 4), -1),
    "Conv1d": ((6, 3), (2, 4, 5), 1),
    "Conv2d": ((6, 3, 1, 1, 1, 2), (2, 4, 5, 5), 1),
    "Conv3d": ((6, 2), (2, 4, 3, 3, 3), 1),
    "ConvTranspose1d": ((6, 3), (2, 4, 5), 1),
    "ConvTranspose2d": ((6, 3), (2, 4, 5, 5), 1),
    "ConvTranspose3d": ((6, 2), (2, 4, 3, 3, 3), 1),
    "BatchNorm1d": ((), (3, 4), 1),
    "BatchNorm2d": ((1e-3,), (3, 4, 2, 2), 1),
    "BatchNorm3d": ((), (3, 4, 2, 2, 2), 1),
    "InstanceNorm1d": ((1e-5, 0.1, True, True), (3, 4, 5), 1),
    "InstanceNorm2d": ((1e-5, 0.1, True, True), (3, 4, 2, 2), 1),
    "InstanceNorm3d": ((1e-5, 0.1, True, True), (3, 4, 2, 2, 2), 1),
}


def both(name):
    args, shape, axis = LAYERS[name]
    x = vs.linspace(-1, 1, vs.empty(shape).numel()).reshape(shape)
    return getattr(nn, f"Lazy{name}")(*args), getattr(nn, name), args, x, shape[axis]


@pytest.mark.parametrize("name", LAYERS)
def test_the_first_input_makes_the_layer(name) -> None:
    lazy, kind, args, x, inputs = both(name)
    assert isinstance(lazy, kind)
    assert lazy.has_uninitialized_params()
    held = list(lazy.parameters())
    vs.manual_seed(1)
    y = lazy(x)
    vs.manual_seed(1)
    plain = kind(inputs, *args)
    assert type(lazy) is kind
    assert all(a is b for a, b in zip(held, lazy.parameters(), strict=True))
    assert all(type(p) is nn.Parameter for p in held)
    assert (y == plain(x)).all()
    assert repr(lazy) == repr(plain)
    assert list(lazy.state_dict()) == list(plain.state_dict())
    y.sum().backward()
    assert held[0].grad is not None


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_is_loaded_before_the_first_input(name) -> None:
    lazy, kind, args, x, inputs = both(name)
    plain = kind(inputs, *args)
    plain(x)
    lazy.load_state_dict(plain.state_dict())
    assert not lazy.has_uninitialized_params()
    assert (lazy.eval()(x) == plain.eval()(x)).all()


def test_making_a_lazy_layer_draws_nothing() -> None:
    vs.manual_seed(0)
    expected = vs.rand(1)
    vs.manual_seed(0)
    nn.LazyLinear(4)
    assert vs.rand(1) == expected


def test_networks_are_converted_and_copied_before_the_first_input() -> None:
    model = nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)).double()
    twin = copy.deepcopy(model)
    y = model(vs.ones(2, 1, 5, 5, dtype=vs.float64))
    assert y.dtype is vs.float64
    assert twin[0].has_uninitialized_params()
    assert twin(vs.ones(2, 2, 5, 5, dtype=vs.float64)).dtype is vs.float64
    assert (model[0].in_channels, twin[0].in_channels) == (1, 2)
    assert repr(nn.LazyLinear(4, bias=False)) == "LazyLinear(4, bias=False)"


def test_an_input_without_channels() -> None:
    with pytest.raises(vs.ShapeError, match=r"\[LazyConv2d\] expected at least 3 axes"):
        nn.LazyConv2d(3, 3)(vs.ones(5, 5))


def test_the_first_input_comes_before_compilation() -> None:
    model = nn.LazyLinear(2)
    function = vs.compile(lambda x: model(x))
    with pytest.raises(RuntimeError, match="call the module once before it is compiled"):
        function(vs.ones(1, 3))
    y = model(vs.ones(1, 3))
    assert (function(vs.ones(1, 3)) == y).all()
