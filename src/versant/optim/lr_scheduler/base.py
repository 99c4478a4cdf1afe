"""What all schedulers share: they count steps and write learning rates into the optimizer's groups."""

import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from versant import Tensor
from versant.autograd.repeated import repeated
from versant.optim.optimizer import Group, Optimizer

Rate = Any  # a number, or a tensor of one element, which is changed in place


class LRScheduler:
    """The base of the schedulers: a subclass gives `get_lr`, the rates of all groups at `last_epoch`.

    optimizer: whose groups are changed. last_epoch: -1 starts anew, from the rates that the groups have now;
    otherwise the groups must hold "initial_lr", as those of a loaded optimizer do.
    """

    # What code may read beside steps: compiled functions watch it (compiler/watch.py).
    _watched: Mapping[str, str] = {"get_last_lr": "_last_lr", "last_epoch": "last_epoch"}
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = expect_optimizer(self, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"[{type(self).__name__}] group {i} has no 'initial_lr', which going on from epoch "
                    f"{last_epoch} needs: load the optimizer's state first"
                )
        self.base_lrs = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        watch_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Rate]:
        """The rates of all groups at `last_epoch`. Every scheduler defines its own."""
        raise NotImplementedError(f"[{type(self).__name__}] get_lr is not defined: write def get_lr(self)")

    def get_last_lr(self) -> list[Rate]:
        """The rates that the last step set, one for each group."""
        return self._last_lr

    def _changed(self) -> list[Tensor] | None:
        """All tensors that `step` may change: rates that are tensors. None where users say what it does."""
        if not type(self).__module__.startswith("versant."):
            return None
        return [x for group in self.optimizer.param_groups for x in group.values() if isinstance(x, Tensor)]

    @repeated
    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next step. Call it after optimizer.step().

        epoch: jumps to that step; out of use in PyTorch, where it warns.
        """
        if self._step_count == 1 and not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                f"[{type(self).__name__}] lr_scheduler.step() before optimizer.step(): the first rate is "
                "never used. Call optimizer.step() first",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch(self)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form = getattr(self, "_get_closed_form_lr", None)
        with self._within_step():
            rates = self.get_lr() if epoch is None or closed_form is None else closed_form()
        self._set_rates(rates)

    @contextmanager
    def _within_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _set_rates(self, rates: Sequence[Rate]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_value(group, "lr", rate)
        self._last_lr = values_of(self.optimizer, "lr")

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                f"[{type(self).__name__}] get_lr computes the next rates; get_last_lr() has those in use",
                UserWarning,
                stacklevel=3,
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what state_dict gave."""
        self.__dict__.update(state_dict)


def expect_optimizer(scheduler: Any, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"[{type(scheduler).__name__}] expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def watch_steps(optimizer: Optimizer) -> None:
    """Have the optimizer note its first step, so that a scheduler can tell when it is called too early."""
    if hasattr(optimizer, "_opt_called"):
        return
    marked: Any = optimizer
    marked._opt_called = False

    def note(optimizer: Any, args: Any, kwargs: Any) -> None:
        optimizer._opt_called = True
        handle.remove()

    handle = optimizer.register_step_post_hook(note)


def warn_of_epoch(scheduler: Any) -> None:
    warnings.warn(
        f"[{type(scheduler).__name__}] the epoch argument of step is out of use: call step() without it",
        UserWarning,
        stacklevel=3,
    )


def copied(value: Rate) -> Rate:
    return value.clone() if isinstance(value, Tensor) else value


def values_of(optimizer: Optimizer, key: str) -> list[Rate]:
    return [copied(group[key]) for group in optimizer.param_groups]


def set_value(group: Group, key: str, value: Rate) -> None:
    """Set an option of a group; a tensor stays the same object."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def one_for_each(name: str, optimizer: Optimizer, value: Any, label: str = "") -> list[Any]:
    """One value for all groups, or a list with one for each."""
    groups = optimizer.param_groups
    if not isinstance(value, list | tuple):
        return [copied(value) for _ in groups]
    if len(value) != len(groups):
        raise ValueError(f"[{name}] expected {len(groups)} values of {label}, got {len(value)}")
    return [copied(item) for item in value]


def state_of_function(function: Callable[..., Any]) -> dict[str, Any] | None:
    """What is saved of a function: the attributes of an object that is callable, nothing of a plain one."""
    return None if isinstance(function, types.FunctionType) else dict(function.__dict__)
