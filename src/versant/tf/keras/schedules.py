"""Learning rates as functions of the number of steps made."""

import math
from typing import Any

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


class LearningRateSchedule:
    """A function of the step, counted from 0, that gives the rate."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] __call__ is not defined")


class _Decay(LearningRateSchedule):
    """What falls with step / decay_steps, a whole number if `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: Any = None,
    ) -> None:
        self.initial, self.steps, self.rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase = staircase

    def progress(self, step: Any) -> float:
        p = int(step) / self.steps
        return math.floor(p) if self.staircase else p


class ExponentialDecay(_Decay):
    """initial * decay_rate ** (step / decay_steps)."""

    def __call__(self, step: Any) -> float:
        return float(self.initial * self.rate ** self.progress(step))


class InverseTimeDecay(_Decay):
    """initial / (1 + decay_rate * step / decay_steps)."""

    def __call__(self, step: Any) -> float:
        return float(self.initial / (1 + self.rate * self.progress(step)))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and with boundaries[i]."""

    def __init__(self, boundaries: Any, values: Any, name: Any = None) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError("[PiecewiseConstantDecay] there must be one value more than boundaries")
        self.boundaries, self.values = list(boundaries), list(values)

    def __call__(self, step: Any) -> float:
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if int(step) <= boundary:
                return float(value)
        return float(self.values[-1])


class PolynomialDecay(LearningRateSchedule):
    """From initial to end along (1 - step / decay_steps) ** power."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: Any = None,
    ) -> None:
        self.initial, self.steps, self.end = initial_learning_rate, decay_steps, end_learning_rate
        self.power, self.cycle = power, cycle

    def __call__(self, step: Any) -> float:
        n, steps = int(step), float(self.steps)
        if self.cycle:
            steps *= max(1, math.ceil(n / steps))
        p = min(n, steps) / steps
        return float((self.initial - self.end) * (1 - p) ** self.power + self.end)


class CosineDecay(LearningRateSchedule):
    """Up in a line during warmup_steps, then down along half a cosine. (Loshchilov and Hutter, 2017)"""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: Any = None,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial, self.steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.target, self.warmup = warmup_target, warmup_steps

    def __call__(self, step: Any) -> float:
        n = int(step)
        first = self.initial
        if self.target is not None:
            if n < self.warmup:
                return float(self.initial + (self.target - self.initial) * n / self.warmup)
            first, n = self.target, n - self.warmup
        p = min(n, self.steps) / self.steps
        return float(first * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * p)) + self.alpha))
