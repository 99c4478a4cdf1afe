"""Writes docs/performance.md from the newest figures under bench/results.

A section of which there are no figures stays as it is: each says when and where it was measured.

python bench/run.py && python bench/compiled.py && python bench/limits.py && python bench/peak.py
python bench/instructions.py && python bench/memory.py && python bench/footprint.py
python bench/report.py
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results
from harness import ROOT, frameworks, table

INTRODUCTION = """\
# Performance

Every figure here comes from a script that anyone can run again; this page is written from their results by
`python bench/report.py`. Absolute times differ from machine to machine: what counts is the ratio of two
columns of one run.

`versant bench` answers for your machine: it measures the same workloads beside the frameworks that are
installed and writes a page with charts. `versant bench --quick` takes less than two minutes.
"""

STEPS = """\
## Time per step

    {command}

Each column is a process of its own. They are measured in turns, {rounds} rounds of {seconds:g} seconds
each, while the others are stopped; a figure is the median over the rounds of the mean time per step. All
columns start from the same numbers, and the run fails unless their first six losses or values agree. A step
is complete: forward, loss, backward and the optimizer's update. *Share* is our time over that of the peer's
fastest column, *goal* the share that we allow ourselves.
"""

NARROW = """Under `autocast(bfloat16)`, as a share of our own time in float32: {shares}.
"""

COMPILED = """\
## Compiled steps

    {command}

The same steps under `vs.compile`, each in a process of its own where slices of the eager and of the compiled
step follow each other on {threads} threads. *First call* is what the first call takes beyond a steady eager
one. Peaks are those of our allocator during a steady step, in MB. The values of both are the same, bit for
bit.
"""

LIMITS = """\
## Against the machine's own limits

    {command}

The fastest product and the fastest copy that anybody got out of this machine: {float32:,.0f} GFLOP/s in
float32, {bfloat16:,.0f} in bfloat16, {copy:.1f} GB/s read and written. *Limit* is the time that the products,
convolutions and attention of a step would take at that rate, or the time of the memory traffic that it cannot
avoid, whichever is longer; *share reached* is the limit over the time taken.
"""

PEAK = """\
## Peak memory of training

    {command}

The largest resident size of a fresh process that takes ten steps, in MB. The first call of a compiled
function runs it as it is written, so its own peak counts here.
"""

INSTRUCTIONS = """\
## Instructions per op

    {command}

Counted by callgrind on tensors of one element, the Python loop around the op taken off. The counts do not
depend on how busy or how fast the machine is. The add with gradient includes making and dropping its node
of the graph.
"""

MEMORY = """\
## Memory of a steady loop

    {command}

Training {workload}. *System* is what our allocator has taken from the operating system; *resident* and
*peak* are what the operating system itself counts for the process.
"""

FOOTPRINT = """\
## Footprint

    {command}

