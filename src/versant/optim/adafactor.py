"""Adafactor: second moments of a matrix kept as one row and one column."""

import math
from typing import Any

import versant
from versant import Tensor
from versant.optim.optimizer import Group, Optimizer, Params, at_least_zero


class Adafactor(Optimizer):
    """p -= a_t * u, u = g / sqrt(v) clipped to a root mean square of d (Shazeer and Stern 2018).

    v is the product of running means of g**2 along rows and columns for matrices, and a running mean for
    vectors; their decay is 1 - t**beta2_decay. a_t = max(eps[1], rms(p)) * min(lr, 1 / sqrt(t)).
    eps[0]: the least of sqrt(v), by default that of the dtype; weight_decay: p *= 1 - lr * weight_decay;
    maximize: climbs instead. `foreach` is taken and changes nothing.
    """

    _state_names: frozenset[str] | None = frozenset({"step", "row_var", "col_var", "variance"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Group) -> None:
        at_least_zero("Adafactor", group, "lr", "weight_decay")
        if not group["beta2_decay"] <= 0.0:
            raise ValueError(f"[Adafactor] beta2_decay must be at most 0, got {group['beta2_decay']}")
        if not group["d"] >= 1.0:
            raise ValueError(f"[Adafactor] d must be at least 1, got {group['d']}")
        if len(group["eps"]) != 2 or not all(eps is None or eps >= 0.0 for eps in group["eps"]):
            raise ValueError(f"[Adafactor] eps must be two numbers of at least 0, got {group['eps']}")

    def _check_parameter(self, where: str, parameter: Tensor) -> None:
        if parameter.dtype.is_complex:
            raise RuntimeError(f"{where} is complex, which Adafactor does not support")

    def _expected_shape(self, name: str, parameter: Tensor) -> tuple[int, ...]:
        shape = list(parameter.shape)
        if name == "row_var":
            shape[-1:] = [1]
        elif name == "col_var":
            shape[-2:-1] = [1]
        return tuple(shape)

    def _step_group(self, group: Group) -> None:
        with versant.no_grad():
            for parameter in group["params"]:
                g = parameter.grad
                if g is not None:
                    self._step_parameter(group, parameter, -g if group["maximize"] else g)

    def _step_parameter(self, group: Group, parameter: Tensor, g: Tensor) -> None:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = versant.tensor(0.0)
            for name in ("row_var", "col_var") if parameter.ndim > 1 else ("variance",):
                state[name] = parameter.new_zeros(self._expected_shape(name, parameter))
        step, lr = float(state["step"]) + 1, float(group["lr"])
        least, least_scale = group["eps"]
        least = versant.finfo(parameter.dtype).eps if least is None else least
        size = max(least_scale, root_mean_square(parameter)) * min(lr, 1 / math.sqrt(step))
        weight = step ** group["beta2_decay"]
        if parameter.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            rows.lerp_((g * g).mean(-1, keepdim=True), weight)
            columns.lerp_((g * g).mean(-2, keepdim=True), weight)
            spread = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=least)
        else:
            spread = state["variance"].lerp_(g * g, weight)
        update = g * spread.clamp(min=least * least).rsqrt()
        clip = max(1.0, root_mean_square(update) / group["d"])
        if group["weight_decay"] != 0:
            parameter.mul_(1 - lr * group["weight_decay"])
        parameter.add_(update, alpha=-size / clip)
        state["step"] = versant.tensor(step)


def root_mean_square(x: Tensor) -> float:
    return float(x.norm().item()) / math.sqrt(x.numel()) if x.numel() else 0.0
