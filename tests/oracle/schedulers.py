"""Learning rates and momenta of schedulers beside PyTorch's, over 200 steps, saved and loaded midway."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

import versant as vs

STEPS = 200
Make = Callable[[Any, Any], Any]  # of (the module lr_scheduler, an optimizer)


def halved(step: int) -> float:
    return 0.5 ** (step // 30)


def swalr(s: Any) -> Any:
    return s.SWALR if hasattr(s, "SWALR") else torch.optim.swa_utils.SWALR


def sequence(s: Any, o: Any) -> Any:
    parts = [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.98), s.CosineAnnealingLR(o, 25)]
    return s.SequentialLR(o, parts, [20, 90])


def nested(s: Any, o: Any) -> Any:
    inner = s.SequentialLR(o, [s.LinearLR(o, 0.2, 1.0, 10), s.StepLR(o, 7, 0.7)], [10])
    return s.SequentialLR(o, [inner, s.PolynomialLR(o, 60, 2.0)], [50])


CASES: dict[str, list[Make]] = {
    "LambdaLR": [
        lambda s, o: s.LambdaLR(o, halved),
        lambda s, o: s.LambdaLR(o, [halved, lambda t: 1 / (1 + t)]),
    ],
    "MultiplicativeLR": [lambda s, o: s.MultiplicativeLR(o, lambda t: 0.99 if t % 2 else 1.005)],
    "StepLR": [lambda s, o: s.StepLR(o, 30), lambda s, o: s.StepLR(o, 7, gamma=0.8)],
    "MultiStepLR": [lambda s, o: s.MultiStepLR(o, [10, 60, 60, 150], gamma=0.3)],
    "ConstantLR": [lambda s, o: s.ConstantLR(o), lambda s, o: s.ConstantLR(o, factor=0.5, total_iters=50)],
    "LinearLR": [lambda s, o: s.LinearLR(o), lambda s, o: s.LinearLR(o, 1.0, 0.1, 120)],
    "ExponentialLR": [lambda s, o: s.ExponentialLR(o, 0.97)],
    "PolynomialLR": [lambda s, o: s.PolynomialLR(o), lambda s, o: s.PolynomialLR(o, 150, power=2.5)],
    "CosineAnnealingLR": [
        lambda s, o: s.CosineAnnealingLR(o, 200),
        lambda s, o: s.CosineAnnealingLR(o, 33, eta_min=0.01),
    ],
    "CosineAnnealingWarmRestarts": [
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 40),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, T_mult=2, eta_min=1e-3),
    ],
    "CyclicLR": [
        lambda s, o: s.CyclicLR(o, 0.01, 0.2, 30),
        lambda s, o: s.CyclicLR(o, [0.01, 0.02], 0.2, 20, 45, mode="triangular2"),
        lambda s, o: s.CyclicLR(o, 0.01, 0.2, 13, mode="exp_range", gamma=0.995, cycle_momentum=False),
        lambda s, o: s.CyclicLR(o, 0.01, 0.2, 25, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"),
    ],
    "OneCycleLR": [
        lambda s, o: s.OneCycleLR(o, 0.5, total_steps=STEPS + 1),
        lambda s, o: s.OneCycleLR(o, [0.5, 0.1], epochs=21, steps_per_epoch=10, anneal_strategy="linear"),
        lambda s, o: s.OneCycleLR(o, 0.5, total_steps=220, three_phase=True, pct_start=0.2, div_factor=10),
    ],
    "ReduceLROnPlateau": [
        lambda s, o: s.ReduceLROnPlateau(o, patience=4, cooldown=2),
        lambda s, o: s.ReduceLROnPlateau(o, "max", 0.5, 3, 0.05, "abs", min_lr=[1e-3, 1e-2]),
    ],
    "SequentialLR": [sequence, nested],
    "ChainedScheduler": [
        lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.98)]),
        lambda s, o: s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 50), s.CosineAnnealingLR(o, 60)], o),
    ],
    "SWALR": [  # of swa_utils, in PyTorch
        lambda s, o: swalr(s)(o, 0.5),
        lambda s, o: swalr(s)(o, [0.5, 0.01], 60, "linear"),
    ],
}


def schedule(library: Any, kind: str, make: Make) -> tuple[list[Any], list[str], Any]:
    """Rates and momenta of every step, which steps warned, and the names in the state."""
    p, q = library.zeros(1).requires_grad_(), library.zeros(2).requires_grad_()
    groups = [{"params": [p]}, {"params": [q], "lr": 0.3}]
    optimizers = {"SGD": library.optim.SGD, "Adam": library.optim.Adam}
    options = {"momentum": 0.7} if kind == "SGD" else {}

    def built() -> tuple[Any, Any]:
        optimizer = optimizers[kind]([dict(group) for group in groups], lr=0.1, **options)
        return optimizer, make(library.optim.lr_scheduler, optimizer)

    seen, warned = [], []
    optimizer, scheduler = built()
    for step in range(STEPS):
        if step == STEPS // 2:
            states = optimizer.state_dict(), scheduler.state_dict()
            optimizer, scheduler = built()
            optimizer.load_state_dict(states[0])
            scheduler.load_state_dict(states[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if step != 0:  # the first step of the scheduler comes too early
                optimizer.step()
            measure = ((step % 17) / 17 + 30 / (step + 1),) if "Plateau" in type(scheduler).__name__ else ()
            scheduler.step(*measure)
        warned += [f"step {step}: {w.category.__name__}" for w in caught]
        momenta = [g["betas"][0] if kind == "Adam" else g["momentum"] for g in optimizer.param_groups]
        seen.append([*map(float, scheduler.get_last_lr()), *map(float, momenta)])
    return seen, warned, names(scheduler.state_dict())


def names(state: Any) -> Any:
    """The names in a state, all the way down."""
    if isinstance(state, dict):
        return {key: names(value) for key, value in state.items() if not isinstance(key, int)}
    return [names(item) for item in state if isinstance(item, dict)] if isinstance(state, list) else None


def agrees(case: tuple[str, Make]) -> str | None:
    kind, make = case
    (ours, our_warnings, our_names), (theirs, warned, their_names) = (
        schedule(library, kind, make) for library in (vs, torch)
    )
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if any(abs(x - y) > 1e-12 + 1e-9 * abs(y) for x, y in zip(a, b, strict=True)):
            return f"step {step}: rates and momenta {a}, not {b}"
    if our_warnings != warned:
        return f"warns at {our_warnings}, not {warned}"
    return None if our_names == their_names else f"state holds {our_names}, not {their_names}"