Times are those of a fresh process less those of a bare interpreter. *Required* is the distribution with all
that it requires.
"""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def measured_on(record: dict[str, Any]) -> str:
    machine = record["machine"]
    return (
        f"\nMeasured {record['when'][:10]} at revision {machine['git']} on {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}.\n"
    )


def steps(record: dict[str, Any]) -> str:
    columns = record["columns"]
    compared = table.peers([frameworks.Column.parse(label) for label in columns])
    rows = []
    for name, workload in record["workloads"].items():
        row = [
            f"{name} {workload['title']}",
            *(table.as_cell(workload["cells"].get(label, {})) for label in columns),
        ]
        for peer in compared:
            share, goal = workload["shares"].get(peer), workload["targets"].get(peer)
            reached = share is not None and goal is not None and share <= goal
            row.append(
                "" if share is None else f"**{table.as_share(share)}**" if reached else table.as_share(share)
            )
            row.append("" if goal is None else table.as_share(goal))
        rows.append(row)
    head = ["microseconds", *columns, *(word for peer in compared for word in (f"share of {peer}", "goal"))]
    versions = "".join(
        f"* {label}: {about['version']}, {about['what']}, threads: {about['threads']}\n"
        for label, about in columns.items()
    )
    notes = (
        "\nA share in bold has reached its goal. "
        f"Other processes disturbed {record['disturbed']} of {record['slices']} slices.\n\n"
    )
    return markdown(head, rows) + notes + narrow(record) + versions + measured_on(record)


def narrow(record: dict[str, Any]) -> str:
    """What bfloat16 saves us."""
    ours = next(iter(record["columns"]))

    def time(name: str) -> float | None:
        cells = record["workloads"].get(name, {}).get("cells", {})
        found: float | None = cells.get(ours, {}).get("microseconds")
        return found

    shares = []
    for name, workload in record["workloads"].items():
        fast, plain = time(name), time(workload.get("narrow", ""))
        if fast is not None and plain is not None:
            shares.append(f"{workload['narrow']} {fast / plain:.2f}")
    return NARROW.format(shares=", ".join(shares)) + "\n" if shares else ""


def compiled(record: dict[str, Any]) -> str:
    rows = [
        [
            f"{name} {found['title']}",
            f"{found['eager']:,.4g}" if found["eager"] < 1000 else f"{found['eager']:,.0f}",
            f"{found['compiled']:,.4g}" if found["compiled"] < 1000 else f"{found['compiled']:,.0f}",
            f"{found['compiled'] / found['eager']:.2f}",
            f"{found['first_call']:.1f}",
            *(f"{peak / 1e6:.1f}" for peak in found["peaks"]),
        ]
        for name, found in record["compiled"].items()
    ]
    head = ["", "eager, us", "compiled, us", "ratio", "first call, ms", "peak, eager", "peak, compiled"]
    return markdown(head, rows) + measured_on(record)


def limits(record: dict[str, Any]) -> str:
    """Our times in the newest run beside what the machine allows."""
    timed = results.newest("steps")
    best = fastest(record)
    rows = []
    for name, workload in (timed["workloads"] if timed else {}).items():
        ours, *others = timed["columns"] if timed else []
        time = workload["cells"].get(ours, {}).get("microseconds")
        rate = best["bfloat16" if "bf16" in name else "float32"]
        limit = max(workload.get("flops", 0) / rate, workload.get("traffic", 0) / best["copy"]) * 1e6
        if time is None or limit == 0:
            continue
        theirs = [workload["cells"].get(label, {}).get("microseconds") for label in others]
        fast = min((t for t in theirs if t is not None), default=None)
        rows.append(
            [
                f"{name} {workload['title']}",
                f"{limit:,.1f}",
                f"{time:,.1f}",
                f"{limit / time:.0%}",
                f"{limit / fast:.0%}" if fast else "",
            ]
        )
    head = ["microseconds", "limit", "versant", "share reached", "by the fastest peer"]
    return markdown(head, rows) + measured_on(record)


def fastest(record: dict[str, Any]) -> dict[str, float]:
    return {
        key: max(rates[key] for rates in record["rates"].values()) for key in ("float32", "bfloat16", "copy")
    }


def peak(record: dict[str, Any]) -> str:
    labels = list(next(iter(record["peaks"].values())))
    rows = [
        [name, *(f"{peaks[label] / 1e6:.0f}" for label in labels)] for name, peaks in record["peaks"].items()
    ]
    return markdown(["MB", *labels], rows) + measured_on(record)


def instructions(record: dict[str, Any]) -> str:
    counts = record["instructions"]
    rows = [[what, *(f"{counts[name][what]:.0f}" for name in counts)] for what in counts["versant"]]
    return markdown(["instructions", *counts], rows) + measured_on(record)


def memory(record: dict[str, Any]) -> str:
    rows = [
        [f"{seen['step']:,}", *(f"{seen[key]:,}" for key in ("system", "resident", "peak"))]
        for seen in record["landmarks"]
    ]
    return markdown(["after step", "system, bytes", "resident, bytes", "peak, bytes"], rows) + measured_on(
        record
    )


def footprint(record: dict[str, Any]) -> str:
    def megabytes(size: int | None) -> str:
        return "" if size is None else f"{size / 1e6:.1f}"

    rows = [
        [name, f"{found['import_ms']:.0f}", f"{found['first_op_ms']:.0f}",
         *(megabytes(found[key]) for key in ("peak_bytes", "package_bytes", "required_bytes"))]
        for name, found in record["footprint"].items()
    ]  # fmt: skip
    head = ["", "import, ms", "import and first op, ms", "peak resident, MB", "package, MB", "required, MB"]
    return markdown(head, rows) + measured_on(record)


SECTIONS = [
    ("steps", STEPS, steps, "python bench/run.py"),
    ("compiled", COMPILED, compiled, "python bench/compiled.py"),
    ("limits", LIMITS, limits, "python bench/limits.py"),
    ("peak", PEAK, peak, "python bench/peak.py --against versant-compile,torch,torch-fused"),
    ("instructions", INSTRUCTIONS, instructions, "python bench/instructions.py --against torch"),
    ("memory", MEMORY, memory, "python bench/memory.py"),
    ("footprint", FOOTPRINT, footprint, "python bench/footprint.py"),
]


def sections_of(page: Path) -> dict[str, str]:
    """The sections of a page that is there, by their titles."""
    parts = page.read_text().split("\n## ")[1:] if page.exists() else []
    return {f"## {part.partition(chr(10))[0]}": f"## {part.rstrip()}\n" for part in parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    arguments = parser.parse_args()
    page = INTRODUCTION
    before = sections_of(arguments.out)
    for kind, text, write, command in SECTIONS:
        record = results.newest(kind)
        title = text.partition("\n")[0]
        if record is None and title in before:
            page += "\n" + before[title]
            continue
        if record is None:
            sys.exit(f"[report] no figures of kind {kind!r}; first run `{command}`")
        rates = {key: rate / 1e9 for key, rate in fastest(record).items()} if kind == "limits" else {}
        page += "\n" + text.format(command=command, **rates, **record) + "\n" + write(record)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(page)
    print(arguments.out)


if __name__ == "__main__":
    main()
