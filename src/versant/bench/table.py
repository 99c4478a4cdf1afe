"""Shares of our time in our peers' and the table on the terminal, line by line as workloads finish."""

from collections.abc import Sequence
from typing import Any

from .frameworks import Column
from .workloads.workload import Workload

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
    """The microseconds, with about four digits; "-" where the column failed or was left out."""
    if "microseconds" not in cell:
        return "-" if cell else ""
    time = cell["microseconds"]
    return f"{time:,.0f}" if time >= 1000 else f"{time:.4g}"


def reason(cell: dict[str, Any]) -> str:
    """Why a cell has no time, in one line: of a traceback the last one."""
    lines = [line.strip() for line in str(cell.get("error", cell.get("left_out", ""))).splitlines()]
    return next((line for line in reversed(lines) if line), "")


class Printer:
    """Prints rows as they come; with the goals of the project behind the shares where `goals` is set."""

    def __init__(self, columns: Sequence[Column], *, goals: bool = False) -> None:
        self.labels = [column.label for column in columns]
        self.peers = peers(columns)
        self.goals = goals
        ours = columns[0].label
        heads = [f"us/{peer} (goal)" if goals else f"{ours}/{peer}" for peer in self.peers]
        self.widths = [
            28,
            *(max(10, len(label) + 2) for label in self.labels),
            *(max(16, len(head) + 2) for head in heads),
        ]
        self._line(["microseconds per step", *self.labels, *heads])

    def row(self, workload: Workload, cells: Cells, shares: dict[str, float]) -> None:
        words = [
            f"{workload.name} {workload.title}",
            *(as_cell(cells.get(label, {})) for label in self.labels),
        ]
        for peer in self.peers:
            has_goal = self.goals and peer in workload.targets
            goal = f" ({as_share(workload.targets[peer])})" if has_goal else ""
            words.append(as_share(shares[peer]) + goal if peer in shares else "")
        self._line(words)

    def _line(self, words: list[str]) -> None:
        (first, width), *rest = zip(words, self.widths, strict=True)
        print(first.ljust(width) + "".join(word.rjust(width) for word, width in rest), flush=True)
