"""Compiled functions: which trace answers a call, and what a new trace makes of one."""

from __future__ import annotations

import functools
import logging
import math
import os
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from versant import Tensor, _core
from versant.compiler import outside, written
from versant.compiler.arrays import Arrays
from versant.compiler.calls import (
    MODES,
    argument_of,
    compile_disabled,
    count,
    mode_text,
    modes,
    place_of_call,
    release_cached_memory,
    shapes_of,
)
from versant.compiler.carried import Carried
from versant.compiler.entries import IN_VAIN, Entry, Newcomers, drop_least_used, functions
from versant.compiler.errors import CompileError
from versant.compiler.facts import Fact
from versant.compiler.objects import is_module
from versant.compiler.picture import svg_of
from versant.compiler.plan import Plan, plan_of
from versant.compiler.ran import MOST_ROUNDS, Ran, Reached
from versant.compiler.record import Branch, parting_of, read_record
from versant.compiler.results import result_of
from versant.compiler.text import branch_text
from versant.compiler.watch import MOST_BYTES, Watch
from versant.structure import (
    PLAIN,
    Structure,
    difference,
    named_arguments,
    take_apart,
    tensor_names,
)

logger = logging.getLogger("versant.compile")

MOST_READINGS = 16  # outcomes of the values that Python reads, for one entry

# Attributes of a compiled function itself.
OWN = {"_function", "_dynamic", "_guards", "_recompiles", "_entries", "_reasons", "_replays", "_traces"}
OWN |= {"_stops", "_written", "_closures", "_newcomers", "_reached", "_rounds", "_carried", "_most_bytes"}
OWN |= {"__name__", "__qualname__", "__doc__", "__module__", "__wrapped__", "__annotations__"}
OWN |= {"__type_params__"}

_tracing = threading.Lock()  # one trace is made at a time
_state = threading.local()


