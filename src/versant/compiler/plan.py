"""The plan of a compiled function: its steps in order, where each result lies, and what memory that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from versant.compiler.record import Branch, Record, Step, Window


@dataclass(frozen=True)
class PlannedOutput:
    """One output of a step.

    place: "arena" (at `offset` in the memory that the plan keeps between calls), "over" (where the input
    `over` lay, which nobody reads again), "allocated" (taken from the allocator by this step), "returned"
    (memory that the step made itself), "bound" (memory of an argument or of another tensor, `owner`), or
    "written before" (the buffer was written by an earlier step).
    """

    buffer: str
    bytes: int
    place: str
    offset: int | None = None
    over: str = ""
    owner: str = ""

    def __str__(self) -> str:
        size = f"{self.buffer}  {self.bytes} bytes"
        if self.place == "arena":
            return f"{size} in the arena at {self.offset}"
        if self.place == "over":
            where = "" if self.offset is None else f" in the arena at {self.offset}"
            return f"{size} over {self.over}{where}"
        if self.place == "bound":
            return f"{size} in {self.owner}"
        return f"{size} {self.place}"


@dataclass(frozen=True)
class PlannedStep:
    """A step: `title` is a short name, `lines` are the user's, `runs` says by what it is done, `gives_back`
    which buffers are free after it."""

    name: str
    title: str
    lines: tuple[str, ...]
    runs: str
    micro_kernels: int
    chain: int | None  # steps of one chain run together, a few rows at a time
    outputs: tuple[PlannedOutput, ...]
    gives_back: tuple[str, ...]
    live_bytes: int  # of what the plan holds while the step runs, without the arena

    def written(self, number: int) -> Iterator[str]:
        count = self.micro_kernels
        runs = f"{count} micro-kernel{'s' * (count > 1)}" if count else self.runs
        head = f"[{number}] {self.title}"
        runs += "" if self.chain is None else f", chain {self.chain}"
        yield f"{head:36}  {runs:24} {self.live_bytes:>12}  {', '.join(self.lines[:2])}".rstrip()
        for output in self.outputs:
            yield f"      {output}"
        if self.gives_back:
            yield f"      gives back {', '.join(self.gives_back)}"


@dataclass(frozen=True)
class BranchPlan:
    """The plan of one branch.

    arena_bytes is kept between calls; arena_live_bytes is the most of it that is in use at once; tile_bytes
    holds numbers and intermediate values of micro-kernels and is kept too; peak_bytes is the most that one
    call holds, arena and tiles among it, results too, arguments and other tensors of the caller not.
    """

    title: str
    steps: tuple[PlannedStep, ...]
    arena_bytes: int
    arena_live_bytes: int
    tile_bytes: int
    peak_bytes: int

    def __str__(self) -> str:
        micro = sum(1 for step in self.steps if step.micro_kernels)
        lines = [
            self.title,
            f"{len(self.steps)} step{'s' * (len(self.steps) != 1)}, {micro} as micro-kernels",
            f"arena {self.arena_bytes} bytes, at most {self.arena_live_bytes} in use; "
            f"tiles {self.tile_bytes} bytes; peak {self.peak_bytes} bytes",
            f"{'step':36}  {'runs as':24} {'beside arena':>12}  line",
        ]
        for number, step in enumerate(self.steps):
            lines += step.written(number)
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Plan:
    """The plans of all branches; as text when it is printed."""

    branches: tuple[BranchPlan, ...]

    @property
    def arena_bytes(self) -> int:
        """What all branches keep between calls, tiles among it."""
        return sum(branch.arena_bytes + branch.tile_bytes for branch in self.branches)

    @property
    def peak_bytes(self) -> int:
        """The most that one call of any branch holds."""
        return max((branch.peak_bytes for branch in self.branches), default=0)

    def __str__(self) -> str:
        return "\n".join(str(branch) for branch in self.branches)

    __repr__ = __str__


def plan_of(branch: Branch) -> BranchPlan:
    """The plan of a branch. The way back of results with a history is no part of it: it runs step by step."""
    record, layout = branch.record, branch.record.layout
    live: dict[int, int] = {}  # bytes of buffers outside of the arena
    arena: dict[int, int] = {}
    written: set[int] = set()
    ended: list[int] = []
    steps = []
    most = most_in_arena = 0
    for s, step in enumerate(record.steps[: record.forward_steps]):
        outputs = [planned_output(branch, s, b, b in written) for b in dict.fromkeys(outputs_of(step))]
        over = dict(layout.inherited[s])
        for b in outputs_of(step):
            if record.buffers[b].origin == "fresh":
                live.pop(over.get(b, -1), None)
                where = arena if layout.offsets[b] >= 0 else live
                where[b] = layout.extents[b]
        written.update(outputs_of(step))
        # Those that are written over count once.
        places = {(layout.offsets[b], size) for b, size in arena.items()}
        most_in_arena = max(most_in_arena, sum(size for _, size in places))
        most = max(most, sum(live.values()))
        steps.append(
            PlannedStep(
                name=step.name,
                title=step.title,
                lines=tuple(step.lines),
                runs=runs_as(step),
                micro_kernels=layout.micros[s],
                chain=layout.chains[s] if layout.chains[s] >= 0 else None,
                outputs=tuple(outputs),
                gives_back=tuple(branch.name(b) for b in sorted(step.last, key=branch.numbers.__getitem__)),
                live_bytes=sum(live.values()),
            )
        )
        for b in step.last:
            live.pop(b, None)
        # A row chain holds its part of the arena to its end.
        ended += step.last
        if layout.chains[s] < 0 or layout.chains[s : s + 2].count(layout.chains[s]) < 2:
            for b in ended:
                arena.pop(b, None)
            ended.clear()
    kept = layout.arena_bytes + layout.tile_bytes
    return BranchPlan(
        branch.title, tuple(steps), layout.arena_bytes, most_in_arena, layout.tile_bytes, kept + most
    )


def outputs_of(step: Step) -> list[int]:
    return [window.buffer for window in step.outputs]


def planned_output(branch: Branch, s: int, b: int, written: bool) -> PlannedOutput:
    layout = branch.record.layout
    name, size = branch.name(b), layout.extents[b]
    offset = layout.offsets[b] if layout.offsets[b] >= 0 else None
    if branch.record.buffers[b].origin != "fresh":
        return PlannedOutput(name, size, "bound", owner=branch.owner(b))
    if written:
        return PlannedOutput(name, size, "written before", offset)
    over = written_over(branch.record, s, b)
    if over is not None:
        return PlannedOutput(name, size, "over", offset, over=branch.name(over))
    if offset is not None:
        return PlannedOutput(name, size, "arena", offset)
    return PlannedOutput(name, size, "allocated" if b in layout.allocated[s] else "returned")


def written_over(record: Record, s: int, b: int) -> int | None:
    """The input of step `s` in whose memory buffer `b` lies."""
    layout, step = record.layout, record.steps[s]
    for heir, source in layout.inherited[s]:
        if heir == b:
            return source
    read = {window.buffer for window in step.inputs if isinstance(window, Window)}
    for source in step.last:
        if source in read and layout.offsets[b] >= 0 and layout.offsets[source] == layout.offsets[b]:
            return source
    return None


def runs_as(step: Step) -> str:
    return {
        "program": "tile program",
        "primitive": "primitive",
        "multiply": "matrix product",
        "copy": "copy",
        "fill": "fill",
        "read": "reading",
        "host": "call of Python",
        "apply": "function",
        "call": "kernel",
    }.get(step.kind, "change of a tensor")
