"""Schedulers against their closed forms; states, warnings and wrong arguments; averages of models."""

import copy
import math
import warnings

import pytest

import versant as vs
from versant import nn, optim
from versant.optim import lr_scheduler as s
from versant.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, update_bn


def optimizer(lr: float = 0.1, **options):
    return optim.SGD([vs.zeros(1, requires_grad=True)], lr=lr, **options)


def rates(make, steps: int = 200, **options) -> list[float]:
    o = optimizer(**options)
    scheduler, seen = make(o), []
    for _ in range(steps):
        seen.append(o.param_groups[0]["lr"])
        o.step()
        scheduler.step()
    return seen


def cosine(t: float) -> float:
    return (1 + math.cos(math.pi * t)) / 2


def one_cycle(t: int) -> float:
    top = 0.3 * 201 - 1
    if t <= top:
        return 0.5 + (0.02 - 0.5) * cosine(t / top)
    return 2e-6 + (0.5 - 2e-6) * cosine((t - top) / (200 - top))


FORMS = [
    (lambda o: s.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.1 / (1 + t)),
    (lambda o: s.MultiplicativeLR(o, lambda t: 0.9), lambda t: 0.1 * 0.9**t),
    (lambda o: s.StepLR(o, 30, 0.5), lambda t: 0.1 * 0.5 ** (t // 30)),
    (lambda o: s.MultiStepLR(o, [10, 60, 60], 0.5), lambda t: 0.1 * 0.5 ** ((t >= 10) + 2 * (t >= 60))),
    (lambda o: s.ConstantLR(o, 0.25, 40), lambda t: 0.1 * (0.25 if t < 40 else 1)),
    (lambda o: s.LinearLR(o, 0.5, 0.1, 100), lambda t: 0.1 * (0.5 - 0.4 * min(t, 100) / 100)),
    (lambda o: s.ExponentialLR(o, 0.98), lambda t: 0.1 * 0.98**t),
    (lambda o: s.PolynomialLR(o, 150, 2.0), lambda t: 0.1 * (1 - min(t, 150) / 150) ** 2),
    (lambda o: s.CosineAnnealingLR(o, 70, 0.01), lambda t: 0.01 + 0.09 * cosine(t / 70)),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 25), lambda t: 0.1 * cosine((t % 25) / 25)),
    (
        lambda o: s.CyclicLR(o, 0.1, 0.5, 20, 30, cycle_momentum=False),
        lambda t: 0.1 + 0.4 * ((t % 50) / 20 if t % 50 <= 20 else (50 - t % 50) / 30),
    ),
    (lambda o: s.OneCycleLR(o, 0.5, total_steps=201, cycle_momentum=False), one_cycle),
    (
        lambda o: s.SequentialLR(o, [s.ConstantLR(o, 0.5, 500), s.ExponentialLR(o, 0.9)], [50]),
        lambda t: 0.05 if t < 50 else 0.1 * 0.9 ** (t - 50),
    ),
    (
        lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 20), s.ExponentialLR(o, 0.9)]),
        lambda t: 0.1 * 0.9**t * (0.5 if t < 20 else 1),
    ),
    (lambda o: s.SWALR(o, 0.5, 50), lambda t: 0.1 + 0.4 * (1 - cosine(min(t, 50) / 50))),
]


@pytest.mark.parametrize(("make", "form"), FORMS)
def test_rates_follow_the_closed_form(make, form) -> None:
    assert rates(make) == pytest.approx([form(t) for t in range(200)], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("make", [make for make, _ in FORMS])
def test_a_saved_schedule_goes_on_the_same_way(make) -> None:
    o = optimizer()
    scheduler = make(o)
    for _ in range(60):
        o.step()
        scheduler.step()
    other = optimizer()
    twin = make(other)
    twin.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    other.load_state_dict(o.state_dict())
    for _ in range(60):
        for each, its in ((scheduler, o), (twin, other)):
            its.step()
            each.step()
        assert twin.get_last_lr() == scheduler.get_last_lr()
        assert other.param_groups[0]["lr"] == o.param_groups[0]["lr"]


def test_momentum_turns_against_the_rate() -> None:
    o = optimizer(momentum=0.9)
    scheduler = s.CyclicLR(o, 0.1, 0.5, 4)
    seen = []
    for _ in range(8):
        seen.append(o.param_groups[0]["momentum"])
        o.step()
        scheduler.step()
    assert seen == pytest.approx([0.9, 0.875, 0.85, 0.825, 0.8, 0.825, 0.85, 0.875])
    adam = optim.Adam([vs.zeros(1, requires_grad=True)])
    s.OneCycleLR(adam, 0.5, total_steps=10)
    assert adam.param_groups[0]["betas"] == (0.95, 0.999)


def test_plateau_waits_reduces_and_cools_down() -> None:
    o = optimizer()
    scheduler = s.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2, min_lr=0.03)
    seen = []
    for measure in [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]:
        scheduler.step(vs.tensor(measure))
        seen.append(o.param_groups[0]["lr"])
    assert seen == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03])


