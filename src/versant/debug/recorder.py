"""Recording what tensors are like while a program trains."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import json
import os
import time
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Self

import versant
from versant import Tensor, _core
from versant.debug.recording import HEAD, MAGIC, MOST_FRAME, ROW, STEP, VALUE
from versant.debug.words import Place, op_name

__all__ = ["record"]

Chosen = str | Collection[str] | Callable[[str], bool] | None


class record:
    """Records the tensors that a program computes into a file, step by step.

    path: the file, which `versant debug PATH` shows and `debug.Recording` reads; written anew.
    modules, ops, lines: which tensors: patterns as of file names ("*.attn", ["linear*"]) of the module's
    path, the op and the user's line ("train.py:12"), or functions of these that return a bool; None for all.
    steps: which steps: a number n for every n-th one, a collection of numbers, or a function; None for all.
    values: False for what elements are like (min, max, mean, std, how many are NaN, Inf and zero, and a
    histogram of a sample), True for all elements too.
    limit: bytes that the file may have; what comes later is not recorded, and `full` says so.

    Steps end with `step()`. What is computed outside of recorded steps costs nothing. A file is whole at
    every step's end, so that it can be looked at while the program runs.

    >>> import tempfile, versant as vs
    >>> path = tempfile.mktemp()
    >>> with vs.debug.record(path) as recorder:
    ...     for n in range(3):
    ...         loss = (vs.ones(4) * n).exp().sum()
    ...         recorder.step(loss=loss.item())
    >>> [step.logged["loss"] for step in vs.debug.Recording(path).steps][0]
    4.0
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        modules: Chosen = None,
        ops: Chosen = None,
        lines: Chosen = None,
        steps: int | Collection[int] | Callable[[int], bool] | None = None,
        values: bool = False,
        limit: int = 1 << 30,
    ) -> None:
        self.path = Path(path)
        self._choices = [_test("modules", modules), _test("ops", ops), _test("lines", lines)]
        self._steps = _step_test(steps)
        self._values = values
        self.limit = limit
        self.full = False
        self.number = 0
        self._recorder: Any = None
        self._kinds: list[list[Any]] = []  # of all kinds that were met
        self._told: set[int] = set()  # that stand in the file
        self._waiting: list[bytes] = []  # frames of values of this step
        self._bytes = 0

    def __enter__(self) -> Self:
        if self._recorder is not None or self._bytes:
            raise RuntimeError("[record] a recording is made once")
        self._file = open(self.path, "wb", buffering=0)
        about = {"format": 1, "begun": time.time(), "version": versant.__version__, "values": self._values}
        try:
            self._write(MAGIC + _frame(b"H", json.dumps(about).encode()))
        except BaseException:
            self._file.close()
            raise
        self._watcher, self._recorder = _core.record_begin(self._wants, self._keep, self._drop)
        self._pause()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is not None and not self.full:
                self._finish({})  # what was computed until the error
        finally:
            self._recorder = None
            _core.watch_end(self._watcher)
            self._file.close()

    def step(self, **logged: float) -> None:
        """Ends a step. logged: numbers that go along, a loss say.

        Raises OSError when the file cannot be written: the disk is full, say. It ends with the last whole
        step then, and who catches the error goes on without being recorded.
        """
        if self._recorder is None:
            raise RuntimeError("[record] steps end inside of `with`")
        try:
            self._finish({key: float(value) for key, value in logged.items()})
        finally:
            self.number += 1
            self._pause()

    def _pause(self) -> None:
        self._on = not self.full and self._steps(self.number)
        _core.watch_turn(self._watcher, self._on)

    def _finish(self, logged: dict[str, float]) -> None:
        rows = _core.record_take(self._recorder)
        if not self._on:
            return
        frames = [
            _frame(b"K", json.dumps(self._kinds[number]).encode())
            for number in sorted({fields[0] for fields in ROW.iter_unpack(rows)} - self._told)
        ]
        fresh = {fields[0] for fields in ROW.iter_unpack(rows)}
        text = json.dumps(dict(logged.items())).encode()
        frames += self._waiting
        frames.append(_frame(b"S", STEP.pack(self.number, len(text)) + text + rows))
        self._waiting = []
        data = b"".join(frames)
        if self._bytes + len(data) > self.limit:
            self.full = True
            return
        self._write(data)
        self._told |= fresh

    def _write(self, data: bytes) -> None:
        """All of it, or the file is as it was."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.full = True
            with contextlib.suppress(OSError):
                self._file.truncate(self._bytes)
            reason = "the disk is full" if error.errno == errno.ENOSPC else f"cannot write: {error.strerror}"
            text = f"[record] {reason}; the recording ends at step {self.number}"
            raise OSError(error.errno, text, str(self.path)) from None
        self._bytes += len(data)

    # What the machine asks ----------------------------------------------------------------------------------

    def _wants(self, name: str, output: int, type_of: str, row: Any, sources: list[int]) -> int:
        """Of a kind of tensor that is met for the first time: whether to record it."""
        place = Place.of_row(row)
        op = place.of_name if place.back and place.of_name and not place.own else op_name(name)
        number = len(self._kinds)
        known = sorted({source for source in sources if source < number})
        fields = [number, op, output, type_of, place.line, place.module, place.back, place.where, known]
        self._kinds.append(fields)
        subjects = (place.module, op, place.line)
        if not all(test(subject) for test, subject in zip(self._choices, subjects, strict=True)):
            return 0
        return 2 if self._values else 1

    def _keep(self, kind: int, order: int, tensor: Tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        waiting = sum(len(frame) for frame in self._waiting)
        frame = b""
        if size + VALUE.size < MOST_FRAME and self._bytes + waiting + size <= self.limit:
            frame = _frame(b"V", VALUE.pack(self.number, kind, order) + bytes(_raw(tensor)))
        self._waiting.append(frame)

    def _drop(self, count: int) -> None:
        """The last tensors that were kept are of a replay that was taken back."""
        del self._waiting[-count:]


def _frame(kind: bytes, payload: bytes) -> bytes:
    content = kind + payload
    return HEAD.pack(len(content), zlib.crc32(content)) + content


def _raw(tensor: Tensor) -> Any:
    """The bytes of the elements, row by row."""
    flat = tensor.detach().contiguous().reshape(-1)
    return memoryview(flat.view(versant.uint8) if flat.numel() else versant.empty(0, dtype=versant.uint8))


def _test(what: str, chosen: Chosen) -> Callable[[str], bool]:
    if chosen is None:
        return lambda text: True
    if callable(chosen):
        return chosen
    patterns = (
        [chosen] if isinstance(chosen, str) else list(chosen) if isinstance(chosen, Collection) else [chosen]
    )
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(f"[record] {what} are patterns or a function, got {chosen!r}")
    return lambda text: any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _step_test(steps: Any) -> Callable[[int], bool]:
    if steps is None:
        return lambda number: True
    if isinstance(steps, int):
        if steps < 1:
            raise ValueError(f"[record] steps is at least 1, got {steps}")
        return lambda number: number % steps == 0
    if callable(steps):
        return lambda number: bool(steps(number))
    chosen = frozenset(steps)
    return lambda number: number in chosen
