"""Branches and loops over tensors that compiled functions take in as they are: `cond`, `while_loop`, `scan`.

Outside of compiled functions they are plain Python: the branch that is taken and the turns that are made
are recorded on the tape like any other ops. Inside they are one step, whose bodies are traced once and run as
the values say (compiler/loops.py). Both give the same bits. For that a body finds its operands row by row in
memory, and gradients of its uses of one are summed up before they go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import versant
from versant import DTypeError, ShapeError, Tensor, _core
from versant.structure import Structure, difference_of, put_together, take_apart

__all__ = ["cond", "scan", "while_loop"]

NUMBERS = (bool, int, float, complex)
OPAQUE = ("value", "object", slice, range)  # structures that hold no tensors


def becomes_real() -> bool:
    """Whether branches and loops are recorded as such. Under vmap and jvp they are Python's."""
    return _core.is_tracing() and _core.level_depth() == 0


def cond(
    pred: Tensor | bool,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    *operands: Any,
) -> Any:
    """true_fn(*operands) where pred holds, else false_fn(*operands).

    pred: a tensor of one element, or a bool. operands and results: tensors and numbers in nested containers;
    numbers become tensors. Both functions give the same structure, shapes and dtypes; compiled functions
    trace both and raise TypeError, ShapeError or DTypeError where they differ. They change nothing in place
    that they did not make. A tensor that only the branch not taken reaches has no gradient, in a compiled
    function one of zeros.

    >>> import versant as vs
    >>> x = vs.tensor(-3.0)
    >>> vs.cond(x > 0, lambda x: x, lambda x: x * x, x)
    tensor(9.)
    """
    check_callable("cond", true_fn=true_fn, false_fn=false_fn)
    if not isinstance(pred, (bool, Tensor)):
        raise TypeError(f"[cond] pred is a bool or a tensor of one element, got {type(pred).__name__}")
    if isinstance(pred, Tensor) and pred.numel() != 1:
        raise ShapeError(f"[cond] pred has one element, got shape {tuple(pred.shape)}")
    given, structure = tensors_of(operands)
    given = settled(given)
    if isinstance(pred, Tensor) and becomes_real():
        from versant.compiler import loops

        return loops.cond(pred, true_fn, false_fn, given, structure)
    return run(Branch(true_fn if pred else false_fn, structure), seams(given))


def while_loop(
    cond_fn: Callable[[Any], Any],
    body_fn: Callable[[Any], Any],
    init: Any,
    max_steps: int | None = None,
) -> Any:
    """state = body_fn(state), beginning at init, while cond_fn(state) holds; the last state.

    init: tensors and numbers in nested containers; numbers become tensors. body_fn keeps structure, shapes
    and dtypes, or TypeError, ShapeError or DTypeError is raised. cond_fn gives a tensor of one element, or a
    bool. max_steps: at most so many turns. The functions change nothing in place that they did not make.
    Gradients flow through the turns that were made; in a compiled function those of first order.

    >>> import versant as vs
    >>> vs.while_loop(lambda x: x < 100, lambda x: x * 3, vs.tensor(2))
    tensor(162)
    """
    check_callable("while_loop", cond_fn=cond_fn, body_fn=body_fn)
    check_count("while_loop", "max_steps", max_steps)
    state, structure = tensors_of(init)
    state = settled(state)
    condition, turn = Condition(cond_fn, structure), Turn("while_loop", body_fn, structure, state)
    if becomes_real():
        from versant.compiler import loops

        return loops.while_loop(condition, turn, state, max_steps)
    steps = 0
    while (max_steps is None or steps < max_steps) and condition(state):
        state = turn(seams(state))
        steps += 1
    return put(structure, _core.own_memory(state))


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """carry, y = f(carry, x) for each x along the first axis of xs; the last carry, and the ys stacked.

    init: the first carry: tensors and numbers in nested containers; numbers become tensors. f keeps its
    structure, shapes and dtypes, or TypeError, ShapeError or DTypeError is raised. xs: nested containers of
    tensors with one first axis, or None. length: how many turns, where xs does not say it. reverse: from the
    last x to the first; ys keep the places of their xs. f changes nothing in place that it did not make.

    >>> import versant as vs
    >>> vs.scan(lambda total, x: (total + x, total), vs.tensor(0.0), vs.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([0., 1., 3.]))
    """
    check_callable("scan", f=f)
    check_count("scan", "length", length)
    carry, structure = tensors_of(init)
    columns, x_structure = tensors_of(xs)
    length = length_of(columns, length)
    carry = settled(carry)
    turn = Turn("scan", f, structure, carry, x_structure)
    if becomes_real():
        from versant.compiler import loops

        return loops.scan(turn, carry, columns, length, reverse)
    made: list[list[Tensor]] = []
    items = [column.unbind(0) for column in columns] if length else []
    for t in reversed(range(length)) if reverse else range(length):
        found = turn(seams(carry), settled([item[t] for item in items]))
        made.append(found[len(carry) :])
        carry = found[: len(carry)]
        del found
    if reverse:
        made.reverse()
    carried = put(structure, _core.own_memory(carry))
    if length == 0:
        rows = without_turns(turn, carry, columns)
    else:
        rows = [versant.stack(list(column)) for column in zip(*made, strict=True)]
    return carried, put(turn.y_structure, rows)


