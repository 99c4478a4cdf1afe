"""What a compiled function keeps: its traces, and which calls came once."""

from __future__ import annotations

import collections
import logging
import weakref
from typing import Any

from versant import Tensor, _core
from versant.compiler.facts import AnyFact, Fact, brief
from versant.compiler.results import Result
from versant.compiler.watch import Watch

logger = logging.getLogger("versant.compile")

MOST_ENTRIES = 64  # that a function keeps for one structure of arguments; the least used one goes first
MOST_ALL = 512  # ... and for all structures
IN_VAIN = 8  # where none of so many entries was used again, a call has to come twice to be traced
MOST_ONCE = 4096  # calls that are remembered for that

functions: weakref.WeakSet[Any] = weakref.WeakSet()  # all compiled ones that there are


class Entry:
    """The traces for arguments of one structure under one set of facts."""

    __slots__ = ("branches", "facts", "results", "shapes", "watch")

    def __init__(
        self, watch: Watch, facts: list[AnyFact], branches: Any, result: Result, shapes: list[Any]
    ) -> None:
        self.watch = watch
        self.shapes = shapes  # of the arguments
        self.facts = facts
        self.branches = branches
        self.results = [result]

    @property
    def replays(self) -> int:
        return _core.plan_runs(self.branches)

    def holds(self, tensors: list[Tensor]) -> bool:
        """Whether a call with these tensors is one that it was made for."""
        return (
            all(fact.holds() for fact in self.facts)
            and _core.plan_difference(self.branches, tensors, []) is None
        )


class Newcomers:
    """Calls that are like no other before, and whether it is worth while to trace them.

    Where the traces that were made last were all in vain, as for a sequence that grows by one in every call,
    a call runs as it is written when it comes for the first time.
    """

    def __init__(self) -> None:
        self.newest: collections.deque[Entry] = collections.deque(maxlen=IN_VAIN)
        self.once: dict[int, None] = {}  # hashes of calls that ran as they are written

    def turn_away(self, key: Any, shapes: list[Any]) -> bool:
        if len(self.newest) < IN_VAIN or any(entry.replays for entry in self.newest):
            return False
        changed = [fact for fact in self.newest[-1].facts if isinstance(fact, Fact) and not fact.holds()]
        call = hash((key, tuple(shapes), *(f"{fact.owner} {brief(fact.now())}" for fact in changed)))
        if call in self.once:
            del self.once[call]
            return False
        if len(self.once) == MOST_ONCE:
            self.once.clear()
        self.once[call] = None
        return True

    def log(self, name: str, reason: str) -> None:
        if len(self.once) == 1:
            logger.info(
                "%s runs as it is written where a call is like none before, since the last %d traces were "
                "not used again: %s",
                name,
                IN_VAIN,
                reason,
            )


def drop_least_used(entries: dict[Any, list[Entry]], newest: Any) -> None:
    """Keeps within the bounds after an entry was put at the front of those for one structure."""
    some = entries[newest]
    if len(some) > MOST_ENTRIES:
        some.remove(min(some[1:], key=lambda entry: entry.replays))
    if sum(map(len, entries.values())) > MOST_ALL:
        key, entry = min(
            (
                (key, entry)
                for key, some in entries.items()
                for entry in some
                if entry is not entries[newest][0]
            ),
            key=lambda pair: pair[1].replays,
        )
        entries[key].remove(entry)
        if not entries[key]:
            del entries[key]


def name_in_functions(place: int) -> str:
    """How a compiled function calls the tensor whose memory begins there, or its gradient; "" for none."""
    for function in list(functions):
        for entries in function._entries.values():
            for entry in entries:
                for tensor in entry.watch.tensors:
                    name: str = entry.watch.names.get(id(tensor), "")
                    if name and tensor.numel() and tensor.data_ptr() == place:
                        return name
                    if name and tensor.grad is not None and tensor.grad.data_ptr() == place:
                        return f"{name}.grad"
    return ""
