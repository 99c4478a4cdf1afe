"""nn.utils.weight_norm and spectral_norm in their older form: hooks that compute the weight before a call."""

import pytest

import versant as vs
from versant import nn
from versant.nn import utils


def layer() -> nn.Linear:
    vs.manual_seed(0)
    return nn.Linear(4, 5, dtype=vs.float64)


X = vs.linspace(-1, 1, 12, dtype=vs.float64).reshape(3, 4)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_trains_length_and_direction(dim) -> None:
    plain, module = layer(), utils.weight_norm(layer(), dim=dim)
    assert list(module.state_dict()) == ["bias", "weight_g", "weight_v"]
    expected = plain.weight.norm() if dim is None else plain.weight.norm(dim=1 - dim, keepdim=True)
    vs.testing.assert_close(module.weight_g.detach(), expected.detach())
    vs.testing.assert_close(module(X), plain(X))
    with vs.no_grad():
        module.weight_v.mul_(5)
        module.weight_g.mul_(2)
    vs.testing.assert_close(module(X) - module.bias, 2 * (plain(X) - plain.bias))
    module(X).sum().backward()
    # a change of v along itself changes nothing
    vs.testing.assert_close((module.weight_v.grad * module.weight_v).sum(), vs.tensor(0.0, dtype=vs.float64))
    assert module.weight_g.grad.abs().sum() > 0


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    plain, module = layer(), utils.spectral_norm(layer(), n_power_iterations=20)
    assert list(module.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    for _ in range(20):
        module(X)
    vs.testing.assert_close(module.weight, plain.weight / vs.linalg.svdvals(plain.weight)[0])
    u = module.eval().weight_u.clone()
    module(X).sum().backward()
    assert (module.weight_u == u).all()
    assert module.weight_orig.grad.abs().sum() > 0


def test_spectral_norm_can_be_called_twice_before_backward() -> None:
    module = utils.spectral_norm(layer())
    (module(X) - module(2 * X)).sum().backward()
    assert module.weight_orig.grad.isfinite().all()


def test_spectral_norm_of_transposed_convolutions_has_a_row_for_each_output() -> None:
    module = utils.spectral_norm(nn.ConvTranspose2d(3, 4, 2))
    assert module.weight_u.shape == (4,)
    assert module.weight_v.shape == (12,)


@pytest.mark.parametrize(
    ("add", "remove"),
    [(utils.weight_norm, utils.remove_weight_norm), (utils.spectral_norm, utils.remove_spectral_norm)],
)
def test_removal_leaves_an_ordinary_parameter(add, remove) -> None:
    module = add(layer())
    module(X)
    value = module.weight.detach()
    assert remove(module.eval()) is module
    assert sorted(module.state_dict()) == ["bias", "weight"]
    assert isinstance(module.weight, nn.Parameter)
    vs.testing.assert_close(module.weight.detach(), value)
    add(module)
    with pytest.raises(RuntimeError, match="'weight' of Linear already has this hook"):
        add(module)
    remove(module)
    with pytest.raises(ValueError, match="of 'weight' not found in Linear"):
        remove(module)
    with pytest.raises(AttributeError, match="Linear has no parameter 'other'"):
        add(module, "other")


@pytest.mark.parametrize("add", [utils.weight_norm, utils.spectral_norm])
def test_a_state_goes_to_another_layer(add) -> None:
    module, other = add(layer()), add(nn.Linear(4, 5, dtype=vs.float64))
    other.load_state_dict(module.state_dict())
    vs.testing.assert_close(other.eval()(X), module.eval()(X))


def test_spectral_norm_needs_iterations() -> None:
    with pytest.raises(ValueError, match="n_power_iterations to be positive, got 0"):
        utils.spectral_norm(layer(), n_power_iterations=0)
