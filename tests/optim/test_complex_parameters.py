"""Complex parameters: every optimizer updates the two parts of a number each for itself, as PyTorch does."""

import numpy as np
import pytest

import versant as vs
from versant import optim

STEPS = 4
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
    "adam": lambda p: optim.Adam(p, 0.05, amsgrad=True, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, 0.05),
    "adamax": lambda p: optim.Adamax(p, 0.05),
    "nadam": lambda p: optim.NAdam(p, 0.05),
    "radam": lambda p: optim.RAdam(p, 0.05),
    "adagrad": lambda p: optim.Adagrad(p, 0.05, initial_accumulator_value=0.1),
    "adadelta": lambda p: optim.Adadelta(p, 0.5),
    "rmsprop": lambda p: optim.RMSprop(p, 0.05, centered=True, momentum=0.5),
    "rprop": lambda p: optim.Rprop(p, 0.05),
    "asgd": lambda p: optim.ASGD(p, 0.05),
    "lbfgs": lambda p: optim.LBFGS(p, 0.5, max_iter=3),
}
DIFFERENTIABLE = {
    "sgd": lambda p: optim.SGD(p, 0.05, momentum=0.9, differentiable=True),
    "adam": lambda p: optim.Adam(p, 0.05, amsgrad=True, differentiable=True),
    "rmsprop": lambda p: optim.RMSprop(p, 0.05, centered=True, differentiable=True),
}


def drawn(dtype, shape=(5, 3)):
    pairs = np.random.default_rng(0).standard_normal((2, *shape, 2)).astype(dtype)
    return vs.tensor(pairs[0]), vs.tensor(pairs[1])


def trained(make, start, target, as_complex):
    """The parts of w after some steps, whose loss is the squared distance of w * w from a target."""
    parameter = (vs.view_as_complex(start) if as_complex else start).clone().requires_grad_()
    optimizer = make([parameter])

    def loss():
        optimizer.zero_grad()
        w = parameter if as_complex else vs.view_as_complex(parameter)
        value = vs.view_as_real(w * w - vs.view_as_complex(target)).square().sum()
        value.backward()
        return value

    for _ in range(STEPS):
        if isinstance(optimizer, optim.LBFGS):
            optimizer.step(loss)
        else:
            loss()
            optimizer.step()
    result = parameter.detach()
    return (vs.view_as_real(result) if as_complex else result).numpy(), optimizer.state_dict()["state"][0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_they_move_as_pairs_of_real_numbers_do(name, dtype):
    start, target = drawn(dtype)
    (ours, state), (wanted, _) = (trained(OPTIMIZERS[name], start, target, z) for z in (True, False))
    assert np.abs(ours - start.numpy()).max() > 0.005
    np.testing.assert_array_equal(ours, wanted)
    buffers = [v for v in state.values() if isinstance(v, vs.Tensor) and v.shape == start.shape[:-1]]
    assert all(b.is_complex() for b in buffers)


def through_steps(make, start, as_complex):
    """The parts of a parameter after two recorded steps, and of the gradient of its start."""
    leaf = start.clone().requires_grad_()
    parameter = (vs.view_as_complex(leaf) if as_complex else leaf) * 1
    optimizer = make([parameter])
    for _ in range(2):
        parameter.grad = parameter.detach() * 0.5 + (vs.view_as_complex(leaf) if as_complex else leaf)
        optimizer.step()
    result = vs.view_as_real(parameter) if as_complex else parameter
    (gradient,) = vs.autograd.grad(result.square().sum(), leaf)
    return result.detach().numpy(), gradient.numpy()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_pass_through_recorded_steps(name):
    start, _ = drawn("float64")
    ours, wanted = (through_steps(DIFFERENTIABLE[name], start, z) for z in (True, False))
    assert np.abs(wanted[1] - 2 * wanted[0]).max() > 1e-3  # they are not those of a constant step
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_parameters_need_not_be_contiguous():
    start, target = drawn("float32", (3, 5))
    whole = vs.view_as_complex(start).mT.clone().mT.requires_grad_()
    optimizer = optim.Adam([whole], 0.1)
    (whole - vs.view_as_complex(target)).abs().square().sum().backward()
    optimizer.step()
    plain = vs.view_as_complex(start).clone().requires_grad_()
    optimizer = optim.Adam([plain], 0.1)
    (plain - vs.view_as_complex(target)).abs().square().sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(whole.detach().numpy(), plain.detach().numpy())


@pytest.mark.parametrize("kind", ["Adafactor", "Muon"])
def test_optimizers_of_matrices_refuse_them(kind):
    with pytest.raises(RuntimeError, match="parameter 0 is complex"):
        getattr(optim, kind)([vs.zeros(2, 2, dtype=vs.complex64).requires_grad_()])
