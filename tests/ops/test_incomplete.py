"""Incomplete gamma functions: derivatives by the shape, huge shapes, what is refused."""

import numpy as np
import pytest

import versant as vs


@pytest.mark.parametrize("function", [vs.special.gammainc, vs.special.gammaincc])
def test_derivatives_by_the_shape(function):
    a = vs.tensor([0.2, 1.0, 3.0, 12.0], dtype=vs.float64)
    x = vs.tensor([[0.1], [1.5], [9.0]], dtype=vs.float64)
    by_a, by_x = vs.autograd.functional.jacobian(lambda a, x: function(a, x).sum(), (a, x))
    for i, (by, point) in enumerate(((by_a, a), (by_x, x))):
        for at in np.ndindex(*point.shape):
            moved = [[a.clone(), x.clone()] for _ in range(2)]
            for pair, step in zip(moved, (-1e-5, 1e-5), strict=True):
                pair[i][at] += step
            low, high = (function(*pair).sum().item() for pair in moved)
            assert by[at].item() == pytest.approx((high - low) / 2e-5, rel=1e-6, abs=1e-8)


def test_a_second_derivative_by_the_shape_is_refused():
    a = vs.tensor(2.0, requires_grad=True)
    (slope,) = vs.autograd.grad(vs.igamma(a, vs.tensor(1.0)), a, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative by the shape"):
        slope.backward()


def test_huge_shapes_near_and_far_from_the_middle():
    """Against the sum of the series in 40 digits."""
    a = vs.tensor([6.8e6, 2e5, 2e5], dtype=vs.float64)
    x = a + vs.tensor([-5.7, -3.0, 1.0], dtype=vs.float64) * a.sqrt()
    lower = [5.850353980140915e-09, 0.0013235937254361153, 0.8413449473907125]
    np.testing.assert_allclose(vs.igamma(a, x).numpy(), lower, rtol=1e-12)
    np.testing.assert_allclose(vs.igammac(a, x).numpy(), 1 - np.array(lower), rtol=1e-12)


def test_small_shapes_keep_the_digits_of_what_is_left():
    a = vs.tensor([1e-3, 1e-8], dtype=vs.float64)
    left = vs.igammac(a, vs.tensor([0.5, 0.5], dtype=vs.float64)).numpy()
    np.testing.assert_allclose(left, [5.60066656470749877e-4, 5.59773597709959e-9], rtol=1e-11)


def test_numbers_are_refused():
    with pytest.raises(TypeError, match="expected two tensors"):
        vs.igamma(vs.ones(2), 1.0)
