"""What a call gives and what it leaves behind: results, tensors in attributes, modes of modules."""

from __future__ import annotations

import contextvars
import gc
import itertools
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from versant import Tensor, _core
from versant.compiler import outside
from versant.compiler.errors import CompileError
from versant.compiler.facts import AnyFact, Fact, Size
from versant.structure import ByIdentity, Structure, as_python, put_together, take_apart

if TYPE_CHECKING:
    from versant.compiler.watch import Watch

MOST_OBJECTS = 10_000  # that are looked at for tensors in a result


class Result:
    """What a branch returns and leaves: the structure, and where each of its tensors comes from."""

    __slots__ = ("left", "places", "structure", "switched")

    def __init__(
        self, structure: Structure, places: list[Any], left: list[Entry], switched: list[Entry]
    ) -> None:
        self.structure = structure  # of the result; if something is left, of the result and the list of that
        # None: the next result of the trace; ~n: result n again; n: that argument; a tensor: itself.
        self.places = places
        self.left = left
        self.switched = switched

    @property
    def one_tensor(self) -> bool:
        """Whether it is a new tensor and nothing else."""
        return self.structure == ("tensor",) and self.places == [None] and not self.switched

    def answer(self, tensors: list[Tensor], made: list[Tensor]) -> Any:
        """The result of a replay with these arguments, which made these tensors."""
        for place, mode in self.switched:
            place.put(mode)
        if self.structure == ("tensor",) and self.places == [None]:
            return made[0]
        places, new = iter(self.places), iter(made)

        def next_tensor() -> Any:
            place = next(places)
            if place is None:
                return next(new)
            if isinstance(place, int):
                return tensors[place] if place >= 0 else made[~place]
            return place

        value = put_together(self.structure, next_tensor)
        if not self.left:
            return value
        value, left = value
        for (place, _), tensor in zip(self.left, left, strict=True):
            place.put(tensor)
        return value

    def written(self, arguments: list[str], names: dict[int, str]) -> list[str | int]:
        """The result as Python would write it, in pieces: of new tensors their numbers."""
        numbers = itertools.count()

        def piece(place: Any) -> str | int:
            if place is None:
                return next(numbers)
            if isinstance(place, int):
                return arguments[place] if place >= 0 else ~place
            return names.get(id(place), "a tensor")

        return as_python(self.structure, iter([piece(place) for place in self.places]))


def result_of(
    name: str, value: Any, tensors: list[Tensor], watch: Watch, carried: Iterable[Place] = ()
) -> Result:
    """What a function of that name gave when it was traced with these arguments, and what it left behind.

    carried: where the next call finds what this one left.

    CompileError for effects that replays would not repeat.
    """
    if words := outside.touched():
        raise CompileError(words)
    if watch.draws():
        raise CompileError(
            f"[compile] {name} draws random numbers of Python or numpy, which replays would "
            "not: draw them with tensors, or outside and pass them as arguments"
        )
    left, switched, rest = left_behind(fact for fact in watch.facts if not fact.holds())
    left += [(place, place.now()) for place in carried]
    # Containers among the arguments are others in every call.
    rest += [fact for fact in watch.own if not fact.holds()]
    # What tensors were carried on is not the reason.
    for fact in sorted(rest, key=lambda fact: (is_carried(fact), not isinstance(fact, Fact))):
        raise CompileError(
            f"[compile] {name} changes what it reads, which replays would not repeat: {fact}. "
            "Return the new value, or keep it in a tensor that is changed in place"
        )
    found: list[Tensor] = []
    made: list[Tensor] = []
    structure = take_apart((value, [tensor for _, tensor in left]) if left else value, found)
    try:
        refuse_stale(structure, watch.knows)
    except CompileError as error:
        raise CompileError(f"[compile] {name} {error}") from None
    places: list[Any] = []
    for tensor in found:
        index = next((i for i, argument in enumerate(tensors) if argument is tensor), None)
        again = next((i for i, other in enumerate(made) if other is tensor), None)
        if index is not None:
            places.append(index)
        elif again is not None:
            places.append(~again)
        elif any(kept is tensor for kept in watch.tensors):
            places.append(tensor)
        else:
            _core.trace_result(tensor)
            made.append(tensor)
            places.append(None)
    return Result(structure, places, [(place, None) for place, _ in left], switched)


