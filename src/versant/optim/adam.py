"""Adam and AdamW."""

from collections.abc import Iterable
from typing import Any

from versant.optim.optimizer import Group, Optimizer, at_least_zero
from versant.optim.plan import Batch
from versant.optim.steps import adam_step


class Adam(Optimizer):
    """p -= lr * m / (sqrt(v) + eps), m and v bias-corrected running means of g and g**2 (Kingma and Ba 2014).

    betas: the decay of m and of v; weight_decay: adds weight_decay * p to the gradient;
    amsgrad: takes the largest v so far (Reddi et al. 2018); maximize: climbs instead.
    `foreach` and `fused` are taken and change nothing: an update is always one fused call.
    """

    _decoupled = False  # whether weight decay shrinks the parameter itself instead of joining the gradient

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        name = type(self).__name__
        at_least_zero(name, group, "lr", "eps", "weight_decay")
        if len(group["betas"]) != 2 or not all(0.0 <= beta < 1.0 for beta in group["betas"]):
            raise ValueError(f"[{name}] betas must be two numbers in [0, 1), got {group['betas']}")

    def _buffer_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _update(self, group: Group, batch: Batch, step: int) -> None:
        beta1, beta2 = group["betas"]
        buffers = batch.buffers
        adam_step(
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
            self._decoupled,
            group["maximize"],
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself, p *= 1 - lr * weight_decay.

    Loshchilov and Hutter 2019. The arguments are those of Adam.
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
