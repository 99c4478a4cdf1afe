"""Branches as graphs: nodes for what comes in, steps and what goes out, lines for buffers between them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from versant.compiler.record import Branch, Step, Window
from versant.compiler.text import operand, step_text

CHARACTER = 7.3  # width of a character of 12 pixels
LINE = 15.0  # height of a line of text
MOST_CHARACTERS = 34  # of a line of names
ORDER = -1
SETS = {"set_gradient": ".grad", "set_data": ".data", "require_grad": ".requires_grad"}


@dataclass
class Node:
    """A box: rows of text, and cells below them for the buffers that it gives."""

    kinds: str  # classes of the style
    rows: list[str]
    tip: str
    cells: list[tuple[int, str]] = field(default_factory=list)  # buffer, text
    small: int = -1  # the row that is written small

    @property
    def width(self) -> float:
        cells = sum(len(text) + 2 for _, text in self.cells)
        return max(max(len(row) for row in self.rows) + 2, cells) * CHARACTER

    @property
    def height(self) -> float:
        return LINE * (len(self.rows) + bool(self.cells)) + 8


class Graph:
    """The nodes and lines of a branch.

    A line goes from the node that wrote a buffer last to one that reads it or writes to it too. `late` nodes
    stand next to what reads them.
    """

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.nodes: list[Node] = []
        self.lines: list[tuple[int, int, int]] = []  # from, to, buffer; ORDER: one only comes after the other
        self.late: set[int] = set()
        self._writers: dict[int, int] = {}  # of each buffer: the node that wrote it last
        self._changed: dict[int, None] = {}  # buffers of others that were written
        self._setters: dict[int, int] = {}  # of each captured tensor: the node that set something of it last
        self._given: dict[int, list[int]] = {}  # of each captured tensor: the buffer that was set
        self._host = -1  # the last call of Python with effects
        record = branch.record
        self._add_sources()
        for s in range(record.forward_steps):
            self._add_step(s)
        self._add_results()
        for incoming in record.incoming:
            self._add_source("argument", "incoming gradient", incoming)
        for s in range(record.forward_steps, len(record.steps)):
            self._add_step(s)
        for out in record.outgoing:
            argument = out.argument >= 0
            name = branch.argument_names[out.argument] if argument else branch.captured_names[out.captured]
            if out.window:
                self._add(Node("result", [f"gradient of {name}"], f"goes out to {name}"), [out.window])

    def _add(self, node: Node, reads: list[Window]) -> int:
        number = len(self.nodes)
        self.nodes.append(node)
        for b in dict.fromkeys(w.buffer for w in reads):
            if b in self._writers:
                self.lines.append((self._writers[b], number, b))
        return number

    def _add_source(self, kind: str, name: str, window: Window) -> None:
        cell = (window.buffer, f"{self.branch.name(window.buffer)} {window}")
        number = self._add(Node(kind, [name], f"{kind} {name}: {window}", [cell]), [])
        self._writers.setdefault(window.buffer, number)
        self.late.add(number)

    def _add_sources(self) -> None:
        branch, record = self.branch, self.branch.record
        windows = [*(w for step in record.steps for w in step.windows), *record.results]
        used = {w.buffer for w in windows}
        for argument, name in zip(record.arguments, branch.argument_names, strict=True):
            self._add_source("argument", name, argument.array)
        for b, buffer in enumerate(record.buffers):
            if b not in used or buffer.origin not in ("captured", "gradient", "constant"):
                continue
            kind = "constant" if buffer.origin == "constant" else "captured"
            if buffer.origin == "captured" and record.captured[buffer.index].needs_grad:
                kind = "parameter"
            self._add_source(kind, branch.owner(b) or "constant", branch.forms[b])

    def _add_step(self, s: int) -> None:
        step = self.branch.record.steps[s]
        inputs = [w for w in step.inputs if isinstance(w, Window)]
        reads = [*inputs, *(w for w in step.outputs if w.buffer in self._writers)]
        number = self._add(step_node(self.branch, s, step), reads)
        if not reads:
            self.late.add(number)
        self.lines += [(node, number, ORDER) for node in self._before(step, number)]
        for window in step.outputs:
            self._writers[window.buffer] = number
            if self.branch.record.buffers[window.buffer].origin not in ("fresh", "incoming"):
                self._changed[window.buffer] = None

    def _before(self, step: Step, number: int) -> list[int]:
        """The nodes that a step with effects must follow, though it reads nothing of theirs."""
        calls = [self._host] * (self._host >= 0)
        if step.kind in SETS:
            before = [self._setters[step.index]] if step.index in self._setters else calls
            self._setters[step.index] = number
            self._given[step.index] = [w.buffer for w in step.windows]
            return before
        if step.kind == "host" and not step.pure:
            # Python sees what tensors were given, as it is now.
            written = [self._writers[b] for given in self._given.values() for b in given]
            before = [*self._setters.values(), *written] or calls
            self._setters.clear()
            self._host = number
            return before
        return []

    def _add_results(self) -> None:
        """Nodes for what the call leaves behind: results, and tensors that it changed."""
        branch, results = self.branch, self.branch.record.results
        for k, window in enumerate(results):
            rows = [f"result {k}" if len(results) > 1 else "result", f"{operand(branch, window)} {window}"]
            self._add(Node("result", rows, "is returned", small=1), [window])
        for b in self._changed:
            name = branch.owner(b)
            self._add(Node("result", [f"{name}, changed"], f"{name} after the call"), [branch.forms[b]])


def step_node(branch: Branch, s: int, step: Step) -> Node:
    back = [part.back for part in step.parts]
    kinds = "backward" if all(back) else "both" if any(back) else "forward"
    if len(step.parts) > 1:
        kinds += " fused"
    names = wrapped([part.name for part in step.parts], " · ")
    if step.kind in SETS:
        kinds = "result"
        names = [branch.captured_names[step.index] + SETS[step.kind] + " = None" * (not step.inputs)]
    lines = step.lines
    # The tip tells the folders.
    last = re.sub(r"\S*[/\\]", "", lines[0])[:MOST_CHARACTERS] + f" and {len(lines) - 1} more" * (
        len(lines) > 1
    )
    rows = [f"[{s}] {names[0]}", *names[1:], *([last] if last else [])]
    cells = {w.buffer: f"{branch.name(w.buffer)} {w}" for w in reversed(step.outputs)}
    tip = "\n".join([step_text(branch, s), *lines])
    return Node(kinds, rows, tip, list(cells.items()), len(rows) - 1 if last else -1)


def wrapped(names: list[str], separator: str) -> list[str]:
    """The names in rows."""
    rows = [names[0]]
    for name in names[1:]:
        if len(rows[-1]) + len(separator) + len(name) > MOST_CHARACTERS:
            rows.append(name)
        else:
            rows[-1] += separator + name
    return rows
