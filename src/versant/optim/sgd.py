"""Stochastic gradient descent, with momentum."""

from collections.abc import Mapping
from typing import Any

from versant.optim.optimizer import Call, Group, Optimizer, Params, at_least_zero
from versant.optim.plan import Batch
from versant.optim.rule import Terms, gradient, rule
from versant.optim.steps import sgd_step


@rule
def sgd(t: Terms, maximize: bool, decays: bool, momentum: bool, nesterov: bool, first: bool) -> Any:
    """The step that the machine's sgd_step takes: a test holds one against the other."""
    g = gradient(t, maximize, decays)
    if not momentum:
        return {"param": t.param + t.rate * g}
    velocity = g if first else t.momentum_buffer * t.momentum + t.share * g
    direction = g + t.momentum * velocity if nesterov else velocity
    return {"param": t.param + t.rate * direction, "momentum_buffer": velocity}


class SGD(Optimizer):
    """p -= lr * v with v = momentum * v + (1 - dampening) * g, and v = g at first (Sutskever et al. 2013).

    weight_decay: adds weight_decay * p to the gradient; nesterov: steps along g + momentum * v;
    maximize: climbs instead.
    `foreach` and `fused` are taken and change nothing: an update is always one fused call.
    differentiable: runs the step as recorded ops, so that gradients pass through it.
    """

    _counters: Mapping[str, float] = {}
    _state_names: frozenset[str] | None = frozenset({"momentum_buffer"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("SGD", group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("[SGD] nesterov needs a positive momentum and no dampening")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _call_of(self, group: Group, batch: Batch, step: int) -> Call | None:
        if group["differentiable"]:
            return None
        arguments = (
            batch.params,
            None,
            batch.buffers.get("momentum_buffer"),
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            batch.fresh,
        )
        return "sgd_step", arguments, -1

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        call = self._call_of(group, batch, step)
        if call is None:
            numbers, flags = sgd_terms(group, batch.fresh)
            return self._apply(sgd, group, batch, numbers, *flags)
        sgd_step(*call[1])
        return None


def sgd_terms(group: Group, first: bool) -> tuple[dict[str, Any], tuple[bool, ...]]:
    """Numbers and flags of a step of `sgd`."""
    momentum, decay = group["momentum"], group["weight_decay"]
    numbers = {"rate": -group["lr"]}
    if decay != 0:
        numbers["weight_decay"] = decay
    if momentum != 0:
        numbers |= {"momentum": momentum, "share": 1 - group["dampening"]}
    return numbers, (bool(group["maximize"]), decay != 0, momentum != 0, bool(group["nesterov"]), first)
