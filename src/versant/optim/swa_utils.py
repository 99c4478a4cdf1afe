"""Averages of models: stochastic weight averaging (Izmailov et al. 2018) and exponential moving averages."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import versant
from versant import Tensor
from versant.autograd.repeated import repeated
from versant.nn.module import Module
from versant.optim.lr_scheduler import SWALR

Average = Callable[[Tensor, Tensor, Any], Tensor]  # of (the average, the new value, how many so far)
AverageOfMany = Callable[[list[Tensor], list[Tensor], Any], None]  # the same in place


def get_swa_avg_fn() -> Average:
    """The mean of all models so far."""

    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        with versant.no_grad():
            mean: Tensor = averaged + (current - averaged) / (count + 1)
            return mean

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay * average + (1 - decay) * model"""
    _check_decay(decay)

    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        with versant.no_grad():
            return decay * averaged + (1 - decay) * current

    return average


def get_swa_multi_avg_fn() -> AverageOfMany:
    """The mean of all models so far, of many tensors at once."""
    one = get_swa_avg_fn()

    def average(averaged: list[Tensor], current: list[Tensor], count: Any) -> None:
        with versant.no_grad():
            for mean, value in zip(averaged, current, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 / (float(count) + 1))
                else:
                    mean.copy_(one(mean, value, count))

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageOfMany:
    """decay * average + (1 - decay) * model, of many tensors at once."""
    _check_decay(decay)

    def average(averaged: list[Tensor], current: list[Tensor], count: Any) -> None:
        with versant.no_grad():
            for mean, value in zip(averaged, current, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)
                else:
                    mean.copy_(mean * decay + value * (1 - decay))

    return average


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"[ema] decay must be in [0, 1], got {decay}")


class AveragedModel(Module):
    """A copy of a model that holds the average of its parameters.

    avg_fn, or multi_avg_fn for all tensors at once: the average; by default the mean (`get_swa_avg_fn`).
    use_buffers: whether buffers are averaged too; otherwise they are copied.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageOfMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("[AveragedModel] give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", versant.tensor(0, dtype=versant.int64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @repeated
    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of the model into the average."""
        ours, theirs = ([x.detach() for x in self._averaged_of(m)] for m in (self.module, model))
        if len(ours) != len(theirs):
            raise ValueError(
                f"[AveragedModel] averages {len(ours)} tensors, got {len(theirs)}: is it another model?"
            )
        if self.n_averaged == 0:
            for mean, value in zip(ours, theirs, strict=True):
                mean.copy_(value)
        elif self.multi_avg_fn is not None:
            by_dtype: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
            for mean, value in zip(ours, theirs, strict=True):
                means, values = by_dtype.setdefault(mean.dtype, ([], []))
                means.append(mean)
                values.append(value)
            for means, values in by_dtype.values():
                self.multi_avg_fn(means, values, self.n_averaged)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for mean, value in zip(ours, theirs, strict=True):
                mean.copy_(average(mean, value, self.n_averaged))
        if not self.use_buffers:
            for ours_, theirs_ in zip(self.module.buffers(), model.buffers(), strict=True):
                ours_.detach().copy_(theirs_.detach())
        self.n_averaged += 1

    def _averaged_of(self, model: Module) -> Iterable[Tensor]:
        return chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters()


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of the model's batch norms anew, over all batches of the loader.

    Of a batch that is a list or tuple the first item is the input.
    """
    norms: list[Any] = [module for module in model.modules() if _is_batch_norm(module)]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    was_training = model.training
    model.train()
    try:
        for module in norms:
            module.reset_running_stats()
            module.momentum = None  # the mean of all batches
        with versant.no_grad():
            for batch in loader:
                inputs = batch[0] if isinstance(batch, list | tuple) else batch
                model(inputs if device is None else inputs.to(device))
    finally:
        for module, momentum in zip(norms, momenta, strict=True):
            module.momentum = momentum
        model.train(was_training)


def _is_batch_norm(module: Module) -> bool:
    return any(kind.__name__.startswith("BatchNorm") for kind in type(module).__mro__)


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]
