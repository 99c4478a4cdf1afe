"""transpose_, t_, squeeze_, unsqueeze_, as_strided_: a tensor takes other sizes and strides of its memory."""

import numpy as np
import pytest

import versant as vs

CHANGES = {
    "transpose": lambda x, form: getattr(x, f"transpose{form}")(0, 1),
    "swapaxes": lambda x, form: getattr(x, f"swapaxes{form}")(0, -1),
    "t": lambda x, form: getattr(x, f"t{form}")(),
    "squeeze": lambda x, form: getattr(x, f"squeeze{form}")(),
    "unsqueeze": lambda x, form: getattr(x, f"unsqueeze{form}")(1),
    "as_strided": lambda x, form: getattr(x, f"as_strided{form}")((2, 2), (1, 2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("shape", [(2, 3), (1, 4)])
def test_values_and_gradients_are_those_of_the_view(change, shape):
    leaf = vs.randn(shape, requires_grad=True)
    wanted = change(leaf * 2, "")
    x = leaf * 2
    memory = x.data_ptr()
    assert change(x, "_") is x
    assert x.data_ptr() == memory
    assert x.stride() == wanted.stride()
    np.testing.assert_array_equal(x.detach().numpy(), wanted.detach().numpy())
    weight = vs.randn(*wanted.shape)
    expected = vs.autograd.grad(wanted * wanted, leaf, weight)[0]
    np.testing.assert_array_equal(vs.autograd.grad(x * x, leaf, weight)[0].numpy(), expected.numpy())


def test_a_view_turns_without_its_base():
    leaf = vs.randn(4, 3, requires_grad=True)
    base = leaf * 1
    part = base[1:3]
    part.t_()
    part.mul_(2)
    assert base.shape == (4, 3)
    np.testing.assert_array_equal(base[1:3].t().detach().numpy(), part.detach().numpy())
    expected = [[1.0] * 3, [2.0] * 3, [2.0] * 3, [1.0] * 3]
    assert vs.autograd.grad(base.sum(), leaf)[0].tolist() == expected


def test_a_base_turns_and_its_view_stays():
    leaf = vs.randn(2, 3, requires_grad=True)
    base = leaf * 1
    row = base[0]
    base.t_()
    base.mul_(3)
    assert base.shape == (3, 2)
    np.testing.assert_array_equal(row.detach().numpy(), base[:, 0].detach().numpy())
    assert vs.autograd.grad(row.sum(), leaf)[0].tolist() == [[3.0] * 3, [0.0] * 3]


def test_leaves_turn_outside_of_recording_only():
    leaf = vs.randn(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\[transpose_\] a leaf"):
        leaf.transpose_(0, 1)
    assert leaf.shape == (2, 3)
    with vs.no_grad():
        leaf.t_()
    (leaf * 2).sum().backward()
    assert leaf.grad.shape == (3, 2)


def test_wrong_axes_change_nothing():
    x = vs.zeros(2, 3)
    with pytest.raises(vs.AxisError):
        x.transpose_(0, 2)
    with pytest.raises(vs.ShapeError):
        vs.zeros(2, 3, 4).t_()
    assert x.shape == (2, 3)
