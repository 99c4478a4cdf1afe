"""Adamax, NAdam and RAdam: Adam by another norm, with Nesterov's momentum, and with a rectified start."""

import math
from collections.abc import Mapping
from typing import Any

import versant
from versant.optim.adagrad import decay_number
from versant.optim.optimizer import Group, Optimizer, Params, at_least_zero, check_betas
from versant.optim.plan import Batch
from versant.optim.rule import Terms, blend, gradient, m, rule


@rule
def adamax(t: Terms, maximize: bool, decays: bool, near: bool) -> Any:
    g = gradient(t, maximize, decays)
    mean = blend(t.exp_avg, g, t.weight, near)
    largest = m.max(t.exp_inf * t.beta2, m.abs(g) + t.eps)
    return {"exp_avg": mean, "exp_inf": largest, "param": t.param + t.rate * (mean / largest)}


class Adamax(Optimizer):
    """Adam by the infinity norm: p -= lr / (1 - beta1**t) * m / u, u = max(beta2 * u, |g| + eps).

    Kingma and Ba 2014, section 7. betas: the decay of the mean m and of the largest gradient u;
    weight_decay: adds weight_decay * p to the gradient; maximize: climbs instead.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "exp_avg", "exp_inf"})

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("Adamax", group, "lr", "eps", "weight_decay")
        check_betas("Adamax", group)

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        beta1, beta2 = group["betas"]
        numbers = {"rate": -(group["lr"] / (1 - beta1**step)), "weight": 1 - beta1, "beta2": beta2}
        numbers |= {"eps": group["eps"], **decay_number(group)}
        flags = (bool(group["maximize"]), group["weight_decay"] != 0, 1 - beta1 < 0.5)
        self._apply(adamax, group, batch, numbers, *flags)


def decayed(group: Group) -> tuple[dict[str, float], tuple[bool, bool]]:
    """Weight decay for a rule: its number, and whether it joins the gradient or shrinks the parameter."""
    decay = group["weight_decay"]
    if decay == 0:
        return {}, (False, False)
    if group["decoupled_weight_decay"]:
        return {"shrink": 1 - group["lr"] * decay}, (False, True)
    return {"weight_decay": decay}, (True, False)


@rule
def nadam(t: Terms, maximize: bool, decays: bool, decoupled: bool, near: bool) -> Any:
    param = t.param * t.shrink if decoupled else t.param
    g = gradient(t, maximize, decays, param)
    mean = blend(t.exp_avg, g, t.weight, near)
    square = t.exp_avg_sq * t.beta2 + t.share * g * g
    scale = m.sqrt(square / t.correction) + t.eps
    stepped = param + t.rate * (g / scale) + t.mean_rate * (mean / scale)
    return {"exp_avg": mean, "exp_avg_sq": square, "param": stepped}


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, whose weight mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2) grows.

    Dozat 2016. weight_decay: adds weight_decay * p to the gradient, or shrinks p with
    decoupled_weight_decay; maximize: climbs instead.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _counters: Mapping[str, float] = {"step": 0.0, "mu_product": 1.0}
    _state_names: frozenset[str] | None = frozenset({"step", "mu_product", "exp_avg", "exp_avg_sq"})

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("NAdam", group, "lr", "eps", "weight_decay", "momentum_decay")
        check_betas("NAdam", group)

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        (beta1, beta2), lr, decay = group["betas"], group["lr"], group["momentum_decay"]
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = stored(batch.counters["mu_product"] * mu)
        numbers = {
            "weight": 1 - beta1,
            "beta2": beta2,
            "share": 1 - beta2,
            "correction": 1 - beta2**step,
            "eps": group["eps"],
            "rate": -lr * (1 - mu) / (1 - product),
            "mean_rate": -lr * next_mu / (1 - product * next_mu),
        }
        number, ways = decayed(group)
        flags = (bool(group["maximize"]), *ways, 1 - beta1 < 0.5)
        self._apply(nadam, group, batch, numbers | number, *flags)
        batch.counters["mu_product"] = product


def stored(value: float) -> float:
    """A number as it is when the state has kept it in a tensor."""
    number: float = versant.tensor(float(value)).item()
    return number


@rule
def radam(t: Terms, maximize: bool, decays: bool, decoupled: bool, rectified: bool, near: bool) -> Any:
    param = t.param * t.shrink if decoupled else t.param
    g = gradient(t, maximize, decays, param)
    mean = blend(t.exp_avg, g, t.weight, near)
    square = t.exp_avg_sq * t.beta2 + t.share * g * g
    direction = mean / (m.sqrt(square) + t.eps) if rectified else mean
    return {"exp_avg": mean, "exp_avg_sq": square, "param": param + t.rate * direction}


class RAdam(Optimizer):
    """Adam whose early steps go without v, and later ones are scaled by how much is known of it.

    Liu et al. 2019. weight_decay: adds weight_decay * p to the gradient, or shrinks p with
    decoupled_weight_decay; maximize: climbs instead.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "exp_avg", "exp_avg_sq"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("RAdam", group, "lr", "eps", "weight_decay")
        check_betas("RAdam", group)

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        beta1, beta2 = group["betas"]
        rate = group["lr"] / (1 - beta1**step)
        longest = 2 / (1 - beta2) - 1  # the length of the average of v in the end, and now
        length = longest - 2 * step * beta2**step / (1 - beta2**step)
        rectified = length > 5.0
        if rectified:
            share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            rate *= math.sqrt(share) * math.sqrt(1 - beta2**step)
        numbers = {
            "rate": -rate,
            "weight": 1 - beta1,
            "beta2": beta2,
            "share": 1 - beta2,
            "eps": group["eps"],
        }
        number, ways = decayed(group)
        flags = (bool(group["maximize"]), *ways, rectified, 1 - beta1 < 0.5)
        self._apply(radam, group, batch, numbers | number, *flags)
