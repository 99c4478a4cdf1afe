"""autograd.Function: ops whose value and gradient are written in Python."""

import gc
import weakref

import numpy as np
import pytest

import versant as vs
from versant.autograd import Function


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


class Boom(Exception):
    pass


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return y * grad


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor, name=None):
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor, None, None


def test_value_and_gradient():
    x = leaf([1.0, 2.0])
    y = Cube.apply(x)
    assert y.tolist() == [1, 8]
    assert y.requires_grad
    assert not y.is_leaf
    assert y.grad_fn.name() == "CubeBackward"
    y.sum().backward()
    assert x.grad.tolist() == [3, 12]


def test_without_gradients_nothing_is_recorded():
    y = Cube.apply(vs.ones(2))
    assert not y.requires_grad
    x = leaf([1.0])
    with vs.no_grad():
        assert not Cube.apply(x).requires_grad


def test_arguments_that_are_no_tensors():
    x = leaf([1.0, 2.0])
    Scale.apply(x, 3.0, "name").sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_forward_runs_without_recording_and_backward_too():
    modes = []

    class Modes(Function):
        @staticmethod
        def forward(ctx, x):
            modes.append(vs.is_grad_enabled())
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            modes.append(vs.is_grad_enabled())
            return grad

    x = leaf([1.0])
    y = Modes.apply(x)
    assert vs.is_grad_enabled()
    y.sum().backward(retain_graph=True)
    vs.autograd.grad(y.sum(), x, create_graph=True)
    assert modes == [False, False, True]


@pytest.mark.parametrize("function", [Cube, Exp])
def test_double_and_triple_backward(function):
    x = leaf([0.5, 1.5])
    value = function.apply(x).sum()
    p = np.array([0.5, 1.5])
    expected = {Cube: [3 * p * p, 6 * p, 6 + 0 * p], Exp: [np.exp(p)] * 3}[function]
    for wanted in expected:
        (g,) = vs.autograd.grad(value, x, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), wanted, rtol=1e-12)
        value = g.sum()


def test_double_backward_through_a_saved_intermediate_with_its_own_output():
    class Sinc(Function):
        """Gives its helper value out, so that gradients flow through it when differentiated again."""

        @staticmethod
        def forward(ctx, x):
            c = x.cos()
            ctx.save_for_backward(x, c)
            return x.sin(), c

        @staticmethod
        def backward(ctx, grad_sin, grad_cos):
            x, c = ctx.saved_tensors
            return grad_sin * c - grad_cos * x.sin()

    x = leaf([0.3, 0.9])
    y, _ = Sinc.apply(x)
    (g,) = vs.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = vs.autograd.grad(g.sum(), x)
    p = np.array([0.3, 0.9])
    np.testing.assert_allclose(g.detach().numpy(), np.cos(p), rtol=1e-12)
    np.testing.assert_allclose(h.numpy(), -np.sin(p), rtol=1e-12)


