"""Adagrad, Adadelta and RMSprop: each element's step is scaled by the size of its gradients so far."""

from typing import Any

import versant
from versant import Tensor
from versant.optim.optimizer import Group, Optimizer, Params, at_least_zero
from versant.optim.plan import Batch
from versant.optim.rule import Terms, blend, gradient, m, rule


def decay_number(group: Group) -> dict[str, float]:
    """The weight decay as a number of a rule, where there is any."""
    return {"weight_decay": group["weight_decay"]} if group["weight_decay"] != 0 else {}


@rule
def adagrad(t: Terms, maximize: bool, decays: bool) -> Any:
    g = gradient(t, maximize, decays)
    total = t.sum + g * g
    return {"sum": total, "param": t.param + t.rate * (g / (m.sqrt(total) + t.eps))}


class Adagrad(Optimizer):
    """p -= lr_t * g / (sqrt(sum of all g**2) + eps), lr_t = lr / (1 + (t - 1) * lr_decay).

    Duchi et al. 2011. initial_accumulator_value: what the sums begin with;
    weight_decay: adds weight_decay * p to the gradient; maximize: climbs instead.
    `foreach` and `fused` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "sum"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for parameter in group["params"]:
            total = self._new_buffer("sum", parameter, group)
            self.state[parameter].update(step=versant.tensor(0.0), sum=total)

    def _check_options(self, group: Group) -> None:
        at_least_zero("Adagrad", group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("sum",)

    def _new_buffer(self, name: str, parameter: Tensor, group: Group) -> Tensor:
        return filled_like(parameter, group["initial_accumulator_value"])

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        numbers = {"rate": -rate, "eps": group["eps"], **decay_number(group)}
        self._apply(adagrad, group, batch, numbers, bool(group["maximize"]), group["weight_decay"] != 0)


def filled_like(parameter: Tensor, value: float) -> Tensor:
    """A buffer of one value; of both parts of complex numbers."""
    number = complex(value, value) if parameter.dtype.is_complex else value
    return versant.full_like(parameter, number, requires_grad=False)


@rule
def adadelta(t: Terms, maximize: bool, decays: bool) -> Any:
    g = gradient(t, maximize, decays)
    square = t.square_avg * t.rho + t.share * g * g
    delta = m.sqrt(t.acc_delta + t.eps) / m.sqrt(square + t.eps) * g
    return {
        "square_avg": square,
        "acc_delta": t.acc_delta * t.rho + t.share * delta * delta,
        "param": t.param + t.rate * delta,
    }


class Adadelta(Optimizer):
    """p -= lr * g * sqrt(d + eps) / sqrt(v + eps), v and d running means of g**2 and steps**2 (Zeiler 2012).

    rho: the decay of both; weight_decay: adds weight_decay * p to the gradient; maximize: climbs instead.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "square_avg", "acc_delta"})

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("Adadelta", group, "lr", "rho", "eps", "weight_decay")
        if not group["rho"] <= 1.0:
            raise ValueError(f"[Adadelta] rho must be at most 1, got {group['rho']}")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        rho = group["rho"]
        numbers = {"rate": -group["lr"], "rho": rho, "share": 1 - rho, "eps": group["eps"]}
        numbers |= decay_number(group)
        self._apply(adadelta, group, batch, numbers, bool(group["maximize"]), group["weight_decay"] != 0)


@rule
def rmsprop(t: Terms, maximize: bool, decays: bool, centered: bool, momentum: bool, near: bool) -> Any:
    g = gradient(t, maximize, decays)
    square = t.square_avg * t.alpha + t.share * g * g
    new = {"square_avg": square}
    spread = square
    if centered:
        mean = new["grad_avg"] = blend(t.grad_avg, g, t.share, near)
        spread = square - mean * mean
    direction = g / (m.sqrt(spread) + t.eps)
    if momentum:
        direction = new["momentum_buffer"] = t.momentum_buffer * t.momentum + direction
    return new | {"param": t.param + t.rate * direction}


class RMSprop(Optimizer):
    """p -= lr * g / (sqrt(v) + eps), v the running mean of g**2 (Hinton 2012, lecture 6e of his course).

    alpha: the decay of v; centered: takes the variance of g instead (Graves 2013);
    momentum: steps along a running sum of these directions;
    weight_decay: adds weight_decay * p to the gradient;
    maximize: climbs instead.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "square_avg", "momentum_buffer", "grad_avg"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("RMSprop", group, "lr", "alpha", "eps", "weight_decay", "momentum")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        momentum = ("momentum_buffer",) if group["momentum"] > 0 else ()
        return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        alpha, momentum = group["alpha"], group["momentum"]
        numbers = {"rate": -group["lr"], "alpha": alpha, "share": 1 - alpha, "eps": group["eps"]}
        numbers |= decay_number(group)
        if momentum > 0:
            numbers["momentum"] = momentum
        flags = (group["maximize"], group["weight_decay"] != 0, group["centered"], momentum > 0)
        self._apply(rmsprop, group, batch, numbers, *map(bool, flags), 1 - alpha < 0.5)
