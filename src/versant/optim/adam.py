"""Adam and AdamW."""

import math
from typing import Any

from versant.optim.optimizer import Call, Group, Optimizer, Params, at_least_zero, check_betas
from versant.optim.plan import Batch
from versant.optim.rule import Terms, blend, gradient, m, rule
from versant.optim.steps import adam_step


@rule
def adam(t: Terms, maximize: bool, decays: bool, decoupled: bool, amsgrad: bool, near: bool) -> Any:
    """The step that the machine's adam_step takes: a test holds one against the other."""
    param = t.param * t.shrink if decoupled else t.param
    g = gradient(t, maximize, decays, param)
    mean = blend(t.exp_avg, g, t.weight, near)
    square = t.exp_avg_sq * t.beta2 + t.share * g * g
    scale = m.max(t.max_exp_avg_sq, square) if amsgrad else square
    new = {
        "param": param + t.rate * mean / (m.sqrt(scale) + t.eps),
        "exp_avg": mean,
        "exp_avg_sq": square,
    }
    return new | ({"max_exp_avg_sq": scale} if amsgrad else {})


STEP = 5  # which argument of adam_step counts


class Adam(Optimizer):
    """p -= lr * m / (sqrt(v) + eps), m and v bias-corrected running means of g and g**2 (Kingma and Ba 2014).

    betas: the decay of m and of v; weight_decay: adds weight_decay * p to the gradient;
    amsgrad: takes the largest v so far (Reddi et al. 2018); maximize: climbs instead;
    decoupled_weight_decay: shrinks the parameter itself, as AdamW does.
    `foreach`, `fused` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        name = type(self).__name__
        at_least_zero(name, group, "lr", "eps", "weight_decay")
        check_betas(name, group)

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _call_of(self, group: Group, batch: Batch, step: int) -> Call | None:
        if group["differentiable"]:
            return None
        beta1, beta2 = group["betas"]
        buffers = batch.buffers
        arguments = (
            batch.params,
            None,
            buffers["exp_avg"],
            buffers["exp_avg_sq"],
            buffers.get("max_exp_avg_sq"),
            step,
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
        return "adam_step", arguments, STEP

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        call = self._call_of(group, batch, step)
        if call is None:
            return self._update_recorded(group, batch, step)
        adam_step(*call[1])
        return None

    def _update_recorded(self, group: Group, batch: Batch, step: int) -> None:
        self._apply(adam, group, batch, adam_numbers(group, step), *adam_flags(group))


def adam_numbers(group: Group, step: int) -> dict[str, Any]:
    """What all elements share in a step of `adam`."""
    beta1, beta2 = map(float, group["betas"])
    lr, decay = group["lr"], group["weight_decay"]
    correction = math.sqrt(1 - beta2**step)
    numbers = {
        "rate": -(lr / (1 - beta1**step) * correction),
        "weight": 1 - beta1,
        "beta2": beta2,
        "share": 1 - beta2,
        "eps": group["eps"] * correction,
    }
    if decay != 0:
        numbers |= {"shrink": 1 - lr * decay} if group["decoupled_weight_decay"] else {"weight_decay": decay}
    return numbers


def adam_flags(group: Group) -> tuple[bool, ...]:
    decays, decoupled = group["weight_decay"] != 0, bool(group["decoupled_weight_decay"])
    near = 1 - float(group["betas"][0]) < 0.5
    return (
        bool(group["maximize"]),
        decays and not decoupled,
        decays and decoupled,
        bool(group["amsgrad"]),
        near,
    )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself, p *= 1 - lr * weight_decay.

    Loshchilov and Hutter 2019. The arguments are those of Adam.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        group["decoupled_weight_decay"] = True  # also where a state of Adam is loaded
