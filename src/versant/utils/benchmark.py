"""Times of statements under PyTorch's names: Timer takes them, Measurement holds them, Compare is a table.

>>> from versant.utils.benchmark import Timer
>>> Timer("x + 1", "x = torch.ones(3)").timeit(10).number_per_run
10
"""

import timeit
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean, median, quantiles
from time import perf_counter
from typing import Any

import versant

__all__ = ["Compare", "Measurement", "Timer", "timer"]

timer = perf_counter
UNITS = ((1.0, "seconds", "s"), (1e-3, "milliseconds", "ms"), (1e-6, "microseconds", "us"))


def unit(seconds: float) -> tuple[float, str, str]:
    """The unit in which a time reads well: how long it is, its name, its sign."""
    return next((row for row in UNITS if seconds >= row[0]), (1e-9, "nanoseconds", "ns"))


@dataclass(frozen=True)
class TaskSpec:
    """What was measured."""

    stmt: str
    setup: str
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        return ": ".join(word for word in (self.label or self.stmt, self.sub_label) if word)

    @property
    def as_row_name(self) -> str:
        return self.sub_label or self.stmt


@dataclass
class Measurement:
    """Times of one statement, in seconds.  raw_times: of number_per_run calls each"""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = field(default=None, repr=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.task_spec, name)

    @property
    def times(self) -> list[float]:
        """Seconds of one call, from each run."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def mean(self) -> float:
        return fmean(self.times)

    @property
    def median(self) -> float:
        return median(self.times)

    @property
    def iqr(self) -> float:
        """The distance of the quartiles."""
        if len(self.raw_times) < 2:
            return 0.0
        low, _, high = quantiles(self.times, n=4, method="inclusive")
        return high - low

    @property
    def has_warnings(self) -> bool:
        """Whether the times scatter by more than a tenth."""
        return len(self.raw_times) > 1 and self.iqr > 0.1 * self.median

    def meets_confidence(self, threshold: float = 0.1) -> bool:
        """Whether the quartiles lie closer than that share of the median."""
        return len(self.raw_times) >= 4 and self.iqr / self.median < threshold

    @staticmethod
    def merge(measurements: Iterable["Measurement"]) -> list["Measurement"]:
        """One measurement for each statement, of the times of all its measurements, in runs of one call."""
        times: dict[TaskSpec, list[float]] = {}
        for one in measurements:
            times.setdefault(one.task_spec, []).extend(one.times)
        return [Measurement(1, found, spec) for spec, found in times.items()]

    def __repr__(self) -> str:
        size, _, sign = unit(self.median)
        n, runs = len(self.raw_times), self.number_per_run
        lines = [f"<versant.utils.benchmark.Measurement of {self.title}>", self.description or ""]
        lines += [f"setup: {self.setup}" if self.setup not in ("", "pass") else ""]
        lines += [f"  {'Median: ' if n > 1 else ''}{self.median / size:.2f} {sign}"]
        lines += [f"  IQR: {self.iqr / size:.2f} {sign}" if n > 3 else ""]
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        lines += [
            f"  {n} measurement{'s' if n > 1 else ''}, {runs} runs{' per measurement' * (n > 1)}, {threads}"
        ]
        return "\n".join(line for line in lines if line)


class Timer:
    """Times a statement, a text of Python, on num_threads threads.

    setup: runs before, untimed. globals: names that both may use; `versant` and `torch` are there.
    label, sub_label, description, env: words for Compare.
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Any = perf_counter,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: str = "py",
    ) -> None:
        if global_setup or str(language).lower() not in ("py", "python"):
            raise ValueError("[Timer] expected a statement of Python, without global_setup")
        names = {"versant": versant, "torch": versant, **(globals or {})}
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._task_spec = TaskSpec(stmt, setup, label, sub_label, description, env, num_threads)

    def _run(self, number: int) -> float:
        before = versant.get_num_threads()
        versant.set_num_threads(self._task_spec.num_threads)
        try:
            return self._timer.timeit(number)
        finally:
            versant.set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One run of that many calls."""
        self._run(max(number // 100, 2))  # warm
        return Measurement(number, [self._run(number)], self._task_spec)

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Runs of at least a thousandth of the time, as many as last min_run_time seconds."""
        return self.adaptive_autorange(0.0, min_run_time=min_run_time, max_run_time=min_run_time)

    autorange = blocked_autorange

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Any = None,
    ) -> Measurement:
        """Runs until the quartiles lie closer than threshold, for at least and at most so many seconds."""
        number = 1
        while self._run(number) < max(min_run_time / 1000, 1e-5):
            number *= 2
        found = Measurement(number, [], self._task_spec)
        spent = 0.0
        while spent < min_run_time or (spent < max_run_time and not found.meets_confidence(threshold)):
            lasts = self._run(number)
            found.raw_times.append(lasts)
            spent += lasts
        return found


class Compare:
    """A table of measurements: rows are sub_labels, columns descriptions, one block for each thread count."""

    def __init__(self, results: Sequence[Measurement]) -> None:
        self._results = Measurement.merge(results)
        self._digits = 1

    def extend_results(self, results: Sequence[Measurement]) -> None:
        """Adds measurements."""
        self._results = Measurement.merge([*self._results, *results])

    def trim_significant_figures(self) -> None:
        """Shows times without fractions of their unit."""
        self._digits = 0

    def colorize(self, rowwise: bool = False) -> None:
        """Taken; tables are plain text."""

    def highlight_warnings(self) -> None:
        """Taken; `Measurement.has_warnings` says which times scatter."""

    def __str__(self) -> str:
        by_label = sorted(self._results, key=lambda m: m.label or m.stmt)
        return "\n".join(
            self._table(label, list(found)) for label, found in groupby(by_label, lambda m: m.label or m.stmt)
        )

    def _table(self, label: str, found: list[Measurement]) -> str:
        columns = list(dict.fromkeys(m.description or m.env or "" for m in found))
        names = list(dict.fromkeys(m.as_row_name for m in found))
        size, name, sign = unit(min(m.median for m in found))
        times = {(m.num_threads, m.as_row_name, m.description or m.env or ""): m.median for m in found}
        wide = max([len(f"{n} threads: ") for n, _, _ in times] + [len(n) + 6 for n in names])

        def line(first: str, cells: Iterable[str]) -> str:
            shown = (f"{cell:^{max(len(c), 8)}}" for cell, c in zip(cells, columns, strict=True))
            return "  |  ".join([f"{first:<{wide}}", *shown])

        head = line("", columns)
        lines = [f"[{label:-^{len(head) - 2}}]", head]
        for threads in sorted({n for n, _, _ in times}):
            lines.append(f"{f'{threads} threads: ':-<{len(head)}}")
            for row in names:
                cells = [times.get((threads, row, c)) for c in columns]
                texts = ["" if t is None else f"{t / size:.{self._digits}f}" for t in cells]
                if any(texts):
                    lines.append(line(f"      {row}", texts))
        return "\n".join([*lines, "", f"Times are in {name} ({sign}).", ""])

    def print(self) -> None:
        """Prints the table."""
        print(str(self))
