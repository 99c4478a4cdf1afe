"""weight_norm and spectral_norm as hooks."""

import copy

import numpy as np
import pytest

import versant as vs
from versant import nn
from versant.nn import utils


def layer(kind=nn.Linear, *sizes):
    vs.manual_seed(0)
    return kind(*(sizes or (3, 4)), dtype=vs.float64)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_keeps_the_weight_and_splits_its_length_from_its_direction(dim) -> None:
    plain, module = layer(), utils.weight_norm(layer(), dim=dim)
    assert list(module.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert [name for name, _ in module.named_parameters()] == ["bias", "weight_g", "weight_v"]
    w = plain.weight.detach().numpy()
    length = np.linalg.norm(w) if dim is None else np.linalg.norm(w, axis=1 - dim, keepdims=True)
    np.testing.assert_allclose(module.weight_g.detach().numpy(), length)
    x = vs.randn(2, 3, dtype=vs.float64)
    vs.testing.assert_close(module(x), plain(x))
    with vs.no_grad():
        module.weight_v.mul_(5)
        module.weight_g.mul_(2)
    vs.testing.assert_close(module(x), vs.nn.functional.linear(x, 2 * plain.weight, plain.bias))


def test_spectral_norm_iterates_while_training_alone() -> None:
    plain, module = layer(nn.Linear, 5, 4), utils.spectral_norm(layer(nn.Linear, 5, 4))
    assert list(module.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    w, u = plain.weight.detach().numpy(), module.weight_u.numpy().copy()
    x = vs.randn(2, 5, dtype=vs.float64)
    module(x)
    v = w.T @ u
    v /= np.linalg.norm(v)
    u = w @ v
    u /= np.linalg.norm(u)
    np.testing.assert_allclose(module.weight_u.numpy(), u)
    np.testing.assert_allclose(module.weight_v.numpy(), v)
    np.testing.assert_allclose(module.weight.detach().numpy(), w / (u @ w @ v))
    module.eval()
    module(x)
    np.testing.assert_allclose(module.weight_u.numpy(), u)


def test_two_calls_of_a_critic_share_one_backward() -> None:
    module = utils.spectral_norm(layer(nn.Linear, 5, 4))
    (module(vs.ones(2, 5, dtype=vs.float64)) - module(vs.zeros(2, 5, dtype=vs.float64))).sum().backward()
    assert module.weight_orig.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_the_axis_of_outputs_of_convolutions(kind) -> None:
    module = utils.spectral_norm(layer(kind, 2, 3, 3), n_power_iterations=200)
    y = module(vs.ones(1, 2, 5, 5, dtype=vs.float64))
    assert y.requires_grad
    axis = int(kind is nn.ConvTranspose2d)
    matrix = module.weight.detach().movedim(axis, 0).flatten(1)
    assert vs.linalg.svdvals(matrix)[0].item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_removal_leaves_an_ordinary_parameter(norm) -> None:
    module = getattr(utils, norm)(layer())
    x = vs.randn(2, 3, dtype=vs.float64)
    module.eval()
    y = module(x)
    getattr(utils, f"remove_{norm}")(module)
    assert sorted(module.state_dict()) == ["bias", "weight"]
    assert isinstance(module.weight, nn.Parameter)
    vs.testing.assert_close(module(x), y)
    with pytest.raises(ValueError, match=f"{norm} of 'weight' not found"):
        getattr(utils, f"remove_{norm}")(module)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_compiled_steps_leave_the_bits_of_eager_ones(norm) -> None:
    states = []
    for compiled in (False, True):
        vs.manual_seed(1)
        module = getattr(utils, norm)(nn.Linear(3, 4))
        optimizer = vs.optim.SGD(module.parameters(), lr=0.1)

        def step(x, module=module, optimizer=optimizer):
            optimizer.zero_grad()
            loss = module(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        function = vs.compile(step) if compiled else step
        losses = [function(vs.randn(2, 3)).item() for _ in range(4)]
        states.append((losses, {k: v.tolist() for k, v in module.state_dict().items()}))
    assert states[0] == states[1]


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_wrong_use_raises(norm) -> None:
    module = getattr(utils, norm)(layer())
    with pytest.raises(RuntimeError, match=f"two {norm} hooks on the same parameter weight"):
        getattr(utils, norm)(module)
    with pytest.raises(ValueError, match="'bias' is None"):
        getattr(utils, norm)(nn.Linear(3, 4, bias=False), "bias")


def test_no_power_iterations() -> None:
    with pytest.raises(ValueError, match="n_power_iterations to be positive, got 0"):
        utils.spectral_norm(layer(), n_power_iterations=0)


def test_copies_are_apart() -> None:
    module = utils.spectral_norm(layer())
    twin = copy.deepcopy(module)
    with vs.no_grad():
        twin.weight_orig.mul_(2)
    x = vs.ones(1, 3, dtype=vs.float64)
    vs.testing.assert_close(twin(x), module(x))
    assert (twin.weight_orig == 2 * module.weight_orig).all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (nn.utils.weight_norm, AttributeError),
        (nn.utils.spectral_norm, KeyError),
        (nn.utils.remove_weight_norm, ValueError),
        (nn.utils.remove_spectral_norm, ValueError),
    ],
)
def test_a_parameter_that_is_not_there_is_named(call, error) -> None:
    with pytest.raises(error, match="'kernel'"):
        call(nn.Linear(2, 2), "kernel")
