"""Schedulers that raise and lower the learning rate, and the momentum the other way."""

import math
from collections.abc import Callable
from typing import Any

from versant import Tensor
from versant.optim.lr_scheduler.base import (
    LRScheduler,
    Rate,
    expect_optimizer,
    one_for_each,
    set_value,
    state_of_function,
)
from versant.optim.optimizer import Group, Optimizer


class Momentum(LRScheduler):
    """A scheduler that may turn the groups' momentum too: "momentum", or the first of "betas"."""

    cycle_momentum: bool
    use_beta1: bool

    def _prepare_momentum(
        self, optimizer: Optimizer, base_momentum: Any, max_momentum: Any, last_epoch: int
    ) -> tuple[list[float], list[float]]:
        """Begin with the largest momentum; the least and the largest of each group."""
        name = type(self).__name__
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"[{name}] cycle_momentum needs an optimizer with momentum or betas, which "
                f"{type(optimizer).__name__} is not"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        lowest = one_for_each(name, optimizer, base_momentum, "base_momentum")
        highest = one_for_each(name, optimizer, max_momentum, "max_momentum")
        if last_epoch == -1:
            for group, least, most in zip(optimizer.param_groups, lowest, highest, strict=True):
                self._set_momentum(group, most)
                group["max_momentum"], group["base_momentum"] = most, least
        return lowest, highest

    def _set_momentum(self, group: Group, momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(Momentum):
    """lr up from base_lr to max_lr in step_size_up steps, down in step_size_down, and again (Smith 2017).

    mode: "triangular", "triangular2" (half as high each time), "exp_range" (gamma**step as high); or
    scale_fn, of the number of the cycle or of the step (scale_mode "cycle" or "iterations").
    cycle_momentum: the momentum goes from max_momentum to base_momentum and back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = expect_optimizer(self, optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"[CyclicLR] mode must be triangular, triangular2 or exp_range, got {mode!r}")
        base_lrs = one_for_each("CyclicLR", optimizer, base_lr, "base_lr")
        self.max_lrs = one_for_each("CyclicLR", optimizer, max_lr, "max_lr")
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            bounds = self._prepare_momentum(optimizer, base_momentum, max_momentum, last_epoch)
            self.base_momentums, self.max_momentums = bounds
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, base_lrs, strict=True):
                set_value(group, "lr", rate)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _changed(self) -> list[Tensor] | None:
        return super()._changed() if self._scale_fn_custom is None else None

    def scale_fn(self, x: float) -> float:
        """How high the wave is in cycle, or at step, x."""
        if self._scale_fn_custom is not None:
            return float(self._scale_fn_custom(x))
        if self.mode == "triangular2":
            return float(1 / 2.0 ** (x - 1))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        part = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height = part * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            for group, least, most in zip(groups, self.base_momentums, self.max_momentums, strict=True):
                self._set_momentum(group, most - (most - least) * height)
        return [
            least + (most - least) * height for least, most in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        custom = self._scale_fn_custom
        state = None if custom is None else state_of_function(custom)
        return {**super().state_dict(), "_scale_fn_custom": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        custom = self._scale_fn_custom
        if state_dict["_scale_fn_custom"] is not None and custom is not None:
            custom.__dict__.update(state_dict["_scale_fn_custom"])
        self.__dict__.update({**state_dict, "_scale_fn_custom": custom})


class OneCycleLR(Momentum):
    """lr from max_lr / div_factor up to max_lr and far down again, in total_steps (Smith and Topin 2018).

    total_steps, or epochs times steps_per_epoch. pct_start: the share of the rise. anneal_strategy: "cos" or
    "linear". final_div_factor: the initial rate by the last. three_phase: falls as long as it rises, then to
    the end. cycle_momentum: the momentum goes from max_momentum to base_momentum and back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = expect_optimizer(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("[OneCycleLR] give total_steps, or epochs and steps_per_epoch")
            total_steps = _count("epochs", epochs) * _count("steps_per_epoch", steps_per_epoch)
        self.total_steps = _count("total_steps", total_steps)
        if not isinstance(pct_start, float) or not 0.0 <= pct_start <= 1.0:
            raise ValueError(f"[OneCycleLR] pct_start must be a float in [0, 1], got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"[OneCycleLR] anneal_strategy is 'cos' or 'linear', got {anneal_strategy!r}")
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        rates = one_for_each("OneCycleLR", optimizer, max_lr, "max_lr")
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"[OneCycleLR] step {step} of a schedule of {self.total_steps} steps")
        begin = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            begin = end
        share = (step - begin) / (end - begin)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                first, last = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(first, last, share))
        return rates


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"[OneCycleLR] {name} must be a positive int, got {value}")
    return value


def _phases(total_steps: int, share: float, three: bool) -> list[dict[str, Any]]:
    """The parts of the cycle: up to which step, and between which options of a group."""

    def phase(end: float, rates: str, momenta: str) -> dict[str, Any]:
        (start_lr, end_lr), (start_momentum, end_momentum) = rates.split(), momenta.split()
        return {
            "end_step": end,
            "start_lr": start_lr,
            "end_lr": end_lr,
            "start_momentum": start_momentum,
            "end_momentum": end_momentum,
        }

    top = float(share * total_steps) - 1
    up = phase(top, "initial_lr max_lr", "max_momentum base_momentum")
    if not three:
        return [up, phase(total_steps - 1, "max_lr min_lr", "base_momentum max_momentum")]
    return [
        up,
        phase(float(2 * share * total_steps) - 2, "max_lr initial_lr", "base_momentum max_momentum"),
        phase(total_steps - 1, "initial_lr min_lr", "max_momentum max_momentum"),
    ]
