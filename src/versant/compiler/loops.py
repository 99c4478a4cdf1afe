"""Branches and loops inside of compiled functions: bodies are traced once, the machine runs them.

See Note [Loops] in core/machine/loop.h. A body is traced over copies of what it is given first; what comes of
that is dropped, and the loop is run as replays will run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import versant
from versant import DTypeError, ShapeError, Tensor, _core
from versant.compiler.function import excused
from versant.control_flow import Branch, Condition, Turn, item_of, put, seams
from versant.structure import Structure, difference_of

COND, WHILE, SCAN = range(3)  # trace::Loop::Kind

Gradients = Callable[[list[Tensor | None]], list[Tensor | None]]


Function = Callable[[list[Tensor]], list[Tensor]]


class Body:
    """The trace of a body: the tensors it reaches beside its operands, and what its results are like."""

    def __init__(
        self,
        op: str,
        function: Function,
        operands: Sequence[Tensor],
        flags: Sequence[bool],
        through: Any = None,
    ) -> None:
        """Traces function over copies of its operands, whose flags say which want gradients.

        through: which results gradients go back from, where those are not all that can.
        """
        self.op = op
        self.function = function
        self.operands = operands
        self.flags = flags
        self.autocast = _core.get_autocast()
        self.scope = _core.current_scope()
        samples = [sample(*pair) for pair in zip(operands, flags, strict=True)]
        before = _core.body_begin()
        try:
            for x in samples:
                _core.trace_argument(x, False)
            _core.trace_pause(False)
            results = [with_node(x) for x in function(samples)]
            if through is not None:
                results = [x if goes else x.detach() for x, goes in zip(results, through, strict=True)]
            _core.trace_pause(True)
            for x in reversed(results):  # gradients arrive from the last result to the first
                _core.trace_result(x)
            _core.body_backward()
            self.trace, self.reached = _core.body_end(op)
        finally:
            _core.body_abandon(before)
        self.requires_grad = [x.requires_grad for x in results]
        self.shapes = [(tuple(x.shape), x.dtype) for x in results]

    def restricted(self, through: list[bool]) -> Body:
        """The same with gradients through some of its results alone; the way back asks for it."""
        autocast = _core.get_autocast()
        with aside(), versant.enable_grad():
            _core.set_autocast(*self.autocast)
            entered = _core.enter_scope(self.scope)
            try:
                return Body(self.op, self.function, self.operands, self.flags, through)
            finally:
                if entered:
                    _core.leave_scope()
                _core.set_autocast(*autocast)


def with_node(x: Tensor) -> Tensor:
    """A result that comes back as it was given, or was there before, gets a node of its own."""
    if not _core.trace_is_new(x):
        return x.clone()
    return x.view_as(x) if x.requires_grad and x.is_leaf else x


@contextmanager
def aside() -> Iterator[None]:
    """Bodies are traced apart from the trace around them: what they draw is drawn again, and nobody watches
    what they compute from samples.
    """
    _core.trace_pause(True)
    watched = _core.watch_pause(True)
    state = versant.get_rng_state()
    try:
        yield
    finally:
        versant.set_rng_state(state)
        _core.watch_pause(watched)
        _core.trace_pause(False)


def sample(x: Tensor, requires_grad: bool) -> Tensor:
    return x.detach().clone().contiguous().requires_grad_(requires_grad)


def wants_grad(tensors: Sequence[Tensor]) -> list[bool]:
    return [versant.is_grad_enabled() and x.requires_grad for x in tensors]


def run(
    kind: int,
    op: str,
    bodies: list[Body],
    operands: list[Tensor],
    carried: int,
    *,
    length: int = -1,
    reverse: bool = False,
    backward: Callable[[list[Tensor]], Gradients] | None = None,
) -> list[Tensor]:
    """Runs a loop over its operands and what its bodies reach."""
    inputs = list(operands)
    places: dict[int, int] = {}
    for body in bodies:
        for x in body.reached:
            if id(x) not in places:
                places[id(x)] = len(inputs)
                inputs.append(x)
    reached = [[places[id(x)] for x in body.reached] for body in bodies]
    first = 1 if kind == COND else 0
    walked = len(operands) - first - carried
    gradients = backward(inputs[len(operands) :]) if backward else None
    traces = [body.trace for body in bodies]

    def restrict(which: int, through: list[bool]) -> tuple[Any, list[int]]:
        body = bodies[which].restricted(through)
        return body.trace, [places[id(x)] for x in body.reached]

    with excused():  # what debug.callback does in a body
        return _core.run_loop(
            kind, op, traces, reached, carried, walked, length, reverse, gradients, restrict, inputs
        )


# Branches -------------------------------------------------------------------------------------------------


def cond(
    pred: Tensor,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: list[Tensor],
    structure: Structure,
) -> Any:
    branches = [Branch(true_fn, structure), Branch(false_fn, structure)]
    with aside():
        flags = wants_grad(operands)
        bodies = [Body("cond", branch, operands, flags) for branch in branches]
    compare(branches, bodies)

    def backward(reached: list[Tensor]) -> Gradients:
        return lambda grads: cond_backward(pred, branches, operands, reached, grads)

    results = run(COND, "cond", bodies, [pred, *operands], len(operands), backward=backward)
    return put(branches[0].result, results)


def compare(branches: list[Branch], bodies: list[Body]) -> None:
    true, false = branches
    of_true, of_false = bodies
    if true.result != false.result:
        where = difference_of("result", true.result, false.result)
        raise TypeError(f"[cond] true_fn and false_fn give other structures: {where}")
    for i, (a, b) in enumerate(zip(of_true.shapes, of_false.shapes, strict=True)):
        if a[0] != b[0]:
            raise ShapeError(f"[cond] result {i} has shape {a[0]} from true_fn and {b[0]} from false_fn")
        if a[1] != b[1]:
            raise DTypeError(f"[cond] result {i} is {a[1]} from true_fn and {b[1]} from false_fn")


def cond_backward(
    pred: Tensor,
    branches: list[Branch],
    operands: list[Tensor],
    reached: list[Tensor],
    grads: list[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of a branch, by running it again: recorded, so they have gradients themselves."""
    wanted = [x.requires_grad for x in (*operands, *reached)]
    given = [g for g in grads if g is not None]

    def back(branch: Branch) -> Callable[..., Any]:
        def of(inner: list[Tensor], given: list[Tensor]) -> list[Tensor]:
            targets = [x for x, wants in zip((*inner, *reached), wanted, strict=True) if wants]
            return gradients_of(branch(seams(inner)), grads, given, targets)

        return of

    found = iter(versant.cond(pred, back(branches[0]), back(branches[1]), operands, given))
    return [None, *(next(found) if wants else None for wants in wanted)]


