"""The table of programs: ordinary training programs in PyTorch's style, each a step and what it changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Program:
    """make: gives the step, its arguments in call `i`, and what is compared beside its results.
    traces: that the structure of the program asks for."""

    make: Callable[[], tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]], list[Any]]]
    traces: int
    calls: int


PROGRAMS: dict[str, Program] = {}


def program(traces: int = 1, calls: int = 6) -> Callable[[Any], Any]:
    """Puts a program into the table."""

    def put(make: Any) -> Any:
        PROGRAMS[make.__name__] = Program(make, traces, calls)
        return make

    return put
