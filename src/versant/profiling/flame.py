"""Flame graphs as pages that need nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from versant.profiling.profile import Profile

WIDTH, HIGH = 1200.0, 19.0
SMALLEST = 0.4  # pixels that are drawn

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Flame graph</title><style>
body {{ font: 14px system-ui, sans-serif; margin: 24px; color: #1c2733; }}
svg text {{ font: 12px 'DejaVu Sans Mono', Menlo, Consolas, monospace; pointer-events: none; }}
rect {{ stroke: #fff; cursor: pointer; }}
rect:hover {{ stroke: #d03030; }}
pre {{ background: #f4f6f8; padding: 12px; overflow: auto; }}
</style></head><body>
<h1>Flame graph</h1>
<p>{summary} A click widens a part; a click on the top bar shows all.</p>
<svg id="flame" viewBox="0 0 {width} {height}" width="100%">{bars}</svg>
<pre>{tables}</pre>
<script>
const flame = document.getElementById("flame"), all = [...flame.querySelectorAll("g")];
const number = (g, key) => parseFloat(g.dataset[key]);
function show(from, wide) {{
  for (const g of all) {{
    const x = (number(g, "x") - from) / wide * {width}, w = number(g, "w") / wide * {width};
    g.style.display = x + w < 0.01 || x > {width} - 0.01 || w < {smallest} ? "none" : "";
    const left = Math.max(0, x), right = Math.min({width}, x + w), bar = g.querySelector("rect");
    bar.setAttribute("x", left); bar.setAttribute("width", Math.max(0, right - left));
    const text = g.querySelector("text"), fits = Math.floor((right - left - 8) / 7.3);
    text.setAttribute("x", left + 4);
    text.textContent = fits < 3 ? "" : g.dataset.name.slice(0, fits);
  }}
}}
for (const g of all) g.addEventListener("click", () => show(number(g, "x"), number(g, "w")));
show(0, 1);
</script></body></html>
"""


@dataclass
class Frame:
    """A bar: its own time is that of its children and of the ops in it."""

    time: float = 0.0
    children: dict[str, Frame] = field(default_factory=dict)


def frames_of(profile: Profile) -> Frame:
    root = Frame()
    stacks = []
    for kind in profile.kinds:
        modules = kind.module.split(".") if kind.module else []
        direction = "backward" if kind.back else "forward"
        stacks.append([direction, *modules, kind.line or "an unknown line", kind.op])
    for number, _, duration, _ in profile.actions:
        frame = root
        frame.time += duration
        for name in stacks[number]:
            frame = frame.children.setdefault(name, Frame())
            frame.time += duration
    return root


def flame_page(profile: Profile) -> str:
    root = frames_of(profile)
    bars: list[str] = []
    depth = draw(root, "all ops", 0.0, 0, root.time or 1.0, bars)
    height = HIGH * (depth + 1)
    summary = escape(f"{root.time / 1e3:.3f} ms in ops, {profile.seconds * 1e3:.3f} ms in all.")
    return PAGE.format(
        width=WIDTH,
        height=height,
        smallest=SMALLEST,
        bars="".join(bars),
        summary=summary,
        tables=escape(str(profile)),
    )


def draw(frame: Frame, name: str, x: float, depth: int, total: float, bars: list[str]) -> int:
    """Draws a frame and those above it; gives the greatest depth."""
    share = frame.time / total
    tip = escape(f"{name}: {frame.time / 1e3:.3f} ms, {share:.1%}")
    hue = 25 + sum(name.encode()) % 35
    y = depth * HIGH
    bars.append(
        f'<g data-x="{x:.7f}" data-w="{share:.7f}" data-name="{escape(name)}"><title>{tip}</title>'
        f'<rect x="{x * WIDTH:.2f}" y="{y}" width="{share * WIDTH:.2f}" height="{HIGH}" rx="2" '
        f'fill="hsl({hue} 85% {78 - depth % 3 * 4}%)"/><text x="{x * WIDTH + 4:.2f}" y="{y + 14}"></text></g>'
    )
    deepest = depth
    for child, inner in sorted(frame.children.items(), key=lambda item: -item[1].time):
        deepest = max(deepest, draw(inner, child, x, depth + 1, total, bars))
        x += inner.time / total
    return deepest
