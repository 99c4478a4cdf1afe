"""What the harness knows of a workload."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

Step = Callable[[], Any]


@dataclass(frozen=True)
class Options:
    """What a variant of a framework does otherwise; a workload names the fields that it reads."""

    optimizer: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the optimizer."""

    channels_last: bool = False
    """Images lie in memory with their channels together."""

    cells: bool = False
    """The library's own recurrent cell in place of its formula."""

    functional: bool = False
    """Derivatives inside the loss by `torch.func.grad` in place of `torch.autograd.grad`."""

    def chosen(self) -> set[str]:
        return {field.name for field in fields(self) if getattr(self, field.name)}


Program = Callable[[Any, Options], Step]


def total(arrays: list[Any]) -> float:
    return float(sum(a.sum() for a in arrays))


def total_size(arrays: list[Any]) -> float:
    return float(sum(abs(a).sum() for a in arrays))


@dataclass(frozen=True)
class Workload:
    """One line of the tables."""

    name: str
    """The short name, "W5"."""

    title: str

    about: str
    """What a step does, in a few words."""

    programs: dict[str, Program]
    """For each dialect the program; a framework whose dialect is missing sits this workload out."""

    targets: dict[str, float] = field(default_factory=dict)
    """For each peer the share of its time that we allow ourselves."""

    reads: frozenset[str] = frozenset()
    """The options that make a difference: a column that chooses none of these would repeat another one."""

    rtol: float = 1e-5
    """How far the values of two frameworks may lie apart, relative to their size."""

    value: Callable[[list[Any]], float] = total
    """The number by which frameworks are checked, from the arrays of a step's result in float64."""

    flops: float = 0
    """Floating-point operations of the products, convolutions and attention in a step."""

    traffic: float = 0
    """Bytes that a step has to read and write at least: inputs, parameters and what the optimizer keeps."""

    narrow: str = ""
    """Of a workload in bfloat16: the name of the same in float32."""
