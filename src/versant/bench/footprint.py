"""What a framework costs before it does anything (W15): import time, first op, memory, size on disk.

Times are those of a fresh process less those of a bare interpreter, medians of processes started in turn.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

from .frameworks import HOME
from .processes import WorkerError, end

IMPORTS = {
    "versant": "import versant as m",
    "torch": "import torch as m",
    "tf": "import tensorflow as m",
    "jax": "import jax.numpy as m",
}
FIRST_OP = "m.ones([1]) + m.ones([1])"
TIMEOUT = 120.0  # seconds

# Sizes in bytes: the imported package's folder, and its distribution with all that it requires.
SIZES = """
import importlib.metadata as metadata, json, os, re, sys

def folder(path):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(path) for f in files)

def distribution(name, seen):
    name = re.sub("[-_.]+", "-", re.match(r"[\\w.-]+", name)[0]).lower()
    try:
        found = None if name in seen else metadata.distribution(name)
    except metadata.PackageNotFoundError:
        found = None
    if found is None:
        return 0
    seen.add(name)
    own = sum(os.path.getsize(p) for p in map(found.locate_file, found.files or []) if os.path.exists(p))
    return own + sum(distribution(r, seen) for r in found.requires or [] if "extra ==" not in r)

module = sys.modules[m.__name__.partition(".")[0]]
names = metadata.packages_distributions().get(module.__name__, [])
required = distribution(names[0], set()) if names else None
print(json.dumps([folder(os.path.dirname(module.__file__)), required]))
"""


def codes(name: str) -> tuple[str, str, str]:
    """Python that does nothing, imports the framework, and runs a first op; one for Versant finds ours."""
    bare = "import sys" + (f"; sys.path.append({str(HOME)!r})" if name == "versant" else "")
    imported = f"{bare}; {IMPORTS[name]}"
    return bare, imported, f"{imported}; {FIRST_OP}"


def spawn(python: str, code: str) -> tuple[float, int]:
    """Milliseconds that a fresh process takes for `code`, and its peak resident bytes."""
    start = time.perf_counter()
    process = run(python, code, subprocess.DEVNULL)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        end(process)
        raise
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise WorkerError(f"{code!r} ended with status {process.returncode}")
    return 1e3 * elapsed, usage.ru_maxrss * 1024


def run(python: str, code: str, pipe: int) -> "subprocess.Popen[bytes]":
    """From "/", so that the folder of a checkout does not hide an installed package."""
    if os.sep in python:
        python = os.path.abspath(python)
    return subprocess.Popen([python, "-c", code], cwd="/", start_new_session=True, stdout=pipe, stderr=pipe)


def sizes(python: str, name: str) -> tuple[int, int | None] | None:
    """Bytes of the package's folder, and with all that it requires; None where it is not installed."""
    process = run(python, codes(name)[2] + SIZES, subprocess.PIPE)
    try:
        said, complaint = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise WorkerError(f"{IMPORTS[name]!r} is not done within {TIMEOUT:g} seconds") from None
    finally:
        end(process)
    if b"ModuleNotFoundError" in complaint:
        return None
    if process.returncode != 0:
        raise WorkerError(complaint.decode(errors="replace").strip())
    package, required = json.loads(said.splitlines()[-1])
    return package, required


def measure(
    python: str, name: str, rounds: int, tick: Callable[[], None] = lambda: None
) -> dict[str, Any] | None:
    """The footprint of one framework, or None where it is not installed; raises WorkerError where it fails.

    `tick` is called before each round.
    """
    found = sizes(python, name)
    if found is None:
        return None
    spawned = []
    for _ in range(rounds):
        tick()
        spawned.append([spawn(python, code) for code in codes(name)])
    bare, imported, ready = ([turn[k][0] for turn in spawned] for k in range(3))
    return {
        "import_ms": statistics.median(imported) - statistics.median(bare),
        "least_import_ms": min(imported) - min(bare),
        "first_op_ms": statistics.median(ready) - statistics.median(bare),
        "peak_bytes": max(turn[1][1] for turn in spawned),
        "bare_peak_bytes": max(turn[0][1] for turn in spawned),
        "package_bytes": found[0],
        "required_bytes": found[1],
    }
