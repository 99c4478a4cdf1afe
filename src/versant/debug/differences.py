"""Where two recordings part."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import versant
from versant.debug.recording import Kind, Recording, Row, Step

__all__ = ["Difference", "Differences", "diff"]

MOST_GUESSES = 1 << 20  # pairs that are looked at to find the nearest ones


@dataclass(frozen=True)
class Difference:
    """A tensor that differs: in which step, what it is in each recording, and by how much.

    error: the greatest difference of elements, relative to the greatest magnitude, where elements were
    recorded; of min, max, mean and std otherwise. Infinite where one has NaN or Inf and the other has not.
    """

    step: int
    first: Kind
    second: Kind
    rows: tuple[Row, Row]
    error: float
    by_values: bool

    def __str__(self) -> str:
        kind = self.first
        where = f"{kind.line}, in {kind.module}" if kind.module else kind.line
        types = kind.type if kind.type == self.second.type else f"{kind.type} and {self.second.type}"
        what = "elements" if self.by_values else "statistics"
        return f"step {self.step}: {kind.title} at {where}: {types}, {what} differ by {self.error:.3g}"


@dataclass(frozen=True)
class Differences:
    """What `diff` found: the tensors that differ in the order in which they were computed, of one step or of
    all. compared: how many tensors both recordings have; alone: how many only one of them has.
    """

    found: list[Difference]
    compared: int
    alone: int

    @property
    def first(self) -> Difference | None:
        """The first tensor that differs."""
        return self.found[0] if self.found else None

    def __str__(self) -> str:
        count = f"{self.compared} tensors in both recordings, {self.alone} in one of them"
        if not self.found:
            return f"no difference: {count}"
        return "\n".join([f"{len(self.found)} differences: {count}", *map(str, self.found[:20])])


def diff(
    first: Recording | str | os.PathLike[str],
    second: Recording | str | os.PathLike[str],
    *,
    tolerance: float = 0.0,
    most: int = 1000,
) -> Differences:
    """The tensors that differ between two recordings by more than `tolerance` (relative), in their order.

    Tensors are the same ones in both where module, line, op and shape agree; of several calls those that
    agree in value, and the others in their order, or where one recording has fewer of them, those that are
    nearest. Their dtypes may differ. What only one recording has is
    passed over: a cast, or what a compiled step keeps to itself. Ends after `most` differences.
    """
    a, b = (x if isinstance(x, Recording) else Recording(x) for x in (first, second))
    others = {step.number: step for step in b.steps}
    found: list[Difference] = []
    compared = alone = 0
    for step in a.steps:
        if step.number not in others or len(found) >= most:
            continue
        pairs, rest = _pairs(a, step, b, others[step.number])
        compared += len(pairs)
        alone += rest
        for rows in pairs:
            difference = _difference(a, b, step.number, rows)
            if difference.error > tolerance and len(found) < most:
                found.append(difference)
    return Differences(found, compared, alone)


def _by_place(recording: Recording, step: Step) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in step.rows:
        found.setdefault(recording.kinds[row.kind].place, []).append(row)
    return found


def _pairs(a: Recording, step: Step, b: Recording, other: Step) -> tuple[list[tuple[Row, Row]], int]:
    """Rows of both recordings that belong together, in the order of the first, and how many do not.

    A compiled step may do the calls of one line in another order and keep some of them to itself, so calls
    that agree belong together. The others do so one after the other where there are as many in both. Else
    what one of them computed more than once stays alone, and those that are nearest belong together.
    """
    second = _by_place(b, other)
    pairs: list[tuple[Row, Row]] = []
    for place, rows in _by_place(a, step).items():
        there = second.get(place, [])
        alike: dict[Any, list[Row]] = {}
        for row in reversed(there):
            alike.setdefault(_statistics(row), []).append(row)
        parting: list[Row] = []
        for row in rows:
            if same := alike.get(_statistics(row)):
                pairs.append((row, same.pop()))
            else:
                parting.append(row)
        left = {id(row) for rest in alike.values() for row in rest}
        others = [row for row in there if id(row) in left]
        if len(rows) != len(there):
            known = {_statistics(row) for row in rows}
            parting = [row for row in parting if _statistics(row) not in alike]
            others = [row for row in others if _statistics(row) not in known]
        if len(rows) == len(there) or len(parting) * len(others) > MOST_GUESSES:
            pairs += zip(parting, others, strict=False)
        else:
            pairs += _nearest(parting, others)
    order = {id(row): i for i, row in enumerate(step.rows)}
    pairs.sort(key=lambda pair: order[id(pair[0])])
    return pairs, len(step.rows) + len(other.rows) - 2 * len(pairs)


def _statistics(row: Row) -> tuple[Any, ...]:
    return row.min, row.max, row.mean, row.std, row.nan, row.inf, row.zeros, row.bins


def _nearest(rows: list[Row], others: list[Row]) -> list[tuple[Row, Row]]:
    guesses = sorted((_gap(row, other), i, j) for i, row in enumerate(rows) for j, other in enumerate(others))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in guesses:
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return [(rows[i], others[j]) for i, j in pairs.items()]


def _gap(x: Row, y: Row) -> float:
    """The greatest difference of the statistics, relative to the greatest magnitude."""
    if (x.nan, x.inf) != (y.nan, y.inf):
        return math.inf
    scale = max(abs(x.min), abs(x.max), abs(y.min), abs(y.max)) or 1.0
    pairs = ((x.min, y.min), (x.max, y.max), (x.mean, y.mean), (x.std, y.std))
    return max(abs(p - q) for p, q in pairs) / scale


def _difference(a: Recording, b: Recording, step: int, rows: tuple[Row, Row]) -> Difference:
    x, y = rows
    by_values = a.has_value(step, x.kind, x.order) and b.has_value(step, y.kind, y.order)
    error = _gap(x, y)
    if by_values and math.isfinite(error):
        error = _of_values(a.value(step, x.kind, x.order), b.value(step, y.kind, y.order))
    elif not by_values and not error and (x.zeros, x.bins) != (y.zeros, y.bins):
        error = abs(x.zeros - y.zeros) / x.numel or 1 / x.numel
    return Difference(step, a.kinds[x.kind], b.kinds[y.kind], rows, error, by_values)


def _of_values(x: Any, y: Any) -> float:
    if not x.numel():
        return 0.0
    if x.is_complex():
        x, y = versant.view_as_real(x), versant.view_as_real(y)
    x, y = x.double(), y.double()
    gap = (x - y).abs()
    worst = float(gap.where(gap == gap, gap.new_zeros(())).max())
    scale = float(x.abs().where(x == x, x.new_zeros(())).max())
    return worst / scale if scale and math.isfinite(scale) else worst
