"""grad() and backward(inputs=): gradients with respect to chosen tensors only."""

import numpy as np
import pytest

import versant as vs


def leaf(values, dtype=vs.float64):
    return vs.tensor(values, dtype=dtype, requires_grad=True)


def same(tensor, expected, tolerance=1e-12):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# --- grad ---------------------------------------------------------------------------------------------------


def test_grad_returns_instead_of_accumulating():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    gx, gy = vs.autograd.grad((x * y).sum(), (x, y))
    same(gx, [3, 4])
    same(gy, [1, 2])
    assert x.grad is None
    assert y.grad is None


def test_grad_of_intermediate_values():
    x = leaf([1.0, 2.0])
    a = x * 3
    b = a * a
    ga, gx = vs.autograd.grad(b.sum(), [a, x])
    same(ga, [6, 12])
    same(gx, [18, 36])


def test_grad_of_the_output_itself():
    x = leaf([1.0, 2.0])
    y = (x * 2).sum()
    (g,) = vs.autograd.grad(y, y)
    same(g, 1)
    (g,) = vs.autograd.grad(x, x, vs.tensor([5.0, 6.0], dtype=vs.float64))
    same(g, [5, 6])


def test_grad_for_the_same_input_twice():
    x = leaf([1.0, 2.0])
    a, b = vs.autograd.grad((x * x).sum(), [x, x])
    same(a, [2, 4])
    same(b, [2, 4])


def test_grad_outputs_weigh_the_outputs():
    x = leaf([1.0, 2.0])
    (g,) = vs.autograd.grad(
        [x * 2, x * x], x, [vs.tensor([1.0, 1.0], dtype=vs.float64), vs.tensor([0.0, 1.0], dtype=vs.float64)]
    )
    same(g, [2, 6])


def test_unused_inputs():
    x, other = leaf([1.0]), leaf([2.0, 3.0])
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        vs.autograd.grad(y, [x, other], retain_graph=True)
    g, none = vs.autograd.grad(y, [x, other], allow_unused=True, retain_graph=True)
    assert none is None
    same(g, [2])
    _, zero = vs.autograd.grad(y, [x, other], materialize_grads=True)
    same(zero, [0, 0])
    with pytest.raises(ValueError, match="materialize_grads"):
        vs.autograd.grad(y, [x, other], allow_unused=False, materialize_grads=True)


def test_inputs_that_require_no_grad_are_refused():
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match="does not require grad"):
        vs.autograd.grad((x * 2).sum(), [vs.ones(1)], allow_unused=True)


def test_only_tensors_are_accepted():
    x = leaf([1.0])
    with pytest.raises(TypeError, match="must be"):
        vs.autograd.grad(3.0, x)
    with pytest.raises(TypeError, match="must be tensors, got int"):
        vs.autograd.grad(x.sum(), [1])
    with pytest.raises(TypeError, match="unexpected keyword argument 'gradients'"):
        x.sum().backward(gradients=None)


def test_grad_does_no_work_on_branches_that_lead_nowhere():
    x, y = leaf([1.0]), leaf([1.0])
    ran = []

    class Watched(vs.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value * 1

        @staticmethod
        def backward(ctx, grad):
            ran.append(True)
            return grad

    out = (x * 2 + Watched.apply(y) * 3).sum()
    (g,) = vs.autograd.grad(out, x, retain_graph=True)
    same(g, [2])
    assert not ran
    out.backward(inputs=[x], retain_graph=True)
    assert not ran
    assert y.grad is None
    out.backward()
    assert ran
    assert y.grad is not None


def test_grad_stops_at_its_inputs():
    x = leaf([1.0])
    ran = []
    a = x * 2
    a.grad_fn.register_hook(lambda gi, go: ran.append(True))
    (g,) = vs.autograd.grad((a * a).sum(), a)
    same(g, [4])
    assert not ran


# --- inputs= ------------------------------------------------------------------------------------------------


def test_backward_to_some_inputs_only():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x * y).sum().backward(inputs=[x])
    same(x.grad, [3, 4])
    assert y.grad is None


def test_backward_to_an_intermediate_value():
    x = leaf([1.0, 2.0])
    a = x * 3
    (a * a).sum().backward(inputs=a)
    same(a.grad, [6, 12])
    assert x.grad is None


def test_backward_to_the_same_input_twice_counts_once():
    x = leaf([1.0])
    (x * 2).sum().backward(inputs=[x, x])
    same(x.grad, [2])


def test_backward_to_bad_inputs():
    x = leaf([1.0])
    y = (x * 2).sum()
    with pytest.raises(RuntimeError, match="cannot be empty"):
        y.backward(inputs=[])
    with pytest.raises(RuntimeError, match="does not require grad"):
        y.backward(inputs=[vs.ones(1)])
    y.backward(inputs=[leaf([5.0])])
    assert x.grad is None