class Compiled(_core.CompiledBase):
    """A compiled function; made by `compile`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        guards: str,
        recompiles: str,
        dynamic: bool | None,
        name: str | None,
    ) -> None:
        if guards not in ("full", "shapes"):
            raise ValueError(f"[compile] guards is 'full' or 'shapes', got {guards!r}")
        if recompiles not in ("log", "error"):
            raise ValueError(f"[compile] recompiles is 'log' or 'error', got {recompiles!r}")
        if dynamic is not None and not isinstance(dynamic, bool):
            raise ValueError(f"[compile] dynamic is None, True or False, got {dynamic!r}")
        self._function = function
        self._dynamic = dynamic
        self._guards = guards
        self._recompiles = recompiles
        self._entries: dict[Any, list[Entry]] = {}
        self._reasons: list[str] = []
        self._replays = 0
        self._traces = 0  # that were made or tried
        self._stops = False  # a breakpoint stands in it: it runs as it is written
        self._written = ""  # why it runs as it is written, but for closures of optimizers
        self._closures: dict[Any, Any] = {}
        self._newcomers = Newcomers()
        self._reached: Reached = []  # what it was seen to reach beside what its code names
        self._rounds = 0  # in which that was found
        self._carried = Carried()
        self._most_bytes: float = MOST_BYTES  # of arrays that are watched by their contents
        functions.add(self)
        functools.update_wrapper(self, function, updated=())
        self.__name__ = name or getattr(function, "__name__", type(function).__name__)

    # Calls --------------------------------------------------------------------------------------------------

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """A call that the quick way of the base has no answer for."""
        # Under vmap and jvp tensors stand for more than a replay would see of them.
        if _core.disable_compiled(0) or _core.level_depth() or getattr(_state, "traces", False):
            return self._function(*args, **kwargs)
        if self._written:
            with written.as_written(self._closures):
                return self._function(*args, **kwargs)
        seen = self._traces
        tensors: list[Tensor] = []
        key = (take_apart((args, kwargs), tensors), modes(), *self._carried.take_apart(tensors))
        trace = functools.partial(self._trace, args, kwargs, tensors, key, seen)
        entries = self._entries.get(key)
        if entries is None:
            return trace(None, self._other_structure(key, tensors))
        for entry in entries:
            if not entry.holds(tensors):
                continue
            try:
                found = _core.plan_run(entry.branches, tensors)
            except _core.RunAgain:
                return self._as_written(*args, **kwargs)
            if found is None:
                if len(entry.results) >= MOST_READINGS:
                    self._refuse_readings(entry)
                return trace(entry, parting_of(entry.branches))
            self._replays += 1
            branch, made = found
            return entry.results[branch].answer(tensors, made)
        reason = self._mismatch(entries[0], tensors, key[0])
        if self._dynamic is not None and (known := self._other_sizes(entries, tensors)):
            if not self._dynamic:
                self._refuse_sizes(known, args, kwargs, tensors)
            reason = ""
        return trace(None, reason)

    def _as_written(self, *args: Any, **kwargs: Any) -> Any:
        """The call once more, as it is written: a watcher took its replay back to look closer."""
        with compile_disabled():
            return self._function(*args, **kwargs)

    # Saving -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], /, *args: Any, **kwargs: Any) -> None:
        """Write the traces to a file that `versant.load_program` and the C library run.

        With arguments, the traces that answer a call with them; if there are none the function is called, at
        most twice.
        Without, all traces that hold now: those made under the present modes, or else under the only others.
        Constants, and the tensors that the function reaches, go along with their values; what takes part in
        gradients outside of the function does not. Numbers and strings among the arguments become part of the
        program.
        Raises CompileError, with the line, for what a program cannot do without Python, and ValueError when
        there is no trace.
        """
        from versant.compiler.saved import save_entries

        entries = [self._entry_for(args, kwargs)] if args or kwargs else self._entries_now()
        save_entries(entries, self._argument_names, str(self.__name__), path)

    def _entry_for(self, args: Any, kwargs: Any) -> tuple[Structure, Entry]:
        tensors: list[Tensor] = []
        key = (take_apart((args, kwargs), tensors), modes())
        for calls in range(3):  # gradients that the first one leaves are part of what the second one assumes
            for entry in self._entries.get(key, ()):
                if entry.holds(tensors):
                    return key[0], entry
            if calls < 2:
                self(*args, **kwargs)
        raise CompileError(
            f"[save] {self.__name__} has no trace for these arguments: it changes what its next call assumes"
        )

    def _entries_now(self) -> list[tuple[Structure, Entry]]:
        holding = {
            key: [entry for entry in entries if all(fact.holds() for fact in entry.facts)]
            for key, entries in self._entries.items()
        }
        found = {key: entries for key, entries in holding.items() if entries}
        if not found:
            raise ValueError(
                f"[save] {self.__name__} has no trace that holds now: call it, or pass example arguments"
            )
        all_modes = {key[1] for key in found}
        if modes() not in all_modes and len(all_modes) > 1:
            raise ValueError(
                f"[save] {self.__name__} was traced under several modes, and not under the present ones: "
                "save it under those of its calls, as in `with versant.no_grad()`"
            )
        chosen = modes() if modes() in all_modes else all_modes.pop()
        return [(key[0], entry) for key, entries in found.items() if key[1] == chosen for entry in entries]

    def __getattr__(self, name: str) -> Any:
        """What the function itself has: of a module its parameters, `train`, `state_dict` ..."""
        if name.startswith("__") or "_function" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Of a compiled module, attributes are set on the module: it reads them."""
        if name in OWN or not is_module(self.__dict__.get("_function")):
            super().__setattr__(name, value)
        else:
            setattr(self._function, name, value)

    def __delattr__(self, name: str) -> None:
        if name in OWN or not is_module(self.__dict__.get("_function")):
            super().__delattr__(name)
        else:
            delattr(self._function, name)

    def __reduce__(self) -> Any:
        """Copies compile a copy of the function, by the same options."""
        return _made, (self._function, self._guards, self._recompiles, self._dynamic, self.__name__)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        return functools.partial(self, instance)

    def _mismatch(self, entry: Entry, tensors: list[Tensor], call: Structure) -> str:
        for fact in entry.facts:
            if not fact.holds():
                return str(fact)
        return _core.plan_difference(entry.branches, tensors, self._argument_names(call)) or ""

    def _other_sizes(self, entries: list[Entry], tensors: list[Tensor]) -> Entry | None:
        """An entry that is for such arguments, of other sizes."""
        kinds = [(x.dtype, x.dim()) for x in tensors]
        for entry in entries:
            alike = [(dtype, len(shape)) for shape, dtype in entry.shapes] == kinds
            if alike and entry.shapes != shapes_of(tensors) and all(fact.holds() for fact in entry.facts):
                return entry
        return None

    # Traces -------------------------------------------------------------------------------------------------

    def _trace(
        self,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
        key: Any,
        seen: int,
        entry: Entry | None,
        reason: str,
    ) -> Any:
        if (
            entry is None
            and self._recompiles != "error"
            and self._newcomers.turn_away(key, shapes_of(tensors))
        ):
            self._newcomers.log(str(self.__name__), reason)
            return self._function(*args, **kwargs)
        # Another thread that traces may wait for this one, so this one does not wait for it.
        if not _tracing.acquire(blocking=False):
            return self._function(*args, **kwargs)
        try:
            if self._traces == seen:
                try:
                    return self._trace_now(args, kwargs, tensors, key, entry, reason)
                finally:
                    self._traces += 1
        finally:
            _tracing.release()
        return self._call(*args, **kwargs)  # others have traced meanwhile: look again

    def _trace_now(
        self, args: Any, kwargs: Any, tensors: list[Tensor], key: Any, entry: Entry | None, reason: str
    ) -> Any:
        if reason:
            self._report(reason)
        # A branch of an entry has its facts already, and they hold.
        watch = Watch(self._function, args, kwargs, self._reached, self._most_bytes)
        self._carried.release(watch)
        if watch.stops:
            self._stops = True
            return self._function(*args, **kwargs)
        shapes = shapes_of(tensors)  # the function may change them
        if not self._entries:
            release_cached_memory()
        reached = {id(tensor) for tensor in watch.tensors}
        # What was cast before is no part of the trace, nor the other way round.
        _core.clear_autocast_cache()
        outside.begin()
        arrays = Arrays(watch)
        _core.trace_begin(arrays.note)
        _state.traces = True
        _state.watch = watch
        ran = Ran(watch)
        try:
            for tensor in tensors:
                _core.trace_argument(tensor, id(tensor) in reached)
            _core.trace_pause(False)
            value = self._function(*args, **kwargs)
            _core.trace_pause(True)
            if reason := written.left():
                self._written = reason
                logger.info("%s runs as it is written: %s", self.__name__, reason)
                return value
            if watch.imported():
                return value  # what it reads of them is watched in the next call
            if arrays.taken and watch.passes_over:
                self._most_bytes = math.inf  # what it makes tensors of may come from any of them
                return value
            found = arrays.facts()
            watch.facts += found
            if self._carried.find(watch):
                self._drop_all()
                return value  # the next call brings what this one left
            result = result_of(str(self.__name__), value, tensors, watch, self._carried.places)
            _core.trace_backward()
            if (hidden := ran.end()) and self._look_closer(hidden, entry):
                return value
            if not self._entries:
                release_cached_memory()  # compiling takes memory too
            branches = _core.trace_end(entry.branches if entry else None)
        finally:
            ran.stop()
            _state.traces = False
            _state.watch = None
            written.left()
            _core.trace_abandon()
            _core.clear_autocast_cache()
        if not self._entries:
            release_cached_memory()
        if entry is not None:
            entry.results.append(result)
            entry.watch.names.update(watch.names)
            if found and self._guards == "full":
                entry.facts += found
                self._drop_entries(entry.branches)
                if not kwargs:
                    self._add_quick(args, entry)
        else:
            entries = self._entries.setdefault(key, [])
            for place, _ in result.left:
                watch.relax(place.holder, place.key)
            facts = [] if self._guards == "shapes" else list(watch.facts)
            entries.insert(0, Entry(watch, facts, branches, result, shapes))
            self._newcomers.newest.append(entries[0])
            drop_least_used(self._entries, key)
            if not kwargs:
                self._add_quick(args, entries[0])
        return value

    def _look_closer(self, reached: Reached, entry: Entry | None) -> bool:
        """Watches what was reached, and drops what was traced without; False if that was done in vain."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            if not any(isinstance(value, types.FunctionType) for value, _ in reached):
                return False  # objects that look older than they are
            self._written = f"it makes code in every call, as {reached[0][1]}"
            return True
        self._reached += reached
        if entry is not None:
            self._drop_entries(entry.branches)
            kept = {key: [e for e in some if e is not entry] for key, some in self._entries.items()}
            self._entries = {key: some for key, some in kept.items() if some}
        return True

    def _drop_all(self) -> None:
        for some in self._entries.values():
            for entry in some:
                self._drop_entries(entry.branches)
        self._entries = {}

    def _add_quick(self, args: tuple[Any, ...], entry: Entry) -> None:
        """Lets the base answer calls like this one, if it can tell them."""
        if self._carried or not all(type(arg) in (Tensor, *PLAIN) for arg in args) or len(args) > 16:
            return
        rows = [fact.as_row() for fact in entry.facts]
        facts = [row for row in rows if row is not None]
        if len(facts) < len(rows):
            return
        constants = tuple(NotImplemented if isinstance(arg, Tensor) else arg for arg in args)

        def answer(branch: int, tensors: list[Tensor], made: list[Tensor]) -> Any:
            return entry.results[branch].answer(tensors, made)

        self._add_entry(constants, facts, entry.branches, answer, entry.results[0].one_tensor)

    def _refuse_readings(self, entry: Entry) -> None:
        where = _core.plan_parting(entry.branches)[0]
        raise CompileError(
            f"[compile] {where}: {self.__name__} reads a value there that differed in "
            f"{len(entry.results)} calls; return the tensor instead of the number, decide by it with "
            "versant.cond or versant.while_loop, show it with versant.debug.print"
        )

    def _refuse_sizes(self, entry: Entry, args: Any, kwargs: Any, tensors: list[Tensor]) -> None:
        now = shapes_of(tensors)
        index = next(i for i, (a, b) in enumerate(zip(entry.shapes, now, strict=True)) if a != b)
        raise CompileError(
            f"[compile] {self.__name__}: {argument_of(self._function, args, kwargs, index)} had shape "
            f"{entry.shapes[index][0]}, now {now[index][0]}, and dynamic=False keeps sizes as they were first"
        )

    def _report(self, reason: str) -> None:
        reason = f"{reason}; {place_of_call()}"
        text = f"{self.__name__} is compiled again: {reason}"
        self._reasons.append(reason)
        if self._recompiles == "error":
            raise CompileError(f"[compile] {text}")
        logger.info("%s", text)

    def _other_structure(self, key: Any, tensors: list[Tensor]) -> str:
        """How a call parts from the last one that was traced."""
        for (structure, mode, *_), entries in reversed(self._entries.items()):
            if structure == key[0]:
                then, now = zip(MODES, mode, strict=True), zip(MODES, key[1], strict=True)
                return ", ".join(
                    f"{a[0]} was {a[1]}, now {b[1]}" for a, b in zip(then, now, strict=True) if a != b
                )
            shapes = [str(argument.array) for argument in read_record(entries[0].branches, 0).arguments]
            found = [f"{str(t.dtype).rpartition('.')[2]}{list(t.shape)}" for t in tensors]
            return difference(self._function, (structure, shapes), (key[0], found))
        return ""

    def _argument_names(self, call: Structure) -> list[str]:
        """How each tensor among the arguments is called."""
        named = named_arguments(self._function, call)
        return [
            name for argument, part in named for name in tensor_names(part, argument)
        ] + self._carried.names()

    # Looking inside -----------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """How many traces were made, and how many calls were answered by replays."""
        entries = [entry for some in self._entries.values() for entry in some]
        return {
            "traces": sum(len(entry.results) for entry in entries),
            "recompilations": len(self._reasons),
            "replays": self._replays + self._quick_replays,
        }

    def explain(self) -> str:
        """In words: what was assumed, and why anything was compiled again.

        >>> import versant as vs
        >>> double = vs.compile(lambda x, mask=None: x * 2, name="double")
        >>> y = double(vs.ones(3)), double(vs.ones(3), vs.zeros(3))
        >>> print(double.explain().splitlines()[1])
        compiled again: `mask` was None, now float32[3]; ...
        """
        stats = self.stats()
        lines = [f"{self.__name__}: {count(stats['traces'], 'trace')}, {count(stats['replays'], 'replay')}"]
        if self._stops:
            lines.append("a breakpoint() stands in it, so it runs as it is written")
        if self._written:
            lines.append(f"it runs as it is written: {self._written}")
            for _, closure in self._closures.values():
                lines += [f"    {line}" for line in closure.explain().splitlines()]
        if calls := len(self._newcomers.once):
            lines.append(
                f"{count(calls, 'call')} that came once ran as written: the {IN_VAIN} traces before "
                "were not used again"
            )
        lines += [f"compiled again: {reason}" for reason in self._reasons]
        for some in self._entries.values():
            for entry in some:
                branches, facts = len(entry.results), len(entry.facts)
                lines.append(f"a trace with {count(branches, 'branch')} assumes {count(facts, 'fact')}")
                lines += [f"    {fact.owner}" for fact in entry.facts if isinstance(fact, Fact)][:50]
        return "\n".join(lines)

    def ir(self) -> str:
        """Every branch of every trace as text: what comes in, the steps, and what goes out.

        The grammar stands in compiler/text.py. An elementwise step shows the expression that it computes.

        >>> import versant as vs
        >>> double = vs.compile(lambda x: (x * 2).tanh(), name="double")
        >>> y = double(vs.ones(3))
        >>> print(double.ir().rstrip())
        double, trace 0, branch 0
        argument %0: float32[3]  x
        [0] %1: float32[3] = tanh(%0 * 2)  # mul+tanh, ...
        return %1
        """
        return "\n".join(branch_text(branch) for branch in self._branches())

    def plan(self) -> Plan:
        """How every branch runs: where each result lies, what is given back when, and what memory that takes.

        Prints as text; `arena_bytes`, `peak_bytes` and `branches` are for programs.

        >>> import versant as vs
        >>> double = vs.compile(lambda x: (x * 2).tanh())
        >>> y = double(vs.ones(3))
        >>> double.plan().branches[0].steps[0].outputs[0].place
        'allocated'
        """
        return Plan(tuple(plan_of(branch) for branch in self._branches()))

    def graph_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Every branch as a picture, one below the other: an SVG that needs nothing else.

        path: a file to write it to as well. Boxes are steps, with the micro-ops of fused ones; lines are
        buffers. The user's line and the text of a step show where the pointer rests on it.

        >>> import versant as vs
        >>> double = vs.compile(lambda x: (x * 2).tanh())
        >>> y = double(vs.ones(3))
        >>> double.graph_svg().startswith("<svg")
        True
        """
        text = svg_of(self._branches())
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _branches(self) -> list[Branch]:
        """What is known of every branch, the oldest trace first."""
        entries = [(key, entry) for key, some in self._entries.items() for entry in reversed(some)]
        found = []
        for t, ((structure, mode, *_), entry) in enumerate(entries):
            arguments = self._argument_names(structure)
            for b, result in enumerate(entry.results):
                record = read_record(entry.branches, b)
                names = entry.watch.names
                captured = [
                    arguments[c.argument] if c.argument >= 0 else names.get(id(c.tensor), f"tensor {i}")
                    for i, c in enumerate(record.captured)
                ]
                title = f"{self.__name__}, trace {t}, branch {b}{mode_text(mode)}"
                found.append(Branch(title, record, arguments, captured, result.written(arguments, names)))
        return found


