"""Optimizers: what turns gradients into better parameters."""

from typing import Any

from versant.optim.adam import Adam, AdamW
from versant.optim.optimizer import Optimizer
from versant.optim.sgd import SGD

# Optimizers and rooms that are fetched when somebody asks for them.
_RARE = {
    "ASGD": "rprop",
    "Adadelta": "adagrad",
    "Adafactor": "adafactor",
    "Adagrad": "adagrad",
    "Adamax": "adam_variants",
    "LBFGS": "lbfgs",
    "Muon": "muon",
    "NAdam": "adam_variants",
    "RAdam": "adam_variants",
    "RMSprop": "adagrad",
    "Rprop": "rprop",
}
_ROOMS = {"lr_scheduler", "swa_utils"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _RARE:
        found = getattr(import_module(f"versant.optim.{_RARE[name]}"), name)
        globals()[name] = found
        return found
    if name in _ROOMS:
        return import_module(f"versant.optim.{name}")
    raise AttributeError(f"module 'versant.optim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_RARE, *_ROOMS})


__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
]
