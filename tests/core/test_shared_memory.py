"""Views that overlap themselves, views of leaves that are views, and results that must not share memory."""

import numpy as np
import pytest

import versant as vs


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda x: x.expand(2, 4).unfold(0, 2, 1), [2, 2, 2, 2]),
        (lambda x: x.expand(2, 4).unfold(1, 2, 1), [2, 4, 4, 2]),
        (lambda x: x.unfold(0, 3, 1).unfold(0, 2, 1), [1, 2, 2, 1]),
        (lambda x: x.expand(4, 4).diagonal(), [1, 1, 1, 1]),
        (lambda x: x.expand(3, 4).diagonal(1), [0, 1, 1, 1]),
        (lambda x: x.unfold(0, 2, 1).diagonal(), [1, 0, 1, 0]),
        (lambda x: x.expand(3, 4).as_strided((4,), (1,)), [1, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("dtype", [vs.float64, vs.float32, vs.bfloat16, vs.float16])
def test_gradients_of_windows_on_overlapping_memory(view, expected, dtype):
    x = vs.tensor([1.0, 2.0, 3.0, 4.0], dtype=dtype, requires_grad=True)
    view(x).sum().backward()
    assert x.grad.dtype == dtype
    assert x.grad.tolist() == expected


def test_windows_are_differentiated_twice():
    x = leaf([1.0, 2.0, 3.0])
    (slope,) = vs.autograd.grad((x.expand(2, 3).unfold(1, 2, 1) ** 3).sum(), x, create_graph=True)
    assert slope.tolist() == [6.0, 48.0, 54.0]
    (curvature,) = vs.autograd.grad(slope.sum(), x)
    assert curvature.tolist() == [12.0, 48.0, 36.0]


def test_a_view_of_a_leaf_that_is_a_view_is_not_changed_in_place():
    x = vs.arange(4.0).reshape(2, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="view of a leaf"):
        x[0].mul_(2)
    with vs.no_grad():
        x[0].mul_(2)
    assert x.tolist() == [[0.0, 2.0], [2.0, 3.0]]


def test_the_gradient_of_a_gradient_through_a_view_changed_by_an_op_that_saves_its_output():
    x = leaf([0.3, -0.2])
    base = x * 1
    first = base[:1]
    first.sigmoid_()
    total = (base * base).sum() + first.sum()
    (slope,) = vs.autograd.grad(total, x, create_graph=True)
    (curvature,) = vs.autograd.grad(slope.sum(), x)
    y = 1 / (1 + np.exp(-0.3))
    d, dd = y * (1 - y), y * (1 - y) * (1 - 2 * y)
    np.testing.assert_allclose(slope.detach().numpy(), [(2 * y + 1) * d, -0.4], rtol=1e-12)
    np.testing.assert_allclose(curvature.numpy(), [2 * d * d + (2 * y + 1) * dd, 2.0], rtol=1e-12)


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.diag(),
        lambda x: x.repeat_interleave(1, 0),
        lambda x: x[:1].repeat_interleave(3, 0),
        lambda x: x.repeat(1, 1),
        lambda x: x.roll(0),
        lambda x: x.flip(()),
        lambda x: x.tril(5),
        lambda x: vs.cat([x]),
    ],
)
def test_copies_share_no_memory(copy):
    x = vs.ones(2, 2)
    copy(x).zero_()
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]
