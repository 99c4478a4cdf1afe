"""The record of a run as one HTML page that needs nothing else: no script, no network, charts inline."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .charts import Bar, chart, digits, megabytes, seconds, times
from .columns import OURS
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

METHOD = """\
<p>Every column is a process of its own. They are measured in turns while the others are stopped: up to {rounds}
rounds, in each of which a column gets one slice of {seconds:g} seconds of the same workload. A figure is the median
over the rounds of the mean time per step. All columns start from the same numbers, and the values of their first six
steps are compared. A step is complete: forward, loss, backward, and the optimizer's update where there is one.</p>
"""


def render(record: Record) -> str:
    """The page, as text."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    sections = (head, verdict, steps, figures, compiling, memory, footprint, setting, missing)
    return PAGE.format(style=style, body="\n".join(section(record) for section in sections))


def head(record: Record) -> str:
    machine, threads = record["machine"], record["threads"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}; {machine['system']}"
    return (
        "<h1>Versant beside its peers</h1>\n"
        f'<p class="soft">{escape(where)}. {threads} thread{"s" if threads > 1 else ""} each. '
        f"{escape(record['when'][:16].replace('T', ' '))}</p>"
    )


def verdict(record: Record) -> str:
    """For each peer in one sentence: where we are ahead and where behind."""
    peers: dict[str, dict[str, float]] = {}
    for name, workload in record["workloads"].items():
        for peer, share in workload["shares"].items():
            peers.setdefault(peer, {})[name] = share
    if not peers:
        return (
            "<p>No other framework was found in this environment. Install PyTorch, TensorFlow or JAX beside Versant "
            "and run the command again to see them here.</p>"
        )
    lines = []
    for peer, ratios in peers.items():
        ahead = [share for share in ratios.values() if share < 0.95]
        behind = {name: share for name, share in ratios.items() if share > 1.05}
        text = f"<b>{escape(peer_title(record, peer))}</b> takes longer than Versant in {len(ahead)} of {len(ratios)} workloads"
        text += f", {times(median([1 / share for share in ratios.values()]))} as long in the middle one"
        if behind:
            text += "; it is faster in " + ", ".join(
                f"{escape(name)} (Versant takes {times(share)} as long)" for name, share in behind.items()
            )
        lines.append(f"<li>{text}.</li>")
    return (
        "<p>Fastest column against fastest column, differences of less than 5 % not counted:</p>\n"
        f'<ul class="verdict">{"".join(lines)}</ul>'
    )


def peer_title(record: Record, peer: str) -> str:
    """What a peer is called: as its first column, without what sets that apart."""
    titles = [about["title"] for about in record["columns"].values() if about["peer"] == peer]
    return min(titles, key=len) if peer != "torch" else "PyTorch"


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def steps(record: Record) -> str:
    """A chart for each workload."""
    drawn = [
        figure(
            f"{name} {workload['title']}", workload["about"], step_chart(record, name), notes(record, name)
        )
        for name, workload in record["workloads"].items()
    ]
    return (
        "<h2>Time per step</h2>\n<p>Shorter is faster. Behind each time stands how many times Versant's it is. "
        f'Every chart has a scale of its own, from zero.</p>\n<div class="charts">\n{"".join(drawn)}</div>'
    )


def step_chart(record: Record, name: str) -> str:
    workload = record["workloads"][name]
    timed = {label: cell for label, cell in workload["cells"].items() if "microseconds" in cell}
    ours = timed.get(OURS, {}).get("microseconds")
    bars = []
    for label, cell in sorted(timed.items(), key=lambda item: item[1]["microseconds"]):
        about, time = record["columns"][label], cell["microseconds"] / 1e6
        text = seconds(time) + (f"  {times(cell['microseconds'] / ours)}" if ours else "")
        slices = [piece["microseconds"] / 1e6 for piece in cell["slices"]]
        spread = f"; rounds from {seconds(min(slices))} to {seconds(max(slices))}" if slices else ""
        detail = f"{about['title']}: {seconds(time)}{spread}"
        bars.append(Bar(about["title"], time, text, about["framework"], detail))
    return chart(f"step-{name}", f"Time per step of {name}, {workload['title']}", bars) if bars else ""


def notes(record: Record, name: str) -> Iterator[str]:
    """Why columns have no bar, and whether values differ."""
    workload = record["workloads"][name]
    for label, cell in workload["cells"].items():
        if "microseconds" not in cell:
            yield f"{record['columns'][label]['title']}: – {shortened(reason(cell))}"
    if workload["disagreement"]:
        yield f"Values differ: {workload['disagreement']}"


