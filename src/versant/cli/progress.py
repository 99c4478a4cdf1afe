"""Progress of a training run: a bar by rich on a terminal, one line for each epoch otherwise."""

import sys
from types import TracebackType
from typing import Any, Self


class Progress:
    """Shows epoch, loss and accuracy while a `with` block trains.

    batch() after every batch, epoch() after every epoch.
    """

    def __init__(self, epochs: int, batches: int) -> None:
        self.epochs = epochs
        self.batches = batches
        self._epoch = 1
        self._learned = ""
        self._unseen = ""
        self._bar: Any = None
        if sys.stdout.isatty():
            try:
                self._bar = _rich_bar()
            except ImportError:
                print("no progress bar without rich: pip install 'versant[demo]'")
        self._task = None if self._bar is None else self._bar.add_task("", total=epochs * batches)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def batch(self, loss: float, accuracy: float) -> None:
        """The loss and accuracy so far in this epoch."""
        self._learned = f"loss {loss:.4f}  accuracy {accuracy:6.2%}"
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=self._text())

    def epoch(self, held_out: float) -> None:
        """The accuracy on what is held out; the next epoch begins."""
        self._unseen = f"  held out {held_out:6.2%}"
        if self._bar is None:
            print(self._text(), flush=True)
        else:
            self._bar.update(self._task, description=self._text())
        self._epoch = min(self._epoch + 1, self.epochs)

    def _text(self) -> str:
        return f"epoch {self._epoch:{len(str(self.epochs))}}/{self.epochs}  {self._learned}{self._unseen}"


def _rich_bar() -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
