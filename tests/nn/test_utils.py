"""Clipping of gradients, and parameters as one vector."""

from math import inf

import numpy as np
import pytest

import versant as vs
from versant import nn
from versant.nn import utils


def parameters():
    params = [vs.zeros(2, 2).requires_grad_(), vs.zeros(3).requires_grad_(), vs.zeros(1).requires_grad_()]
    params[0].grad = vs.tensor([[1.0, -2.0], [2.0, 0.0]])
    params[1].grad = vs.tensor([4.0, 0.0, 0.0])
    return params


@pytest.mark.parametrize(("order", "norm"), [(2.0, 5.0), (inf, 4.0), (1.0, 9.0)])
def test_clip_grad_norm_scales_all_gradients_together(order, norm) -> None:
    params = parameters()
    assert utils.clip_grad_norm_(params, 1.0, order).item() == pytest.approx(norm)
    np.testing.assert_allclose(params[0].grad.numpy(), np.array([[1, -2], [2, 0]]) / norm, rtol=1e-5)
    np.testing.assert_allclose(params[1].grad.numpy(), np.array([4, 0, 0]) / norm, rtol=1e-5)
    assert params[2].grad is None


def test_small_gradients_are_left_alone() -> None:
    params = parameters()
    utils.clip_grad_norm_(iter(params), 100.0)
    assert params[1].grad.tolist() == [4.0, 0.0, 0.0]
    assert utils.clip_grad_norm_([vs.zeros(1, requires_grad=True)], 1.0).item() == 0.0


def test_a_norm_that_is_not_finite_raises_where_asked_and_changes_nothing() -> None:
    params = parameters()
    params[1].grad = vs.tensor([inf, 1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"norm of order 2\.0 is inf"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist() == [[1.0, -2.0], [2.0, 0.0]]


def test_clip_grad_value_clamps_elements() -> None:
    params = parameters()
    utils.clip_grad_value_(params, 1.5)
    assert params[0].grad.tolist() == [[1.0, -1.5], [1.5, 0.0]]


def test_parameters_go_to_a_vector_and_back() -> None:
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    assert tuple(vector.shape) == (8,)
    utils.vector_to_parameters(vector, other.parameters())
    assert other.weight.tolist() == layer.weight.tolist()
    assert other.bias.tolist() == layer.bias.tolist()
    with pytest.raises(vs.ShapeError, match=r"expected 8 elements, got shape \(7,\)"):
        utils.vector_to_parameters(vector[:7], other.parameters())


def test_skip_init_uses_up_no_random_numbers() -> None:
    vs.manual_seed(3)
    expected = vs.rand(4).tolist()
    vs.manual_seed(3)
    layer = nn.utils.skip_init(nn.Linear, 5, 6)
    assert (layer.in_features, layer.weight.shape) == (5, (6, 5))
    assert vs.rand(4).tolist() == expected
