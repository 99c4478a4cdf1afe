"""What the scripts of this folder share: the package src/versant/bench, loaded without importing Versant.

Those that run a framework in their own process must not have a second one in it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(ROOT / "src" / "versant" / "bench"))
import alone  # noqa: E402

sys.path.pop(0)
alone.load()

from versant_bench import columns, footprint, frameworks, machine, peak, processes, rounds, run, table  # noqa: E402
from versant_bench.workloads import WORKLOADS  # noqa: E402

__all__ = [
    "ROOT",
    "WORKLOADS",
    "columns",
    "footprint",
    "frameworks",
    "machine",
    "peak",
    "processes",
    "rounds",
    "run",
    "table",
]