class Place:
    """An item of a dict or a list, a cell or an attribute."""

    __slots__ = ("holder", "key", "owner")

    def __init__(self, holder: Any, key: Any, owner: str) -> None:
        self.holder = holder
        self.key = key
        self.owner = owner

    def now(self) -> Any:
        return Fact(self.holder, self.key, None, self.owner).now()

    def put(self, value: Any) -> None:
        if isinstance(self.holder, types.CellType):
            self.holder.cell_contents = value
        elif isinstance(self.holder, (dict, list)):
            self.holder[self.key] = value
        else:
            setattr(self.holder, self.key, value)


Entry = tuple[Place, Any]  # and what is left there


# Note [What calls leave behind]
# Tensors that a function puts into attributes, dicts and lists are results too, which replays put there. That
# repeats the call only if nothing depends on the tensor that was there before: where the trace knows it, it
# is carried on (carried.py). What else was there before is a fact as ever: a
# first call that finds None has a trace of its own. Of an older tensor the later calls assume what it is
# like, not which one it is.
def left_behind(broken: Iterable[AnyFact]) -> tuple[list[Entry], list[Entry], list[AnyFact]]:
    """Of facts that the call broke: tensors and modes of modules that replays can leave too, and the rest."""
    left: dict[tuple[int, Any], Entry] = {}
    switched: list[Entry] = []
    rest: list[AnyFact] = []
    for fact in broken:
        if isinstance(fact, Fact) and is_training_mode(fact):
            switched.append((Place(fact.holder, fact.key, fact.owner), fact.now()))
        elif isinstance(fact, Fact) and is_state(fact.now()) and not is_used(fact.value):
            left[id(fact.holder), fact.key] = Place(fact.holder, fact.key, fact.owner), fact.now()
        elif isinstance(fact, Size) and (added := fact.added_tensors()) is not None:
            for key, tensor in added.items():
                place = Place(fact.holder, key, f"{fact.owner}[{key!r}]")
                left.setdefault((id(fact.holder), key), (place, tensor))
        else:
            rest.append(fact)
    return list(left.values()), switched, rest


def is_training_mode(fact: Fact) -> bool:
    """Whether it is about whether a module trains."""
    holder = fact.holder
    return (
        fact.key == "training"
        and isinstance(holder, dict)
        and "_kinds" in holder
        and isinstance(fact.now(), bool)
    )


def is_state(value: Any) -> bool:
    """Whether it is what calls leave for others: a tensor, or a tuple of them."""
    if type(value) is tuple:
        return any(map(is_state, value)) and all(part is None or is_state(part) for part in value)
    return type(value) is Tensor


def is_carried(fact: Any) -> bool:
    """Whether a fact that a call broke is about tensors that it replaced by others."""
    return (
        type(fact) is Fact
        and not isinstance(fact.holder, (contextvars.ContextVar, types.FunctionType))
        and is_state(fact.value)
        and is_state(fact.now())
    )


def is_used(value: Any) -> bool:
    """Whether the trace read a tensor, or may have."""
    if type(value) is tuple:
        return is_state(value)
    return isinstance(value, Tensor) and (type(value) is not Tensor or _core.trace_knows(value))


def refuse_stale(structure: Structure, before: Callable[[Any], bool]) -> None:
    """Raises for results that replays could only give as the first call made them.

    before: whether an object was there before the call, and so is the same one in every replay.
    """
    for value in objects_of(structure):
        if before(value):
            continue
        what = f"returns an object of {type(value).__name__}"
        if isinstance(value, (Iterator, AsyncIterator, Awaitable)):
            raise CompileError(
                f"{what}, which runs later and once, so that replays have nothing to give: return a list"
            )
        if holds_new_tensors(value, before):
            raise CompileError(
                f"{what} with tensors in it, which replays would not make again: return them in tuples, "
                "lists, dicts or dataclasses, and make the object outside"
            )


def objects_of(structure: Structure) -> Iterator[Any]:
    for part in structure:
        if isinstance(part, ByIdentity):
            yield part.value
        elif isinstance(part, tuple):
            yield from objects_of(part)


def holds_new_tensors(value: Any, before: Callable[[Any], bool]) -> bool:
    """Whether tensors that the trace made are reached from an object that it made."""
    seen: set[int] = set()
    rest = [value]
    while rest and len(seen) < MOST_OBJECTS:
        item = rest.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            if _core.trace_is_new(item):
                return True
        elif isinstance(item, types.FunctionType):  # not its globals
            rest += [*(item.__closure__ or ()), item.__defaults__, item.__kwdefaults__]
        elif item is value or not (isinstance(item, (type, types.ModuleType)) or before(item)):
            rest += gc.get_referents(item)
    return False
