"""The record of a run as one HTML page that needs nothing else: no script, no network, charts inline."""

import statistics
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from .charts import Bar, chart, digits, megabytes, seconds, times
from .columns import OURS
from .markup import Strong, charts, figure, listed, shortened, table
from .table import reason

Record = dict[str, Any]

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Versant beside its peers</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""

ALONE = """\
<p>No other framework was found in this environment. Install PyTorch, TensorFlow or JAX beside Versant and
run the command again to see them here.</p>
"""

STEPS = """\
<h2>Time per step</h2>
<p>Shorter is faster. Behind each time stands how many times Versant's it is. Every chart has a scale of its
own, from zero. Paler bars are compiled.</p>
"""

COMPILING = """\
<h2>Compile latency</h2>
<p>What the first six steps took beyond their usual time: tracing and compiling, with empty caches. The
first workload of a column pays for loading its compiler too. The charts share one scale.</p>
"""

MEMORY = """\
<h2>Peak memory</h2>
<p>The largest resident size of a fresh process that takes ten steps.</p>
"""

METHOD = """\
<p>Every column is a process of its own. They are measured in turns while the others are stopped: up to
{rounds} rounds, in each of which a column gets one slice of {seconds:g} seconds of the same workload. A
figure is the median over the rounds of the mean time per step. All columns start from the same numbers, and
the values of their first six steps are compared. A step is complete: forward, loss, backward, and the
optimizer's update where there is one. A column that needs more than {limit:g} seconds to build a workload
and take these six steps is left out there.</p>
"""

DISTURBED = """\
<p>Other processes disturbed {disturbed} of {slices} slices; such a slice is measured again, three times at
most, as long as the run's patience lasts.</p>
"""

BUSY = """\
<p class="busy">The machine was busy with other things: figures may be far off. Run it again when it
rests.</p>
"""

FAMILIES = {"versant": "Versant", "torch": "PyTorch", "tf": "TensorFlow", "jax": "JAX"}


