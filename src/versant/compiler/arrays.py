"""Arrays of NumPy, and other memory, that become tensors while a function is traced.

They are constants of the trace, which is valid as long as their contents are the same. Arrays that the
function reaches are watched from the beginning (watch.py), and so is what it computes of them. Of others it
is remembered what they held when they became tensors, unless the function made them and nobody else has them.
"""

from __future__ import annotations

import sys
from typing import Any

from versant.compiler.facts import Contents
from versant.compiler.objects import is_array
from versant.compiler.watch import Watch


class Arrays:
    """The arrays that became tensors in one trace."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._facts: list[Contents] = []
        self.taken = False  # there were some

    def note(self, array: Any) -> None:
        self.taken = True
        if not self._watch.reads_array(memory_of(array)):
            self._facts.append(Contents(array, contents_of, f"an array of {type(array).__name__}"))

    def facts(self) -> list[Contents]:
        """What later calls assume. Those that changed meanwhile are among them."""
        facts, self._facts = self._facts, []
        return [fact for fact in facts if not fact.holds() or others_have(fact)]


def memory_of(array: Any) -> Any:
    """The array, or the other object, whose memory an array looks at."""
    while True:
        owner = array.base if is_array(array) else array.obj if isinstance(array, memoryview) else None
        if owner is None:
            return array
        array = owner


def others_have(fact: Contents) -> bool:
    """Whether somebody beside the fact has the memory, and could write to it."""
    memory = memory_of(fact.holder)
    if not is_array(memory):
        return True
    # Known here are its name, the argument of getrefcount, and the fact or the view that the fact has.
    if sys.getrefcount(memory) > 3:
        return True
    return memory is not fact.holder and sys.getrefcount(fact.holder) > 2


def contents_of(array: Any) -> tuple[Any, ...]:
    view = memoryview(array)
    return view.format, view.shape, view.tobytes()
