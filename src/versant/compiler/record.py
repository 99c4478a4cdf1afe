"""What a finished trace holds, as plain data: `ir()`, `plan()` and `graph_svg()` are written from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from versant import Tensor, _core

MOST_NAMES = 8  # of steps that one was joined from, in a title


@dataclass(frozen=True)
class Window:
    """An array on a buffer; offset in bytes from the buffer's start, strides in elements."""

    buffer: int
    dtype: Any
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    def __str__(self) -> str:
        return f"{str(self.dtype).rpartition('.')[2]}{list(self.sizes)}"

    @property
    def elements(self) -> int:
        """How many there are in memory: those that are spread over an axis count once."""
        return math.prod(n for n, stride in zip(self.sizes, self.strides, strict=True) if stride or n == 0)

    @property
    def bytes(self) -> int:
        """From the buffer's start to the last element's end."""
        if 0 in self.sizes:
            return self.offset
        last = sum((size - 1) * stride for size, stride in zip(self.sizes, self.strides, strict=True))
        return self.offset + (last + 1) * int(self.dtype.itemsize)

    @property
    def is_contiguous(self) -> bool:
        expected = 1
        for size, stride in zip(reversed(self.sizes), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


@dataclass(frozen=True)
class Program:
    """A tile program. Registers: inputs, constants, then one per instruction (micro-op, registers)."""

    constants: list[Any]
    code: list[tuple[str, tuple[int, ...]]]
    outputs: list[int]  # registers
    compute: str
    divisors: list[float]  # the last outputs are sums over all elements, divided by these


@dataclass(frozen=True)
class Part:
    """What a step does, or one of the steps that a fused step was.

    where: the user's line; module: the path of the module that ran; back: 0 on the way forward; else it is on
    the way back through the tape, to the gradient of that order, from the op `of_name` of line `of`, which
    `module` made.
    """

    name: str
    where: str
    module: str
    of_name: str
    of: str
    back: int

    @property
    def line(self) -> str:
        """The user's line that says most: of a gradient that of its op."""
        return short_place(self.of or self.where)


@dataclass(frozen=True)
class Step:
    kind: str
    name: str
    where: str
    module: str
    of_name: str
    of: str
    back: int
    fused: list[Part]
    inputs: list[Any]  # windows and numbers; of calls of the host a number is an argument's
    outputs: list[Window]
    last: list[int]  # buffers that nobody needs after this step
    program: Program | None
    ints: tuple[int, ...]
    floats: list[float]
    in_place: bool
    random: int  # where among the ints a seed and a first block stand, -1 for none
    stream: int
    block: int
    going_back: bool
    number: Any
    truth: bool
    pure: bool
    reads: bool  # what follows depends on a value
    index: int

    @property
    def title(self) -> str:
        """The name; of one that was joined from many steps the first and the last, and how many."""
        names = self.name.split("+")
        if len(names) <= MOST_NAMES:
            return self.name
        return f"{'+'.join(names[: MOST_NAMES - 2])}+...+{names[-1]} ({len(names)} steps)"

    @property
    def parts(self) -> list[Part]:
        return self.fused or [Part(self.name, self.where, self.module, self.of_name, self.of, self.back)]

    @property
    def lines(self) -> list[str]:
        """The user's lines, as they occur: "train.py:12" forward, "back from train.py:12" on the way back."""
        return list(dict.fromkeys("back from " * (part.back > 0) + part.line for part in self.parts))

    @property
    def windows(self) -> Iterator[Window]:
        for window in (*self.inputs, *self.outputs):
            if isinstance(window, Window):
                yield window


@dataclass(frozen=True)
class Argument:
    array: Window
    needs_grad: bool


@dataclass(frozen=True)
class Captured:
    """A tensor that the function reached; `argument` is its number if it is one."""

    tensor: Tensor | None
    argument: int
    bound: bool  # its memory is read or written
    shares: int  # the captured tensor whose memory it has, or -1
    shares_argument: int
    needs_grad: bool
    geometry: Window
    gradient: Window | None  # that it had


@dataclass(frozen=True)
class Buffer:
    origin: str  # fresh, constant, argument, captured, gradient, incoming
    index: int  # of the argument, captured tensor or differentiable result that it belongs to
    value: Tensor | None  # of a constant


@dataclass(frozen=True)
class Outgoing:
    """Where a gradient of the results goes."""

    argument: int
    captured: int
    window: Window | None


@dataclass(frozen=True)
class Layout:
    """Where a plan puts its buffers, in bytes."""

    offsets: list[int]  # by buffer: in the arena, -1 elsewhere
    extents: list[int]
    allocated: list[list[int]]  # by step: buffers of the allocator that it is the first to write
    inherited: list[list[tuple[int, int]]]  # by step: buffers, and whose memory they take
    micros: list[int]  # by step: calls of micro-kernels
    chains: list[int]  # by step: the row chain that it is in, -1 for none
    arena_bytes: int
    tile_bytes: int


@dataclass(frozen=True)
class Record:
    """A trace and its plan."""

    arguments: list[Argument]
    captured: list[Captured]
    buffers: list[Buffer]
    steps: list[Step]
    forward_steps: int
    results: list[Window]
    result_gradients: list[Window | None]
    differentiable: list[int]
    freed: bool
    incoming: list[Window]
    outgoing: list[Outgoing]
    layout: Layout


def read_record(branches: Any, branch: int) -> Record:
    """The trace of a branch."""
    raw = _core.trace_record(branches, branch)
    return Record(
        arguments=[Argument(Window(**a["array"]), a["needs_grad"]) for a in raw["arguments"]],
        captured=[
            Captured(**c | {"geometry": Window(**c["geometry"]), "gradient": window(c["gradient"])})
            for c in raw["captured"]
        ],
        buffers=[Buffer(**b) for b in raw["buffers"]],
        steps=[
            Step(
                **{key: value for key, value in s.items() if key != "parts"}
                | {
                    "inputs": [window(x) if isinstance(x, dict) else x for x in s["inputs"]],
                    "outputs": [Window(**x) for x in s["outputs"]],
                    "fused": [Part(**part) for part in s["parts"]],
                    "program": Program(**s["program"]) if s["program"] else None,
                }
            )
            for s in raw["steps"]
        ],
        forward_steps=raw["forward_steps"],
        results=[Window(**w) for w in raw["results"]],
        result_gradients=[window(w) for w in raw["result_gradients"]],
        differentiable=raw["differentiable"],
        freed=raw["freed"],
        incoming=[Window(**w) for w in raw["incoming"]],
        outgoing=[Outgoing(o["argument"], o["captured"], window(o["window"])) for o in raw["outgoing"]],
        layout=Layout(**raw["layout"]),
    )


def window(raw: dict[str, Any] | None) -> Window | None:
    return Window(**raw) if raw else None


@dataclass(frozen=True)
class Branch:
    """One branch of a compiled function, with the names under which its tensors are known."""

    title: str
    record: Record
    argument_names: list[str]
    captured_names: list[str]
    returns: list[str | int]  # the result as text, and the numbers of new tensors in it

    @cached_property
    def numbers(self) -> dict[int, int]:
        """Of each buffer that occurs: its number in what is printed."""
        record = self.record
        order = [a.array.buffer for a in record.arguments]
        for origin in ("captured", "gradient", "constant"):
            order += [b for b, buffer in enumerate(record.buffers) if buffer.origin == origin]
        for step in record.steps[: record.forward_steps]:
            order += [w.buffer for w in step.windows]
        order += [w.buffer for w in (*record.results, *record.incoming)]
        for step in record.steps[record.forward_steps :]:
            order += [w.buffer for w in step.windows]
        order += [out.window.buffer for out in record.outgoing if out.window]
        return {b: i for i, b in enumerate(dict.fromkeys(order))}

    @cached_property
    def forms(self) -> dict[int, Window]:
        """Of each buffer: the window under which it is introduced."""
        record = self.record
        forms: dict[int, Window] = {}
        for argument in record.arguments:
            forms.setdefault(argument.array.buffer, argument.array)
        for b, buffer in enumerate(record.buffers):
            if buffer.origin in ("captured", "gradient"):
                captured = record.captured[buffer.index]
                form = captured.geometry if buffer.origin == "captured" else captured.gradient
                if form:
                    forms[b] = replace(form, buffer=b)
        for seen in record.incoming:
            forms.setdefault(seen.buffer, seen)
        others = [w for step in record.steps for w in (*step.outputs, *step.windows)]
        widest: dict[int, Window] = {}
        for seen in (*others, *record.results):
            before = widest.get(seen.buffer)
            if before is None or (seen.bytes, seen.elements) > (before.bytes, before.elements):
                widest[seen.buffer] = seen
        return widest | forms

    def name(self, buffer: int) -> str:
        return f"%{self.numbers[buffer]}"

    def owner(self, buffer: int) -> str:
        """The name of the tensor that a buffer belongs to; empty when it is the trace's own."""
        entry = self.record.buffers[buffer]
        if entry.origin == "argument":
            return self.argument_names[entry.index]
        if entry.origin in ("captured", "gradient"):
            name = self.captured_names[entry.index]
            return name if entry.origin == "captured" else f"{name}.grad"
        return ""

    def is_whole(self, window: Window) -> bool:
        """Whether a window is what its buffer was introduced as."""
        form = self.forms[window.buffer]
        return (window.dtype, window.sizes, window.strides, window.offset) == (
            form.dtype,
            form.sizes,
            form.strides,
            form.offset,
        )


def spreads(form: Window, window: Window) -> bool:
    """Whether a window is `form`, spread over further axes or over such of size 1."""
    if (form.dtype, form.offset) != (window.dtype, window.offset) or len(form.sizes) > len(window.sizes):
        return False
    extra = len(window.sizes) - len(form.sizes)
    axes = zip(form.sizes, form.strides, window.sizes[extra:], window.strides[extra:], strict=True)
    return not any(window.strides[:extra]) and all(
        (size, stride) == (form_size, form_stride) or (form_size == 1 and stride == 0)
        for form_size, form_stride, size, stride in axes
    )


def parting_of(branches: Any) -> str:
    """What told the last call of these branches from all before: a value that Python reads."""
    where, of_truth, known, now = _core.plan_parting(branches)
    if of_truth:
        known, now = bool(known), bool(now)
    return f"the value that is read at {short_place(where)} was {known}, now {now}"


def short_place(where: str) -> str:
    """ "folder/train.py:12", beginning at the working directory if the file lies below it."""
    path, colon, line = where.rpartition(":")
    try:
        return f"{Path(path).relative_to(Path.cwd())}{colon}{line}"
    except ValueError:
        return where
