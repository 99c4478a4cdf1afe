"""Going through a program op by op, eager or compiled, with all values."""

from __future__ import annotations

import fnmatch
import linecache
import pdb
from bdb import BdbQuit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from versant import Tensor, _core
from versant.debug.words import Place, health_of, op_name, type_of, users_frame

__all__ = ["Action", "step"]


@dataclass(frozen=True)
class Action:
    """An op that ran.

    op: its name, of a step of a plan the names of all that was joined in it; inputs: tensors and numbers;
    outputs: tensors; line: the user's line, of a gradient that of its op; call: the line that ran; module:
    the path of its module; back: it was on a way back, to the
    gradient of that order. The tensors are those of the machine: clone what you
    keep.
    """

    number: int
    op: str
    inputs: tuple[Any, ...]
    outputs: tuple[Tensor, ...]
    line: str
    call: str
    module: str
    back: int

    def __str__(self) -> str:
        what = f"{'the gradient of ' * self.back}{self.op}"
        lines = [f"op {self.number}: {what} at {self.line}" + f", in {self.module}" * bool(self.module)]
        code = linecache.getline(*_split(self.line)).strip()
        if code:
            lines.append(f"    {code}")
        lines += [f"  in  {_shown(value)}" for value in self.inputs]
        lines += [f"  out {_shown(value)}" for value in self.outputs]
        return "\n".join(lines)


def _split(line: str) -> tuple[str, int]:
    path, _, number = line.rpartition(":")
    return path, int(number) if number.isdecimal() else 0


def _shown(value: Any) -> str:
    return f"{type_of(value)} {health_of(value)}" if isinstance(value, Tensor) else f"the number {value}"


class step:
    """Inside, every op stops in pdb at the user's line when it is done, and shows what went in and came out.

    Besides the commands of pdb: `o`, or Enter, goes to the next op; `o 5` five ops on; `o tanh` to the next
    one of that name (a pattern); `v` shows inputs and outputs in full; `c` runs on without stops; `q` gives
    up. The names `op`, `ins` and `outs` stand for the op and its values. In pdb, `!with vs.debug.step():
    f(x)` begins anywhere.

    ops, modules: patterns, as of file names, of those at which to stop. plan: compiled functions replay the
    steps of their plans instead of running as they are written; the values are the same, bit for bit, but
    what was joined shows as one step. stop: a function that is called with an Action in the place of pdb.

    >>> import versant as vs
    >>> f, x = vs.compile(lambda x: (x * 2).tanh()), vs.ones(1)
    >>> with vs.debug.step(stop=lambda action: print(action.op, action.outputs[0])):
    ...     y = f(x)
    mul tensor([2.])
    tanh tensor([0.9640])
    """

    def __init__(
        self,
        *,
        ops: str = "*",
        modules: str = "*",
        plan: bool = False,
        stop: Callable[[Action], object] | None = None,
    ) -> None:
        self.ops, self.modules, self.plan = ops, modules, plan
        self._stop = stop
        self.number = 0
        self._pass = 0  # ops that do not stop
        self._until = ""  # a pattern of the op at which to stop next
        self._on = True

    def __enter__(self) -> Self:
        self._watcher = _core.watch_calls(self._ran)
        if not self.plan:
            _core.disable_compiled(1)
        return self

    def __exit__(self, *error: object) -> None:
        if not self.plan:
            _core.disable_compiled(-1)
        _core.watch_end(self._watcher)
        if self._until and self._on and error[0] is None:
            print(f"[step] no op came that is called {self._until!r}")

    def _ran(self, name: str, operands: list[Any], outputs: list[Tensor], row: Any, parts: list[Any]) -> None:
        self.number += 1
        place = Place.of_row(row)
        own = [op_name(part[0]) for part in parts] or [op_name(name)]
        op = place.of_name if place.back and place.of_name and not parts and not place.own else "+".join(own)
        wanted = fnmatch.fnmatchcase(op, self.ops) and fnmatch.fnmatchcase(place.module, self.modules)
        if not self._on or not wanted:
            return
        if self._pass > 0:
            self._pass -= 1
            return
        if self._until and not any(fnmatch.fnmatchcase(name, self._until) for name in (op, *own)):
            return
        self._until = ""
        action = Action(
            self.number,
            op,
            tuple(operand for operand in operands if operand is not None),
            tuple(outputs),
            place.line,
            place.where,
            place.module,
            place.back,
        )
        traced = _core.trace_pause(True)
        try:
            self._show(action)
        finally:
            _core.trace_pause(traced)

    def _show(self, action: Action) -> None:
        if self._stop is not None:
            self._stop(action)
            return
        frame = users_frame()
        debugger = _OpDebugger(self, action)
        print(action, file=debugger.stdout)
        if frame is None:
            return
        debugger.reset()
        debugger.interaction(frame, None)
        if debugger.gave_up:
            raise BdbQuit


class _OpDebugger(pdb.Pdb):
    """pdb at the line of an op, with a few commands more."""

    def __init__(self, stepper: step, action: Action) -> None:
        super().__init__(nosigint=True)
        self.stepper, self.action = stepper, action
        self.prompt = f"(op {action.number}) "
        self.gave_up = False

    def setup(self, f: Any, tb: Any) -> None:
        super().setup(f, tb)
        values = {"op": self.action, "ins": self.action.inputs, "outs": self.action.outputs}
        self.curframe_locals = {**self.curframe_locals, **values}

    def do_o(self, arg: str) -> bool:
        """o [count | name]: to the next op, the one after so many, or the next one of that name."""
        arg = arg.strip()
        if arg.isdecimal():
            self.stepper._pass = max(0, int(arg) - 1)
        else:
            self.stepper._until = arg
        return True

    def emptyline(self) -> bool:
        return self.do_o("")

    def do_v(self, arg: str) -> None:
        """v: inputs and outputs in full."""
        for name, values in (("ins", self.action.inputs), ("outs", self.action.outputs)):
            for i, value in enumerate(values):
                print(f"{name}[{i}] = {value}", file=self.stdout)

    def do_continue(self, arg: str) -> bool:
        """c: runs on without stops."""
        self.stepper._on = False
        return True

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> bool:
        """q: gives up: BdbQuit is raised from the op."""
        self.gave_up = True
        return True

    do_q = do_exit = do_quit