# Bodies ---------------------------------------------------------------------------------------------------


class Branch:
    """A function of operands, which gives tensors in a structure that is known once it has run."""

    def __init__(self, function: Callable[..., Any], structure: Structure) -> None:
        self.function = function
        self.structure = structure
        self.result: Structure = ()

    def __call__(self, operands: list[Tensor]) -> list[Tensor]:
        with own_casts():
            found, self.result = tensors_of(self.function(*put(self.structure, operands)))
            return settled(found)


class Condition:
    """Whether a loop goes on."""

    def __init__(self, function: Callable[[Any], Any], structure: Structure) -> None:
        self.function = function
        self.structure = structure

    def __call__(self, state: list[Tensor]) -> Any:
        with versant.no_grad(), own_casts():
            goes_on = self.function(put(self.structure, state))
        if isinstance(goes_on, Tensor) and goes_on.numel() != 1:
            raise ShapeError(
                f"[while_loop] cond_fn gives a tensor of one element, got shape {tuple(goes_on.shape)}"
            )
        if not isinstance(goes_on, (bool, Tensor)):
            raise TypeError(
                f"[while_loop] cond_fn gives a bool or a tensor of one element, got {type(goes_on).__name__}"
            )
        return goes_on


class Turn:
    """One turn of a loop: a function of what is carried, and of an item where one walks along something."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        structure: Structure,
        first: Sequence[Tensor],
        x_structure: Structure | None = None,
    ) -> None:
        self.name = name
        self.function = function
        self.structure = structure
        self.first = [(tuple(x.shape), x.dtype) for x in first]
        self.x_structure = x_structure
        self.y_structure: Structure = ()

    def __call__(self, carry: list[Tensor], item: list[Tensor] | None = None) -> list[Tensor]:
        """What is carried on, and behind it what the turn gives beside."""
        with own_casts():
            state = put(self.structure, carry)
            if self.x_structure is None:
                return settled(self._carried(self.function(state)))
            result = self.function(state, put(self.x_structure, item or []))
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise TypeError(f"[scan] f gives a pair (carry, y), got {type(result).__name__}")
            carried = self._carried(result[0])
            beside, structure = tensors_of(result[1])
            if self.y_structure not in ((), structure):
                where = difference_of("y", self.y_structure, structure)
                raise TypeError(f"[scan] y of f has another structure than before: {where}")
            self.y_structure = structure
            return settled(carried + beside)

    def _carried(self, value: Any) -> list[Tensor]:
        found, structure = tensors_of(value)
        what = "f" if self.name == "scan" else "body_fn"
        if structure != self.structure:
            raise TypeError(
                f"[{self.name}] {what} gives another structure than it is given: "
                f"{difference_of('carry', self.structure, structure)}"
            )
        for i, (x, (shape, dtype)) in enumerate(zip(found, self.first, strict=True)):
            if tuple(x.shape) != shape:
                raise ShapeError(
                    f"[{self.name}] tensor {i} of what is carried begins with shape {shape}, and {what} "
                    f"gives {tuple(x.shape)}: shapes stay the same from turn to turn"
                )
            if x.dtype != dtype:
                raise DTypeError(
                    f"[{self.name}] tensor {i} of what is carried begins as {dtype}, and {what} gives "
                    f"{x.dtype}: begin with {x.dtype}, or cast the result"
                )
        return found


def run(branch: Branch, operands: list[Tensor]) -> Any:
    results = branch(operands)
    return put(branch.result, _core.own_memory(results))


def without_turns(turn: Turn, carry: list[Tensor], columns: list[Tensor]) -> list[Tensor]:
    """What is stacked where there is no turn: one is made to see its shapes."""
    state = versant.get_rng_state()
    with versant.no_grad():
        found = turn([x.clone() for x in carry], [item_of(column) for column in columns])
    versant.set_rng_state(state)
    return [versant.empty(0, *y.shape, dtype=y.dtype) for y in found[len(carry) :]]


@contextmanager
def own_casts() -> Iterator[None]:
    """Casts of autocast are those of one body: no turn knows those of another one."""
    if not versant.is_autocast_enabled():
        yield
        return
    _core.clear_autocast_cache()
    yield
    _core.clear_autocast_cache()


# Tensors in containers ------------------------------------------------------------------------------------


def tensors_of(value: Any) -> tuple[list[Tensor], Structure]:
    """The tensors of nested containers, with numbers made into tensors, and the structure."""
    found: list[Tensor] = []
    structure = take_apart(value, found)
    rest = iter(found)
    tensors: list[Tensor] = []
    return tensors, with_numbers(structure, rest, tensors)


def with_numbers(structure: Structure, found: Iterator[Tensor], tensors: list[Tensor]) -> Structure:
    kind = structure[0]
    if kind == "tensor":
        tensors.append(next(found))
        return ("tensor",)
    if kind == "value" and structure[1] in NUMBERS:
        tensors.append(versant.tensor(put_together(structure, lambda: None)))
        return ("tensor",)
    if kind in OPAQUE:
        return structure
    named = 1 if kind in (tuple, list) or issubclass(kind, tuple) else 2
    inner = (with_numbers(part, found, tensors) for part in structure[named:])
    return (*structure[:named], *inner)


def put(structure: Structure, tensors: Sequence[Tensor]) -> Any:
    rest = iter(tensors)
    return put_together(structure, lambda: next(rest))


def settled(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, row by row in memory."""
    return [x.contiguous() for x in tensors]


