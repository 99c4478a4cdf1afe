"""Parametrizations: what is trained, what is computed from it, and the way back."""

import copy

import pytest

import versant as vs
from versant import nn
from versant.nn.utils import parametrizations, parametrize


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


class Shifted(nn.Module):
    calls = 0

    def forward(self, x):
        Shifted.calls += 1
        return x + 1


def layer(*sizes):
    vs.manual_seed(0)
    return nn.Linear(*(sizes or (3, 4)), dtype=vs.float64)


def test_a_parametrized_weight_is_computed_and_trained_through_its_original() -> None:
    plain, module = layer(), layer()
    parametrize.register_parametrization(module, "weight", Doubled())
    assert type(module).__name__ == "ParametrizedLinear"
    assert list(module.state_dict()) == ["bias", "parametrizations.weight.original"]
    vs.testing.assert_close(module.weight, plain.weight)
    module.weight.sum().backward()
    assert (module.parametrizations.weight.original.grad == 2).all()
    module.weight = vs.ones(4, 3, dtype=vs.float64)
    assert (module.parametrizations.weight.original == 0.5).all()
    parametrize.register_parametrization(module, "weight", Shifted())
    assert (module.weight == 2).all()
    with pytest.raises(RuntimeError, match="Shifted does not implement right_inverse"):
        module.weight = vs.ones(4, 3, dtype=vs.float64)


@pytest.mark.parametrize("leave", [True, False])
def test_removal_leaves_an_ordinary_parameter(leave) -> None:
    module = layer()
    parametrize.register_parametrization(module, "weight", Shifted())
    value, original = module.weight.detach(), module.parametrizations.weight.original
    kept = original.detach().clone()
    parametrize.remove_parametrizations(module, "weight", leave_parametrized=leave)
    assert type(module) is nn.Linear
    assert not parametrize.is_parametrized(module)
    assert module.weight is original
    assert (module.weight == (value if leave else kept)).all()
    assert sorted(module.state_dict()) == ["bias", "weight"]


def test_inside_cached_a_tensor_is_computed_once() -> None:
    module = layer()
    parametrize.register_parametrization(module, "weight", Shifted())
    Shifted.calls = 0
    with parametrize.cached():
        assert module.weight is module.weight
    assert Shifted.calls == 1
    assert module.weight is not module.weight


def test_copies_are_apart() -> None:
    module = parametrizations.weight_norm(layer())
    twin = copy.deepcopy(module)
    with vs.no_grad():
        twin.parametrizations.weight.original0.mul_(2)
    vs.testing.assert_close(twin.weight, 2 * module.weight)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_splits_length_and_direction(dim) -> None:
    plain, module = layer(), parametrizations.weight_norm(layer(), dim=dim)
    kept = module.parametrizations.weight
    vs.testing.assert_close(module.weight, plain.weight)
    expected = plain.weight.norm() if dim is None else plain.weight.norm(dim=1 - dim, keepdim=True)
    vs.testing.assert_close(kept.original0, expected)
    with vs.no_grad():
        kept.original1.mul_(5)
    vs.testing.assert_close(module.weight, plain.weight)


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    plain, module = layer(5, 4), parametrizations.spectral_norm(layer(5, 4), n_power_iterations=20)
    for _ in range(20):
        weight = module.weight
    vs.testing.assert_close(weight, plain.weight / vs.linalg.svdvals(plain.weight)[0])
    module.eval()
    assert (module.weight == module.weight).all()
    weight.sum().backward()
    assert module.parametrizations.weight.original.grad.abs().sum() > 0


@pytest.mark.parametrize("sizes", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("way", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_weights_stay_so_while_they_are_trained(way, sizes) -> None:
    module = parametrizations.orthogonal(layer(*sizes), orthogonal_map=way)
    optimizer = vs.optim.SGD(module.parameters(), lr=0.1)
    first = module.weight.detach()
    for _ in range(3):
        optimizer.zero_grad()
        module(vs.ones(2, sizes[0], dtype=vs.float64)).square().sum().backward()
        optimizer.step()
    weight = module.weight
    short = weight @ weight.mT if weight.shape[0] <= weight.shape[1] else weight.mT @ weight
    vs.testing.assert_close(short, vs.eye(min(sizes), dtype=vs.float64))
    assert (weight - first).abs().max() > 1e-4


def test_orthogonal_start_is_kept_by_every_map() -> None:
    start = vs.linalg.qr(vs.randn(5, 3, dtype=vs.float64))[0]
    for way, fixed in (("householder", False), ("householder", True), ("matrix_exp", True)):
        module = layer(3, 5)
        with vs.no_grad():
            module.weight.copy_(start)
        parametrizations.orthogonal(module, orthogonal_map=way, use_trivialization=fixed)
        vs.testing.assert_close(module.weight, start)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: parametrize.register_parametrization(layer(), "x", Doubled()), ValueError, "no parameter"),
        (lambda: parametrize.remove_parametrizations(layer(), "weight"), ValueError, "no parametrization"),
        (lambda: parametrizations.spectral_norm(layer(), dim=2), IndexError, "dim 2 is out of range"),
        (lambda: parametrizations.orthogonal(layer(), "bias"), ValueError, "expected a matrix"),
        (lambda: parametrizations.orthogonal(layer(), orthogonal_map="qr"), ValueError, "'qr'"),
        (lambda: parametrize.register_parametrization(layer(), "weight", nn.Flatten(0)), ValueError, "shape"),
    ],
)
def test_wrong_arguments_raise(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