def gradients_of(
    results: list[Tensor], grads: Sequence[Tensor | None], given: list[Tensor], targets: list[Tensor]
) -> list[Tensor]:
    """The gradients of targets from `given`, which results have where `grads` is not None; else zeros."""
    rest = iter(given)
    pairs = [(x, next(rest)) for x, g in zip(results, grads, strict=True) if g is not None]
    pairs = [(x, g) for x, g in pairs if x.requires_grad]
    if not pairs:
        return [versant.zeros_like(x) for x in targets]
    roots, weights = zip(*pairs, strict=True)
    found = _core.grad(roots, targets, weights, True, True, True, False, True)
    return [versant.zeros_like(x) if g is None else g for x, g in zip(targets, found, strict=True)]


# Loops ----------------------------------------------------------------------------------------------------


def turned(turn: Turn, state: list[Tensor], items: list[Tensor]) -> Body:
    """The body of a loop, which takes gradients to all that any turn gives them to."""
    flags, n = wants_grad(state), len(state)
    item_flags = wants_grad(items)
    while True:
        body = Body(
            turn.name,
            lambda operands: turn(operands[:n], operands[n:]),
            [*state, *items],
            [*flags, *item_flags],
        )
        grown = [a or b for a, b in zip(flags, body.requires_grad, strict=False)]
        if grown == flags:
            return body
        flags = grown


def while_loop(condition: Condition, turn: Turn, state: list[Tensor], max_steps: int | None) -> Any:
    def asks(state: list[Tensor]) -> list[Tensor]:
        goes_on = condition(state)
        return [goes_on if isinstance(goes_on, Tensor) else versant.tensor(goes_on)]

    with aside():
        asked = Body("while_loop", asks, state, [False] * len(state))
        body = turned(turn, state, [])
    length = -1 if max_steps is None else max_steps
    return put(turn.structure, run(WHILE, "while_loop", [asked, body], state, len(state), length=length))


def scan(
    turn: Turn, carry: list[Tensor], columns: list[Tensor], length: int, reverse: bool
) -> tuple[Any, Any]:
    with aside():
        body = turned(
            turn, carry, [item_of(column).requires_grad_(column.requires_grad) for column in columns]
        )
    n = len(carry)

    def backward(reached: list[Tensor]) -> Gradients:
        return lambda grads: scan_backward(turn, carry, columns, reached, length, reverse, grads)

    found = run(
        SCAN, "scan", [body], [*carry, *columns], n, length=length, reverse=reverse, backward=backward
    )
    return put(turn.structure, found[:n]), put(turn.y_structure, found[n:])


def scan_backward(
    turn: Turn,
    carry: list[Tensor],
    columns: list[Tensor],
    reached: list[Tensor],
    length: int,
    reverse: bool,
    grads: list[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of a scan as two more: one that keeps what each turn was given, one that goes back."""
    n = len(carry)
    flows = [x.is_floating_point() or x.is_complex() for x in carry]
    wanted = [x.requires_grad for x in reached]
    targets = [x for x, wants in zip(reached, wanted, strict=True) if wants]
    walked = [x.requires_grad for x in columns]
    beside = [g for g in grads[n:] if g is not None]

    def keeps(state: list[Tensor], item: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return turn(seams(state), item)[:n], state

    def back(sums: Any, turned: Any) -> Any:
        of_carry, of_reached = sums
        state, item, of_beside = turned
        state = [
            x.detach().requires_grad_() if flow and not x.requires_grad else x
            for x, flow in zip(state, flows, strict=True)
        ]
        results = turn(seams(state), item)
        given = iter(of_carry)
        weights = [next(given) if flow else None for flow in flows] + list(grads[n:])
        inner = [x for x, flow in zip(state, flows, strict=True) if flow]
        along = [x for x, wants in zip(item, walked, strict=True) if wants]
        found = gradients_of(results, weights, [*of_carry, *of_beside], [*inner, *along, *targets])
        of_targets = found[len(inner) + len(along) :]
        new_sums = [a + b for a, b in zip(of_reached, of_targets, strict=True)]
        return (found[: len(inner)], new_sums), found[len(inner) : len(inner) + len(along)]

    _, before = versant.scan(keeps, carry, columns, length, reverse)
    first = [
        versant.zeros_like(x) if g is None else g
        for x, g, flow in zip(carry, grads, flows, strict=False)
        if flow
    ]
    sums = [versant.zeros_like(x) for x in targets]
    (of_carry, of_reached), along = versant.scan(
        back, (first, sums), (before, columns, beside), length, not reverse
    )
    parts = [iter(of_carry), iter(along), iter(of_reached)]
    return [
        next(part) if there else None
        for part, which in zip(parts, (flows, walked, wanted), strict=True)
        for there in which
    ]
