"""States of optimizers and schedulers move between PyTorch and Versant, and training goes on."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import versant as vs  # noqa: E402

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "Adamax": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1},
    "Adagrad": {"lr": 0.1},
    "Adadelta": {"lr": 1.0},
    "RMSprop": {"lr": 0.1, "momentum": 0.5, "centered": True},
    "Rprop": {"lr": 0.1},
    "ASGD": {"lr": 0.1},
}
# mu_product is a float32 number on both sides, whose factors are rounded in another order.
RTOL = {"NAdam": 1e-7}


def start(library):
    values = np.random.default_rng(0).normal(size=(2, 4, 3))
    return [library.tensor(v).requires_grad_() for v in (*values, 0.3 * (values[0] + 1j * values[1]))]


def run(optimizer, scheduler, params, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((p - 0.3).abs() ** 4).sum() for p in params).backward()
        optimizer.step()
        scheduler.step()


def made(library, name, params):
    optimizer = getattr(library.optim, name)(params, **OPTIMIZERS[name])
    return optimizer, library.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)


def moved(value, library):
    """A state with its tensors in the other library."""
    if isinstance(value, (torch.Tensor, vs.Tensor)):
        return library.tensor(value.detach().numpy().copy())
    if isinstance(value, dict):
        return {key: moved(item, library) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(moved(item, library) for item in value)
    return copy.deepcopy(value)


@pytest.mark.parametrize(("origin", "target"), [(torch, vs), (vs, torch)], ids=["to versant", "to torch"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_after_the_move(name, origin, target) -> None:
    params = start(origin)
    optimizer, scheduler = made(origin, name, params)
    run(optimizer, scheduler, params, 3)
    others = [target.tensor(p.detach().numpy().copy()).requires_grad_() for p in params]
    other, other_scheduler = made(target, name, others)
    other.load_state_dict(moved(optimizer.state_dict(), target))
    other_scheduler.load_state_dict(moved(scheduler.state_dict(), target))
    run(optimizer, scheduler, params, 4)
    run(other, other_scheduler, others, 4)
    assert other_scheduler.get_last_lr() == pytest.approx(scheduler.get_last_lr(), rel=1e-12)
    for a, b in zip(params, others, strict=True):
        np.testing.assert_allclose(
            b.detach().numpy(), a.detach().numpy(), rtol=RTOL.get(name, 1e-9), atol=1e-12
        )
