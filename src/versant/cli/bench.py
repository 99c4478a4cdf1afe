"""versant bench: this machine's answer to how fast Versant is beside its peers."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from versant.bench import output
from versant.bench.columns import OURS, STANDARD, against
from versant.bench.frameworks import Column
from versant.bench.processes import leave_on_signals
from versant.bench.run import FULL, QUICK, Effort, Run
from versant.bench.table import Printer, reason
from versant.bench.workloads import WORKLOADS


def workloads(text: str) -> list[str]:
    """The names of the workloads in "W1,W5"; raises ValueError for one that is unknown."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown or not names:
        raise ValueError(
            f"no workload {', '.join(map(repr, unknown)) or repr(text)}; there are {', '.join(WORKLOADS)}"
        )
    return list(dict.fromkeys(names))


def peers(text: str) -> list[str]:
    """The names of the peers in "torch,jax"; raises ValueError for one that is unknown."""
    names = [name for name in text.split(",") if name]
    against(names)
    return names


def interpreter(text: str) -> tuple[str, str]:
    """The name and the path in "tf=../tf/bin/python"; raises ValueError for a name that is no peer."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ValueError(f"must be NAME=PATH, got {text!r}")
    against([name])
    return name, path


def bench(
    *,
    output_folder: Path,
    only: Sequence[str] | None,
    quick: bool,
    against_peers: Sequence[str] | None,
    threads: int,
    pythons: dict[str, str],
    effort: Effort | None = None,
) -> int:
    """Measures, prints the table and writes the page; returns 1 where a step of ours failed, otherwise 0."""
    output.prepare(output_folder)
    words = ["versant", "bench", *(["--quick"] if quick else [])]
    words += ["--only", ",".join(only)] if only else []
    words += ["--against", ",".join(against_peers)] if against_peers is not None else []
    names = [name for name in STANDARD if name != OURS] if against_peers is None else against_peers
    printer: list[Printer] = []

    def begun(record: dict[str, Any], columns: Sequence[Column]) -> None:
        print("; ".join(f"{key} {value}" for key, value in record["machine"].items() if value))
        for label, about in record["columns"].items():
            print(f"{label}: {about['version']}, {about['what']}, threads: {about['threads']}")
        for why, labels in _by_reason(record["absent"]).items():
            print(f"left out: {', '.join(labels)}; {why}")
        print(flush=True)
        printer.append(Printer(columns))

    effort = effort or (QUICK if quick else FULL)
    run = Run(
        workloads=[
            w for w in WORKLOADS.values() if (w.name in only if only else effort.narrow or not w.narrow)
        ],
        columns=against(names),
        effort=effort,
        threads=threads,
        command=shlex.join([*words, "--threads", str(threads)]),
        pythons=pythons,
        begun=begun,
        row=lambda workload, cells, ratios: printer[0].row(workload, cells, ratios),
    )
    with leave_on_signals():
        record = run.measure()
        print(*_remarks(record), sep="\n")
        figures, page = output.write(record, output_folder)
    print(f"page: {page}\nfigures: {figures}")
    return int(any("error" in workload["cells"][OURS] for workload in record["workloads"].values()))


def _by_reason(absent: dict[str, str]) -> dict[str, list[str]]:
    """The columns that one reason holds for."""
    found: dict[str, list[str]] = {}
    for label, why in absent.items():
        found.setdefault(reason({"error": why}), []).append(label)
    return found


def _remarks(record: dict[str, Any]) -> list[str]:
    """What the table cannot say."""
    lines = [""]
    missing: dict[tuple[str, str], list[str]] = {}
    for name, workload in record["workloads"].items():
        for label, cell in workload["cells"].items():
            if "microseconds" not in cell:
                missing.setdefault((label, reason(cell)), []).append(name)
        if workload["disagreement"]:
            lines.append(f"{name}: values differ; {workload['disagreement']}")
    lines += [f"- {label}, {', '.join(names)}: {why}" for (label, why), names in missing.items()]
    if record["disturbed"]:
        lines.append(
            f"other processes disturbed {record['disturbed']} of {record['slices']} slices; "
            "run it again when they rest"
        )
    return lines