def compile(
    function: Callable[..., Any] | None = None,
    *,
    guards: str = "full",
    recompiles: str = "log",
    dynamic: bool | None = None,
    name: str | None = None,
    fullgraph: bool = False,
    backend: str = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """The function, compiled: the first call runs and records it, later calls replay.

    guards: "full" watches arguments and what else the function reaches; "shapes" the tensors only.
    recompiles: "log" says on the logger `versant.compile` why a function is traced again, "error" raises.
    dynamic: what a call means whose tensors have other sizes than before. None: it is traced for them and
    counts as a recompilation; True: it is traced, and does not count; False: it is an error that names the
    argument. Sizes that were met before are replayed in any case.
    name: of the function in messages.
    fullgraph, backend, mode, options: what programs written for PyTorch say; there is one way to compile, and
    its graphs are whole. disable: the function stays as it is.
    Works as a decorator, with and without options. Raises CompileError for what cannot be replayed.
    """
    if not isinstance(backend, str) or not (mode is None or isinstance(mode, str)):
        raise TypeError(f"[compile] expected names as backend and mode, got {backend!r} and {mode!r}")
    if function is None:
        return functools.partial(
            compile, guards=guards, recompiles=recompiles, dynamic=dynamic, name=name, disable=disable
        )
    if not callable(function):
        raise TypeError(f"[compile] expected a function, got {type(function).__name__}")
    if disable:
        return function
    return Compiled(function, guards=guards, recompiles=recompiles, dynamic=dynamic, name=name)


def _made(function: Any, guards: str, recompiles: str, dynamic: bool | None, name: str) -> Compiled:
    return Compiled(function, guards=guards, recompiles=recompiles, dynamic=dynamic, name=name)


@contextmanager
def excused() -> Iterator[None]:
    """What changes meanwhile is no side effect of the function that is traced: replays do it again."""
    watch: Watch = _state.watch
    before = {id(fact) for fact in watch.broken()}
    yield
    changed = {id(fact) for fact in watch.broken()} - before
    watch.facts[:] = [fact for fact in watch.facts if id(fact) not in changed]
