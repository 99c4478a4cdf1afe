"""Rprop and ASGD: steps by the sign of the gradient alone, and averages of the way travelled."""

from collections.abc import Mapping
from typing import Any

from versant import Tensor
from versant.optim.adagrad import decay_number, filled_like
from versant.optim.adam_variants import stored
from versant.optim.optimizer import Group, Optimizer, Params, at_least_zero
from versant.optim.plan import Batch
from versant.optim.rule import Terms, gradient, m, rule


@rule
def rprop(t: Terms, maximize: bool) -> Any:
    g = gradient(t, maximize, False)
    agreement = g * t.prev
    turned = m.lt(agreement, 0.0)
    factor = m.select(m.gt(agreement, 0.0), t.eta_plus, m.select(turned, t.eta_minus, 1.0))
    size = m.min(m.max(t.step_size * factor, t.least), t.most)
    followed = m.select(turned, 0.0, g)  # where the sign turned, this step is left out
    return {"step_size": size, "prev": followed, "param": t.param - m.sign(followed) * size}


class Rprop(Optimizer):
    """p -= sign(g) * s, where s grows while g keeps its sign and shrinks when that turns (Riedmiller 1993).

    etas: the factors by which s shrinks and grows; step_sizes: the least and the most that s may be;
    lr: what s begins with; maximize: climbs instead. Meant for gradients of the whole data set.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "prev", "step_size"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("Rprop", group, "lr")
        if len(group["etas"]) != 2 or not 0.0 < group["etas"][0] < 1.0 < group["etas"][1]:
            raise ValueError(f"[Rprop] etas must be two numbers around 1, got {group['etas']}")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _new_buffer(self, name: str, parameter: Tensor, group: Group) -> Tensor:
        return filled_like(parameter, float(group["lr"]) if name == "step_size" else 0.0)

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        (eta_minus, eta_plus), (least, most) = group["etas"], group["step_sizes"]
        numbers = {"eta_minus": eta_minus, "eta_plus": eta_plus, "least": least, "most": most}
        self._apply(rprop, group, batch, numbers, bool(group["maximize"]))


@rule
def asgd(t: Terms, maximize: bool, decays: bool, averaging: bool) -> Any:
    g = gradient(t, maximize, decays)
    param = t.param * t.shrink + t.rate * g
    return {"ax": t.ax + (param - t.ax) * t.mu if averaging else param, "param": param}


class ASGD(Optimizer):
    """SGD that also keeps the average of the parameters, in state[p]["ax"] (Polyak and Juditsky 1992).

    lambd: p *= 1 - lambd * eta in each step; alpha: the power of eta = lr / (1 + lambd * lr * t)**alpha;
    t0: the step from which on the average is taken; weight_decay: adds weight_decay * p to the gradient;
    maximize: climbs instead.
    `foreach` and `capturable` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _counters: Mapping[str, float] = {"step": 0.0, "eta": 0.0, "mu": 1.0}
    _state_names: frozenset[str] | None = frozenset({"step", "eta", "mu", "ax"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("ASGD", group, "lr", "weight_decay")

    def _first_counters(self, group: Group) -> dict[str, float]:
        return {"step": 0.0, "eta": stored(group["lr"]), "mu": 1.0}

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("ax",)

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        lr, lambd = float(group["lr"]), group["lambd"]
        eta, mu = batch.counters["eta"], batch.counters["mu"]
        numbers = {"shrink": 1 - lambd * eta, "rate": -eta, **decay_number(group)}
        if mu != 1:
            numbers["mu"] = mu
        flags = (bool(group["maximize"]), group["weight_decay"] != 0, mu != 1)
        self._apply(asgd, group, batch, numbers, *flags)
        batch.counters["eta"] = stored(lr / (1 + lambd * lr * step) ** group["alpha"])
        batch.counters["mu"] = stored(1 / max(1, step - group["t0"]))
