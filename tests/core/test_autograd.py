"""backward() and grad(): what they compute, where gradients arrive, and what they refuse."""

import re

import numpy as np
import pytest

import versant as vs


def leaf(values, dtype=vs.float64):
    return vs.tensor(values, dtype=dtype, requires_grad=True)


def same(tensor, expected, tolerance=1e-12):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# --- backward -----------------------------------------------------------------------------------------------


def test_backward_of_a_scalar_needs_no_gradient():
    x = leaf([1.0, 2.0, 3.0])
    (x * x).sum().backward()
    same(x.grad, [2, 4, 6])


def test_backward_of_one_element_of_any_rank_needs_no_gradient():
    x = leaf([[3.0]])
    (x * x).backward()
    same(x.grad, [[6]])


def test_backward_weighs_with_the_gradient_argument():
    x = leaf([1.0, 2.0, 3.0])
    (x * x).backward(vs.tensor([1.0, 10.0, 100.0], dtype=vs.float64))
    same(x.grad, [2, 40, 600])


def test_backward_of_several_elements_without_gradient_raises():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="implicitly created only for scalar outputs"):
        (x * x).backward()
    assert x.grad is None


@pytest.mark.parametrize("shape", [(1,), (3, 1), (2, 2), ()])
def test_a_gradient_of_another_shape_raises(shape):
    x = leaf([1.0, 2.0, 3.0])
    with pytest.raises(vs.ShapeError, match="gradient has shape"):
        (x * x).backward(vs.ones(shape, dtype=vs.float64))


def test_backward_of_a_tensor_without_history_raises():
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        vs.ones(()).backward()


def test_integers_and_bools_have_no_gradient():
    x = leaf([1.0, 2.0, 3.0])
    for dead in (x > 2, x.argmax(), x.to(vs.int64).sum(), (x > 1).sum()):
        assert not dead.requires_grad
        with pytest.raises(RuntimeError, match="does not require grad"):
            dead.sum().backward()
    with pytest.raises(RuntimeError, match="only floating-point and complex tensors can require gradients"):
        vs.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match="only floating-point"):
        vs.tensor([True]).requires_grad_()


def test_gradients_pass_by_integer_operands():
    x = leaf([1.0, 2.0, 3.0])
    n = vs.tensor([2, 0, 5])
    (x * n + n).sum().backward()
    same(x.grad, [2, 0, 5])


def test_several_roots_in_one_pass():
    x = leaf([1.0, 2.0])
    a, b = (x * 2).sum(), x * x
    vs.autograd.backward([a, b], [None, vs.tensor([1.0, 10.0], dtype=vs.float64)])
    same(x.grad, [4, 42])


def test_the_number_of_gradients_must_match_the_outputs():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="1 outputs but 2 gradients"):
        vs.autograd.backward([x.sum()], [None, None])


def test_a_leaf_is_its_own_root():
    x = leaf([1.0, 2.0])
    x.backward(vs.tensor([3.0, 4.0], dtype=vs.float64))
    same(x.grad, [3, 4])


def test_a_value_used_many_times_gathers_all_its_gradients():
    x = leaf([2.0])
    a = x * 3
    b = a * a + a
    c = b * a
    c.sum().backward()
    # c = (9x^2 + 3x) 3x = 27x^3 + 9x^2
    same(x.grad, [81 * 4 + 18 * 2])


def test_a_fan_of_additions_does_not_alias_gradients():
    x = leaf([1.0, 1.0])
    a, b = x + 0, x + 0
    s = a + b + a
    a.retain_grad(), b.retain_grad()
    s.backward(vs.ones(2, dtype=vs.float64))
    same(a.grad, [2, 2])
    same(b.grad, [1, 1])
    same(x.grad, [3, 3])


def test_the_given_gradient_is_not_written_to():
    x = leaf([1.0, 2.0])
    g = vs.tensor([1.0, 1.0], dtype=vs.float64)
    for _ in range(3):
        x.backward(g)
        (x + 0).backward(g)
        (x + x).backward(g)
    same(g, [1, 1])
    same(x.grad, [12, 12])
    assert g._version == 0


# --- accumulation -------------------------------------------------------------------------------------------


def test_grad_accumulates_in_place():
    x = leaf([1.0, 2.0])
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    same(first, [5, 5])


def test_with_create_graph_accumulation_makes_a_new_tensor():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    first = x.grad
    (x * x).sum().backward(create_graph=True)
    assert x.grad is not first
    same(first, [2, 4])
    same(x.grad, [4, 8])
    assert x.grad.requires_grad


def test_with_create_graph_grad_is_not_the_given_gradient():
    x = leaf([1.0, 2.0])
    g = vs.tensor([1.0, 1.0], dtype=vs.float64)
    x.backward(g, create_graph=True)
    assert x.grad is not g
    x.grad.mul_(2)
    same(g, [1, 1])


def test_grad_can_be_assigned_and_dropped():
    x = leaf([1.0, 2.0])
    x.grad = vs.tensor([10.0, 20.0], dtype=vs.float64)
    x.sum().backward()
    same(x.grad, [11, 21])
    x.grad = None
    assert x.grad is None
    x.sum().backward()
    same(x.grad, [1, 1])
    del x.grad
    assert x.grad is None


