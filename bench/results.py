"""Where figures are kept: one JSON file for each run, under bench/results, which git ignores."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import ROOT, machine

RESULTS = ROOT / "bench" / "results"


def begin() -> dict[str, Any]:
    """A new record that knows when and where it was measured."""
    return {"when": datetime.now().astimezone().isoformat(timespec="seconds"), "machine": machine.describe()}


def save(record: dict[str, Any], kind: str, path: Path | None = None) -> Path:
    """Writes a record to `path`, or under a name made of its kind and time; returns where."""
    stamp = record["when"][:19].replace(":", "")
    path = path or RESULTS / f"{kind}-{stamp}-{record['machine']['git']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def newest(kind: str) -> dict[str, Any] | None:
    """The latest record of a kind, or None."""
    found = sorted(RESULTS.glob(f"{kind}-*.json"))
    record: dict[str, Any] | None = json.loads(found[-1].read_text()) if found else None
    return record
