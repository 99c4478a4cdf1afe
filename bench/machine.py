"""What is known of the machine that measures, and of what disturbs it."""

import os
import platform
import resource
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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
    """The short hash of the commit, with a plus sign where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def describe() -> dict[str, str | int]:
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
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


def wait_until_quiet(limit: float) -> float:
    """Sleeps until other processes rest, at most `limit` seconds; returns for how long it slept."""
    start = time.perf_counter()
    while time.perf_counter() - start < limit:
        with Disturbance() as disturbance:
            time.sleep(0.2)
        if disturbance.others <= 0.15:
            break
    return time.perf_counter() - start


class Disturbance:
    """How much others got in the way between `__enter__` and `__exit__` of this process.

    `others`: processors kept busy by other processes, on average. `preempted`: how often a second one of our
    threads had to make room for something else. Each alone says little: a second core may be free for the
    others, and the kernel's own short chores preempt us too.
    """

    def __enter__(self) -> "Disturbance":
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._busy = busy_seconds()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        elapsed = max(time.perf_counter() - self._start, 1e-3)
        busy = busy_seconds() - self._busy
        usage = resource.getrusage(resource.RUSAGE_SELF)
        own = usage.ru_utime + usage.ru_stime - self._usage.ru_utime - self._usage.ru_stime
        self.others = round(max(0.0, busy - own) / elapsed, 2)
        self.preempted = round((usage.ru_nivcsw - self._usage.ru_nivcsw) / elapsed, 1)

    @property
    def disturbed(self) -> bool:
        return self.others > 0.15 and self.preempted > 40
