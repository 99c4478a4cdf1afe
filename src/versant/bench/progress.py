"""How far a run is, on standard error: a bar by rich, a counter without it, nothing where nobody looks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self


class Progress:
    """Shows a bar while a `with` block runs; `step` before each of `total` parts."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._watched = sys.stderr.isatty()
        self._bar = _rich_bar() if self._watched else None
        self._task = None if self._bar is None else self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()

    def step(self, text: str) -> None:
        """The next part begins; `text` says what it is."""
        self.reach(self.done + 1, text)

    def reach(self, done: int, text: str = "") -> None:
        """So many parts are begun."""
        self.done = min(done, self.total)
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=text)
        elif self._watched:
            print(f"\r\x1b[K{self.done}/{self.total} {text}", end="", file=sys.stderr, flush=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves the terminal to those who print in the block."""
        self._hide()
        yield
        if self._bar is not None:
            self._bar.start()

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _rich_bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        return None
    return Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
