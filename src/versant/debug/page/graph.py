"""The tensors of a recorded step as a graph: what was computed from what."""

from __future__ import annotations

import fnmatch

from versant.compiler.graph import Node
from versant.compiler.picture import drawing_of
from versant.debug.recording import Recording, Row, Step

MOST_NODES = 400
LEGEND = [("forward", "forward"), ("backward", "backward"), ("result", "holds NaN or Inf")]


class StepGraph:
    """Boxes for the kinds of tensors that a step recorded, lines from what they were computed from."""

    def __init__(self, recording: Recording, rows: list[Row]) -> None:
        self.nodes: list[Node] = []
        self.lines: list[tuple[int, int, int]] = []
        self.late: set[int] = set()
        self.numbers: dict[int, int] = {}  # of kinds: their boxes
        numbers = self.numbers
        for row in rows:
            if row.kind in numbers:
                continue
            kind = recording.kinds[row.kind]
            numbers[row.kind] = len(self.nodes)
            style = "result" if row.nan or row.inf else "backward" if kind.back else "forward"
            place = kind.line.rpartition("/")[2]
            values = f"{row.min:.3g} .. {row.max:.3g}" if not (row.nan or row.inf) else "NaN or Inf"
            tip = f"{kind.title} at {kind.line}, in {kind.module or 'no module'}: mean {row.mean:.6g}"
            self.nodes.append(Node(style, [kind.title, kind.type, values, place], tip, small=3))
        for kind_number, at in numbers.items():
            seen: set[int] = set()
            for source in self._recorded(recording, kind_number, numbers, seen):
                self.lines.append((numbers[source], at, 0))

    def _recorded(
        self, recording: Recording, kind: int, numbers: dict[int, int], seen: set[int]
    ) -> list[int]:
        """The nearest sources that are shown: past those that were not recorded."""
        found, waiting = [], list(recording.kinds[kind].sources)
        while waiting:
            source = waiting.pop()
            if source in seen:
                continue
            seen.add(source)
            if source in numbers:
                found.append(source)
            elif source in recording.kinds:
                waiting += recording.kinds[source].sources
        return found


def draw_step(recording: Recording, step: Step, module: str = "") -> tuple[str, list[int]]:
    """The graph of a step as SVG, and the kinds of its boxes in their order.

    module: a pattern of the paths of modules that are shown.
    """
    rows = [
        row
        for row in step.rows
        if not module or fnmatch.fnmatchcase(recording.kinds[row.kind].module, module)
    ]
    graph = StepGraph(recording, rows[:MOST_NODES])
    return drawing_of([(f"step {step.number}", graph)], LEGEND), list(graph.numbers)
