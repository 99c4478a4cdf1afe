"""The server behind the page of a recording: standard library, loopback, this machine's browser only."""

from __future__ import annotations

import json
import linecache
import math
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from versant.debug.differences import Difference, diff
from versant.debug.recording import Kind, Recording, RecordingError, Row, Step

__all__ = ["serve", "server_of"]

MOST_DIFFERENCES = 200
AROUND = 6  # lines of code above and below


class Pages:
    """What the page asks for, as JSON. Recordings are read on as they grow."""

    def __init__(self, paths: list[Path]) -> None:
        self.recordings = [Recording(path) for path in paths]
        self._lock = Lock()
        self.routes: dict[str, Callable[[dict[str, str]], Any]] = {
            "/api/summary": self.summary,
            "/api/step": self.step,
            "/api/history": self.history,
            "/api/source": self.source,
            "/api/graph": self.graph,
            "/api/diff": self.diff,
        }

    def answer(self, path: str, query: dict[str, str]) -> Any:
        with self._lock:
            for recording in self.recordings:
                recording.refresh()
            return self.routes[path](query)

    def summary(self, query: dict[str, str]) -> Any:
        recording = self._recording(query)
        return {
            "path": str(recording.path),
            "about": recording.about,
            "other": str(self.recordings[1].path) if len(self.recordings) > 1 else None,
            "steps": [
                {
                    "step": step.number,
                    "logged": {key: plain(value) for key, value in step.logged.items()},
                    "bad": sum(1 for row in step.rows if row.nan or row.inf),
                    "tensors": len(step.rows),
                }
                for step in recording.steps
            ],
        }

    def step(self, query: dict[str, str]) -> Any:
        recording = self._recording(query)
        step = self._step(recording, query)
        return {
            "step": step.number,
            "rows": [row_as_json(recording.kinds[row.kind], row) for row in step.rows],
        }

    def history(self, query: dict[str, str]) -> Any:
        recording = self._recording(query)
        kind = recording.kinds[int(query["kind"])]
        return [{"step": number, **row_as_json(kind, row)} for number, row in recording.history(kind.number)]

    def source(self, query: dict[str, str]) -> Any:
        """Lines of code around a place that a kind of the recording names."""
        recording = self._recording(query)
        kind = recording.kinds[int(query["kind"])]
        name, _, number = kind.line.rpartition(":")
        # A recording may come from anywhere: it shows no file but Python's below the working directory.
        path = Path(name).resolve()
        if path.suffix != ".py" or Path.cwd().resolve() not in path.parents or not number.isdecimal():
            return {"line": kind.line, "code": []}
        at, lines = int(number), linecache.getlines(str(path))
        code = [
            {"number": n, "text": lines[n - 1].rstrip("\n"), "here": n == at}
            for n in range(max(1, at - AROUND), min(len(lines), at + AROUND) + 1)
        ]
        return {"line": kind.line, "code": code}

    def graph(self, query: dict[str, str]) -> Any:
        from versant.debug.page.graph import draw_step

        recording = self._recording(query)
        svg, kinds = draw_step(recording, self._step(recording, query), query.get("module", ""))
        return {"svg": svg, "kinds": kinds}

    def diff(self, query: dict[str, str]) -> Any:
        if len(self.recordings) < 2:
            return None
        tolerance = float(query.get("tolerance", 0))
        found = diff(*self.recordings, tolerance=tolerance, most=MOST_DIFFERENCES)
        return {
            "compared": found.compared,
            "alone": found.alone,
            "found": [difference_as_json(difference) for difference in found.found],
        }

    def _recording(self, query: dict[str, str]) -> Recording:
        return self.recordings[min(int(query.get("recording", 0)), len(self.recordings) - 1)]

    @staticmethod
    def _step(recording: Recording, query: dict[str, str]) -> Step:
        number = int(query["step"])
        return next(step for step in recording.steps if step.number == number)


def plain(value: float) -> Any:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else str(value)


def row_as_json(kind: Kind, row: Row) -> dict[str, Any]:
    return {
        "kind": kind.number,
        "op": kind.title,
        "type": kind.type,
        "module": kind.module,
        "line": kind.line,
        "call": kind.call,
        "order": row.order,
        "numel": row.numel,
        "nan": row.nan,
        "inf": row.inf,
        "zeros": row.zeros,
        "bins": list(row.bins),
        **{name: plain(getattr(row, name)) for name in ("min", "max", "mean", "std")},
    }


def difference_as_json(difference: Difference) -> dict[str, Any]:
    return {
        "step": difference.step,
        "error": plain(difference.error),
        "byValues": difference.by_values,
        "first": row_as_json(difference.first, difference.rows[0]),
        "second": row_as_json(difference.second, difference.rows[1]),
    }


class Handler(BaseHTTPRequestHandler):
    pages: Pages

    def do_GET(self) -> None:
        # A page of somebody else's must not read recordings through a name that leads to this machine.
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):
            return self.give(403, "text/plain", b"this server answers its own machine")
        url = urlsplit(self.path)
        if url.path == "/":
            page = files("versant.debug.page").joinpath("page.html").read_bytes()
            return self.give(200, "text/html; charset=utf-8", page)
        if url.path not in self.pages.routes:
            return self.give(404, "text/plain", b"there is no such page")
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            content = json.dumps(self.pages.answer(url.path, query), allow_nan=False).encode()
        except (RecordingError, OSError) as error:
            return self.give(500, "application/json", json.dumps({"error": str(error)}).encode())
        except (KeyError, ValueError, StopIteration) as error:
            return self.give(400, "application/json", json.dumps({"error": repr(error)}).encode())
        return self.give(200, "application/json", content)

    def give(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; connect-src 'self'")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal belongs to the user."""


def server_of(paths: list[Path], port: int = 0) -> ThreadingHTTPServer:
    """A server for one recording, or for two that are compared. Raises RecordingError, and OSError where the
    port is taken; port 0 takes a free one."""
    handler = type("Handler", (Handler,), {"pages": Pages(paths)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server


def serve(paths: list[Path], port: int = 0) -> None:
    """Serves until it is interrupted."""
    with server_of(paths, port) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends it)", flush=True)
        server.serve_forever()
