"""Layered layout of graphs, after Sugiyama, Tagawa and Toda (1981): where boxes stand and how lines run.

Boxes stand in rows so that every line runs downward (longest paths); a line over several rows passes through
points in those between. Rows are ordered by barycentres, keeping the order with the fewest crossings, and
places within a row are those next to the wished ones that leave room for every box (isotonic regression).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from itertools import pairwise

ORDER_SWEEPS = 12
PLACE_SWEEPS = 30
GAP = 18.0  # between boxes
LINE_GAP = 10.0  # between lines


@dataclass
class Box:
    """A box, or a point of a line where `width` is 0; its centre `x` and its row."""

    width: float
    row: int = 0
    x: float = 0.0
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)

    @property
    def is_point(self) -> bool:
        return self.width == 0


@dataclass
class Layered:
    """boxes: those that were given, then points of lines; rows: their numbers from left to right.

    points: for each line the numbers of the points that it passes.
    """

    boxes: list[Box]
    rows: list[list[int]]
    points: dict[Line, list[int]]


Line = tuple[int, int, int]  # from, to, and what it carries


def lay_out(widths: list[float], lines: list[Line], late: set[int]) -> Layered:
    """Places boxes of these widths. lines: no cycles; `late` boxes stand next to what reads them, not at the
    top. Lines from one box that carry the same share their points."""
    boxes = [Box(width) for width in widths]
    lines = list(dict.fromkeys(lines))
    set_rows(boxes, lines, late)
    points: dict[Line, list[int]] = {}
    shared: dict[Line, int] = {}  # (from, row, what is carried): the point of all such lines
    joined: set[tuple[int, int]] = set()
    for source, target, carried in lines:
        passed = points[source, target, carried] = []
        before = source
        for row in range(boxes[source].row + 1, boxes[target].row):
            point = shared.get((source, row, carried))
            if point is None:
                point = shared[source, row, carried] = len(boxes)
                boxes.append(Box(0.0, row))
            passed.append(point)
            joined.add((before, point))
            before = point
        joined.add((before, target))
    for a, b in sorted(joined):
        boxes[a].below.append(b)
        boxes[b].above.append(a)
    rows: list[list[int]] = [[] for _ in range(1 + max((box.row for box in boxes), default=0))]
    for number, box in enumerate(boxes):
        rows[box.row].append(number)
    order_rows(boxes, rows)
    place(boxes, rows)
    return Layered(boxes, rows, points)


def set_rows(boxes: list[Box], lines: list[Line], late: set[int]) -> None:
    """The row of a box is the length of the longest path to it."""
    into: list[list[int]] = [[] for _ in boxes]
    out: list[list[int]] = [[] for _ in boxes]
    for a, b, _ in lines:
        into[b].append(a)
        out[a].append(b)
    missing = [len(sources) for sources in into]
    ready = [number for number, count in enumerate(missing) if count == 0]
    while ready:
        number = ready.pop()
        for target in out[number]:
            boxes[target].row = max(boxes[target].row, boxes[number].row + 1)
            missing[target] -= 1
            if missing[target] == 0:
                ready.append(target)
    for number in late:
        if out[number]:
            boxes[number].row = max(0, min(boxes[target].row for target in out[number]) - 1)


def order_rows(boxes: list[Box], rows: list[list[int]]) -> None:
    best = [list(row) for row in rows]
    fewest = crossings(boxes, rows)
    for sweep in range(ORDER_SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for r in order:
            at = {number: i for i, number in enumerate(rows[r - 1 if down else r + 1])}
            here = {number: float(i) for i, number in enumerate(rows[r])}
            for number in rows[r]:
                near = [at[n] for n in (boxes[number].above if down else boxes[number].below) if n in at]
                if near:
                    # Rows of different lengths are compared by the share that lies to the left.
                    here[number] = sum(near) / len(near) * len(rows[r]) / max(1, len(at))
            rows[r].sort(key=here.__getitem__)
        count = crossings(boxes, rows)
        if count < fewest:
            fewest, best = count, [list(row) for row in rows]
    for row, ordered in zip(rows, best, strict=True):
        row[:] = ordered


def crossings(boxes: list[Box], rows: list[list[int]]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        at = {number: i for i, number in enumerate(lower)}
        seen: list[int] = []  # where the lines from further left arrive, in order
        for number in upper:
            ends = sorted(at[n] for n in boxes[number].below if n in at)
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def place(boxes: list[Box], rows: list[list[int]]) -> None:
    for row in rows:
        x = 0.0
        for i, number in enumerate(row):
            x += distance(boxes, row, i)
            boxes[number].x = x
    for sweep in range(PLACE_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            wishes, weights = [], []
            for number in row:
                box = boxes[number]
                near = box.above if down else box.below
                if sweep >= PLACE_SWEEPS - 2:
                    near = box.above + box.below
                alone = not box.above and not box.below
                wishes.append(sum(boxes[n].x for n in near) / len(near) if near else 0.0 if alone else box.x)
                # Lines are pulled straight first, most of all where they run through.
                through = box.is_point and any(boxes[n].is_point for n in near)
                weights.append(24.0 if through else 4.0 if box.is_point else 1.0 if near else 0.05)
            for number, x in zip(row, spread(boxes, row, wishes, weights), strict=True):
                boxes[number].x = x
    left = min((box.x - box.width / 2 for box in boxes), default=0.0)
    for box in boxes:
        box.x -= left


def distance(boxes: list[Box], row: list[int], i: int) -> float:
    """From the centre of box i - 1 of a row to that of box i, at least."""
    if i == 0:
        return 0.0
    a, b = boxes[row[i - 1]], boxes[row[i]]
    return (a.width + b.width) / 2 + (LINE_GAP if a.is_point and b.is_point else GAP)


def spread(boxes: list[Box], row: list[int], wishes: list[float], weights: list[float]) -> list[float]:
    """Places in order and far enough apart, next to the wishes in the sense of weighted least squares."""
    shift = 0.0
    blocks: list[list[float]] = []  # mean, weight, count
    shifts = []
    for i, (wish, weight) in enumerate(zip(wishes, weights, strict=True)):
        shift += distance(boxes, row, i)
        shifts.append(shift)
        blocks.append([wish - shift, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, more, count = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * more) / (last[1] + more)
            last[1] += more
            last[2] += count
    means = [mean for mean, _, count in blocks for _ in range(int(count))]
    return [mean + shift for mean, shift in zip(means, shifts, strict=True)]