def shortened(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def figure(title: str, about: str, drawing: str, below: Iterable[str] = ()) -> str:
    lines = "".join(f"<p>{escape(line)}</p>\n" for line in below)
    small = f"<small>{escape(about)}</small>" if about else ""
    return f"<figure><figcaption><b>{escape(title)}</b>{small}</figcaption>\n{drawing}\n{lines}</figure>\n"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts that are HTML already; the first of each row names it."""
    top = "".join(f'<th scope="col">{word}</th>' for word in head)
    body = ""
    for first, *rest in rows:
        body += f'<tr><th scope="row">{first}</th>{"".join(rest)}</tr>\n'
    return (
        f'<div class="scroll"><table><caption>{caption}</caption>\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>"
    )


def cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def figures(record: Record) -> str:
    columns = record["columns"]
    rows = []
    for name, workload in record["workloads"].items():
        found = {label: c["microseconds"] for label, c in workload["cells"].items() if "microseconds" in c}
        best = min(found.values(), default=None)
        row = [escape(f"{name} {workload['title']}")]
        for label in columns:
            if label in found:
                row.append(cell(digits(found[label]), "first" if found[label] == best else ""))
            else:
                row.append(cell("–" if label in workload["cells"] else ""))
        rows.append(row)
    caption = (
        "Microseconds per step. The fastest is bold; – could not be measured, empty has no such variant."
    )
    return table(caption, ["", *(escape(about["title"]) for about in columns.values())], rows)


def compiling(record: Record) -> str:
    """A chart for each column that compiles, all on one scale."""
    latencies = {
        label: {
            name: workload["cells"][label]["compile_seconds"]
            for name, workload in record["workloads"].items()
            if "compile_seconds" in workload["cells"].get(label, {})
        }
        for label, about in record["columns"].items()
        if about["compiles"]
    }
    latencies = {label: found for label, found in latencies.items() if found}
    start = "<h2>Compile latency</h2>\n"
    if not latencies:
        return start + "<p>No column that compiles was measured.</p>"
    longest = max(value for found in latencies.values() for value in found.values())
    drawn = ""
    for label, found in latencies.items():
        about = record["columns"][label]
        bars = [
            Bar(f"{name} {record['workloads'][name]['title']}", value, seconds(value), about["framework"])
            for name, value in found.items()
        ]
        drawing = chart(f"compile-{label}", f"Compile latency of {about['title']}", bars, longest=longest)
        drawn += figure(about["title"], about["what"], drawing)
    return (
        f"{start}<p>What the first six steps took beyond their usual time: tracing and compiling, with empty caches. "
        f'All charts have one scale.</p>\n<div class="charts">\n{drawn}</div>'
    )


def memory(record: Record) -> str:
    drawn = ""
    for name, found in record["peaks"].items():
        bars = [
            Bar(about["title"], size["bytes"], megabytes(size["bytes"]), about["framework"])
            for label, size in sorted(found.items(), key=lambda item: item[1].get("bytes", 0))
            if "bytes" in size and (about := record["columns"][label])
        ]
        below = [
            f"{record['columns'][label]['title']}: – {shortened(reason(size))}"
            for label, size in found.items()
            if "bytes" not in size
        ]
        title = f"{name} {record['workloads'][name]['title']}"
        drawing = chart(f"memory-{name}", f"Peak memory of {title}", bars) if bars else ""
        drawn += figure(title, "", drawing, below)
    return (
        "<h2>Peak memory</h2>\n<p>The largest resident size of a fresh process that takes ten steps.</p>\n"
        f'<div class="charts">\n{drawn}</div>'
    )


def footprint(record: Record) -> str:
    """Install sizes and import times."""
    titles = {about["framework"]: peer_title(record, about["peer"]) for about in record["columns"].values()}
    found = {name: f for name, f in record["footprint"].items() if "error" not in f}

    def bars(key: str, write: Any, factor: float = 1.0) -> list[Bar]:
        values = {name: f[key] * factor for name, f in found.items() if f[key] is not None}
        ordered = sorted(values.items(), key=lambda item: item[1])
        return [Bar(titles[name], max(value, 0.0), write(value), name) for name, value in ordered]

    drawn = figure(
        "Import",
        "a fresh process less a bare interpreter",
        chart("import", "Import time", bars("import_ms", seconds, 1e-3)),
    )
    drawn += figure(
        "Installed package",
        "its folder alone; the table has what it requires too",
        chart("installed", "Size of the installed package", bars("package_bytes", megabytes)),
    )
    rows = [
        [
            escape(titles[name]),
            cell(seconds(f["import_ms"] / 1e3)),
            cell(seconds(f["first_op_ms"] / 1e3)),
            cell(megabytes(f["peak_bytes"])),
            cell(megabytes(f["package_bytes"])),
            cell("–" if f["required_bytes"] is None else megabytes(f["required_bytes"])),
        ]
        for name, f in found.items()
    ]
    head = ["", "import", "import and first op", "resident after import", "package", "with what it requires"]
    caption = "– is not known of a package that was built in place."
    return f'<h2>Installing and importing</h2>\n<div class="charts">\n{drawn}</div>\n{table(caption, head, rows)}'


def setting(record: Record) -> str:
    """Versions, hardware, method, and how to do it again."""
    rows = [
        [escape(a["title"]), cell(a["version"]), cell(str(a["threads"])), cell(a["what"], "words")]
        for a in record["columns"].values()
    ]
    machine = dict(record["machine"])
    revision = machine.pop("git", "")
    facts = "".join(f"<li>{escape(key)}: {escape(str(value))}</li>" for key, value in machine.items())
    if revision:
        facts += f"<li>revision: {escape(revision)}</li>"
    disturbed = (
        f"<p>Other processes disturbed {record['disturbed']} of {record['slices']} slices; such a slice is measured "
        "again, three times at most, while patience lasts.</p>"
        if record["disturbed"]
        else ""
    )
    return (
        "<h2>What was measured, and how</h2>\n"
        + table("Columns", ["", "version", "threads", "how it runs a step"], rows)
        + f"\n<ul>{facts}</ul>\n{METHOD.format(**record)}{disturbed}"
        f"<p>To do it again, {record.get('took', 0):.0f} seconds long:</p>\n<pre>{escape(record['command'])}</pre>"
    )


def missing(record: Record) -> str:
    """Columns that did not run, and errors in full."""
    lines = [
        f"<li>{escape(label)}: {escape(reason({'error': why}))}</li>"
        for label, why in record["absent"].items()
    ]
    lines += [
        f"<li>{escape(name)}: {escape(reason(found))}</li>"
        for name, found in record["footprint"].items()
        if "error" in found
    ]
    return f"<h2>Not measured</h2>\n<ul>{''.join(lines)}</ul>" if lines else ""