def test_several_inputs_and_outputs():
    class MulAdd(Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b, a + b

        @staticmethod
        def backward(ctx, gp, gs):
            a, b = ctx.saved_tensors
            return gp * b + gs, gp * a + gs

    a, b = leaf([2.0]), leaf([5.0])
    p, s = MulAdd.apply(a, b)
    (p + 10 * s).sum().backward()
    assert a.grad.item() == 15
    assert b.grad.item() == 12
    a.grad = None
    MulAdd.apply(a, b)[1].sum().backward()
    assert a.grad.item() == 1


@pytest.mark.parametrize("materialize", [True, False])
def test_missing_gradients_are_zeros_or_none(materialize):
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            return x * 1, x.sum().float()

        @staticmethod
        def backward(ctx, g1, g2):
            seen.append((g1, g2))
            return g1

    x = leaf([1.0, 2.0])
    Two.apply(x)[0].sum().backward()
    g1, g2 = seen[0]
    assert g1.tolist() == [1, 1]
    if materialize:
        assert g2.item() == 0
        assert g2.shape == ()
        assert g2.dtype is vs.float32
    else:
        assert g2 is None


def test_needs_input_grad():
    seen = []

    class Watch(Function):
        @staticmethod
        def forward(ctx, a, b, c):
            seen.append(ctx.needs_input_grad)
            return a + b

        @staticmethod
        def backward(ctx, grad):
            seen.append(ctx.needs_input_grad)
            return grad, grad, None

    Watch.apply(leaf([1.0]), vs.ones(1, dtype=vs.float64), 3).sum().backward()
    with vs.no_grad():
        Watch.apply(leaf([1.0]), vs.ones(1, dtype=vs.float64), 3)
    assert seen == [(True, False, False)] * 3


def test_non_differentiable_outputs():
    class Signs(Function):
        @staticmethod
        def forward(ctx, x):
            signs, place = x.sign(), x.argmax()
            ctx.mark_non_differentiable(signs)
            return x * 2, signs, place

        @staticmethod
        def backward(ctx, g, g_signs, g_place):
            assert g_signs.tolist() == [0, 0]
            return g * 2

    x = leaf([3.0, -1.0])
    y, signs, place = Signs.apply(x)
    assert y.requires_grad
    assert not signs.requires_grad
    assert not place.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_an_output_that_is_an_input():
    class Identity(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 10

    x = leaf([1.0, 2.0])
    y = Identity.apply(x)
    assert y is not x
    assert x.is_leaf
    assert not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [10, 10]
    with pytest.raises(RuntimeError, match=r"leaf Variable|custom Function"):
        Identity.apply(x).mul_(2)
    with pytest.raises(RuntimeError, match="custom Function"):
        Identity.apply(x * 1).mul_(2)


def test_a_view_made_inside_is_an_ordinary_result_when_its_base_is_private():
    class Rows(Function):
        @staticmethod
        def forward(ctx, x):
            return (x * 2).view(-1)

        @staticmethod
        def backward(ctx, grad):
            return grad.view(2, 2) * 2

    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = Rows.apply(x)
    y.mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [[6, 6], [6, 6]]


def test_the_same_tensor_twice():
    class Twice(Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            return y, y

        @staticmethod
        def backward(ctx, g1, g2):
            return g1 * 2 + g2 * 20

    x = leaf([1.0])
    a, b = Twice.apply(x)
    (a + b * 3).sum().backward()
    assert x.grad.item() == 62


# --- in place -----------------------------------------------------------------------------------------------


class Double_(Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def test_an_input_changed_in_place():
    x = leaf([1.0, 2.0])
    a = x * 3
    b = Double_.apply(a)
    assert b is a
    assert a.tolist() == [6, 12]
    assert a.grad_fn.name() == "Double_Backward"
    (a * a).sum().backward()
    assert x.grad.tolist() == [72, 144]


def test_a_view_changed_in_place():
    x = leaf([1.0, 2.0])
    a = x * 3
    Double_.apply(a[:1])
    (a * a).sum().backward()
    assert x.grad.tolist() == [72, 36]


def test_a_leaf_may_not_be_changed_in_place():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="leaf Variable"):
        Double_.apply(x)


def test_a_second_output_changed_in_place():
    class SumAndDouble_(Function):
        @staticmethod
        def forward(ctx, x):
            s = x.sum()
            ctx.mark_dirty(x.mul_(2))
            return s, x

        @staticmethod
        def backward(ctx, gs, gx):
            return gs + gx * 2

    x = leaf([1.0, 2.0])
    a = x * 1
    s, b = SumAndDouble_.apply(a)
    assert b is a
    (s * 100 + b.sum()).backward()
    assert x.grad.tolist() == [102, 102]


def test_a_saved_input_that_changes_later_is_found():
    x = leaf([1.0, 2.0])
    a = x * 1
    y = Cube.apply(a)
    a.add_(1)
    with pytest.raises(
        RuntimeError, match=r"CubeBackward at .*test_custom_function.py.*modified by an inplace operation"
    ):
        y.sum().backward()


# --- setup_context ------------------------------------------------------------------------------------------


def test_setup_context():
    class Power(Function):
        @staticmethod
        def forward(x, n):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, grad):
            x, y = ctx.saved_tensors
            return grad * ctx.n * y / x, None

    x = leaf([1.0, 2.0])
    (g,) = vs.autograd.grad(Power.apply(x, 3).sum(), x, create_graph=True)
    assert g.tolist() == [3, 12]
    (h,) = vs.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), [6, 12], rtol=1e-12)


# --- passes within passes, lifetime -------------------------------------------------------------------------


def test_checkpointing_by_hand():
    class Checkpoint(Function):
        @staticmethod
        def forward(ctx, function, x):
            ctx.function = function
            ctx.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            x = x.detach().requires_grad_(x.requires_grad)
            with vs.enable_grad():
                y = ctx.function(x)
            y.backward(grad)
            return None, x.grad

    w, x = leaf([2.0]), leaf([1.0, 2.0])
    y = x
    for _ in range(3):
        y = Checkpoint.apply(lambda v: (v * w).sin(), y)
    y.sum().backward()

    w2, x2 = leaf([2.0]), leaf([1.0, 2.0])
    y2 = x2
    for _ in range(3):
        y2 = (y2 * w2).sin()
    y2.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), x2.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), w2.grad.numpy(), rtol=1e-12)


def test_a_deep_nesting_of_passes_in_functions():
    class Nested(Function):
        @staticmethod
        def forward(ctx, x, level):
            ctx.level = level
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            if ctx.level == 0:
                return grad * 2, None
            inner = x.detach().requires_grad_()
            with vs.enable_grad():
                Nested.apply(inner, ctx.level - 1).backward(grad)
            return inner.grad, None

    x = leaf([1.0])
    Nested.apply(x, 40).backward()
    assert x.grad.item() == 2


@pytest.mark.parametrize("outcome", ["backward", "dropped", "raised"])
def test_contexts_and_values_are_released(outcome):
    contexts = []

    class Watched(Function):
        @staticmethod
        def forward(ctx, x):
            contexts.append(weakref.ref(ctx))
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            if outcome == "raised":
                raise Boom
            return grad * 2

    def run():
        a = leaf(np.ones(1000)) * 1
        values = weakref.ref(a)
        y = Watched.apply(a).sum()
        if outcome == "backward":
            y.backward()
        elif outcome == "raised":
            with pytest.raises(Boom):
                y.backward()
        return values

    gc.collect()
    before = vs.memory.stats()["live_bytes"]
    values = run()
    gc.collect()
    assert contexts[0]() is None
    assert values() is None
    assert vs.memory.stats()["live_bytes"] <= before  # less, where an earlier test's was freed meanwhile


def test_a_context_that_holds_its_own_output_is_collected():
    contexts = []

    class Cycle(Function):
        @staticmethod
        def forward(ctx, x):
            contexts.append(weakref.ref(ctx))
            ctx.y = x * 2
            return ctx.y

        @staticmethod
        def backward(ctx, grad):
            assert ctx.y.tolist() == [2]
            return grad * 2

    x = leaf([1.0])
    y = Cycle.apply(x)
    gc.collect()
    y.sum().backward()
    assert x.grad.item() == 2
    del y
    gc.collect()
    assert contexts[0]() is None
