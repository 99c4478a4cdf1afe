"""The progress of a run: a bar, a counter, or nothing; always on standard error."""

import io
import sys

import pytest

from versant.bench.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(3) as progress:
        progress.step("W1 versant")
        with progress.paused():
            before = stream.getvalue()
        progress.reach(9, "W1 torch")
    return before, stream.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    pytest.importorskip("rich")
    _, text = shown(Terminal(), monkeypatch)
    assert "3/3" in text
    assert "W1 torch" in text


def test_a_counter_without_rich(monkeypatch):
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    before, text = shown(Terminal(), monkeypatch)
    assert before.endswith("1/3 W1 versant\r\x1b[K")
    assert text.endswith("3/3 W1 torch\r\x1b[K")


def test_nothing_where_nobody_looks(monkeypatch):
    assert shown(io.StringIO(), monkeypatch) == ("", "")