def test_an_assigned_grad_must_fit():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="shape"):
        x.grad = vs.ones(3, dtype=vs.float64)
    with pytest.raises(TypeError, match="dtype"):
        x.grad = vs.ones(2, dtype=vs.float32)
    with pytest.raises(TypeError, match="expected a tensor or None"):
        x.grad = 3.0
    with pytest.raises(RuntimeError, match="its own gradient"):
        x.grad = x
    assert x.grad is None


def test_grad_of_a_leaf_does_not_require_grad():
    x = leaf([1.0])
    (x * x).sum().backward()
    assert not x.grad.requires_grad
    assert x.grad.is_leaf


def test_gradients_of_two_leaves_do_not_share_memory():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x + y).sum().backward()
    x.grad.add_(1)
    same(y.grad, [1, 1])


# --- retain_graph, create_graph, backward twice -------------------------------------------------------------


def test_backward_twice_raises_and_names_the_op_and_its_line():
    x = leaf([1.0, 2.0])
    y = x.tanh()  # this line is named
    y.sum().backward()
    with pytest.raises(RuntimeError, match="a second time needs retain_graph=True") as caught:
        y.sum().backward()
    assert re.search(rf"tanh at {re.escape(__file__)}:\d+ ", str(caught.value))
    number = int(re.search(r"\.py:(\d+)", str(caught.value)).group(1))
    with open(__file__) as source:
        assert "# this line is named" in source.readlines()[number - 1]


def test_backward_twice_of_ops_that_save_nothing_works():
    x = leaf([1.0, 2.0])
    y = (x + 1).sum()
    y.backward()
    y.backward()
    same(x.grad, [2, 2])


def test_retain_graph_keeps_the_graph_for_another_pass():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    same(x.grad, [6, 12])
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_create_graph_keeps_the_graph_unless_told_otherwise():
    x = leaf([2.0])
    y = (x**3).sum()
    (g,) = vs.autograd.grad(y, x, create_graph=True)
    (h,) = vs.autograd.grad(g, x, create_graph=True)
    (t,) = vs.autograd.grad(h, x)
    same(g, [12])
    same(h, [12])
    same(t, [6])
    y.backward()
    same(x.grad, [12])


def test_part_of_a_freed_graph_can_still_be_used():
    x = leaf([1.0, 2.0])
    a = x + 1
    b = a * a
    b.sum().backward()
    (a * 5).sum().backward()
    same(x.grad, [4 + 5, 6 + 5])


def test_an_error_in_the_middle_leaves_leaves_and_graph_as_they_were():
    x, y = leaf([1.0]), leaf([1.0])
    spent = (x * x).sum()
    spent.backward()
    x.grad = None
    mixed = spent + (y * y).sum()
    with pytest.raises(RuntimeError, match="second time"):
        mixed.backward()
    assert vs.is_grad_enabled()
    y.grad = None
    (y * 2).sum().backward()
    same(y.grad, [2])


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize(
    ("function", "derivatives"),
    [
        (lambda x: x.sin(), lambda x: [np.cos(x), -np.sin(x), -np.cos(x), np.sin(x)]),
        (lambda x: x.exp(), lambda x: [np.exp(x)] * 4),
        (lambda x: x**5, lambda x: [5 * x**4, 20 * x**3, 60 * x**2, 120 * x]),
        (lambda x: 1 / x, lambda x: [-(x**-2), 2 * x**-3, -6 * x**-4, 24 * x**-5]),
        (lambda x: x.log(), lambda x: [1 / x, -(x**-2), 2 * x**-3, -6 * x**-4]),
        (lambda x: (x * x) @ x, lambda x: [3 * x * x, 6 * x, 6 + 0 * x, 0 * x]),
    ],
)
def test_higher_derivatives(function, derivatives, order):
    point = np.array([0.7, 1.3, 2.1])
    x = leaf(point)
    value = function(x).sum()
    for k in range(order):
        (value_k,) = vs.autograd.grad(value.sum(), x, create_graph=True, materialize_grads=True)
        same(value_k, derivatives(point)[k], 1e-9)
        value = value_k
        if not value.requires_grad:
            break


def test_a_gradient_penalty_reaches_the_weights():
    w, x = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([0.5, -1.0])
    y = (w @ x).tanh().sum()
    (g,) = vs.autograd.grad(y, x, create_graph=True)
    (g * g).sum().backward()

    def penalty(weights):
        s = 1 - np.tanh(weights @ np.array([0.5, -1.0])) ** 2
        return float(((weights.T @ s) ** 2).sum())

    base, step = np.array([[1.0, 2.0], [3.0, 4.0]]), 1e-6
    numeric = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            up, down = base.copy(), base.copy()
            up[i, j] += step
            down[i, j] -= step
            numeric[i, j] = (penalty(up) - penalty(down)) / (2 * step)
    same(w.grad, numeric, 1e-6)
