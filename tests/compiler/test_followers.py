"""Elementwise steps that work on the pieces of a batch norm while it makes them, with the same bits."""

import pytest

import versant as vs
from tests.compiler.comparison import bits, once
from versant import nn
from versant.nn import functional as F

CHANNELS = 24


def norm(x, training=False):
    vs.manual_seed(1)
    scale, shift, mean, variance = (vs.rand(CHANNELS, dtype=x.dtype) + 0.5 for _ in range(4))
    return F.batch_norm(x, mean, variance, scale, shift, training)


def activated(x):
    return norm(x).relu()


def activated_in_place(x):
    return norm(x).relu_()


def residual(x):
    return (norm(x) + x * 2).relu()


def residual_in_place(x):
    y = norm(x)
    y += x
    return y.relu_()


def both_are_results(x):
    y = norm(x)
    return y, y.sigmoid() * 3


def read_again_later(x):
    y = norm(x)
    return y.relu().sum() + y.amax(), y.mean()


def own_moments(x):
    return norm(x, training=True).tanh()


def x_takes_the_result(x):
    """What the norm reads is written by the step behind it."""
    x = x * 1
    x.copy_(norm(x).relu())
    return x


def one_channel_for_all(x):
    """An operand that is broadcast."""
    return (norm(x) * x[:1, :1]).relu()


def rounded(x):
    return norm(x).to(vs.bfloat16), norm(x).double() + 1


def gradients(x):
    x = x.detach().requires_grad_()
    y = norm(norm(x, training=True).relu()).relu()
    return vs.autograd.grad((y * y).sum(), x)


PROGRAMS = [
    activated,
    activated_in_place,
    residual,
    residual_in_place,
    both_are_results,
    read_again_later,
    own_moments,
    x_takes_the_result,
    one_channel_for_all,
    rounded,
    gradients,
]


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64, vs.bfloat16], ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["rows", "channels_last"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_followers_have_the_bits_of_steps_one_by_one(program, channels_last, dtype, threads):
    inputs = []
    for seed in range(2):
        vs.manual_seed(seed)
        x = vs.randn(3, CHANNELS, 40, 37).to(dtype)
        inputs.append(x.to(memory_format=vs.channels_last) if channels_last else x)
    expected = [bits(program(x)) for x in inputs]
    compiled = vs.compile(program)
    for _ in range(3):
        assert [bits(compiled(x)) for x in inputs] == expected
    once(compiled)


def test_a_recording_sees_what_the_leader_made(tmp_path):
    """A value that the follower replaces is recorded, as in eager mode."""
    model = nn.Sequential(nn.Conv2d(3, CHANNELS, 3), nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True)).eval()
    x = vs.randn(4, 3, 64, 64)

    def step():
        with vs.no_grad():
            return model(x).sum()

    compiled = vs.compile(step)
    compiled()
    for name, run in (("eager", step), ("compiled", compiled)):
        with vs.debug.record(tmp_path / f"{name}.vsrec") as recorder:
            run()
            recorder.step()
    differences = vs.debug.diff(tmp_path / "eager.vsrec", tmp_path / "compiled.vsrec")
    assert not differences.found
    assert differences.compared >= 3
