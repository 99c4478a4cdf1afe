"""The files of a run: figures as JSON and the page. A file is whole or not there."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .page import render

JSON, PAGE = "versant-bench.json", "versant-bench.html"


def prepare(folder: Path) -> None:
    """Makes the folder; raises OSError where no file can be written to it, before anything is measured."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def write(record: dict[str, Any], folder: Path) -> list[Path]:
    """Writes both files; returns where."""
    texts = {JSON: json.dumps(record, indent=1) + "\n", PAGE: render(record)}
    return [replace(folder / name, text) for name, text in texts.items()]


def replace(path: Path, text: str) -> Path:
    """Writes beside the path first, then takes its place at once."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path
