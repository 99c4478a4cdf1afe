"""Leaves, detached tensors, and the shape and dtype that gradients arrive in."""

import re

import numpy as np
import pytest

import versant as vs


def leaf(values, dtype=vs.float64):
    return vs.tensor(values, dtype=dtype, requires_grad=True)


def same(tensor, expected, tolerance=1e-12):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# --- shape and dtype of gradients ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (2, 3)),
        ((), (2, 3)),
        ((2, 1), (1, 3)),
        ((1,), (2, 3)),
        ((2, 3), ()),
        ((4, 1, 3), (2, 1)),
        ((1, 1), (1,)),
        ((0, 3), (3,)),
        ((0, 1), (1, 3)),
    ],
)
def test_broadcasting_is_undone(a, b):
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=a), rng.normal(size=b)
    x, y = leaf(p), leaf(q)
    out = x * y
    weight = rng.normal(size=tuple(out.shape))
    out.backward(vs.tensor(weight, dtype=vs.float64))
    assert x.grad.shape == x.shape
    assert y.grad.shape == y.shape

    def undo(grad, shape):
        while grad.ndim > len(shape):
            grad = grad.sum(0)
        for axis, size in enumerate(shape):
            if size == 1:
                grad = grad.sum(axis, keepdims=True)
        return grad

    same(x.grad, undo(weight * q, a))
    same(y.grad, undo(weight * p, b))


@pytest.mark.parametrize("parameter", [vs.float32, vs.float16, vs.bfloat16])
def test_a_narrow_parameter_in_a_wide_graph_gets_a_narrow_gradient(parameter):
    w = vs.tensor([1.0, 2.0], dtype=parameter, requires_grad=True)
    x = vs.tensor([3.0, 4.0], dtype=vs.float64)
    y = w * x
    assert y.dtype is vs.float64
    y.sum().backward()
    assert w.grad.dtype is parameter
    assert w.grad.tolist() == [3, 4]
    (w.to(vs.float64) * x).sum().backward()
    assert w.grad.dtype is parameter
    assert w.grad.tolist() == [6, 8]


def test_a_wide_scalar_in_a_narrow_graph_gets_a_wide_gradient():
    s = leaf(2.0)
    x = vs.ones(3)
    y = x * s
    assert y.dtype is vs.float32
    y.sum().backward()
    assert s.grad.dtype is vs.float64
    assert s.grad.item() == 3


def test_the_given_gradient_is_brought_to_the_dtype_of_the_output():
    x = vs.ones(2, requires_grad=True)
    (x * 2).backward(vs.tensor([1.0, 2.0], dtype=vs.float64))
    assert x.grad.dtype is vs.float32
    assert x.grad.tolist() == [2, 4]
    (g,) = vs.autograd.grad(x.sum(), x, vs.tensor(3))
    assert g.dtype is vs.float32
    assert g.tolist() == [3, 3]


def test_ops_with_several_outputs():
    x = leaf([[3.0, 1.0], [2.0, 5.0]])
    values, indices = x.max(dim=1)
    assert not indices.requires_grad
    values.sum().backward()
    same(x.grad, [[1, 0], [0, 1]])
    parts = x.unbind(0)
    (parts[0] * 2 + parts[1]).sum().backward()
    same(x.grad, [[3, 2], [1, 2]])


# --- leaves and detaching -----------------------------------------------------------------------------------


def test_what_is_a_leaf():
    x = leaf([1.0])
    plain = vs.ones(1)
    assert x.is_leaf
    assert plain.is_leaf
    assert (plain * 2).is_leaf
    assert x.grad_fn is None
    assert plain.grad_fn is None
    y = x * 2
    assert not y.is_leaf
    assert y.requires_grad
    assert y.grad_fn is not None
    with vs.no_grad():
        assert (x * 2).is_leaf
    assert y.detach().is_leaf
    assert not y.detach().requires_grad


def test_requires_grad_can_be_switched_on_leaves_only():
    x = vs.ones(2)
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    y = leaf([1.0]) * 2
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match="True or False"):
        x.requires_grad = 1


