"""What a framework costs before it does anything (W15): import time, first op, memory, size on disk.

    python bench/footprint.py
    python bench/footprint.py --python tf=../tf/bin/python

Times are those of a fresh process less those of a bare interpreter, medians of processes started in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import results
from machine import ROOT

IMPORTS = {"versant": "import versant as m", "torch": "import torch as m", "tf": "import tensorflow as m"}
FIRST_OP = "m.ones([1]) + m.ones([1])"
SOURCES = str(ROOT / "src")  # where a versant that was built in place is found
BARE = f"import sys; sys.path.append({SOURCES!r})"

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

module = sys.modules[m.__name__]
names = metadata.packages_distributions().get(m.__name__, [])
required = distribution(names[0], set()) if names else None
print(json.dumps([folder(os.path.dirname(module.__file__)), required]))
"""


def spawn(python: str, code: str) -> tuple[float, int]:
    """Milliseconds that a fresh process takes for `code`, and its peak resident bytes."""
    start = time.perf_counter()
    process = subprocess.Popen([python, "-c", code], cwd="/", stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"[footprint] {code!r} ended with status {process.returncode}")
    return 1e3 * elapsed, usage.ru_maxrss * 1024


def measure(python: str, name: str, rounds: int) -> dict[str, Any] | None:
    """The footprint of one framework, or None where it is not installed."""
    codes = [BARE, f"{BARE}; {IMPORTS[name]}", f"{BARE}; {IMPORTS[name]}; {FIRST_OP}"]
    sized = subprocess.run(
        [python, "-c", codes[2] + SIZES], cwd="/", capture_output=True, text=True, check=False
    )
    if "ModuleNotFoundError" in sized.stderr:
        return None
    if sized.returncode != 0:
        sys.exit(f"[footprint] {name} failed:\n{sized.stderr}")
    package, required = json.loads(sized.stdout.splitlines()[-1])
    spawned = [[spawn(python, code) for code in codes] for _ in range(rounds)]
    bare, imported, ready = ([turn[k][0] for turn in spawned] for k in range(3))
    return {
        "import_ms": statistics.median(imported) - statistics.median(bare),
        "least_import_ms": min(imported) - min(bare),
        "first_op_ms": statistics.median(ready) - statistics.median(bare),
        "peak_bytes": max(turn[1][1] for turn in spawned),
        "bare_peak_bytes": max(turn[0][1] for turn in spawned),
        "package_bytes": package,
        "required_bytes": required,
    }


def main() -> None:
    purpose, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=purpose, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", metavar="NAME=PATH", action="append", default=[], help="a peer's interpreter"
    )
    parser.add_argument("--rounds", type=int, default=9, help="processes of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in arguments.python)

    record = results.begin() | {"footprint": {}}
    columns = ["import", "and first op", "peak resident", "package", "and required"]
    print("".ljust(12) + "".join(column.rjust(15) for column in columns))
    for name in IMPORTS:
        found = measure(pythons.get(name, sys.executable), name, arguments.rounds)
        if found is None:
            print(f"{name.ljust(12)} not installed")
            continue
        record["footprint"][name] = found
        sizes = [found["peak_bytes"], found["package_bytes"], found["required_bytes"]]
        words = [f"{found['import_ms']:.1f} ms", f"{found['first_op_ms']:.1f} ms"]
        words += ["" if size is None else f"{size / 1e6:.1f} MB" for size in sizes]
        print(name.ljust(12) + "".join(word.rjust(15) for word in words), flush=True)
    print(f"figures in {results.save(record, 'footprint')}", file=sys.stderr)


if __name__ == "__main__":
    main()
