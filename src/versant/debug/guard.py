"""A guard that stops where NaN or Inf first appears."""

from __future__ import annotations

from contextlib import ContextDecorator
from dataclasses import dataclass
from typing import Any, Self

from versant import Tensor, _core
from versant.debug.words import Health, Place, health_of, op_name, short, type_of, users_frame

__all__ = ["NonFiniteError", "nan_guard"]


@dataclass(frozen=True)
class Operand:
    """A tensor that the op read: its name if it belongs to a module, its type, its elements in numbers.

    overwritten: the op was in place, and the numbers are those after it.
    """

    name: str
    type: str
    health: Health
    overwritten: bool = False

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"{self.type}{name}: {self.health}{' (overwritten)' * self.overwritten}"


class NonFiniteError(FloatingPointError, RuntimeError):
    """NaN or Inf appeared.

    kind: "NaN" or "Inf"; op: the op that gave it; back: it computed the gradient of that op
    (2: its second one); line: the user's
    line that called the op, "train.py:12"; call: the line that ran, for a gradient that of `backward()`;
    module: the path of the module in which the op was called, or ""; result: an Operand; first: the index of
    the first such element; operands: Operands, and numbers as they are.
    """

    def __init__(
        self,
        kind: str,
        op: str,
        place: Place,
        result: Operand,
        first: tuple[int, ...],
        operands: tuple[Operand | complex, ...],
        parts: tuple[str, ...] = (),
    ) -> None:
        self.kind, self.op, self.back, self.line = kind, op, place.back, place.line
        self.call, self.module = place.where, place.module
        self.result, self.first, self.operands = result, first, operands
        self.parts = parts
        super().__init__(self._message(place))

    def _message(self, place: Place) -> str:
        count = self.result.health.nan if self.kind == "NaN" else self.result.health.inf
        what = f"{'the gradient of ' * (self.back and not place.own)}{self.op}"
        module = f", in {self.module}" if self.module else ""
        lines = [f"[nan_guard] {what} gave {self.kind} at {self.line}{module}"]
        if place.own:
            lines.append(f"in the gradient of {place.of_name}, called at {place.of}")
        elif self.back and self.call != self.line:
            lines.append(f"backward: {self.call}")
        lines.append(
            f"result: {self.result.type}{' ' * bool(self.result.name)}{self.result.name}, "
            f"{count} of {self.result.health.numel} elements, the first at {self.first}"
        )
        for i, operand in enumerate(self.operands):
            lines.append(
                f"operand {i}: {operand if isinstance(operand, Operand) else f'the number {operand}'}"
            )
        if self.parts:
            lines.append("it was computed in one step with others, one of which is meant:")
            lines += [f"  {part}" for part in self.parts]
        return "\n  ".join(lines)


class nan_guard(ContextDecorator):
    """Inside, the first NaN or Inf raises NonFiniteError: with the op, its operands in numbers, the module
    and the user's line.

    inf: whether Inf counts. It counts where it newly appears, from finite operands: a mask of -inf and what
    is computed from it does not. NaN always counts, but for tensors that are filled with it. Of an
    optimizer's step the parameters are looked at.
    forward: whether ops outside of backward passes are looked at.
    pdb: stop in the debugger at the user's line before the exception is raised.

    Between `scale` and `update` of an `amp.GradScaler` what is not finite in gradients, and what follows from
    it, is let pass: the scaler looks for it, leaves the step out and scales less.

    Eager code is looked at op by op, compiled code step by step; a compiled call that gives NaN is taken
    back and runs once more as it is written, with the same bits, to find the op in it. Where it cannot be
    taken back, behind the first change of large tensors (an optimizer's step), the error names what the
    compiled step was made from.

    >>> import versant as vs
    >>> with vs.debug.nan_guard():
    ...     vs.tensor([1.0, -1.0]).sqrt()
    Traceback (most recent call last):
    ...
    versant.debug.guard.NonFiniteError: [nan_guard] sqrt gave NaN at ...
      result: float32[2], 1 of 2 elements, the first at (1,)
      operand 0: float32[2]: min -1, max 1, mean 0, std 1
    """

    def __init__(self, *, inf: bool = True, forward: bool = True, pdb: bool = False) -> None:
        self.inf = inf
        self.forward = forward
        self.pdb = pdb
        self._watchers: list[int] = []

    def __enter__(self) -> Self:
        self._watchers.append(_core.watch_guard(self._found, self.inf, self.forward))
        return self

    def __exit__(self, *error: object) -> None:
        _core.watch_end(self._watchers.pop())

    def _found(
        self,
        kind: str,
        k: int,
        name: str,
        operands: list[Any],
        outputs: list[Tensor],
        row: Any,
        parts: list[Any],
    ) -> None:
        paused = _core.watch_pause(True)
        traced = _core.trace_pause(True)
        try:
            error = _report(kind, name, operands, outputs[k], Place.of_row(row), parts)
            if self.pdb and (frame := users_frame()) is not None:
                import pdb

                print(error)
                debugger = pdb.Pdb()
                debugger.reset()
                debugger.interaction(frame, None)
        finally:
            _core.watch_pause(paused)
            _core.trace_pause(traced)
        raise error


def _report(
    kind: str, name: str, operands: list[Any], result: Tensor, place: Place, parts: list[Any]
) -> NonFiniteError:
    from versant.compiler.entries import name_in_functions
    from versant.nn.paths import name_of as name_in_modules

    roots = _core.root_modules()

    def name_of(tensor: Tensor) -> str:
        return name_in_modules(tensor, roots) or name_in_functions(tensor.data_ptr())

    def shown(operand: Any) -> Any:
        if not isinstance(operand, Tensor):
            return operand
        overwritten = operand.numel() > 0 and operand.data_ptr() == result.data_ptr()
        return Operand(name_of(operand), type_of(operand), health_of(operand), overwritten)

    flat = _core.first_not_finite(result)
    first: list[int] = []
    for size in reversed(result.shape):
        first.insert(0, flat % size)
        flat //= size
    lines = [
        f"{'the gradient of ' * back}{op_name(of_name or part)} at {short(of or where)}"
        + (f", in {module}" if module else "")
        for part, where, module, back, of_name, of in parts
    ]
    seen = tuple(shown(operand) for operand in operands if operand is not None)
    of_result = Operand(name_of(result), type_of(result), health_of(result))
    op = place.of_name if place.back and place.of_name and not place.own else op_name(name)
    return NonFiniteError(kind, op, place, of_result, tuple(first), seen, tuple(dict.fromkeys(lines)))
