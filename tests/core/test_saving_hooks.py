"""Hooks on saved values: every kind of op goes through them, and backward computes the same."""

import gc
import weakref

import pytest

import versant as vs
from versant.autograd.graph import save_on_cpu, saved_tensors_hooks


class Cube(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


CASES = {
    "elementwise": lambda x: x.tanh() * x.exp() / (x * x + 1),
    "of the output": lambda x: x.sigmoid().sqrt(),
    "in place": lambda x: (x * 2).sigmoid_() * (x * 1).exp_() * (x * 3).mul_(x),
    "primitives": lambda x: x @ x.softmax(-1) + x.cumsum(0).prod(1),
    "primitive in place": lambda x: (x * 1).masked_fill_(x > 0, 2.0) * x,
    "of Python": lambda x: Cube.apply(x) * x,
    "convolution": lambda x: vs.nn.functional.conv1d(
        x[None], x[None, :2].expand(3, 2, 4)[..., :3].repeat(1, 2, 1)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_through_hooks_are_the_same(name) -> None:
    vs.manual_seed(0)
    start = vs.randn(4, 4)
    grads, kept = [], []
    for hooked in (False, True):
        x = start.clone().requires_grad_()
        if hooked:
            with saved_tensors_hooks(lambda t: kept.append(t.clone()) or len(kept) - 1, lambda i: kept[i]):
                y = CASES[name](x)
        else:
            y = CASES[name](x)
        (slope,) = vs.autograd.grad(y.sum(), x, create_graph=True)
        slope.square().sum().backward()
        grads += [slope, x.grad]
    assert kept
    assert (grads[0] == grads[2]).all()
    assert (grads[1] == grads[3]).all()


def test_what_hooks_return_is_freed_with_the_graph() -> None:
    class Kept:
        pass

    seen = []

    def pack(value):
        kept = Kept()
        kept.value = value
        seen.append(weakref.ref(kept))
        return kept

    x = vs.randn(3, requires_grad=True)
    with saved_tensors_hooks(pack, lambda kept: kept.value):
        y = (x.exp() * x).sum()
    assert all(kept() is not None for kept in seen)
    y.backward()
    gc.collect()
    assert len(seen) == 3
    assert all(kept() is None for kept in seen)


def test_the_innermost_pair_is_in_force_and_ends() -> None:
    calls = []

    def named(name):
        return saved_tensors_hooks(lambda t: calls.append(name) or t, lambda t: t)

    x = vs.randn(3, requires_grad=True)
    with named("outer"):
        x.exp()
        with named("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert calls == ["outer", "inner", "outer"]
    with save_on_cpu():
        y = x.exp()
    y.sum().backward()
    assert (x.grad == y).all()


@pytest.mark.parametrize("value", [vs.zeros(4), vs.zeros(3, dtype=vs.float64), "text"])
def test_a_hook_that_gives_something_else_raises(value) -> None:
    x = vs.randn(3, requires_grad=True)
    for op in (vs.exp, lambda x: x.softmax(0)):
        with saved_tensors_hooks(lambda t: None, lambda _: value):
            y = op(x)
        with pytest.raises((RuntimeError, TypeError), match="hook"):
            y.sum().backward()


def test_errors_of_hooks_pass_through() -> None:
    def fail(_):
        raise KeyError("mine")

    x = vs.randn(3, requires_grad=True)
    for op in (vs.exp, lambda x: x.softmax(0), Cube.apply):
        with saved_tensors_hooks(fail, lambda t: t), pytest.raises(KeyError, match="mine"):
            op(x)
        with saved_tensors_hooks(lambda t: t, fail):
            y = op(x)
        with pytest.raises(KeyError, match="mine"):
            y.sum().backward()
