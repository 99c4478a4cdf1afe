"""Calls of a module with other tensors: values, gradients, shared parameters, and nothing left behind."""

import pytest

import versant as vs
from versant import nn
from versant.func import functional_call


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2, bias=False)
        self.b = nn.Linear(2, 2, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x, scale=1):
        return self.b(self.a(x)) * scale


def test_the_given_tensors_are_used_and_get_gradients() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    state = {key: vs.randn(value.shape).requires_grad_() for key, value in model.state_dict().items()}
    twin = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    twin.load_state_dict(state)
    kept, x = list(model.parameters()), vs.randn(4, 2)
    result = functional_call(model, state, x)
    assert (result == twin(x)).all()
    grads = vs.autograd.grad(result.sum(), list(state.values()))
    expected = vs.autograd.grad(twin(x).sum(), list(twin.parameters()))
    assert all((a == b).all() for a, b in zip(grads, expected, strict=True))
    assert all(a is b for a, b in zip(model.parameters(), kept, strict=True))


def test_shared_parameters_are_replaced_together_unless_told() -> None:
    model, x = Tied(), vs.ones(1, 2)
    eye = 2 * vs.eye(2)
    assert functional_call(model, {"a.weight": eye}, x, {"scale": 3}).tolist() == [[12, 12]]
    alone = functional_call(model, {"a.weight": eye}, x, tie_weights=False)
    assert (alone == model.b(2 * x)).all()
    assert functional_call(model, {"b.weight": eye}, x, strict=True).tolist() == [[4, 4]]


@pytest.mark.parametrize(
    ("tensors", "options", "error", "message"),
    [
        ({"c": vs.ones(2, 2)}, {}, RuntimeError, r"no parameter or buffer \['c'\]"),
        ({}, {"strict": True}, RuntimeError, "missing"),
        ([{"a.weight": vs.eye(2)}] * 2, {}, ValueError, "several of the dicts"),
        ({"a.weight": vs.eye(2), "b.weight": vs.ones(2, 2)}, {}, ValueError, "tied"),
    ],
)
def test_misfits_raise_and_leave_the_module(tensors, options, error, message) -> None:
    model = Tied()
    kept = model.a.weight
    with pytest.raises(error, match=message):
        functional_call(model, tensors, vs.ones(1, 2), **options)
    assert model.a.weight is kept