def seams(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors as a body is given them: gradients of all its uses are one before they go on."""
    if not versant.is_grad_enabled():
        return list(tensors)
    return [x.view_as(x) if x.requires_grad else x for x in tensors]


def item_of(column: Tensor) -> Tensor:
    """An item along the first axis, or zeros like one where there is none."""
    return column[0].clone() if len(column) else versant.zeros(*column.shape[1:], dtype=column.dtype)


# Checks ---------------------------------------------------------------------------------------------------


def check_callable(op: str, **functions: Any) -> None:
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"[{op}] {name} is a function, got {type(function).__name__}")


def check_count(op: str, name: str, count: Any) -> None:
    if count is None:
        return
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"[{op}] {name} is an int or None, got {type(count).__name__}")
    if count < 0:
        raise ValueError(f"[{op}] {name} is 0 or more, got {count}")


def length_of(columns: Sequence[Tensor], length: int | None) -> int:
    for i, column in enumerate(columns):
        if column.dim() == 0:
            raise ShapeError(f"[scan] tensor {i} of xs has no axis to walk along: its shape is ()")
        if length is not None and len(column) != length:
            raise ShapeError(
                f"[scan] tensor {i} of xs has shape {tuple(column.shape)}, expected a first axis of {length}"
            )
        length = len(column)
    if length is None:
        raise ValueError("[scan] length is needed where xs holds no tensors")
    return length