def test_a_tensor_rate_is_changed_in_place() -> None:
    rate = vs.tensor(0.1)
    o = optimizer(lr=rate)
    scheduler = s.ExponentialLR(o, 0.5)
    o.step()
    scheduler.step()
    assert o.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.05)


def test_a_scheduler_that_steps_first_warns_once() -> None:
    scheduler = s.StepLR(optimizer(), 3)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\) before optimizer.step\(\)"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


def test_watching_for_the_first_step_leaves_no_hook() -> None:
    o = optimizer()
    s.StepLR(o, 3)
    o.step()
    assert "step" not in vars(o)


def test_going_on_needs_the_initial_rate() -> None:
    with pytest.raises(KeyError, match="group 0 has no 'initial_lr'"):
        s.StepLR(optimizer(), 3, last_epoch=5)
    with pytest.warns(UserWarning, match="get_last_lr"):
        s.StepLR(optimizer(), 3).get_lr()


class Own(s.LRScheduler):
    def get_lr(self):
        return [base / (1 + self.last_epoch) for base in self.base_lrs]


def test_a_scheduler_of_ones_own() -> None:
    assert rates(Own, 4) == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: s.StepLR(3, 1), TypeError, r"\[StepLR\] expected an Optimizer, got int"),
        (lambda o: s.LambdaLR(o, [abs, abs]), ValueError, "expected 1 values of lr_lambda, got 2"),
        (lambda o: s.MultiplicativeLR(o, 0.5), TypeError, "lr_lambda must be a function"),
        (lambda o: s.ConstantLR(o, 2.0), ValueError, r"factor must be in \[0, 1\]"),
        (lambda o: s.LinearLR(o, 0.0), ValueError, "start_factor must be in"),
        (lambda o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 must be a positive int"),
        (lambda o: s.CyclicLR(o, 0.1, 0.2, mode="square"), ValueError, "mode must be triangular"),
        (lambda o: s.OneCycleLR(o, 0.1), ValueError, "give total_steps, or epochs and steps_per_epoch"),
        (lambda o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be below 1"),
        (lambda o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (lambda o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, "1 schedulers need 0 milestones"),
        (lambda o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "whose step needs a measure"),
        (lambda o: s.ChainedScheduler([s.StepLR(optimizer(), 1)], o), ValueError, "another optimizer"),
        (lambda o: s.SWALR(o, 0.1, anneal_strategy="square"), ValueError, "must be 'cos' or 'linear'"),
    ],
)
def test_wrong_arguments_raise(make, error, message) -> None:
    o = optimizer()
    with pytest.raises(error, match=message):
        make(o)
    assert o.param_groups[0]["lr"] == 0.1


def test_momentum_is_needed_to_turn_it() -> None:
    with pytest.raises(ValueError, match="needs an optimizer with momentum or betas"):
        s.CyclicLR(optim.Adagrad([vs.zeros(1, requires_grad=True)]), 0.1, 0.2)


def models(count: int):
    vs.manual_seed(0)
    return [nn.Linear(3, 2) for _ in range(count)]


def test_averaged_model_is_the_mean_of_its_models() -> None:
    given = models(4)
    averaged = AveragedModel(given[0])
    for model in given:
        averaged.update_parameters(model)
    mean = sum(model.weight.detach() for model in given) / 4
    assert (averaged.module.weight - mean).abs().max() < 1e-6
    assert averaged.n_averaged.item() == 4
    x = vs.ones(1, 3)
    assert averaged(x).tolist() == averaged.module(x).tolist()
    assert list(averaged.state_dict()) == ["n_averaged", "module.weight", "module.bias"]


@pytest.mark.parametrize(
    "options", [{"avg_fn": get_ema_avg_fn(0.9)}, {"multi_avg_fn": get_ema_multi_avg_fn(0.9)}]
)
def test_exponential_moving_average(options) -> None:
    given = models(3)
    averaged = AveragedModel(given[0], **options)
    expected = given[0].weight.detach()
    averaged.update_parameters(given[0])
    for model in given[1:]:
        averaged.update_parameters(model)
        expected = 0.9 * expected + 0.1 * model.weight.detach()
    assert (averaged.module.weight - expected).abs().max() < 1e-6
    with pytest.raises(ValueError, match="decay must be in"):
        get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="is it another model"):
        averaged.update_parameters(nn.Linear(3, 2, bias=False))


def test_update_bn_takes_the_statistics_of_the_whole_loader() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2)).eval()
    vs.manual_seed(0)
    batches = [vs.randn(4, 2, 3, 3) * 2 + 1 for _ in range(3)]
    update_bn([(batch, None) for batch in batches], model)
    mean = vs.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    assert (model[0].running_mean - mean).abs().max() < 1e-6
    assert model[0].momentum == 0.1
    assert not model.training