def test_a_graph_recorded_before_a_leaf_was_frozen_finds_it_again():
    x = leaf([1.0])
    y = (x * 2).sum()
    x.requires_grad_(False)
    y.backward(retain_graph=True)
    assert x.grad is None
    x.requires_grad_(True)
    y.backward()
    (x * 3).sum().backward()
    same(x.grad, [5])


def test_freezing_many_times_keeps_one_leaf():
    x = leaf([1.0])
    y = x * 2
    for _ in range(5):
        x.requires_grad_(False).requires_grad_(True)
    y.sum().backward()
    same(x.grad, [2])
    del x
    y = leaf([1.0]).requires_grad_(False)
    del y


def test_detach_shares_memory_and_stops_gradients():
    x = leaf([1.0, 2.0])
    y = x * 2
    d = y.detach()
    assert not d.requires_grad
    assert d._storage_address() == y._storage_address()
    (y * d).sum().backward()
    same(x.grad, [4, 8])


def test_detach_in_place():
    x = leaf([1.0, 2.0])
    y = x * 2
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="view"):
        (x * 2)[0].detach_()
    assert not x.detach_().requires_grad


def test_data_shares_memory_without_history():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.data.mul_(10)
    same(x, [10, 20])
    assert x.requires_grad
    assert x.is_leaf
    x.data = vs.tensor([5.0, 6.0], dtype=vs.float64)
    same(x, [5, 6])
    (x * x).sum().backward()
    same(x.grad, [10, 12])
    del y


def test_data_may_change_shape():
    x = leaf([1.0, 2.0])
    x.data = vs.ones(3, dtype=vs.float64)
    (x * 2).sum().backward()
    same(x.grad, [2, 2, 2])


def test_a_leaf_that_died_is_no_trouble():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    del x
    y.backward()


def test_grad_fn_shows_the_graph():
    x = leaf([1.0])
    y = (x * 2).tanh()
    assert y.grad_fn.name() == "TanhBackward0"
    ((inner, nr),) = y.grad_fn.next_functions
    assert inner.name() == "MulBackward0"
    assert nr == 0
    accumulate = inner.next_functions[0][0]
    assert accumulate.name() == "AccumulateGrad"
    assert accumulate.variable is x
    assert y.grad_fn == y.grad_fn
    assert y.grad_fn is not None
    assert hash(y.grad_fn) == hash(y.grad_fn)
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+", y.grad_fn.line)


# --- values that are overwritten without a gradient ---------------------------------------------------------


def test_random_values_written_in_place_stop_the_gradient():
    x = leaf([1.0, 2.0, 3.0])
    a = x * 2
    a[:2].uniform_()
    a.sum().backward()
    same(x.grad, [0, 0, 2])
    b = x * 2
    b.normal_()
    assert b.requires_grad
    (b + x).sum().backward()
    same(x.grad, [1, 1, 3])


def test_a_gradient_has_the_layout_of_its_leaf():
    x = leaf(np.ones((2, 3)))
    x.t().contiguous().backward(vs.arange(6.0, dtype=vs.float64).reshape(3, 2))
    assert x.grad.stride() == (3, 1)
    assert x.grad.view(-1).tolist() == [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]
    turned = vs.ones(3, 2, dtype=vs.float64).t().requires_grad_()
    (turned * vs.arange(6.0, dtype=vs.float64).reshape(2, 3)).sum().backward()
    assert turned.grad.stride() == (1, 2)
    assert turned.grad.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_reading_the_gradient_of_a_result_warns():
    x = leaf([1.0])
    y, kept = x * 2, x * 3
    kept.retain_grad()
    with pytest.warns(UserWarning, match="retain_grad"):
        assert y.grad is None
    assert kept.grad is None  # without a warning: these are errors here
    assert x.grad is None
    assert y.detach().grad is None


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, np.inf])
def test_norms_have_gradient_zero_at_zero(p):
    x = leaf([0.0, 0.0])
    x.norm(p).backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_grad_needs_an_input():
    with pytest.raises(RuntimeError, match="empty"):
        vs.autograd.grad(leaf([1.0]).sum(), [])
