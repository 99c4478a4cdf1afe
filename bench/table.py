"""Shares of our time in our peers' and the table on the terminal, line by line as workloads finish."""

from collections.abc import Sequence
from typing import Any

from frameworks import Column
from workloads.workload import Workload

Cells = dict[str, dict[str, Any]]  # what was measured in one workload, for each column


def shares(cells: Cells, columns: Sequence[Column]) -> dict[str, float]:
    """Our fastest column's time over that of each peer's, {"torch": 0.12, "tf": 0.004}; we come first."""
    best: dict[str, float] = {}
    for column in columns:
        time = cells.get(column.label, {}).get("microseconds")
        if time is not None:
            best[column.peer] = min(time, best.get(column.peer, time))
    ours = best.pop(columns[0].peer, None)
    return {peer: ours / theirs for peer, theirs in best.items()} if ours is not None else {}


def peers(columns: Sequence[Column]) -> list[str]:
    """Whose times ours are compared with; we come first."""
    return list(dict.fromkeys(column.peer for column in columns if column.peer != columns[0].peer))


def as_share(value: float) -> str:
    """Small shares are easier to read as "1/8"."""
    return f"{value:.2f}" if value > 0.4 else f"1/{1 / value:.3g}"


def as_cell(cell: dict[str, Any]) -> str:
    """The microseconds, with about four digits."""
    if "microseconds" not in cell:
        return "error" if cell else ""
    time = cell["microseconds"]
    return f"{time:,.0f}" if time >= 1000 else f"{time:.4g}"


class Printer:
    def __init__(self, columns: Sequence[Column]) -> None:
        self.labels = [column.label for column in columns]
        self.peers = peers(columns)
        self.widths = [28, *(max(10, len(label) + 2) for label in self.labels), *(16 for _ in self.peers)]
        self._line(["microseconds per step", *self.labels, *(f"us/{peer} (goal)" for peer in self.peers)])

    def row(self, workload: Workload, cells: Cells, shares: dict[str, float]) -> None:
        words = [
            f"{workload.name} {workload.title}",
            *(as_cell(cells.get(label, {})) for label in self.labels),
        ]
        for peer in self.peers:
            goal = f" ({as_share(workload.targets[peer])})" if peer in workload.targets else ""
            words.append(as_share(shares[peer]) + goal if peer in shares else "")
        self._line(words)

    def _line(self, words: list[str]) -> None:
        (first, width), *rest = zip(words, self.widths, strict=True)
        print(first.ljust(width) + "".join(word.rjust(width) for word, width in rest), flush=True)
