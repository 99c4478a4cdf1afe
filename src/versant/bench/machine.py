"""What is known of the machine that measures, and of what disturbs it."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # of the repository, where this is one


def cpu_model() -> str:
    """The processor's name and the widest vectors it offers, "AMD EPYC 9004, avx512f"."""
    facts: dict[str, str] = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
            key, _, value = line.partition(":")
            facts[key.strip()] = value.strip()
    flags = facts.get("flags", "").split()
    vectors = [flag for flag in ("amx_tile", "avx512f", "avx2") if flag in flags]
    return ", ".join([facts.get("model name") or platform.processor() or platform.machine(), *vectors[:2]])


def git_revision() -> str:
    """The short hash of the commit, with a plus sign where files differ from it; "" without a repository."""
    if not (ROOT / ".git").exists():
        return ""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def describe() -> dict[str, str | int]:
    """What a record says of where it was measured."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory": f"{memory_gb():.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "git": git_revision(),
    }


def busy_seconds() -> float:
    """Processor time that the machine has spent on anything since it started; 0 where it is not told."""
    try:
        ticks = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Disturbance:
    """How many processors other processes kept busy between `__enter__` and `__exit__`, on average.

    Even one on another core counts: cores share caches, memory and, in virtual machines, often arithmetic.
    """

    GRAIN = 0.05  # seconds by which the system's counters may be off

    def __enter__(self) -> "Disturbance":
        self._busy, self._own, self._start = busy_seconds(), time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        elapsed = time.perf_counter() - self._start
        foreign = busy_seconds() - self._busy - (time.process_time() - self._own)
        self.others = round(max(0.0, foreign) / elapsed, 2)
        self.disturbed = foreign > self.GRAIN + 0.1 * elapsed


def wait_until_quiet(limit: float) -> float:
    """Sleeps until other processes rest, at most `limit` seconds; returns for how long it slept."""
    start = time.perf_counter()
    while time.perf_counter() - start < limit:
        with Disturbance() as disturbance:
            time.sleep(0.2)
        if not disturbance.disturbed:
            break
    return time.perf_counter() - start
