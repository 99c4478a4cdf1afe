"""check(): shapes, parameters, arithmetic, memory, and what a model cannot do, without computing it."""

import pytest

import versant as vs
from versant import nn


def test_a_convolutional_network():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 16 * 16, 10),
    )  # fmt: skip
    report = vs.check(net, (4, 3, 32, 32))
    assert report.error == report.not_compiled == report.not_saved == ""
    assert [line.outputs for line in report.lines[1:]] == [
        "float32[4, 8, 32, 32]", "float32[4, 8, 32, 32]", "float32[4, 8, 32, 32]", "float32[4, 8, 16, 16]",
        "float32[4, 2048]", "float32[4, 10]",
    ]  # fmt: skip
    assert report.parameters == sum(p.numel() for p in net.parameters())
    conv, linear = report.lines[1], report.lines[6]
    assert conv.flops == 2 * 4 * 8 * 32 * 32 * 27 + 4 * 8 * 32 * 32
    assert linear.flops == 2 * 4 * 10 * 2048 + 4 * 10
    assert report.lines[0].flops == report.flops >= conv.flops + linear.flops
    assert report.training_bytes > report.forward_bytes > 4 * 8 * 32 * 32 * 4
    assert "Conv2d" in str(report)


def test_nothing_is_changed():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net[0].weight.grad = vs.ones(4, 4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = vs.get_rng_state()
    vs.check(net, vs.randn(8, 4))
    after = net.state_dict()
    assert all(vs.equal(before[name], after[name]) for name in before)
    assert net[0].weight.grad.tolist() == [[1.0] * 4] * 4
    assert net[0].bias.grad is None
    assert not net[0]._forward_hooks if hasattr(net[0], "_forward_hooks") else True
    vs.set_rng_state(random)
    assert vs.ones(2).exp().tolist() == pytest.approx([2.718281828] * 2)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(vs.ones(4))

    def forward(self, x):
        return self.used(x) * self.scale.detach()


def test_unused_parameters_are_named():
    report = vs.check(Unused(), (2, 4))
    assert report.unused == ["scale", "idle.weight", "idle.bias"]
    assert [line.calls for line in report.lines] == [1, 1, 0]


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(self.seen))
        return self.linear(x)


def test_what_does_not_compile_is_told():
    assert "changes what it reads" in vs.check(Remembers(), (2, 4)).not_compiled


class CallsBack(nn.Module):
    def forward(self, x):
        vs.debug.callback(lambda t: None, x)
        return x + 1


def test_what_cannot_be_saved_is_told():
    report = vs.check(CallsBack(), (2, 4))
    assert not report.not_compiled
    assert "debug.callback" in report.not_saved


def test_an_error_names_the_module():
    report = vs.check(nn.Sequential(nn.Linear(4, 8), nn.Linear(4, 2)), (2, 4))
    assert report.error.startswith("ShapeError in 1: ")
    with pytest.raises(TypeError, match=r"\[check\] expected a module or a function, got int"):
        vs.check(5, (2, 4))


def test_large_models_are_not_computed():
    """Its products alone would take minutes."""
    net = nn.Sequential(*(nn.Linear(4096, 4096) for _ in range(2)))
    report = vs.check(net, (1 << 14, 4096))
    assert report.flops > 1e12


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


@pytest.mark.parametrize(
    ("shapes", "flops"),
    [
        ([(3, 4), (4, 5)], 120),
        ([(7, 3, 4), (4, 5)], 840),
        ([(7, 3, 4), (7, 4, 5)], 840),
        ([(3, 4), (7, 4, 5)], 840),
        ([(3, 4), (4,)], 24),
        ([(4,), (4, 3)], 24),
        ([(4,), (4,)], 8),
    ],
)
def test_products_of_all_shapes_are_counted(shapes, flops):
    args = [vs.rand(*shape) for shape in shapes]
    assert vs.check(Calls(lambda a, b: a @ b), *args).flops == flops
    turned = [x.mT.contiguous() if x.dim() > 1 else x for x in args]
    turn = lambda x: x.mT if x.dim() > 1 else x  # noqa: E731
    assert vs.check(Calls(lambda a, b: turn(a) @ turn(b)), *turned).flops == flops


@pytest.mark.parametrize(
    ("layer", "shape", "products"),
    [
        (nn.Linear(64, 32), (4, 9, 64), 4 * 9 * 64 * 32),
        (nn.LSTM(64, 64, num_layers=2), (32, 4, 64), 2 * 2 * 32 * 4 * 64 * 256),
        (nn.LSTMCell(64, 32), (4, 64), 4 * (64 + 32) * 128),
        (nn.GRU(64, 64), (32, 4, 64), 2 * 32 * 4 * 64 * 192),
        (nn.ConvTranspose2d(3, 5, 4, 2, 1), (2, 3, 8, 8), 2 * 64 * 3 * 5 * 16),
        (nn.Conv2d(4, 8, 3, padding=1, groups=2), (2, 4, 8, 8), 2 * 64 * 8 * 2 * 9),
    ],
)
def test_the_arithmetic_of_layers_is_that_of_their_products(layer, shape, products):
    """Twice the products, and some additions beside them."""
    assert 2 * products <= vs.check(layer, vs.rand(*shape)).flops <= 2.1 * products
