"""Runs a module of this folder in a process that does not import Versant: `python alone.py worker torch 2`.

Two thread pools ruin each other, and a peer's memory is to be counted without ours.
"""

import ctypes
import importlib
import importlib.util
import signal
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAME = "versant_bench"


def load() -> None:
    """Makes this folder importable as the package `versant_bench`."""
    spec = importlib.util.spec_from_file_location(
        NAME, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])


def die_with_parent() -> None:
    """A stopped process cannot notice that its parent is gone; the kernel can."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    die_with_parent()
    # The names of this folder's files are not for those who are measured.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != FOLDER]
    load()
    importlib.import_module(f"{NAME}.{sys.argv[1]}").main(sys.argv[2:])