def render(record: Record) -> str:
    """The page, as text."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    sections = (head, verdict, steps, compiling, memory, footprint, setting, absent)
    return PAGE.format(style=style, body="".join(section(record) for section in sections))


def head(record: Record) -> str:
    machine, threads = record["machine"], record["threads"]
    facts = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, {machine['system']}",
        f"{threads} thread{'s' if threads > 1 else ''} each",
        record["when"][:16].replace("T", " "),
    )
    top = f'<h1>Versant beside its peers</h1>\n<p class="soft">{escape("; ".join(facts))}</p>\n'
    return top + (BUSY if record["disturbed"] > 0.1 * record["slices"] else "")


def verdict(record: Record) -> str:
    """For each peer in one sentence: where we are ahead and where behind."""
    peers: dict[str, dict[str, float]] = {}
    for name, workload in record["workloads"].items():
        for peer, share in workload["shares"].items():
            peers.setdefault(peer, {})[name] = share
    if not peers:
        return ALONE if len({about["peer"] for about in record["columns"].values()}) == 1 else ""
    lines = []
    for peer, ratios in peers.items():
        ahead = sum(share < 0.95 for share in ratios.values())
        middle = statistics.median(1 / share for share in ratios.values())
        text = (
            f"{FAMILIES.get(peer, peer)} needs more time than Versant in {ahead} of {len(ratios)} workloads"
        )
        text += f", {times(middle)} as much in the median"
        behind = [f"{name} (Versant needs {times(r)} as much)" for name, r in ratios.items() if r > 1.05]
        lines.append(text + (f"; less in {', '.join(behind)}." if behind else "."))
    start = "<p>Fastest column against fastest column, where differences below 5 % do not count:</p>\n"
    return start + listed(lines)


def steps(record: Record) -> str:
    """A chart for each workload, and all their figures in a table."""
    drawn = (
        figure(
            f"{name} {workload['title']}", workload["about"], step_chart(record, name), notes(record, name)
        )
        for name, workload in record["workloads"].items()
    )
    rows = []
    for name, workload in record["workloads"].items():
        known = {label: cell.get("microseconds") for label, cell in workload["cells"].items()}
        best = min((time for time in known.values() if time is not None), default=None)
        row = [f"{name} {workload['title']}"]
        for label in record["columns"]:
            time = known.get(label)
            text = digits(time) if time is not None else "–" if label in known else ""
            row.append(Strong(text) if time is not None and time == best else text)
        rows.append(row)
    caption = (
        "Microseconds per step; the fastest in bold. – has failed or was left out, empty has no such variant."
    )
    columns = [about["title"] for about in record["columns"].values()]
    return STEPS + charts(drawn) + table(caption, ["", *columns], rows)


def step_chart(record: Record, name: str) -> str:
    workload = record["workloads"][name]
    timed = {label: cell for label, cell in workload["cells"].items() if "microseconds" in cell}
    ours = timed.get(OURS, {}).get("microseconds")
    bars = []
    for label, cell in sorted(timed.items(), key=lambda item: item[1]["microseconds"]):
        about, time = record["columns"][label], cell["microseconds"] / 1e6
        text = seconds(time) + (f" · {times(cell['microseconds'] / ours)}" if ours else "")
        slices = [piece["microseconds"] / 1e6 for piece in cell["slices"]]
        detail = (
            f"{about['title']}: {seconds(time)}, rounds from {seconds(min(slices))} to {seconds(max(slices))}"
        )
        bars.append(Bar(about["title"], time, text, colours(about), detail))
    return chart(f"step-{name}", f"Time per step of {name}, {workload['title']}", bars) if bars else ""


def notes(record: Record, name: str) -> Iterator[str]:
    """Why columns have no bar, and whether values differ."""
    workload = record["workloads"][name]
    missing = {label: cell for label, cell in workload["cells"].items() if "microseconds" not in cell}
    yield from left_out(record, missing)
    if workload["disagreement"]:
        yield f"Values differ: {workload['disagreement']}"


def left_out(record: Record, missing: dict[str, Any]) -> Iterator[str]:
    """A line for each reason, with the columns that it holds for."""
    reasons: dict[str, list[str]] = {}
    for label, cell in missing.items():
        reasons.setdefault(shortened(reason(cell)), []).append(record["columns"][label]["title"])
    for why, titles in reasons.items():
        yield f"– {', '.join(titles)}: {why}"


def colours(about: dict[str, Any]) -> str:
    return f"{about['framework']} compiled" if about["compiles"] else str(about["framework"])


def compiling(record: Record) -> str:
    """A chart for each column that compiles."""
    latencies: dict[str, dict[str, float]] = {label: {} for label in record["columns"]}
    for name, workload in record["workloads"].items():
        for label, cell in workload["cells"].items():
            if "compile_seconds" in cell:
                latencies[label][name] = cell["compile_seconds"]
    latencies = {label: found for label, found in latencies.items() if found}
    if not latencies:
        return COMPILING + "<p>No column that compiles was measured.</p>\n"
    longest = max(value for found in latencies.values() for value in found.values())
    drawn = []
    for label, found in latencies.items():
        about = record["columns"][label]
        bars = [
            Bar(f"{name} {record['workloads'][name]['title']}", value, seconds(value), colours(about))
            for name, value in found.items()
        ]
        drawing = chart(
            f"compile-{label}", f"Compile latency of {about['title']}", bars, longest=longest, names=200
        )
        drawn.append(figure(about["title"], about["what"], drawing))
    return COMPILING + charts(drawn)


def memory(record: Record) -> str:
    drawn = []
    for name, found in record["peaks"].items():
        title = f"{name} {record['workloads'][name]['title']}"
        sizes = {label: size["bytes"] for label, size in found.items() if "bytes" in size}
        bars = [
            Bar(record["columns"][label]["title"], size, megabytes(size), colours(record["columns"][label]))
            for label, size in sorted(sizes.items(), key=lambda item: item[1])
        ]
        below = left_out(record, {label: size for label, size in found.items() if label not in sizes})
        drawing = chart(f"memory-{name}", f"Peak memory of {title}", bars) if bars else ""
        drawn.append(figure(title, record["workloads"][name]["about"], drawing, below))
    return MEMORY + charts(drawn)


def footprint(record: Record) -> str:
    """Install sizes and import times."""
    found = {name: kept for name, kept in record["footprint"].items() if "import_ms" in kept}

    def drawing(key: str, title: str, write: Callable[[float], str], unit: float) -> str:
        values = {name: max(kept[key], 0) * unit for name, kept in found.items() if kept[key] is not None}
        ordered = sorted(values.items(), key=lambda item: item[1])
        return chart(key, title, [Bar(FAMILIES[name], value, write(value), name) for name, value in ordered])

    in_place = [FAMILIES[name] for name, kept in found.items() if kept["required_bytes"] is None]
    remark = [f"{', '.join(in_place)}: built in place, the libraries in other folders do not count"]
    drawn = [
        figure(
            "Import",
            "a fresh process less a bare interpreter, without the first op",
            drawing("import_ms", "Import time", seconds, 1e-3),
        ),
        figure(
            "Installed package",
            "its folder alone; the table has all that it requires",
            drawing("package_bytes", "Size of the installed package", megabytes, 1),
            remark if in_place else [],
        ),
    ]
    rows = []
    for name, kept in found.items():
        sizes = [kept[key] for key in ("peak_bytes", "package_bytes", "required_bytes")]
        times = [seconds(max(kept[key], 0) / 1e3) for key in ("import_ms", "first_op_ms")]
        rows.append([FAMILIES[name], *times, *("–" if size is None else megabytes(size) for size in sizes)])
    top = ["", "import", "import and first op", "resident after import", "package", "with what it requires"]
    caption = "– is not known of a package that was built in place."
    return "<h2>Installing and importing</h2>\n" + charts(drawn) + table(caption, top, rows)


def setting(record: Record) -> str:
    """Versions, hardware, method, and how to do it again."""
    rows = [
        [about["title"], about["version"], str(about["threads"]), about["what"]]
        for about in record["columns"].values()
    ]
    machine = {"revision" if key == "git" else key: value for key, value in record["machine"].items()}
    took = f"{record['took']:.0f} seconds" if record["took"] < 120 else f"{record['took'] / 60:.0f} minutes"
    return (
        "<h2>What was measured, and how</h2>\n"
        + table("Columns", ["", "version", "threads", "how a step runs"], rows, kind="words")
        + listed(f"{key}: {value}" for key, value in machine.items() if value)
        + METHOD.format(**record)
        + (DISTURBED.format(**record) if record["disturbed"] else "")
        + f"<p>To do it again ({took}):</p>\n<pre>{escape(record['command'])}</pre>\n"
    )


def absent(record: Record) -> str:
    """Columns that did not run, and footprints that failed."""
    failed = {name: kept for name, kept in record["footprint"].items() if "import_ms" not in kept}
    lines = [f"{label}: {reason({'error': why})}" for label, why in record["absent"].items()]
    lines += [f"import and size of {FAMILIES[name]}: {reason(kept)}" for name, kept in failed.items()]
    return "<h2>Not measured</h2>\n" + listed(lines) if lines else ""
