"""What the harness knows of a workload."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Step = Callable[[], Any]
Program = Callable[[Any, dict[str, Any]], Step]


@dataclass(frozen=True)
class Workload:
    """One line of the tables."""

    name: str
    """The short name, "W5"."""

    title: str

    programs: dict[str, Program]
    """For each dialect the program; a framework whose dialect is missing sits this workload out."""

    targets: dict[str, float] = field(default_factory=dict)
    """For each peer the share of its time that we allow ourselves."""

    has_optimizer: bool = False
    """Whether `options` (which choose an optimizer's implementation) make a difference."""

    rtol: float = 1e-5
    """How far the values of two frameworks may lie apart, relative to their size."""
