"""Graphs of branches as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

from versant.compiler.graph import CHARACTER, LINE, ORDER, Graph, Node
from versant.compiler.layered import Layered, lay_out
from versant.compiler.record import Branch

ROW_GAP = 46.0
MARGIN = 24.0

STYLE = """
text { font: 12px 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1c2733; }
.title { font-size: 14px; font-weight: bold; }
.small { fill: #5a6875; }
.box rect { stroke: #5a6875; stroke-width: 1; }
.argument rect { fill: #d7e8fb; stroke: #3b78b8; }
.parameter rect { fill: #d9f0dc; stroke: #3f8f4f; }
.captured rect { fill: #e6f0ee; stroke: #4f8a80; }
.constant rect { fill: #eeeeee; stroke: #8a8a8a; }
.forward rect { fill: #ffffff; stroke: #33475b; }
.backward rect { fill: #fdeedd; stroke: #b8742a; }
.both rect { fill: url(#both); stroke: #33475b; }
.fused rect { stroke-width: 2.2; }
.result rect { fill: #eadcf6; stroke: #7d4fae; }
.cell { stroke: #b9c3cc; stroke-width: 1; }
.line { fill: none; stroke: #7b8a98; stroke-width: 1.2; }
.order { stroke-dasharray: 3 4; }
.line:hover { stroke: #d03030; stroke-width: 2.4; }
.box:hover rect { stroke: #d03030; }
"""

LEGEND = [
    ("argument", "argument"),
    ("parameter", "tensor that takes gradients"),
    ("captured", "other tensor"),
    ("constant", "constant"),
    ("forward", "forward"),
    ("backward", "backward"),
    ("both", "both"),
    ("forward fused", "fused step"),
    ("result", "what the call leaves"),
]


TAPE_LEGEND = [("parameter", "leaf that takes gradients"), ("forward", "recorded op"), ("result", "result")]


class Drawn(Protocol):
    """What can be drawn: boxes, lines (from, to, what they carry), and boxes that stand next to readers."""

    nodes: list[Node]
    lines: list[tuple[int, int, int]]
    late: set[int]


def svg_of(branches: list[Branch]) -> str:
    """The branches as one SVG, one below the other."""
    return drawing_of([(branch.title, Graph(branch)) for branch in branches], LEGEND)


def drawing_of(graphs: Sequence[tuple[str, Drawn]], legend_of: list[tuple[str, str]]) -> str:
    """Graphs under their titles, one below the other."""
    parts = []
    width, y = 700.0, MARGIN
    for title, graph in graphs:
        drawing, wide, high = draw(graph, y + LINE * 2)
        parts.append(f'<text class="title" x="{MARGIN}" y="{y + LINE:.0f}">{escape(title)}</text>')
        parts += drawing
        width, y = max(width, wide), high + MARGIN * 2
    legend, y = draw_legend(legend_of, width, y)
    parts += legend
    both = (
        '<linearGradient id="both"><stop offset="0.5" stop-color="#ffffff"/>'
        '<stop offset="0.5" stop-color="#fdeedd"/></linearGradient>'
    )
    size = f"{width + MARGIN:.0f} {y:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width + MARGIN:.0f}" '
    head += f'height="{y:.0f}">\n<style>{STYLE}</style>\n<defs>{both}</defs>\n'
    head += '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, *parts, "</svg>\n"])


def draw(graph: Drawn, top: float) -> tuple[list[str], float, float]:
    """The drawing of a graph, its right end and its lower one."""
    layout = lay_out([node.width for node in graph.nodes], graph.lines, graph.late)
    heights = [
        max((graph.nodes[n].height for n in row if n < len(graph.nodes)), default=0.0) for row in layout.rows
    ]
    tops = [top]
    for height in heights[:-1]:
        tops.append(tops[-1] + height + ROW_GAP)
    parts = draw_lines(graph, layout, tops, heights)
    for number, node in enumerate(graph.nodes):
        box = layout.boxes[number]
        parts.append(draw_node(node, MARGIN + box.x - box.width / 2, tops[box.row]))
    right = MARGIN + max((box.x + box.width / 2 for box in layout.boxes), default=0.0)
    return parts, right, tops[-1] + (heights[-1] if heights else 0.0)


def draw_node(node: Node, x: float, y: float) -> str:
    parts = [f'<g class="box {node.kinds}"><title>{escape(node.tip)}</title>']
    parts.append(
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" rx="4"/>'
    )
    for i, row in enumerate(node.rows):
        small = ' class="small"' if i == node.small else ""
        at = f'x="{x + node.width / 2:.1f}" y="{y + LINE * (i + 1):.1f}"'
        parts.append(f'<text{small} text-anchor="middle" {at}>{escape(row)}</text>')
    if node.cells:
        line = y + LINE * len(node.rows) + 5
        parts.append(f'<path class="cell" d="M{x:.1f} {line:.1f}h{node.width:.1f}"/>')
        for i, (centre, left) in enumerate(cell_places(node, x)):
            if i:
                parts.append(f'<path class="cell" d="M{left:.1f} {line:.1f}V{y + node.height:.1f}"/>')
            at = f'x="{centre:.1f}" y="{line + LINE - 3:.1f}"'
            parts.append(f'<text class="small" text-anchor="middle" {at}>{escape(node.cells[i][1])}</text>')
    return "".join(parts) + "</g>"


def cell_places(node: Node, x: float) -> list[tuple[float, float]]:
    """The centre and the left end of each cell."""
    spare = node.width / CHARACTER - sum(len(text) + 2 for _, text in node.cells)
    places = []
    for _, text in node.cells:
        width = (len(text) + 2 + spare / len(node.cells)) * CHARACTER
        places.append((x + width / 2, x))
        x += width
    return places


def draw_lines(graph: Drawn, layout: Layered, tops: list[float], heights: list[float]) -> list[str]:
    arrivals: dict[int, list[tuple[float, int]]] = {}  # by node: where lines come from, and their numbers
    for i, (a, b, buffer) in enumerate(graph.lines):
        passed = layout.points[a, b, buffer]
        arrivals.setdefault(b, []).append((layout.boxes[passed[-1] if passed else a].x, i))
    places: dict[int, float] = {}  # where each line arrives
    for b, some in arrivals.items():
        box = layout.boxes[b]
        for i, (_, line) in enumerate(sorted(some)):
            places[line] = box.x + box.width * ((i + 1) / (len(some) + 1) - 0.5)
    parts = []
    for i, (a, b, buffer) in enumerate(graph.lines):
        node, box = graph.nodes[a], layout.boxes[a]
        centres = cell_places(node, box.x - box.width / 2)
        found = [c for (cell, _), (c, _) in zip(node.cells, centres, strict=True) if cell == buffer]
        x, y = found[0] if found else box.x, tops[box.row] + node.height
        path = f"M{MARGIN + x:.1f} {y:.1f}"
        for point in layout.points[a, b, buffer]:
            # Over to the next row, then straight along it.
            stop = layout.boxes[point]
            path += curve(MARGIN + x, y, MARGIN + stop.x, tops[stop.row])
            x, y = stop.x, tops[stop.row] + heights[stop.row]
            path += f"V{y:.1f}"
        path += curve(MARGIN + x, y, MARGIN + places[i], tops[layout.boxes[b].row])
        text = next((text for cell, text in node.cells if cell == buffer), "")
        kinds, text = ("line order", "comes before") if buffer == ORDER else ("line", text)
        parts.append(f'<path class="{kinds}" d="{path}"><title>{escape(text)}</title></path>')
    return parts


def curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (y + to_y) / 2
    return f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"


def draw_legend(legend_of: list[tuple[str, str]], width: float, y: float) -> tuple[list[str], float]:
    parts: list[str] = []
    x = MARGIN
    for kinds, text in legend_of:
        wide = (len(text) + 6) * CHARACTER
        if x + wide > width:
            x, y = MARGIN, y + LINE * 2
        swatch = f'<rect x="{x:.1f}" y="{y:.1f}" width="22" height="14" rx="3"/>'
        parts.append(
            f'<g class="box {kinds}">{swatch}<text x="{x + 28:.1f}" y="{y + 11:.1f}">{text}</text></g>'
        )
        x += wide
    return parts, y + LINE * 2
