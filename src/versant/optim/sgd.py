"""Stochastic gradient descent, with momentum."""

from collections.abc import Iterable
from typing import Any

from versant.optim.optimizer import Group, Optimizer, at_least_zero
from versant.optim.plan import Batch
from versant.optim.steps import sgd_step


class SGD(Optimizer):
    """p -= lr * v with v = momentum * v + (1 - dampening) * g, and v = g at first (Sutskever et al. 2013).

    weight_decay: adds weight_decay * p to the gradient; nesterov: steps along g + momentum * v;
    maximize: climbs instead.
    `foreach` and `fused` are taken and change nothing: an update is always one fused call.
    """

    _counts_steps = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("SGD", group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("[SGD] nesterov needs a positive momentum and no dampening")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        sgd_step(
            batch.params,
            None,
            batch.buffers.get("momentum_buffer"),
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            step == 1,
        )
