"""Schedulers made of schedulers: one after the other, or all at once."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from versant import Tensor
from versant.autograd.repeated import repeated
from versant.optim.lr_scheduler.base import LRScheduler, set_value, values_of
from versant.optim.lr_scheduler.plateau import ReduceLROnPlateau
from versant.optim.optimizer import Optimizer


class Composition(LRScheduler):
    """A scheduler of schedulers of one optimizer."""

    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"[{name}] expected at least one scheduler")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"[{name}] scheduler {i} has no optimizer: {type(scheduler).__name__}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"[{name}] scheduler {i} is a ReduceLROnPlateau, whose step needs a measure")
            optimizer = scheduler.optimizer if optimizer is None else optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"[{name}] scheduler {i} belongs to another optimizer")
        assert optimizer is not None
        self._schedulers = list(schedulers)
        self.optimizer = optimizer
        return optimizer

    def _changed(self) -> list[Tensor] | None:
        found = [scheduler._changed() for scheduler in self._schedulers]
        return None if None in found else super()._changed()

    def state_dict(self) -> dict[str, Any]:
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.__dict__.update({**state_dict, "_schedulers": self._schedulers})


class SequentialLR(Composition):
    """The schedulers one after the other; each gives way to the next at its milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._take(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"[SequentialLR] {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, "
                f"got {len(milestones)}"
            )
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        # The first step that each scheduler has made is taken back; only the first one's counts.
        for group in optimizer.param_groups:
            set_value(group, "lr", group["initial_lr"])
        step_back(self)
        first = self._schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    @repeated
    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next step, by the scheduler whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def step_back(scheduler: LRScheduler) -> None:
    if isinstance(scheduler, Composition):
        for inner in scheduler._schedulers:
            step_back(inner)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(Composition):
    """All schedulers in every step, each from the rates that those before it have set."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = values_of(self.optimizer, "lr")

    @repeated
    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = values_of(self.optimizer, "lr")
