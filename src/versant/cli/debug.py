"""versant debug: recordings on a page, or in words."""

from pathlib import Path

from versant.debug.differences import diff
from versant.debug.page.server import serve
from versant.debug.recording import Recording


def debug(path: Path, other: Path | None, *, port: int, text: bool) -> int:
    """Shows a recording, and what differs from another one; 1 where two differ and text is asked for."""
    if not text:
        serve([path] if other is None else [path, other], port)
        return 0
    print(summary(Recording(path)))
    if other is None:
        return 0
    found = diff(path, other)
    print(found)
    return int(found.first is not None)


def summary(recording: Recording) -> str:
    """The recording in a few lines: steps, and the first tensors that hold NaN or Inf."""
    steps = recording.steps
    lines = [f"{recording.path}: {len(steps)} steps, {len(recording.kinds)} kinds of tensors"]
    for step in steps:
        bad = [row for row in step.rows if row.nan or row.inf]
        if not bad:
            continue
        lines.append(f"step {step.number}: {len(bad)} tensors hold NaN or Inf, first of all")
        for row in bad[:5]:
            kind = recording.kinds[row.kind]
            place = f"{kind.line}, in {kind.module}" if kind.module else kind.line
            lines.append(f"  {kind.title} at {place}: {kind.type}, {row.nan} NaN, {row.inf} Inf")
        break
    return "\n".join(lines)
