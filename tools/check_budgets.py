"""Holds Versant to its budgets: import time, wheel size, installed size, dependencies, length of files.

Run it with the interpreter that has Versant installed:  python tools/check_budgets.py [--wheel FILE]
"""

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

IMPORT_MS = 40.0  # `import versant` above a bare interpreter
WHEEL_MB = 20.0
INSTALLED_MB = 60.0  # without numpy
FILE_LINES = 600
PROCESSES = 15
ROOT = Path(__file__).parents[1]


def process_ms(code: str) -> tuple[float, float]:
    """Milliseconds of a fresh interpreter that runs `code`: wall clock, and CPU time of all its threads."""
    start = time.perf_counter()
    # From "/", so that the folder `versant` of a checkout does not hide the installed package.
    process = subprocess.Popen([sys.executable, "-c", code], cwd="/")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode != 0:
        raise RuntimeError(f"[budget] `{code}` ended with exit code {process.returncode}")
    return 1e3 * wall, 1e3 * (usage.ru_utime + usage.ru_stime)


def import_time() -> tuple[float, str]:
    """Milliseconds of `import versant`: the least wall or CPU time over fresh processes, whichever is lower.

    Then what was measured, in words.
    Load from other programs only ever adds to a process's time, so the least of many is the steady figure.
    """
    process_ms("import versant")  # compiles the bytecode
    bare, full = [], []
    for _ in range(PROCESSES):
        bare.append(process_ms("pass"))
        full.append(process_ms("import versant"))
    least = [min(column(full)) - min(column(bare)) for column in (walls, cpus)]
    median = statistics.median(walls(full)) - statistics.median(walls(bare))
    text = f"wall {least[0]:.1f} ms, CPU {least[1]:.1f} ms, median wall {median:.1f} ms"
    return min(least), text


def walls(samples: list[tuple[float, float]]) -> list[float]:
    return [wall for wall, _ in samples]


def cpus(samples: list[tuple[float, float]]) -> list[float]:
    return [cpu for _, cpu in samples]


def imports_numpy() -> bool:
    code = "import sys, versant; sys.exit('numpy' in sys.modules)"
    return subprocess.call([sys.executable, "-c", code], cwd="/") != 0


def required() -> list[str]:
    """The packages that an installation without extras brings."""
    lines = importlib.metadata.requires("versant") or []
    return [line for line in lines if "extra ==" not in line]


def installed_mb() -> float:
    files = importlib.metadata.files("versant") or []
    return sum(path.stat().st_size for f in files if (path := Path(str(f.locate()))).exists()) / 1e6


def long_files() -> list[str]:
    found = []
    for path in sorted(
        [*ROOT.glob("src/versant/**/*.py"), *ROOT.glob("core/**/*.cc"), *ROOT.glob("core/**/*.h")]
    ):
        lines = len(path.read_text().splitlines())
        if lines > FILE_LINES:
            found.append(f"{path.relative_to(ROOT)}: {lines}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="a built wheel, whose size is checked")
    arguments = parser.parse_args()

    ms, detail = import_time()
    installed = installed_mb()
    long = long_files()
    checks = [
        (f"import versant: {detail} (at most {IMPORT_MS:.0f} ms)", ms <= IMPORT_MS),
        ("import versant leaves numpy unimported", not imports_numpy()),
        (f"requires {required()} (numpy alone)", required() == ["numpy"]),
        (f"installed size: {installed:.1f} MB (at most {INSTALLED_MB:.0f})", 0 < installed <= INSTALLED_MB),
        (f"files past {FILE_LINES} lines: {long or 'none'}", not long),
    ]
    if arguments.wheel:
        wheel = arguments.wheel.stat().st_size / 1e6
        checks.append((f"wheel size: {wheel:.1f} MB (at most {WHEEL_MB:.0f})", wheel <= WHEEL_MB))
    for text, kept in checks:
        print("ok    " if kept else "FAILED", text)
    return 0 if all(kept for _, kept in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
