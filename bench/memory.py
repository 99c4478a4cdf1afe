"""Whether training settles: the memory that 10,000 steps of W6 take from the operating system.

    python bench/memory.py

Our allocator's own count must not change after the second step. The resident size of the process, which the
operating system counts, is the independent witness: it must not have grown by more than a megabyte.
"""

import argparse
import resource
import sys
from pathlib import Path

import results
from harness import WORKLOADS, frameworks

LANDMARKS = [2, 10, 100, 1000, 10_000]
ALLOWANCE = 1 << 20  # bytes by which the interpreter's own heap may grow


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--framework", choices=["versant", "torch"], default="versant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", metavar="W", choices=list(WORKLOADS), default="W6", help="another workload")
    arguments = parser.parse_args()

    face, module = frameworks.FRAMEWORKS[arguments.framework]
    framework = face(module, arguments.threads)
    step = WORKLOADS[arguments.only].programs[face.dialect](framework.module, frameworks.Options())

    def system_bytes() -> int | None:
        if arguments.framework == "torch":
            return None  # it keeps no such count for the CPU
        return int(framework.module.memory.stats()["system_bytes"])

    record = results.begin() | {"workload": arguments.only, "landmarks": []}
    print(f"{'step':>8}{'system bytes':>16}{'resident':>16}{'peak resident':>16}")
    for number in range(1, LANDMARKS[-1] + 1):
        step()
        if number in LANDMARKS:
            seen = {
                "step": number,
                "system": system_bytes(),
                "resident": resident_bytes(),
                "peak": peak_bytes(),
            }
            record["landmarks"].append(seen)
            print(f"{number:>8}{seen['system']!s:>16}{seen['resident']:>16}{seen['peak']:>16}", flush=True)

    first, last = record["landmarks"][0], record["landmarks"][-1]
    record["steady"] = first["system"] == last["system"] and last["resident"] - first["resident"] <= ALLOWANCE
    if arguments.framework == "versant":
        print(f"figures in {results.save(record, 'memory')}", file=sys.stderr)
    if not record["steady"]:
        sys.exit(f"[memory] {arguments.only} does not settle after its second step")


if __name__ == "__main__":
    main()
