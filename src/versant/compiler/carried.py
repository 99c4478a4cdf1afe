"""What a function carries on from call to call: tensors that it reads in one place and replaces there.

    self.hidden = self.cell(x, self.hidden)

What stands there when a call begins is one more argument, and what stands there when it ends one more result,
which replays put there. A first call tells that there is such a place: nothing comes of its trace, and the
next one is traced with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from versant import Tensor
from versant.compiler.facts import Fact
from versant.compiler.results import Place, is_carried, left_behind
from versant.structure import Structure, take_apart, tensor_names

if TYPE_CHECKING:
    from versant.compiler.watch import Watch


class Carried:
    """The places of one function."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def __bool__(self) -> bool:
        return bool(self.places)

    def values(self) -> list[Any]:
        return [place.now() for place in self.places]

    def take_apart(self, tensors: list[Tensor]) -> tuple[Structure, ...]:
        """What stands there, as a part of what tells calls apart; its tensors follow the arguments'."""
        return (take_apart(self.values(), tensors),) if self.places else ()

    def names(self) -> list[str]:
        """How each tensor there is called."""
        found: list[str] = []
        for place in self.places:
            found += tensor_names(take_apart(place.now(), []), place.owner)
        return found

    def release(self, watch: Watch) -> None:
        """Facts about what stands there are none: calls bring it."""
        for place in self.places:
            watch.forget(place.holder, place.key)

    def find(self, watch: Watch) -> bool:
        """Whether the function that has just run carries on what was not known to be; if so it is now."""
        _, _, rest = left_behind(fact for fact in watch.facts if not fact.holds())
        found = [
            Place(fact.holder, fact.key, fact.owner)
            for fact in rest
            if isinstance(fact, Fact) and is_carried(fact)
        ]
        # Containers among the arguments are others in every call.
        if not found or len(found) < len(rest) or not all(fact.holds() for fact in watch.own):
            return False
        self.places += found
        return True
